"""A CSV file of photos that may lie anywhere: columns path, class and group, background or both."""

from pathlib import Path

from experiments.counteranimal.photos.listing import Entry, Listing
from experiments.counteranimal.photos.tree import Folder, refuse_other_group
from experiments.errors import RequestError
from experiments.files import read_table


def list_table(table: Path) -> Listing:
    """The photos of a table; paths are absolute or relative to its folder.

    Raises RequestError for a missing column, an unknown group, a photo listed twice, or photos that do not exist.
    """
    rows = read_table(table, ("path", "class"), "photos")
    if not {"group", "background"} & set(rows[0]):
        raise RequestError(f"{str(table)!r} has neither a column 'group' nor 'background'; one of them is needed")
    listing = Listing([], Folder(table.parent))
    lines: dict[str, int] = {}
    missing: list[str] = []
    for line, row in enumerate(rows, start=2):
        path, group = Path(row["path"]).as_posix(), row.get("group") or ""  # ./a.jpg is a.jpg
        if group:
            refuse_other_group(group, f"line {line} of {str(table)!r}")
        if lines.setdefault(path, line) != line:
            raise RequestError(f"{path!r} is listed in lines {lines[path]} and {line} of {str(table)!r}; keep one")
        if not (table.parent / path).is_file():
            missing.append(path)
        listing.add(Entry(path, row["class"], row.get("background") or "", group, row.get("object") or ""))
    if missing:
        raise RequestError(
            f"{len(missing)} of {len(rows)} photos in {str(table)!r} do not exist, the first is {missing[0]!r}; "
            f"paths are relative to {str(table.parent)!r}"
        )
    return listing
