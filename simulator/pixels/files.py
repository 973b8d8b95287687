"""Pictures from folders, a subfolder a class; what cannot be used is counted, and the first is named."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MOST_HELD = 2**31  # bytes of pictures that a world holds at once


def read_classes(
    root: str, classes: int, suffixes: tuple[str, ...], shape: tuple[int, ...], read: Callable[[Path], np.ndarray]
) -> tuple[UInt8[np.ndarray, "N C S S"], Int[np.ndarray, " N"], tuple[str, ...]]:
    """The pictures in the first subfolders of a folder, a subfolder a class, both in the order of their names.

    A number that a subfolder's name begins with orders it, and captions do not say it: "2 sea" is the second attribute.

    Parameters
    ----------
    root
        The folder.
    classes
        How many subfolders are read.
    suffixes
        Of the files that are read; others are left alone.
    shape
        Of one picture.
    read
        What makes one of a file.

    Returns
    -------
    pixels, labels, names

    Raises
    ------
    ValueError
        For a folder that cannot be listed or has too few subfolders, for more pictures than are held at once, and for
        files that `read` refuses, with their number and the first.
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
    if len(files) * np.prod(shape) > MOST_HELD:
        raise ValueError(
            f"{len(files):,} pictures of {root!r} at size {shape[-1]} take more than {MOST_HELD / 2**30:.0f} GiB; a "
            "smaller size takes less"
        )
    pixels, refused = np.empty((len(files), *shape), dtype=np.uint8), []
    for i, (_, path) in enumerate(files):
        try:
            pixels[i] = read(path)
        except ValueError as error:
            refused.append(f"{path.relative_to(folder).as_posix()!r} ({error})")
    if refused:
        raise ValueError(f"{len(refused)} of {len(files)} pictures of {root!r} cannot be used, the first {refused[0]}")
    return pixels, np.array([k for k, _ in files], dtype=np.int64), tuple(word(kind.name) for kind in kinds[:classes])


def word(name: str) -> str:
    """A folder's name as one word of a caption.

    Parameters
    ----------
    name
        Of the folder.

    Examples
    --------
    >>> word("296 Polar_bear")
    'polar-bear'
    """
    return re.sub(r"[\s_]+", "-", _parts_of(name)[1].lower())


def _parts_of(name: str) -> tuple[float, str]:
    """The number that a name begins with, infinite if with none, and the rest."""
    number, rest = re.fullmatch(r"(\d+(?=[\s_]))?[\s_]*(.*?)\s*", name).groups()
    return (float(number) if number else float("inf")), rest or name
