"""A picture as a file: SVG, PNG or PDF, beside the store unless it is said where.

A picture carries the mark of this verb in its own metadata (MARK), so that a file that somebody else drew is told from
an earlier picture of ours and is never written over.
"""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.errors import RequestError
from experiments.files import writable, write_atomically
from experiments.style import styled
from simulator.naming import suggestion

MARK = "soberclip plot"
METADATA_BYTES = 65536
METADATA = {  # where each format keeps who made it; no dates, so that the same picture is the same file
    ".svg": {"Creator": MARK, "Date": None},
    ".png": {"Software": MARK},
    ".pdf": {"Creator": MARK, "CreationDate": None},
}


def target(store: str, output: Path | None) -> Path:
    """Where the picture goes: `output`, or the store's name with .svg beside it.

    Raises RequestError, before any work, for another suffix, a folder that cannot be written, or a file there that this
    verb did not write.
    """
    name = Path(store.rstrip("/"))
    beside = Path(name.name) if "://" in store else name
    path = output if output is not None else beside.with_suffix(".svg")
    if path.is_dir():
        raise RequestError(
            f"--output {str(path)!r} is a folder; a picture is a file such as {str(path / 'plot.svg')!r}"
        )
    if path.suffix.lower() not in METADATA:
        raise RequestError(
            f"--output {str(path)!r} ends in {path.suffix or 'no suffix'!r}, not in {', '.join(METADATA)}"
            f"{suggestion(path.suffix, METADATA)}"
        )
    writable(path.parent)
    if path.exists() and not _is_ours(path):
        raise RequestError(f"--output {str(path)!r} is a file that no {MARK} wrote; name another")
    return path


def _is_ours(path: Path) -> bool:
    """Whether a file carries the mark, which stands in the metadata at its start (SVG, PNG) or its end (PDF)."""
    with path.open("rb") as file:
        start = file.read(METADATA_BYTES)
        file.seek(max(path.stat().st_size - METADATA_BYTES, 0))
        return MARK.encode() in start + b" " + file.read(METADATA_BYTES)


@styled
def write_figure(figure: Figure, path: Path) -> None:
    """Save a figure in the format of its path's suffix, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    write_atomically(path, lambda name: figure.savefig(name, format=suffix[1:], metadata=METADATA[suffix]))
