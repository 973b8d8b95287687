"""The photos on disk: class folders, in them one folder a group and background, in those the photos.

    LAION-final/9 ostrich, Struthio camelus/common-ground/1.jpg      index and name
    CounterAnimal/ostrich/counter-water/2.jpeg                       name only, resolved by the class list

The group is what stands before the first "-" of the folder, the rest is the background, free text. Everything
is sorted, because the order of a directory listing differs between file systems.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from experiments.errors import RequestError
from experiments.files import output_folder, write_json
from experiments.progress import counting
from experiments.published.tables import published_classes
from simulator.naming import suggestion

GROUPS = ("common", "counter")
SUFFIXES = (".jpg", ".jpeg", ".png")
# What such a file may really be, all decoded by Pillow itself: a PostScript file would be handed to Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 50_000_000  # 150 MB as RGB, in every decoding process; a camera's 48 megapixels pass
MOST_BYTES = 256 * 2**20
CLASS_COUNT = 1000  # ImageNet-1k
NAMES_FILE = "imagenet_names.txt"  # "<index>\t<name>" a line, ships with the data set


@dataclass(frozen=True)
class Photo:
    """One photo of a tree; `path` is relative to the root, with "/" and its extension."""

    path: str
    class_index: int
    group: str  # common, counter, or "" in a tree that has no groups yet
    background: str


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
    """Parse a CounterAnimal-style tree: groups are common and counter.

    Raises RequestError for a missing folder, no groups, a name that is not UTF-8, an index outside 0..999, a class
    given twice, or a class folder whose name is in no class list.
    """
    return _read(root, _group_of, "no group folder (common-..., counter-...)")


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
    resolver = _Resolver(root)
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
        if _shown(photo.path) != photo.path:
            raise RequestError(
                f"the name of {_shown(photo.path)!r} is not UTF-8, so no table could hold it; rename it first"
            )
    return Tree(root, tuple(photos), classes, tuple(sorted(map(_shown, strays))))


def _shown(path: str) -> str:
    """A path with bytes that are no UTF-8 written as \\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class _Resolver:
    """Folder name -> ImageNet-1k index: from the leading number, else from the class lists at hand."""

    def __init__(self, root: Path):
        self._root = root
        self._lists: Iterator[dict[str, int]] | None = None
        self._known: list[dict[str, int]] = []

    def index(self, folder: str) -> int:
        number = re.match(r"(-?\d+)(\s|$)", folder)
        if number:
            value = int(number[1])
            if not 0 <= value < CLASS_COUNT:
                raise RequestError(
                    f"class index {value} of the folder {folder!r} lies outside 0..{CLASS_COUNT - 1}; "
                    f"the nearest valid index is {min(max(value, 0), CLASS_COUNT - 1)}"
                )
            return value
        for names in self._class_lists():
            key = _words(folder)
            if key in names:
                return names[key]
            # "king snake" for the list's "king snake kingsnake", if only one class begins so.
            begins = {names[name] for name in names if name.startswith(key + " ")}
            if len(begins) == 1:
                return begins.pop()
        every = [name for names in self._known for name in names]
        raise RequestError(
            f"the class folder {folder!r} has no leading index and its name is in no class list"
            f"{suggestion(_words(folder), every, quoted=True)}"
        )

    def _class_lists(self) -> Iterator[dict[str, int]]:
        yield from self._known
        if self._lists is None:
            self._lists = _class_lists(self._root)
        for names in self._lists:
            self._known.append(names)
            yield names


def _class_lists(root: Path) -> Iterator[dict[str, int]]:
    """The tree's own list, the paper's 45 classes, then the libraries' lists where they are installed."""
    own = root / NAMES_FILE
    if own.is_file():
        lines = (line.partition("\t") for line in own.read_text(encoding="utf-8-sig", errors="replace").splitlines())
        yield _by_words((int(a), b) for a, tab, b in lines if tab and a.strip().isdigit())
    yield _by_words((c.index, c.name) for c in published_classes())
    from experiments.counteranimal.labels import library_names

    for library in ("torchvision", "open_clip"):
        try:
            yield _by_words(enumerate(library_names(library)))
        except RequestError:
            continue  # the library is not installed: one list fewer


def _by_words(pairs: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Each full name and each of its comma-separated synonyms -> index; synonyms of two classes are left out."""
    found: dict[str, set[int]] = {}
    for index, name in pairs:
        for part in (name, *name.split(",")):
            found.setdefault(_words(part), set()).add(index)
    return {words: indices.pop() for words, indices in found.items() if len(indices) == 1}


def _words(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))


def decode(path: Path):
    """The photo as an RGB image, decoded to the last row (a truncated file raises).

    Raises ValueError with the reason for anything but a regular file of bounded size that Pillow can decode.
    """
    from PIL import Image

    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("no regular file")  # a FIFO would be waited for, for ever
        if found.st_size > MOST_BYTES:
            raise ValueError(f"{found.st_size / 2**20:.0f} MiB, more than {MOST_BYTES // 2**20}")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                megapixels = image.width * image.height / 1e6
                raise ValueError(f"{megapixels:.0f} megapixels, more than {MOST_PIXELS / 1e6:.0f}")
            return image.convert("RGB")
    except Exception as error:  # Pillow's decoders raise whatever the broken bytes lead to
        # Pillow puts the path, or the object with its address, into the message: neither helps here.
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = re.sub(r"(cannot identify image file).*", r"\1", said) or type(error).__name__
        raise ValueError(reason) from error


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
