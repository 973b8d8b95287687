"""Pictures from folders with one subfolder per class. Unusable files are counted, and the first is named."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int, UInt8

Source = TypeVar("Source")
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MOST_HELD = 2**31  # bytes of pictures that a world holds at once


def read_classes(
    root: str, classes: int, suffixes: tuple[str, ...], shape: tuple[int, ...], read: Callable[[Path], np.ndarray]
) -> tuple[UInt8[np.ndarray, "N C S S"], Int[np.ndarray, " N"], tuple[str, ...]]:
    """The pictures in the first subfolders of a folder, one subfolder per class, in the order of their names.

    A number at the start of a subfolder's name only sets its order: "2 sea" is called "sea" in captions.
    """
    folder = Path(root).expanduser()
    try:
        found = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        kinds = sorted(found, key=lambda path: _parts_of(path.name))
        if len(kinds) < classes:
            named = f": {', '.join(kind.name for kind in kinds)}" if kinds else ""
            raise ValueError(f"classes = {classes} are more than the {len(kinds)} subfolders of {root!r}{named}")
        files = [
            (k, path)
            for k, kind in enumerate(kinds[:classes])
            for path in sorted(kind.iterdir())
            if path.suffix.lower() in suffixes
        ]
    except OSError as error:
        raise ValueError(f"folder {root!r} cannot be read: {error.strerror}") from None
    named = {path.relative_to(folder).as_posix(): path for _, path in files}
    pixels = read_all(root, named, shape, read)
    return pixels, np.array([k for k, _ in files], dtype=np.int64), tuple(word(kind.name) for kind in kinds[:classes])


def read_all(
    root: str, named: Mapping[str, Source], shape: tuple[int, ...], read: Callable[[Source], np.ndarray]
) -> UInt8[np.ndarray, "N C S S"]:
    """All pictures of a source, in one shape."""
    if len(named) * np.prod(shape) > MOST_HELD:
        raise ValueError(
            f"{len(named):,} pictures of {root!r} at size {shape[-1]} take more than {MOST_HELD / 2**30:.0f} GiB; a "
            "smaller size takes less"
        )
    pixels, refused = np.empty((len(named), *shape), dtype=np.uint8), []
    for i, (name, source) in enumerate(named.items()):
        try:
            pixels[i] = read(source)
        except ValueError as error:
            refused.append(f"{name!r} ({error})")
    if refused:
        raise ValueError(f"{len(refused)} of {len(named)} pictures of {root!r} cannot be used, the first {refused[0]}")
    return pixels


def word(name: str) -> str:
    """A folder's name as one word of a caption."""
    return re.sub(r"[\s_]+", "-", _parts_of(name)[1].lower())


def _parts_of(name: str) -> tuple[float, str]:
    """The number at the start of a name (infinite if there is none), and the rest."""
    number, rest = re.fullmatch(r"(\d+(?=[\s_]))?[\s_]*(.*?)\s*", name).groups()
    return (float(number) if number else float("inf")), rest or name
