"""The layouts of a photo set, each listed as entries. Everything is sorted: directory order depends on the file system.

Folders:        class/group-background/photo, class/background/photo or class/photo
                LAION-final/9 ostrich, Struthio camelus/common-ground/1.jpg
CSV file:       columns path, class, and group, background or both
Tar shards:     as the webdataset library writes them: each photo beside a JSON file of the same name with class, group
                and background, or in folders as above. Shards are not unpacked: photos are read by their offsets.
Saved data set: a folder that `datasets` wrote with save_to_disk: columns image, label or class, and group, background
                or both
"""

import json
import tarfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from experiments.counteranimal.photos import GROUPS, SUFFIXES, Entry, Folder, Key, Listing, check_group
from experiments.counteranimal.weights import first_line
from experiments.errors import RequestError
from experiments.files import read_table
from simulator.naming import suggestion
from simulator.pixels.decoding import MOST_BYTES, decode, decode_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

MANIFEST = "composites.csv"  # the object of each photo, in a tree of composites
REQUEST = "compose.json"  # beside it, and alone while composites are being made
LONGEST_JSON = 2**20  # bytes of a sample's description
STATE, SPLITS = "state.json", "dataset_dict.json"  # files of a saved data set
CLASS_COLUMNS = ("class", "label")


def list_photos(root: Path) -> Listing:
    """The photos at `root` in whatever layout. Raises RequestError for anything else."""
    if root.is_file():
        if root.suffix == ".tar":
            return _shards(root.parent, [root])
        if root.suffix == ".csv":
            return _table(root)
        raise RequestError(f"{str(root)!r} is neither a folder, a CSV file (.csv) nor a tar file (.tar)")
    if not root.is_dir():
        known = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
        raise RequestError(f"there is no folder {str(root)!r}{suggestion(root.name, known, quoted=True)}")
    if (root / STATE).exists() or (root / SPLITS).exists():
        return _saved(root)
    shards = sorted(root.glob("*.tar"))
    if shards and any(path.is_dir() for path in root.iterdir()):
        raise RequestError(f"{str(root)!r} holds folders and tar files; name {str(shards[0])!r}, or separate them")
    return _shards(root, shards) if shards else _folders(root)


def _folders(root: Path) -> Listing:
    listing = Listing([], Folder(root))
    for folder in sorted(root.iterdir()):
        parts = sorted(folder.iterdir()) if folder.is_dir() else []
        if not any(part.is_dir() or _is_photo(part) for part in parts):
            listing.strays.append(folder.name)
        for part in parts:
            if part.is_dir():
                listing.places.add((folder.name, part.name))
            for file in sorted(part.iterdir()) if part.is_dir() else [part]:
                path = file.relative_to(root).as_posix()
                if _is_photo(file):
                    listing.add(Entry(path, folder.name, part.name if part.is_dir() else ""))
                else:
                    listing.strays.append(path)
    return _with_objects(root, listing) if {MANIFEST, REQUEST} & set(listing.strays) else listing


