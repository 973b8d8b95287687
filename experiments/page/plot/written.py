"""From a store to a file: the study is read, its picture written as SVG, PNG or PDF beside it.

A picture carries the mark of this verb in its own metadata (MARK), so that a file that somebody else drew is told from
an earlier picture of ours and is never written over.
"""

from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from experiments.errors import RequestError
from experiments.files import writable, write_atomically
from experiments.style import styled
from simulator.naming import suggestion

MARK = "soberclip plot"
METADATA = {  # where each format keeps who made it; no dates, so that the same picture is the same file
    ".svg": {"Creator": MARK, "Date": None},
    ".png": {"Software": MARK},
    ".pdf": {"Creator": MARK, "CreationDate": None},
}


def opened(store: str) -> xr.Dataset:
    """The study in a store, not read yet. Raises RequestError for anything else, saying what it is."""
    where = f"store {store!r}"
    if "://" not in store:
        path = Path(store)
        if not path.exists():
            raise RequestError(f"{where} is not there{_beside(path)}")
        if path.is_file():
            raise RequestError(f"{where} is a file; a store is a folder that `soberclip sweep` writes")
    try:
        dataset = xr.open_zarr(store, consolidated=False, chunks=None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{where} holds no study that `soberclip sweep` wrote") from error
    if not {"common", "counter", "undefined", "legend"} <= set(dataset.variables) or "learner" not in dataset.dims:
        raise RequestError(f"{where} holds an array, but no study that `soberclip sweep` wrote")
    return dataset


def _beside(path: Path) -> str:
    parent = path.parent
    others = [p.name for p in parent.iterdir() if p.suffix == ".zarr"] if parent.is_dir() else []
    return suggestion(path.name, others, quoted=True)


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
    if path.exists() and MARK.encode() not in path.read_bytes():
        raise RequestError(f"--output {str(path)!r} is a file that no {MARK} wrote; name another")
    return path


@styled
def write_figure(figure: Figure, path: Path) -> None:
    """Save a figure in the format of its path's suffix, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    write_atomically(path, lambda name: figure.savefig(name, format=suffix[1:], metadata=METADATA[suffix]))
