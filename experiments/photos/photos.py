"""Photos with classes, groups and backgrounds from folders or a CSV file, and the inspection of a
data set.

The README shows the layouts. Groups come from folder names or a column (`prefix`) or from a CSV
file; with `each` there are none.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from experiments.errors import RequestError
from experiments.files import output_folder, read_table, write_json
from experiments.photos.labels import Vocabulary, class_indices
from experiments.published.tables import published_classes
from experiments.results import GROUPS
from simulator.naming import suggestion
from simulator.pixels.decoding import decode
from simulator.progress import track

PREFIX, EACH = "prefix", "each"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
# of compose: the object of each composite, and what was requested
MANIFEST, REQUEST = "composites.csv", "compose.json"
# Of a listed photo. The place is what stands between class and photo: group-background, or
# background.
COLUMNS = ["path", "class_name", "place", "group", "object"]
Key = tuple[str, int, int]  # path, bytes, modification time in nanoseconds


@dataclass(frozen=True)
class PhotoSet:
    """All photos of a data set, as the first columns of predictions.csv, in the order of their
    paths (with "/").
    """

    root: Path
    # path, class_index, group (or "" in all), background, object ("" unless a composite)
    photos: pd.DataFrame
    classes: dict[int, str]  # index of the label -> class name in the data set
    strays: tuple[str, ...]  # files, folders and photos that belong to no class or group
    folder: Path  # which the paths are relative to

    def keys(self) -> list[Key]:
        """What changes if a photo does, for each photo."""
        keys = []
        for path in self.photos.path:
            try:
                stat = (self.folder / path).stat()
                keys.append((path, stat.st_size, stat.st_mtime_ns))
            except OSError:
                # a broken link, or removed since the listing; decoding will give the reason
                keys.append((path, -1, -1))
        return keys

    def image(self, path: str) -> Any:
        return decode(self.folder / path)


def has_groups(photos: pd.DataFrame) -> bool:
    """Whether photos, or predictions for them, belong to the groups common and counter."""
    return bool((photos.group != "").any())


def read_photos(root: Path, groups: str = PREFIX, vocabulary: Vocabulary | None = None) -> PhotoSet:
    """All photos at `root`. Raises RequestError for another layout, an unknown class or group, and
    no photo.
    """
    member = _grouping(groups)
    listed, folder, strays = (_table if root.suffix == ".csv" and root.is_file() else _folders)(
        root
    )
    listed = listed.sort_values("path", kind="stable", ignore_index=True)
    places = [member(photo) for photo in listed.itertuples()]  # group and background
    chosen = pd.Series([place is not None for place in places], dtype=bool)
    if not chosen.any():
        raise RequestError(_without_groups(root, listed, groups))
    members = listed[chosen].reset_index(drop=True)
    others = listed[~chosen]
    own = vocabulary if vocabulary is not None and not vocabulary.imagenet else None
    index = class_indices(sorted(set(members.class_name)), own)
    group, background = zip(*filter(None, places), strict=True)
    table = {"path": members.path.map(checked_path), "class_index": members.class_name.map(index)}
    photos = pd.DataFrame(
        table | {"group": group, "background": background, "object": members.object}
    )
    used = set(zip(members.class_name, members.place, strict=True))
    for photo in others.itertuples():
        # a background without a group
        whole = photo.place and (photo.class_name, photo.place) not in used
        strays.append(f"{photo.class_name}/{photo.place}" if whole else photo.path)
    classes = {number: name for name, number in index.items()}
    return PhotoSet(root, photos, classes, tuple(sorted({*map(printable, strays)})), folder)


def _folders(root: Path) -> tuple[pd.DataFrame, Path, list[str]]:
    """(photos below a folder, the folder, files and folders without photos)."""
    if root.is_file():
        raise RequestError(f"{str(root)!r} is neither a folder nor a CSV file (.csv)")
    check_folder(root)
    rows = []
    folders = []
    strays = []
    for file in sorted(file for depth in ("*", "*/*", "*/*/*") for file in root.glob(depth)):
        parts = file.relative_to(root).parts
        path = "/".join(parts)
        # macOS writes a file ._1.jpg beside 1.jpg
        hidden = any(part.startswith(".") for part in parts)
        if file.is_dir() and len(parts) < 3:
            folders.append(path)
        elif (
            len(parts) > 1 and file.suffix.lower() in SUFFIXES and not hidden and not file.is_dir()
        ):
            rows.append((path, parts[0], "/".join(parts[1:-1]), "", ""))
        else:
            strays.append(path)
    # no strings: bytes of names may not be UTF-8
    photos = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    if MANIFEST in strays:
        objects = {
            row["file"]: row["object"]
            for row in read_table(root / MANIFEST, ("file", "object"), "manifest")
        }
        photos["object"] = [objects.get(path, "") for path in photos.path]
        strays = [stray for stray in strays if stray not in (MANIFEST, REQUEST)]
    used = {str(parent) for path in photos.path for parent in PurePosixPath(path).parents}
    empty = [
        folder
        for folder in folders
        if folder not in used and str(PurePosixPath(folder).parent) in used
    ]
    return photos, root, strays + empty


def _table(table: Path) -> tuple[pd.DataFrame, Path, list[str]]:
    """The photos of a CSV file, its folder, and no strays; paths are absolute or relative to the
    folder.
    """
    rows = read_table(table, ("path", "class"), "photos")
    if not {"group", "background"} & set(rows[0]):
        raise RequestError(
            f"{str(table)!r} has neither a column 'group' nor 'background'; one of them is needed"
        )
    photos: dict[str, tuple] = {}
    for line, row in enumerate(rows, start=2):
        path = Path(row["path"]).as_posix()  # ./a.jpg is a.jpg
        if path in photos:
            raise RequestError(
                f"{path!r} is listed again in line {line} of {str(table)!r}; keep one"
            )
        photos[path] = (
            path,
            row["class"],
            *(row.get(key) or "" for key in ("background", "group", "object")),
        )
    if missing := [path for path in photos if not (table.parent / path).is_file()]:
        lacks = (
            f"{len(missing)} of {len(rows)} photos in {str(table)!r} do not exist, the first is"
            f" {missing[0]!r}"
        )
        raise RequestError(f"{lacks}; paths are relative to {str(table.parent)!r}")
    return pd.DataFrame(photos.values(), columns=COLUMNS, dtype=object), table.parent, []


def _grouping(choice: str) -> Callable[[Any], tuple[str, str] | None]:
    """A function from a listed photo to its (group, background); None if it belongs to neither
    group.
    """
    if choice == EACH:
        return lambda photo: ("", photo.place)
    if choice == PREFIX:
        return _by_prefix
    if not Path(choice).is_file():
        near = suggestion(choice, (PREFIX, EACH))
        raise RequestError(f"--groups {choice!r} is neither {PREFIX}, {EACH} nor a file{near}")
    # by class and background; an empty or missing class means all
    table: dict[tuple[str, str], tuple[str, str]] = {}
    for line, row in enumerate(
        read_table(Path(choice), ("background", "group"), "groups"), start=2
    ):
        background, group = row["background"], row["group"]
        check_group(group, f"line {line} of {choice!r}")
        if table.setdefault((row.get("class") or "", background), (group, background)) != (
            group,
            background,
        ):
            raise RequestError(
                f"background {background!r} is common and counter in {choice!r} (line {line});"
                " keep one"
            )
    return lambda photo: table.get((photo.class_name, photo.place)) or table.get(("", photo.place))


def _by_prefix(photo: Any) -> tuple[str, str] | None:
    """The column group, or the word before the first "-"."""
    if photo.group:
        check_group(photo.group, repr(photo.path))
        return photo.group, photo.place
    group, _, background = photo.place.partition("-")
    return (group.lower(), background) if group.lower() in GROUPS else None


def check_group(group: str, where: str) -> None:
    if group not in GROUPS:
        raise RequestError(f"group {group[:40]!r} in {where} is neither 'common' nor 'counter'")


def _without_groups(root: Path, listed: pd.DataFrame, groups: str) -> str:
    if not len(listed):
        deeper = sorted(root.glob("*/*/*/*"))
        hint = f"; try {str(deeper[0].parents[2])!r}" if deeper else ""
        return f"{str(root)!r} has no photos two levels below it{hint}"
    examples = ", ".join(map(repr, sorted(set(listed.place))[:3]))
    wanted = f"is in {groups!r}"
    if groups == PREFIX:
        wanted = (
            "begins with common- or counter-; --groups FILE.csv (columns background, group)"
            f" assigns groups, --groups {EACH} reports each background alone"
        )
    return f"no background of {str(root)!r} (the first are {examples}) {wanted}"


def inspect(
    root: Path,
    output: Path | None = None,
    groups: str = PREFIX,
    vocabulary: Vocabulary | None = None,
) -> dict[str, Any]:
    """Decode every photo at `root`; counts of the readable ones beside the paper's, also in
    output/inspection.json.
    """
    photo_set = read_photos(root, groups, vocabulary)

    def lacks(path: str) -> str | None:
        try:
            photo_set.image(path)
        except ValueError as error:
            return str(error)
        return None

    paths = photo_set.photos.path
    reasons = zip(paths, track(in_threads(lacks, paths), len(paths), "decoding"), strict=True)
    bad = {path: why for path, why in reasons if why is not None}
    published = {c.index: dict(zip(GROUPS, c.photos, strict=True)) for c in published_classes()}
    grouped = has_groups(photo_set.photos)
    counteranimal = grouped and vocabulary is None and set(photo_set.classes) <= set(published)
    names = GROUPS if grouped else ("",)
    readable = photo_set.photos[~photo_set.photos.path.isin(bad)]
    classes: list[dict[str, Any]] = []
    for index, folder in sorted(photo_set.classes.items()):
        own = readable[readable.class_index == index]
        record = {"class_index": index, "folder": folder, "n": len(own)}
        record |= {f"n_{group}": int((own.group == group).sum()) for group in GROUPS}
        record |= {
            f"published_{group}": published[index][group] if counteranimal else None
            for group in GROUPS
        }
        backgrounds = {
            g: own.background[own.group == g].value_counts().sort_index().to_dict() for g in names
        }
        classes.append({**record, "backgrounds": backgrounds})
    empty = [
        {"class_index": c["class_index"], "group": g}
        for c in classes
        for g in names
        if g and not c[f"n_{g}"]
    ]
    document = {
        "root": str(photo_set.root),
        "grouped": grouped,
        "classes": classes,
        "n_classes": len(classes),
        **{name: sum(c[name] for c in classes) for name in ("n", "n_common", "n_counter")},
        "counteranimal": counteranimal,
        **{
            f"published_n_{group}": sum(photos[group] for photos in published.values())
            for group in GROUPS
        },
        "missing_classes": [
            index for index in published if counteranimal and index not in photo_set.classes
        ],
        "empty_groups": empty,
        "unreadable": [{"path": path, "reason": why} for path, why in sorted(bad.items())],
        "strays": list(photo_set.strays),
    }
    if output is not None:
        write_json(output_folder(output) / "inspection.json", document)
    return document


def printable(path: str) -> str:
    """A path in which bytes that are not UTF-8 are written as \\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def check_folder(root: Path) -> None:
    if not root.is_dir():
        names = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
        raise RequestError(
            f"there is no folder {str(root)!r}{suggestion(root.name, names, quoted=True)}"
        )


def checked_path(path: str) -> str:
    if printable(path) != path:
        raise RequestError(
            f"the name of {printable(path)!r} is not UTF-8, so tables cannot hold it; rename it"
        )
    return path


def in_threads(
    work: Callable[[Any], Any], jobs: Iterable[Any], ahead: int = 256, threads: int | None = None
) -> Iterator[Any]:
    """Results of the jobs in order, at most so many of them ahead; Pillow works outside the
    interpreter lock.
    """
    waiting = deque[Future]()
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(work, job))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            yield from (job.result() for job in waiting)
        finally:
            pool.shutdown(cancel_futures=True)  # so that Ctrl-C and the first error act soon