def _is_photo(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.is_dir()


def _with_objects(root: Path, listing: Listing) -> Listing:
    """The listing of composites with their objects."""
    if not (root / MANIFEST).exists():
        raise RequestError(f"the composites in {str(root)!r} are not finished; run the compose that makes them again")
    objects = {row["file"]: row["object"] for row in read_table(root / MANIFEST, ("file", "object"), "manifest")}
    entries = [replace(entry, object=objects.get(entry.path, "")) for entry in listing.entries]
    strays = [stray for stray in listing.strays if stray not in (MANIFEST, REQUEST)]
    return replace(listing, entries=entries, strays=strays)


def _table(table: Path) -> Listing:
    """The photos of a CSV file; paths are absolute or relative to its folder."""
    rows = read_table(table, ("path", "class"), "photos")
    if not {"group", "background"} & set(rows[0]):
        raise RequestError(f"{str(table)!r} has neither a column 'group' nor 'background'; one of them is needed")
    listing = Listing([], Folder(table.parent))
    lines: dict[str, int] = {}
    missing: list[str] = []
    for line, row in enumerate(rows, start=2):
        path, group = Path(row["path"]).as_posix(), row.get("group") or ""  # ./a.jpg is a.jpg
        if group:
            check_group(group, f"line {line} of {str(table)!r}")
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


@dataclass(frozen=True)
class Shards:
    """Photos in tar files, by shard, offset and size."""

    root: Path
    members: dict[str, tuple[str, int, int]]

    def key(self, path: str) -> Key:
        """Path, size, and the modification time of the shard."""
        shard, _, size = self.members[path]
        return path, size, (self.root / shard).stat().st_mtime_ns

    def image(self, path: str) -> "Image":
        """The photo decoded from its bytes in the shard."""
        shard, offset, size = self.members[path]
        if size > MOST_BYTES:
            raise ValueError(f"{size / 2**20:.0f} MiB, more than {MOST_BYTES // 2**20}")
        try:
            with open(self.root / shard, "rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise ValueError(error.strerror or "cannot be read") from error
        return decode_bytes(data)


def _shards(root: Path, shards: list[Path]) -> Listing:
    """The photos of tar files; a photo's path is shard/path in the shard."""
    listing = Listing([], Shards(root, {}))
    for shard in shards:
        _shard(shard, listing)
    listing.entries.sort(key=lambda entry: entry.path)
    return listing


def _shard(shard: Path, listing: Listing) -> None:
    photos: dict[str, dict[str, None]] = {}  # sample -> its photos; a repeated path counts once, the last time
    described: dict[str, dict] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not member.isfile():
                    if not member.isdir():  # a link, for example, whose bytes are elsewhere
                        listing.strays.append(f"{shard.name}/{path}")
                    continue
                sample = str(path.parent / path.name.split(".", 1)[0])  # webdataset's key ends at the first dot
                if path.suffix.lower() in SUFFIXES:
                    photos.setdefault(sample, {})[str(path)] = None
                    listing.source.members[f"{shard.name}/{path}"] = (shard.name, member.offset_data, member.size)
                elif path.suffix == ".json" and member.size <= LONGEST_JSON:
                    described[sample] = _description(shard, member.name, tar.extractfile(member).read())
                else:
                    listing.strays.append(f"{shard.name}/{path}")
            end = tar.offset
    except tarfile.TarError as error:
        raise RequestError(
            f"the shard {str(shard)!r} cannot be read ({error}); it may be truncated or compressed"
        ) from error
    with open(shard, "rb") as file:  # tarfile takes a truncated header for the end, which is a block of zeros
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise RequestError(f"the shard {str(shard)!r} is truncated; copy it again")
    for sample, paths in photos.items():
        for path in paths:
            listing.add(_shard_entry(shard, path, described.get(sample)))


def _description(shard: Path, name: str, data: bytes) -> dict:
    try:
        description = json.loads(data)
        if "class" not in description:
            raise ValueError("it has no class")
        if not isinstance(description["class"], str | int):
            raise ValueError("its class is not a name")
        if description.get("group") not in (None, "", *GROUPS):
            raise ValueError(f"its group {description['group']!r} is neither common nor counter")
    except (ValueError, TypeError, AttributeError) as error:
        raise RequestError(
            f"{name!r} in {str(shard)!r} does not describe a photo ({error}); it needs class, and group or background"
        ) from error
    return description


def _shard_entry(shard: Path, path: str, description: dict | None) -> Entry:
    named = f"{shard.name}/{path}"
    if description is not None:
        rest = (str(description.get(key) or "") for key in ("background", "group", "object"))
        return Entry(named, str(description["class"]), *rest)
    parts = PurePosixPath(path).parts
    if len(parts) < 2:
        raise RequestError(
            f"{path!r} in {str(shard)!r} has no description beside it and no class in its path; "
            f"put {PurePosixPath(path).stem}.json with class, group and background beside it"
        )
    class_name, place = (parts[-3], parts[-2]) if len(parts) > 2 else (parts[-2], "")
    return Entry(named, class_name, place)


@dataclass(frozen=True)
class Saved:
    """Rows of a saved data set, opened once in each process; a photo's path is its row."""

    root: Path

    @cached_property
    def rows(self) -> Any:
        """The column of images, as stored bytes."""
        from datasets import Image  # optional extra

        return _opened(self.root).select_columns("image").cast_column("image", Image(decode=False))

    @cached_property
    def _written(self) -> tuple[int, int]:
        stats = [file.stat() for file in self.root.glob("*.arrow")]
        return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)

    def key(self, path: str) -> Key:
        """Row, and size and modification time of the files."""
        return path, *self._written

    def image(self, path: str) -> "Image":
        """The photo decoded from its stored bytes, or from the file that its row names."""
        stored = self.rows[int(path)]["image"]
        if stored is None or (stored["bytes"] is None and stored["path"] is None):
            raise ValueError("no image in this row")
        return decode(Path(stored["path"])) if stored["bytes"] is None else decode_bytes(stored["bytes"])

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}  # a decoding process opens the files itself


def _saved(root: Path) -> Listing:
    if not (root / STATE).exists():
        splits = sorted(p.name for p in root.iterdir() if (p / STATE).exists())
        raise RequestError(
            f"{str(root)!r} is a data set of several splits; name one of them: "
            f"{', '.join(str(root / split) for split in splits)}"
        )
    data = _opened(root)
    class_column = next((name for name in CLASS_COLUMNS if name in data.column_names), None)
    grouped = {"group", "background"} & set(data.column_names)
    if class_column is None or "image" not in data.column_names or not grouped:
        raise RequestError(
            f"the data set {str(root)!r} has columns {', '.join(data.column_names)}; it needs image, "
            f"{' or '.join(CLASS_COLUMNS)}, and group or background"
        )
    listing = Listing([], Saved(root))
    columns = [_words(data, name) for name in (class_column, "background", "group", "object")]
    width = len(str(max(len(data) - 1, 1)))
    for row, (class_name, background, group, thing) in enumerate(zip(*columns, strict=True)):
        if group:
            check_group(group, f"row {row} of {str(root)!r}")
        listing.add(Entry(f"{row:0{width}}", class_name, background, group, thing))
    return listing


def _opened(root: Path) -> Any:
    try:
        from datasets import load_from_disk  # optional extra
    except ImportError as error:
        raise RequestError(
            "a saved data set needs datasets, which is not installed; in the checkout run: "
            "python -m pip install -e '.[hf]'"
        ) from error
    try:
        return load_from_disk(str(root))
    except Exception as error:  # damaged Arrow files raise different types
        raise RequestError(f"the data set {str(root)!r} cannot be read ({first_line(error)}); save it again") from error


def _words(data: Any, column: str) -> list[str]:
    """A column as strings, classes by their names; empty strings if there is no such column."""
    if column not in data.column_names:
        return [""] * len(data)
    names = getattr(data.features[column], "names", None)  # of classes that are stored as numbers
    return ["" if v is None else names[v] if names and v >= 0 else str(v) for v in data[column]]
