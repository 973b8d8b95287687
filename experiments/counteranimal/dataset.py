"""The photos on disk: class folders, in them one folder a group and background, in those the photos.

    LAION-final/9 ostrich, Struthio camelus/common-ground/1.jpg      index and name
    CounterAnimal/ostrich/counter-water/2.jpeg                       name only, resolved by the class list

The group is what stands before the first "-" of the folder, the rest is the background, free text. Everything
is sorted, because the order of a directory listing differs between file systems.
"""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from experiments.counteranimal.folders import ClassFolders
from experiments.errors import RequestError
from experiments.files import output_folder, read_table, write_json
from experiments.progress import counting
from experiments.published.tables import published_classes
from simulator.naming import suggestion
from simulator.pixels.decoding import decode

GROUPS = ("common", "counter")
SUFFIXES = (".jpg", ".jpeg", ".png")
MANIFEST = "composites.csv"  # the object of each photo, in a tree of composites
REQUEST = "compose.json"  # lies beside it, and alone while they are being made


@dataclass(frozen=True)
class Photo:
    """One photo of a tree; `path` is relative to the root, with "/" and its extension."""

    path: str
    class_index: int
    group: str  # common, counter, or "" in a tree that has no groups yet
    background: str
    object: str = ""  # what was put before the background; "" for a photo as it was taken


@dataclass(frozen=True)
class Tree:
    """All photos below a root, in the order of their paths."""

    root: Path
    photos: tuple[Photo, ...]
    classes: dict[int, str]  # ImageNet-1k index -> folder name
    strays: tuple[str, ...]  # files and folders that belong to no class or group

    def counts(self) -> dict[int, tuple[int, int]]:
        """Photos per class and group, (common, counter), classes in order of their index."""
        seen = Counter((photo.class_index, photo.group) for photo in self.photos)
        return {index: (seen[index, "common"], seen[index, "counter"]) for index in sorted(self.classes)}


def read_tree(root: Path) -> Tree:
    """Parse a CounterAnimal-style tree: groups are common and counter; of composites also the object of each.

    Raises RequestError for a missing folder, no groups, a name that is not UTF-8, an index outside 0..999, a class
    given twice, a class folder whose name is in no class list, or composites that are not finished.
    """
    tree = _read(root, _group_of, "no group folder (common-..., counter-...)")
    if not {MANIFEST, REQUEST} & set(tree.strays):
        return tree
    objects = _objects(root)
    strays = tuple(stray for stray in tree.strays if stray not in (MANIFEST, REQUEST))
    photos = tuple(replace(photo, object=objects.get(photo.path, "")) for photo in tree.photos)
    return replace(tree, photos=photos, strays=strays)


def _objects(root: Path) -> dict[str, str]:
    """Path -> object, from the manifest."""
    if not (root / MANIFEST).exists():
        raise RequestError(f"the composites in {str(root)!r} are not finished; run the compose that makes them again")
    rows = read_table(root / MANIFEST, ("file", "object"), "manifest")
    return {row["file"]: row["object"] for row in rows}


def read_backgrounds(root: Path) -> Tree:
    """Parse a tree class/background/photos without groups; every subfolder of a class is a background."""
    return _read(root, lambda folder: ("", folder), "no background folder")


def _group_of(folder: str) -> tuple[str, str] | None:
    group, _, background = folder.partition("-")
    return (group.lower(), background) if group.lower() in GROUPS else None


