"""The layouts of a photo set, each read into one table of photos, which `list_photos` describes.

Folders:    class/group-background/photo, class/background/photo or class/photo
            LAION-final/9 ostrich, Struthio camelus/common-ground/1.jpg
CSV file:   columns path, class, and group, background or both
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from experiments.errors import RequestError
from experiments.files import read_table
from simulator.naming import suggestion
from simulator.progress import track

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MANIFEST = "composites.csv"  # table of each composite's object
REQUEST = "compose.json"  # beside the manifest; without a manifest, composites are unfinished
SAVED = ("state.json", "dataset_dict.json")  # files of a data set that Hugging Face's datasets saved


def printable(path: str) -> str:
    """A path in which bytes that are not UTF-8 are written as \\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def check_folder(root: Path) -> None:
    if not root.is_dir():
        known = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
        raise RequestError(f"there is no folder {str(root)!r}{suggestion(root.name, known, quoted=True)}")


def checked_path(path: str) -> str:
    if printable(path) != path:
        raise RequestError(f"the name of {printable(path)!r} is not UTF-8, so tables cannot hold it; rename it")
    return path


def in_threads(work: Callable[[Any], Any], jobs: Sequence[Any], verb: str) -> list[Any]:
    """Results of the jobs in order; Pillow decodes and encodes outside the interpreter lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            return list(track(pool.map(work, jobs), len(jobs), verb))
        finally:
            pool.shutdown(cancel_futures=True)  # so that Ctrl-C and the first error act soon


def hidden(path: str) -> bool:
    """Whether a file or a folder on its path is hidden: macOS writes a file ._1.jpg beside 1.jpg."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def is_photo(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in SUFFIXES and not hidden(path)


COLUMNS = ["path", "class_name", "place", "group", "object"]
# bytes of file names that are not UTF-8 fit no column of strings, so columns are of objects
Listing = tuple[pd.DataFrame, Path, list[str]]


def list_photos(root: Path) -> Listing:
    """(photos, the folder of their paths, files and folders without photos) in either layout, else RequestError.

    A photo has its path, its class's name, its place, and its group and object if they are known. The place is what
    stands between class and photo: group-background, or background.
    """
    if root.is_file():
        if root.suffix == ".csv":
            return _table(root)
        _check_form([root])
        raise RequestError(f"{str(root)!r} is neither a folder nor a CSV file (.csv)")
    check_folder(root)
    listing = _folders(root)
    if listing[0].empty:
        _check_form(sorted(root.iterdir()))
    return listing


def _check_form(files: list[Path]) -> None:
    """Raise RequestError for tar shards and saved data sets, which earlier versions read."""
    for file in files:
        if file.suffix == ".tar" or file.name in SAVED:
            raise RequestError(
                f"{str(file)!r} is a tar file or a saved data set, which are not read; write the photos into folders "
                "class/group-background, or list their files in a CSV file with columns path, class, group, background"
            )


def _folders(root: Path) -> Listing:
    rows, folders, strays = [], [], []
    for file in sorted(file for depth in ("*", "*/*", "*/*/*") for file in root.glob(depth)):
        parts = file.relative_to(root).parts
        path = "/".join(parts)
        if file.is_dir() and len(parts) < 3:
            folders.append(path)
        elif len(parts) > 1 and is_photo(path) and not file.is_dir():
            rows.append((path, parts[0], "/".join(parts[1:-1]), "", ""))
        else:
            strays.append(path)
    photos = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    if {MANIFEST, REQUEST} & set(strays):
        if not (root / MANIFEST).exists():
            raise RequestError(f"the composites in {str(root)!r} are not finished; run the same compose command again")
        objects = {row["file"]: row["object"] for row in read_table(root / MANIFEST, ("file", "object"), "manifest")}
        photos["object"] = [objects.get(path, "") for path in photos.path]
        strays = [stray for stray in strays if stray not in (MANIFEST, REQUEST)]
    used = {str(parent) for path in photos.path for parent in PurePosixPath(path).parents}
    empty = [folder for folder in folders if folder not in used and str(PurePosixPath(folder).parent) in used]
    return photos, root, strays + empty


def _table(table: Path) -> Listing:
    """The photos of a CSV file; paths are absolute or relative to its folder."""
    rows = read_table(table, ("path", "class"), "photos")
    if not {"group", "background"} & set(rows[0]):
        raise RequestError(f"{str(table)!r} has neither a column 'group' nor 'background'; one of them is needed")
    photos: dict[str, tuple] = {}
    for line, row in enumerate(rows, start=2):
        path = Path(row["path"]).as_posix()  # ./a.jpg is a.jpg
        if path in photos:
            raise RequestError(f"{path!r} is listed again in line {line} of {str(table)!r}; keep one")
        photos[path] = path, row["class"], *(row.get(key) or "" for key in ("background", "group", "object"))
    if missing := [path for path in photos if not (table.parent / path).is_file()]:
        raise RequestError(
            f"{len(missing)} of {len(rows)} photos in {str(table)!r} do not exist, the first is {missing[0]!r}; "
            f"paths are relative to {str(table.parent)!r}"
        )
    return pd.DataFrame(photos.values(), columns=COLUMNS, dtype=object), table.parent, []
