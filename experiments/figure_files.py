"""Save a picture as SVG, PNG or PDF; its metadata names the verb that drew it, which overwrites
only its own.
"""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.errors import RequestError
from experiments.files import check_writable, write_atomically
from experiments.style import styled
from simulator.naming import suggestion

# The metadata fields of the maker and of the date. The date stays empty, so that equal pictures are
# equal files.
METADATA = {
    ".svg": ("Creator", "Date"),
    ".png": ("Software", None),
    ".pdf": ("Creator", "CreationDate"),
}


def check_target(path: Path, verb: str) -> Path:
    """The path of a picture. Raises RequestError for another suffix, and for what this verb may not
    write.
    """
    if path.is_dir():
        example = str(path / f"{verb}.svg")
        raise RequestError(f"--output {str(path)!r} is a folder; name a file such as {example!r}")
    if path.suffix.lower() not in METADATA:
        ending = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        raise RequestError(
            f"--output {str(path)!r} {ending}; pictures end in"
            f" {', '.join(METADATA)}{suggestion(path.suffix, METADATA)}"
        )
    check_writable(path.parent, verb, [path.name], f"soberclip {verb}".encode())
    return path


@styled
def save_figure(figure: Figure, path: Path, verb: str) -> None:
    """Save a figure atomically, in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    maker, date = METADATA[suffix]
    metadata = {maker: f"soberclip {verb}", **({date: None} if date else {})}
    write_atomically(path, lambda name: figure.savefig(name, format=suffix[1:], metadata=metadata))