def _read(root: Path, group_of: Callable[[str], tuple[str, str] | None], missing: str) -> Tree:
    if not root.is_dir():
        known = [path.name for path in root.parent.iterdir() if path.is_dir()] if root.parent.is_dir() else []
        raise RequestError(f"there is no folder {str(root)!r}{suggestion(root.name, known, quoted=True)}")
    photos: list[Photo] = []
    classes: dict[int, str] = {}
    strays: list[str] = []
    resolver = ClassFolders(root)
    for folder in sorted(root.iterdir()):
        parts = [(sub, group_of(sub.name)) for sub in sorted(folder.iterdir())] if folder.is_dir() else []
        groups = [(sub, found) for sub, found in parts if found and sub.is_dir()]
        strays += [f"{folder.name}/{sub.name}" for sub, found in parts if not (found and sub.is_dir())]
        if not groups:
            strays.append(folder.name)
            continue
        index = resolver.index(folder.name)
        if index in classes:
            raise RequestError(
                f"class {index} is given twice, by the folders {classes[index]!r} and {folder.name!r}; keep one of them"
            )
        classes[index] = folder.name
        for sub, (group, background) in groups:
            for file in sorted(sub.iterdir()):
                path = f"{folder.name}/{sub.name}/{file.name}"
                if file.suffix.lower() in SUFFIXES and not file.is_dir():
                    photos.append(Photo(path, index, group, background))
                else:
                    strays.append(path)
    if not classes:
        inside = [p.name for p in sorted(root.iterdir()) if p.is_dir() and any(q.is_dir() for q in p.iterdir())]
        hint = f"; try {str(root / inside[0])!r}" if inside else ""
        raise RequestError(f"{str(root)!r} has {missing} two levels below it{hint}")
    photos.sort(key=lambda photo: photo.path)
    for photo in photos:
        if shown(photo.path) != photo.path:
            raise RequestError(
                f"the name of {shown(photo.path)!r} is not UTF-8, so no table could hold it; rename it first"
            )
    return Tree(root, tuple(photos), classes, tuple(sorted(map(shown, strays))))


def shown(path: str) -> str:
    """A path with bytes that are no UTF-8 written as \\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def unreadable(tree: Tree, advance: Callable[[], None] = lambda: None, threads: int = 4) -> dict[str, str]:
    """path -> reason for every photo that cannot be decoded; `advance` is called after each photo."""

    def check(photo: Photo) -> tuple[str, str | None]:
        try:
            decode(tree.root / photo.path)
        except ValueError as error:
            return photo.path, str(error)
        return photo.path, None

    bad: dict[str, str] = {}
    photos = iter(tree.photos)
    with ThreadPoolExecutor(threads) as pool:  # Pillow decodes outside the interpreter lock
        while chunk := list(islice(photos, 64 * threads)):  # chunks, so that results do not pile up
            for path, reason in pool.map(check, chunk):
                advance()
                if reason is not None:
                    bad[path] = reason
    return bad


def inspection(tree: Tree, bad: dict[str, str]) -> dict[str, Any]:
    """What a tree holds, beside what the paper prints; counts are of readable photos."""
    good = Tree(tree.root, tuple(p for p in tree.photos if p.path not in bad), tree.classes, tree.strays)
    printed = {c.index: c for c in published_classes()}
    backgrounds = Counter((p.class_index, p.group, p.background) for p in good.photos)
    classes = []
    for index, (common, counter) in good.counts().items():
        known = printed.get(index)
        classes.append(
            {
                "class_index": index,
                "folder": good.classes[index],
                "n_common": common,
                "n_counter": counter,
                "published_common": known.photos[0] if known else None,
                "published_counter": known.photos[1] if known else None,
                "backgrounds": {
                    group: {b: n for (i, g, b), n in sorted(backgrounds.items()) if (i, g) == (index, group)}
                    for group in GROUPS
                },
            }
        )
    return {
        "root": str(tree.root),
        "classes": classes,
        "n_classes": len(classes),
        "n_common": sum(c["n_common"] for c in classes),
        "n_counter": sum(c["n_counter"] for c in classes),
        "published_n_common": sum(c.photos[0] for c in published_classes()),
        "published_n_counter": sum(c.photos[1] for c in published_classes()),
        "missing_classes": [c.index for c in published_classes() if c.index not in tree.classes],
        "empty_groups": [
            {"class_index": c["class_index"], "group": g} for c in classes for g in GROUPS if c[f"n_{g}"] == 0
        ],
        "unreadable": [{"path": path, "reason": reason} for path, reason in sorted(bad.items())],
        "strays": list(tree.strays),
    }


def inspect(root: Path, output: Path | None = None) -> dict[str, Any]:
    """The inspection of the tree at `root`, every photo decoded; also written to output/inspection.json."""
    tree = read_tree(root)
    with counting("decoding", len(tree.photos), "photos/s") as advance:
        document = inspection(tree, unreadable(tree, lambda: advance(1)))
    if output is not None:
        write_json(output_folder(output) / "inspection.json", document)
    return document
