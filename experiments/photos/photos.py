"""Photos with classes, groups and backgrounds from any layout, and the inspection of a data set.

Groups come from folder names or a column (`prefix`) or from a CSV file; with `each` there are none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import RequestError
from experiments.files import output_folder, read_table, write_json
from experiments.photos.labels import Vocabulary, class_indices
from experiments.photos.layouts import checked_path, in_threads, list_photos, printable
from experiments.published.tables import published_classes
from experiments.results import GROUPS
from simulator.naming import suggestion
from simulator.pixels.decoding import decode

PREFIX, EACH = "prefix", "each"
Key = tuple[str, int, int]  # path, bytes, modification time in nanoseconds


@dataclass(frozen=True)
class PhotoSet:
    """All photos of a data set, as the first columns of predictions.csv, in the order of their paths.

    A path has "/" and its extension. A group is common, counter, or "" in all photos. An
    object is that of a composite, "" for an ordinary photo.
    """

    root: Path
    photos: pd.DataFrame  # path, class_index, group, background, object
    classes: dict[int, str]  # index of the label -> class name in the data set
    strays: tuple[str, ...]  # files, folders and photos that belong to no class or group
    folder: Path  # which the paths are relative to
    own: bool = False  # whether indices point into the user's own classes instead of ImageNet-1k's

    @property
    def grouped(self) -> bool:
        """Whether photos belong to the groups common and counter."""
        return bool((self.photos.group != "").any())

    def key(self, path: str) -> Key:
        """What changes if a photo does."""
        stat = (self.folder / path).stat()
        return path, stat.st_size, stat.st_mtime_ns

    def image(self, path: str) -> Any:
        return decode(self.folder / path)


def read_photos(root: Path, groups: str = PREFIX, vocabulary: Vocabulary | None = None) -> PhotoSet:
    """All photos at `root`. Raises RequestError for another layout, an unknown class or group, and no photo."""
    member, (listed, folder, strays) = _grouping(groups), list_photos(root)
    listed = listed.sort_values("path", kind="stable", ignore_index=True)
    known = [member(photo) for photo in listed.itertuples()]
    chosen = pd.Series([one is not None for one in known], dtype=bool)
    if not chosen.any():
        raise RequestError(_without_groups(root, listed, groups))
    kept, others = listed[chosen].reset_index(drop=True), listed[~chosen]
    own = vocabulary is not None and not vocabulary.imagenet
    index = class_indices(sorted(set(kept.class_name)), vocabulary if own else None)
    group, background = zip(*filter(None, known), strict=True)
    table = {"path": kept.path.map(checked_path), "class_index": kept.class_name.map(index)}
    photos = pd.DataFrame(table | {"group": group, "background": background, "object": kept.object})
    places = set(zip(kept.class_name, kept.place, strict=True))
    for photo in others.itertuples():
        whole = photo.place and (photo.class_name, photo.place) not in places  # a background without a group
        strays.append(f"{photo.class_name}/{photo.place}" if whole else photo.path)
    classes = {number: name for name, number in index.items()}
    return PhotoSet(root, photos, classes, tuple(sorted({*map(printable, strays)})), folder, own)


def _grouping(choice: str) -> Callable[[Any], tuple[str, str] | None]:
    """A function from a listed photo to its (group, background); None if it belongs to neither group."""
    if choice == EACH:
        return lambda photo: ("", photo.place)
    if choice == PREFIX:
        return _by_prefix
    if not Path(choice).is_file():
        raise RequestError(
            f"--groups {choice!r} is neither {PREFIX}, {EACH} nor a file{suggestion(choice, (PREFIX, EACH))}"
        )
    table: dict[tuple[str, str], str] = {}  # (class, background) -> group; an empty or missing class means all
    for line, row in enumerate(read_table(Path(choice), ("background", "group"), "groups"), start=2):
        key = row.get("class") or "", row["background"]
        check_group(row["group"], f"line {line} of {choice!r}")
        if table.setdefault(key, row["group"]) != row["group"]:
            raise RequestError(f"background {key[1]!r} is common and counter in {choice!r} (line {line}); keep one")

    def by_table(photo: Any) -> tuple[str, str] | None:
        group = table.get((photo.class_name, photo.place)) or table.get(("", photo.place))
        return None if group is None else (group, photo.place)

    return by_table


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
            "begins with common- or counter-; --groups FILE.csv (columns background, group) assigns groups, "
            f"--groups {EACH} reports each background alone"
        )
    return f"no background of {str(root)!r} (the first are {examples}) {wanted}"


def inspect(
    root: Path, output: Path | None = None, groups: str = PREFIX, vocabulary: Vocabulary | None = None
) -> dict[str, Any]:
    """Decode every photo at `root` and return its counts, also written to output/inspection.json."""
    photo_set = read_photos(root, groups, vocabulary)
    document = inspection_document(photo_set, unreadable(photo_set))
    if output is not None:
        write_json(output_folder(output) / "inspection.json", document)
    return document


def unreadable(photo_set: PhotoSet) -> dict[str, str]:
    """path -> reason for every photo that cannot be decoded."""

    def check(path: str) -> str | None:
        try:
            photo_set.image(path)
        except ValueError as error:
            return str(error)
        return None

    paths = list(photo_set.photos.path)
    reasons = in_threads(check, paths, "decoding")
    return {path: reason for path, reason in zip(paths, reasons, strict=True) if reason is not None}


def inspection_document(photo_set: PhotoSet, bad: dict[str, str]) -> dict[str, Any]:
    """Counts of the readable photos, with the paper's counts for comparison."""
    published = {c.index: c.photos for c in published_classes()}
    known = photo_set.grouped and not photo_set.own and set(photo_set.classes) <= set(published)
    groups = GROUPS if photo_set.grouped else ("",)
    found = photo_set.photos[~photo_set.photos.path.isin(bad)].value_counts(["class_index", "group", "background"])
    counts = found.sort_index().astype(int)
    classes: list[dict[str, Any]] = []
    for index, folder in sorted(photo_set.classes.items()):
        mine = [(group, background, n) for (y, group, background), n in counts.items() if y == index]
        backgrounds = {group: {b: n for g, b, n in mine if g == group} for group in groups}
        record = {"class_index": index, "folder": folder, "n": sum(n for *_, n in mine)}
        record |= {f"n_{group}": sum(backgrounds.get(group, {}).values()) for group in GROUPS}
        record |= {f"published_{group}": published[index][g] if known else None for g, group in enumerate(GROUPS)}
        classes.append({**record, "backgrounds": backgrounds})
    common, counter = (sum(photos) for photos in zip(*published.values(), strict=True))
    return {
        "root": str(photo_set.root),
        "grouped": photo_set.grouped,
        "classes": classes,
        "n_classes": len(classes),
        **{name: sum(c[name] for c in classes) for name in ("n", "n_common", "n_counter")},
        "counteranimal": known,
        "published_n_common": common,
        "published_n_counter": counter,
        "missing_classes": [index for index in published if known and index not in photo_set.classes],
        "empty_groups": [
            {"class_index": c["class_index"], "group": g} for c in classes for g in groups if g and not c[f"n_{g}"]
        ],
        "unreadable": [{"path": path, "reason": reason} for path, reason in sorted(bad.items())],
        "strays": list(photo_set.strays),
    }
