"""Names of digits and of colours, in class order."""

import numpy as np
from jaxtyping import UInt8

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# CIELAB distances are at least 36 between two colours, and 44 from white and black.
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
# White objects on coloured backgrounds, a black ground behind coloured objects.
BARE = {"white": (255, 255, 255), "black": (0, 0, 0)}


def rgb(*colours: str) -> UInt8[np.ndarray, "C 3"]:
    """Red, green and blue of colours by name."""
    return np.array([(COLOURS | BARE)[colour] for colour in colours], dtype=np.uint8).reshape(-1, 3)
