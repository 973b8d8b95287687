"""Photos with their classes, groups and backgrounds, and the source that they are decoded from."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
    """One photo; `path` is relative to the root, with "/" and its extension."""

    path: str
    class_index: int
    group: str  # common, counter, or "" for photos without groups
    background: str
    object: str = ""  # the object of a composite; "" for an ordinary photo


@runtime_checkable
class Source(Protocol):
    """Where photos are decoded from. Decoding processes get a pickled copy."""

    def key(self, path: str) -> Key:
        """A key that changes with the photo; raises OSError if the photo is gone."""
        ...

    def image(self, path: str) -> "Image":
        """The decoded photo; raises ValueError with the reason if it cannot be decoded."""
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
        """The decoded file."""
        return decode(self.root / path)


@dataclass(frozen=True)
class PhotoSet:
    """All photos of a data set, in the order of their paths."""

    root: Path
    photos: tuple[Photo, ...]
    classes: dict[int, str]  # index of the label -> class name in the data set
    strays: tuple[str, ...]  # files and folders that belong to no class or group
    source: Source
    own: bool = False  # whether indices point into the user's own classes instead of ImageNet-1k's

    def counts(self) -> dict[int, tuple[int, int]]:
        """Photos per class and group, (common, counter), classes in the order of their index."""
        seen = Counter((photo.class_index, photo.group) for photo in self.photos)
        return {index: (seen[index, "common"], seen[index, "counter"]) for index in sorted(self.classes)}

    @property
    def grouped(self) -> bool:
        """Whether photos belong to the groups common and counter."""
        return any(photo.group for photo in self.photos)


@dataclass(frozen=True)
class Entry:
    """A photo in a layout, before its class has an index and its background a group."""

    path: str
    class_name: str
    place: str  # the level between class and photo: group and background, or background; "" if there is none
    group: str = ""  # if the layout states it separately
    object: str = ""


@dataclass(frozen=True)
class Listing:
    """All photos of a layout. `places` also holds empty folders."""

    entries: list[Entry]
    source: Source
    places: set[tuple[str, str]] = field(default_factory=set)  # class, place
    strays: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Add a photo and its place."""
        self.entries.append(entry)
        self.places.add((entry.class_name, entry.place))


def check_group(group: str, where: str) -> None:
    """Raise RequestError for anything but the two groups."""
    if group not in GROUPS:
        raise RequestError(f"group {group!r} in {where} is neither 'common' nor 'counter'")


def printable(path: str) -> str:
    """A path in which bytes that are not UTF-8 are written as \\xe9."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def unreadable(photo_set: PhotoSet, advance: Callable[[], None] = lambda: None, threads: int = 4) -> dict[str, str]:
    """path -> reason for every photo that cannot be decoded; `advance` is called after each photo."""

    def check(photo: Photo) -> tuple[str, str | None]:
        try:
            photo_set.source.image(photo.path)
        except ValueError as error:
            return photo.path, str(error)
        return photo.path, None

    bad: dict[str, str] = {}
    photos = iter(photo_set.photos)
    with ThreadPoolExecutor(threads) as pool:  # Pillow decodes outside the interpreter lock
        while chunk := list(islice(photos, 64 * threads)):  # chunks, so that results do not pile up
            for path, reason in pool.map(check, chunk):
                advance()
                if reason is not None:
                    bad[path] = reason
    return bad
