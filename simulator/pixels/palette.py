"""Colours that attributes are shown in, and how far apart two of them look (CIELAB, 1976).

Distance is Euclidean in L*a*b* under the illuminant D65: 2.3 is a just noticeable difference (Sharma, Digital Color
Imaging Handbook, 2003, section 1.7.2), and LEAST_DISTANCE many of them.
"""

import re
from itertools import combinations

import numpy as np
from jaxtyping import Float, UInt8

from simulator.naming import suggestion

LEAST_DISTANCE = 20.0
INK, PAPER = "white", "black"  # objects where backgrounds have the colours, and the ground where objects do

# In the order in which classes take them; every two are 36 apart or more, and 44 from white and black.
COLOURS = {
    "red": (230, 25, 45),
    "green": (40, 160, 50),
    "blue": (40, 80, 230),
    "yellow": (255, 220, 40),
    "purple": (150, 30, 180),
    "cyan": (60, 210, 230),
    "orange": (245, 130, 40),
    "pink": (250, 140, 200),
    "brown": (130, 80, 40),
    "lime": (170, 240, 60),
}
_BARE = {INK: (255, 255, 255), PAPER: (0, 0, 0)}

# Linear sRGB to XYZ and the white point of D65 (IEC 61966-2-1).
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ.sum(axis=1)


def rgb(colours: tuple[str, ...]) -> UInt8[np.ndarray, "C 3"]:
    """Red, green and blue of colours by name, or as #rrggbb."""
    return np.array([_one(colour) for colour in colours], dtype=np.uint8)


def _one(colour: str) -> tuple[int, ...]:
    named = {**COLOURS, **_BARE}
    if colour in named:
        return named[colour]
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise ValueError(
            f"colour {colour!r} is neither #rrggbb nor one of {', '.join(named)}{suggestion(colour, named)}"
        )
    return tuple(bytes.fromhex(colour[1:]))


def lab(colours: UInt8[np.ndarray, "C 3"]) -> Float[np.ndarray, "C 3"]:
    """L*, a* and b* of sRGB colours."""
    encoded = colours / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    ratio, delta = linear @ _XYZ.T / _WHITE, 6 / 29
    f = np.where(ratio > delta**3, np.cbrt(ratio), ratio / (3 * delta**2) + 4 / 29)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def refuse_close(colours: tuple[str, ...]) -> None:
    """Refuse colours of which two can hardly be told apart."""
    points = lab(rgb(colours))
    distances = {(i, j): np.linalg.norm(points[i] - points[j]) for i, j in combinations(range(len(colours)), 2)}
    i, j = min(distances, key=distances.__getitem__)
    if distances[i, j] < LEAST_DISTANCE:
        raise ValueError(
            f"colours {colours[i]} and {colours[j]} lie {distances[i, j]:.1f} apart in CIELAB, less than the "
            f"{LEAST_DISTANCE:g} at which they are surely told apart"
        )
