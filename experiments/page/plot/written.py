"""A picture as a file: SVG, PNG or PDF.

A picture carries the mark of the verb that drew it in its own metadata, so that a file that somebody else drew is told
from an earlier picture of ours and is never written over.
"""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.errors import RequestError
from experiments.files import check_ours, check_writable, write_atomically
from experiments.style import styled
from simulator.naming import suggestion

# Where each format keeps who made it, and its date: none, so that the same picture is the same file.
METADATA = {".svg": ("Creator", "Date"), ".png": ("Software", None), ".pdf": ("Creator", "CreationDate")}


def mark(verb: str) -> str:
    """What a verb's pictures carry."""
    return f"soberclip {verb}"


def target(path: Path, verb: str) -> Path:
    """The path of a verb's picture.

    Raises RequestError, before any work, for another suffix, a folder that cannot be written, or a file there that this
    verb did not write.
    """
    if path.is_dir():
        raise RequestError(
            f"--output {str(path)!r} is a folder; a picture is a file such as {str(path / f'{verb}.svg')!r}"
        )
    if path.suffix.lower() not in METADATA:
        raise RequestError(
            f"--output {str(path)!r} ends in {path.suffix or 'no suffix'!r}, not in {', '.join(METADATA)}"
            f"{suggestion(path.suffix, METADATA)}"
        )
    check_writable(path.parent)
    check_ours(path, mark(verb).encode(), verb)
    return path


@styled
def write_figure(figure: Figure, path: Path, verb: str) -> None:
    """Save a figure in the format of its path's suffix, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    maker, date = METADATA[suffix]
    metadata = {maker: mark(verb), **({date: None} if date else {})}
    write_atomically(path, lambda name: figure.savefig(name, format=suffix[1:], metadata=metadata))
