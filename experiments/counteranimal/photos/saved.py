"""A Hugging Face data set saved on disk: columns image, label or class, and group, background or both."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.counteranimal.photos.listing import Entry, Listing
from experiments.counteranimal.photos.tree import Key, refuse_other_group
from experiments.counteranimal.weights import first_line
from experiments.errors import RequestError
from simulator.pixels.decoding import decode, decode_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

STATE, SPLITS = "state.json", "dataset_dict.json"
CLASS_COLUMNS = ("class", "label")


@dataclass(frozen=True)
class Saved:
    """Rows of a data set, opened once in each process; a photo is named by its row."""

    root: Path

    @cached_property
    def rows(self) -> Any:
        """The column of images, as the bytes that were stored."""
        from datasets import Image

        return _opened(self.root).select_columns("image").cast_column("image", Image(decode=False))

    @cached_property
    def _written(self) -> tuple[int, int]:
        stats = [file.stat() for file in self.root.glob("*.arrow")]
        return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)

    def key(self, path: str) -> Key:
        """Row, and size and time of the files that hold all rows."""
        return path, *self._written

    def image(self, path: str) -> "Image":
        """Decoded from its bytes in the row, or from the file that the row names."""
        stored = self.rows[int(path)]["image"]
        if stored is None or (stored["bytes"] is None and stored["path"] is None):
            raise ValueError("no image in this row")
        return decode(Path(stored["path"])) if stored["bytes"] is None else decode_bytes(stored["bytes"])

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}  # a decoding process opens the files itself


def list_saved(root: Path) -> Listing:
    """The rows of a saved data set.

    Raises RequestError for a folder of splits, missing columns, or a library that is not installed.
    """
    if not (root / STATE).exists():
        splits = sorted(p.name for p in root.iterdir() if (p / STATE).exists())
        raise RequestError(
            f"{str(root)!r} is a data set of several splits; name one of them: "
            f"{', '.join(str(root / split) for split in splits)}"
        )
    data = _opened(root)
    named = next((name for name in CLASS_COLUMNS if name in data.column_names), None)
    if named is None or "image" not in data.column_names or not {"group", "background"} & set(data.column_names):
        raise RequestError(
            f"the data set {str(root)!r} has columns {', '.join(data.column_names)}; it needs image, "
            f"{' or '.join(CLASS_COLUMNS)}, and group or background"
        )
    listing = Listing([], Saved(root))
    columns = [_words(data, name) for name in (named, "background", "group", "object")]
    width = len(str(max(len(data) - 1, 1)))
    for row, (name, background, group, thing) in enumerate(zip(*columns, strict=True)):
        if group:
            refuse_other_group(group, f"row {row} of {str(root)!r}")
        listing.add(Entry(f"{row:0{width}}", name, background, group, thing))
    return listing


def _opened(root: Path) -> Any:
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise RequestError(
            "a saved data set needs datasets, which is not installed; in the checkout run: "
            "python -m pip install -e '.[hf]'"
        ) from error
    try:
        return load_from_disk(str(root))
    except Exception as error:  # whatever damaged Arrow files lead to
        raise RequestError(f"the data set {str(root)!r} cannot be read ({first_line(error)}); save it again") from error


def _words(data: Any, column: str) -> list[str]:
    """A column as strings, classes by their names; empty strings where there is no such column."""
    if column not in data.column_names:
        return [""] * len(data)
    named = getattr(data.features[column], "names", None)  # of classes that are stored as numbers
    return ["" if v is None else named[v] if named and v >= 0 else str(v) for v in data[column]]
