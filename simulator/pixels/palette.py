"""Colours of the attribute, by name or as #rrggbb."""

import re

import numpy as np
from jaxtyping import UInt8

from simulator.naming import suggestion

INK, PAPER = "white", "black"  # objects where backgrounds have the colours, and the ground where objects do

# In the order in which classes take them. Any two differ clearly: by 36 or more in CIELAB, by 44 from white and black.
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
