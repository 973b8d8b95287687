"""The layouts of a photo set, each read into one table of photos, which `list_photos` describes.

Folders:        class/group-background/photo, class/background/photo or class/photo
                LAION-final/9 ostrich, Struthio camelus/common-ground/1.jpg
CSV file:       columns path, class, and group, background or both
Tar shards:     webdataset's format: each photo beside a JSON file of the same name with class, group and background,
                or in folders as above. Shards are not unpacked: photos are read by their offsets.
Saved data set: a folder from save_to_disk of `datasets`, with columns image, label or class, and group, background
                or both
"""

import json
import os
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from experiments.counteranimal.model import loading
from experiments.errors import RequestError
from experiments.files import read_table
from simulator.extras import installed
from simulator.naming import suggestion
from simulator.pixels.decoding import MOST_BYTES, decode
from simulator.progress import track

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MANIFEST = "composites.csv"  # table of each composite's object
REQUEST = "compose.json"  # beside the manifest; without a manifest, composites are unfinished
MOST_DESCRIBED = 2**20  # bytes of a JSON file in a shard
STATE, SPLITS = "state.json", "dataset_dict.json"  # files of a saved data set
Key = tuple[str, int, int]  # path, bytes, modification time in nanoseconds


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


@dataclass(frozen=True)
class Files:
    """Photos below a root: whole files, or parts of tar files."""

    root: Path
    parts: dict[str, tuple[str, int, int]] = field(default_factory=dict)  # path -> file, offset and bytes

    def key(self, path: str) -> Key:
        file, _, size = self.parts.get(path, (path, 0, None))
        stat = (self.root / file).stat()
        return path, stat.st_size if size is None else size, stat.st_mtime_ns

    def image(self, path: str) -> Any:
        if path not in self.parts:
            return decode(self.root / path)
        name, offset, size = self.parts[path]
        try:
            with open(self.root / name, "rb") as file:
                file.seek(offset)
                data = file.read(min(size, MOST_BYTES + 1))  # decode refuses more
        except OSError as error:
            raise ValueError(error.strerror or "cannot be read") from error
        return decode(data)


@dataclass(frozen=True)
class Saved:
    """Rows of a saved data set, opened once in each process; a photo's path is its row."""

    root: Path

    @cached_property
    def rows(self) -> Any:
        """The column of images, as stored bytes."""
        from datasets import Image, load_from_disk  # optional extra

        return load_from_disk(str(self.root)).select_columns("image").cast_column("image", Image(decode=False))

    def key(self, path: str) -> Key:
        return path, 0, (self.root / STATE).stat().st_mtime_ns

    def image(self, path: str) -> Any:
        """The photo decoded from its stored bytes, or from the file that its row names."""
        stored = self.rows[int(path)]["image"] or {"bytes": None, "path": None}
        if stored["bytes"] is not None:
            return decode(stored["bytes"])
        if stored["path"] is None:
            raise ValueError("no image in this row")
        return decode(Path(stored["path"]))


COLUMNS = ["path", "class_name", "place", "group", "object"]
# bytes of file names that are not UTF-8 fit no column of strings, so columns are of objects
Listing = tuple[pd.DataFrame, Files | Saved, list[str]]


def list_photos(root: Path) -> Listing:
    """(photos, where they are stored, files and folders without photos) in any of the layouts, else RequestError.

    A photo has its path, its class's name, its place, and its group and object if they are known. The place is what
    stands between class and photo: group-background, or background.
    """
    if root.is_file():
        if root.suffix == ".tar":
            return _shards(root.parent, [root])
        if root.suffix == ".csv":
            return _table(root)
        raise RequestError(f"{str(root)!r} is neither a folder, a CSV file (.csv) nor a tar file (.tar)")
    check_folder(root)
    if (root / STATE).exists() or (root / SPLITS).exists():
        return _saved(root)
    shards = sorted(root.glob("*.tar"))
    if shards and any(path.is_dir() for path in root.iterdir()):
        raise RequestError(f"{str(root)!r} holds folders and tar files; name {str(shards[0])!r}, or separate them")
    return _shards(root, shards) if shards else _folders(root)


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
    return photos, Files(root), strays + empty


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
        photos[path] = _described(path, row)
    if missing := [path for path in photos if not (table.parent / path).is_file()]:
        raise RequestError(
            f"{len(missing)} of {len(rows)} photos in {str(table)!r} do not exist, the first is {missing[0]!r}; "
            f"paths are relative to {str(table.parent)!r}"
        )
    return pd.DataFrame(photos.values(), columns=COLUMNS, dtype=object), Files(table.parent), []


