"""What every layout is read into: labelled photos, and the files that they are decoded from."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from experiments.errors import RequestError
from simulator.pixels.decoding import decode

if TYPE_CHECKING:
    from PIL.Image import Image

GROUPS = ("common", "counter")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
Key = tuple[str, int, int]  # path, bytes, modification time in nanoseconds


@dataclass(frozen=True)
class Photo:
    """One photo; `path` names it within its files, in a tree from the root with "/" and its extension."""

    path: str
    class_index: int
    group: str  # common, counter, or "" where photos have no groups
    background: str
    object: str = ""  # what was put before the background; "" for a photo as it was taken


@runtime_checkable
class Files(Protocol):
    """Where photos are decoded from; passed to decoding processes, so it must pickle."""

    def key(self, path: str) -> Key:
        """What changes when a photo does; raises OSError if it is gone."""
        ...

    def image(self, path: str) -> "Image":
        """The decoded photo; raises ValueError with the reason why it cannot be."""
        ...


@dataclass(frozen=True)
class Folder:
    """Photos that are files below a root."""

    root: Path

    def key(self, path: str) -> Key:
        """Path, size and modification time."""
        stat = (self.root / path).stat()
        return path, stat.st_size, stat.st_mtime_ns

    def image(self, path: str) -> "Image":
        """Decoded from its file."""
        return decode(self.root / path)


@dataclass(frozen=True)
class Tree:
    """All photos of a data set, in the order of their paths."""

    root: Path
    photos: tuple[Photo, ...]
    classes: dict[int, str]  # index among the labels -> class as the data set spells it
    strays: tuple[str, ...]  # files and folders that belong to no class or group
    files: Files
    own: bool = False  # whether indices are into a file of classes, not ImageNet-1k's

    def counts(self) -> dict[int, tuple[int, int]]:
        """Photos per class and group, (common, counter), classes in order of their index."""
        seen = Counter((photo.class_index, photo.group) for photo in self.photos)
        return {index: (seen[index, "common"], seen[index, "counter"]) for index in sorted(self.classes)}

    @property
    def grouped(self) -> bool:
        """Whether photos are common and counter, not only of some background."""
        return any(photo.group for photo in self.photos)


def refuse_other_group(group: str, where: str) -> None:
    """Raise RequestError for what is neither of the two groups."""
    if group not in GROUPS:
        raise RequestError(f"group {group!r} in {where} is neither 'common' nor 'counter'")


def shown(path: str) -> str:
    """A path with bytes that are no UTF-8 written as \\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def unreadable(tree: Tree, advance: Callable[[], None] = lambda: None, threads: int = 4) -> dict[str, str]:
    """path -> reason for every photo that cannot be decoded; `advance` is called after each photo."""

    def check(photo: Photo) -> tuple[str, str | None]:
        try:
            tree.files.image(photo.path)
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