def _described(path: str, record: dict[str, Any]) -> tuple[str, ...]:
    return path, str(record["class"]), *(str(record.get(key) or "") for key in ("background", "group", "object"))


def _shards(root: Path, shards: list[Path]) -> Listing:
    """The photos of tar files; a photo's path is shard/path in the shard."""
    source, described, strays = Files(root), {}, []
    for shard in shards:
        try:
            with tarfile.open(shard, "r:") as tar:
                for member in tar:
                    path = str(PurePosixPath(shard.name, member.name))
                    suffix = PurePosixPath(path).suffix.lower()
                    if member.isfile() and is_photo(member.name):
                        source.parts[path] = (shard.name, member.offset_data, member.size)
                    elif member.isfile() and suffix == ".json" and not hidden(member.name):
                        # A sparse member may claim any size; a longer description than this is no JSON when cut.
                        described[_sample(path)] = tar.extractfile(member).read(MOST_DESCRIBED)
                    elif not member.isdir():  # other files, and links, which hold no bytes
                        strays.append(path)
                end = tar.offset
        except tarfile.TarError as error:
            raise RequestError(
                f"the shard {str(shard)!r} cannot be read ({error}); it may be truncated or compressed"
            ) from error
        with open(shard, "rb") as file:  # tarfile stops at a truncated header; the true end is a block of zeros
            file.seek(end)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise RequestError(f"the shard {str(shard)!r} is truncated; copy it again")
    rows = [_in_shard(path, described.get(_sample(path))) for path in source.parts]
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object), source, strays


def _sample(path: str) -> str:
    """webdataset's key of a sample: the path up to the first dot of the file name."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def _in_shard(path: str, described: bytes | None) -> tuple[str, ...]:
    if described is None:
        folders = path.split("/")[1:-1]
        if not folders:
            raise RequestError(
                f"{path!r} has no class in its path, and no JSON file with class, group and background beside it"
            )
        return path, *(folders[-2:] if len(folders) > 1 else (folders[0], "")), "", ""
    try:
        return _described(path, json.loads(described))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(
            f"the JSON file beside {path!r} does not describe a photo ({error}); it needs class, and group or "
            "background"
        ) from error


def _saved(root: Path) -> Listing:
    if not (root / STATE).exists():
        splits = ", ".join(sorted(str(path.parent) for path in root.glob(f"*/{STATE}")))
        raise RequestError(f"{str(root)!r} is a data set of several splits; name one of them: {splits}")
    datasets = installed("datasets", "datasets", "hf", "a saved data set", RequestError)
    with loading(f"the data set {str(root)!r}", "save it again"):  # damaged Arrow files raise different types
        data = datasets.load_from_disk(str(root))
        columns = set(data.column_names)
        if not {"class", "label"} & columns or "image" not in columns or not {"group", "background"} & columns:
            raise RequestError(
                f"the data set {str(root)!r} has columns {', '.join(data.column_names)}; it needs image, class or "
                "label, and group or background"
            )
        kind = "class" if "class" in columns else "label"
        texts = [_texts(data, name) for name in (kind, "background", "group", "object")]
    width = len(str(max(len(data) - 1, 1)))  # so that paths sort like rows
    paths = [f"{row:0{width}}" for row in range(len(data))]
    return pd.DataFrame(zip(paths, *texts, strict=True), columns=COLUMNS, dtype=object), Saved(root), []


def _texts(data: Any, column: str) -> list[str]:
    """A column as strings, with names for class numbers; empty strings if the column is missing."""
    if column not in data.column_names:
        return [""] * len(data)
    names = getattr(data.features[column], "names", None)  # names of classes that are stored as numbers
    return ["" if v is None else names[v] if names and v >= 0 else str(v) for v in data[column]]
