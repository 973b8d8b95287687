"""Pictures that keep the law of a world: smooth templates and white noise, in 8 bits.

The 8 x 8 grey values of a picture are x = D z + xi, where the columns of D are smooth, orthonormal,
and symmetric under a horizontal flip. D'x is then all that a classifier can use, so that the ideal
classifier of the world is that of the pictures. Every value is doubled in both directions, to 16 x
16 pixels.
"""

from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8

SIDE = 8
DIMENSIONS = SIDE**2  # of the noise
ZOOM = 2
PIXELS = SIDE * ZOOM  # per side
MIDDLE = 128  # the grey value of 0
# standard deviations of a pixel between the middle and an end of the scale: 1 pixel in 16,000 is
# clipped
REACH = 4
MOST_ROUNDING = 0.01  # variance of 8-bit rounding, per variance of the noise


def templates(latents: int) -> Float[np.ndarray, "64 l"]:
    """D: products of cosines, the slowest first. Those of even horizontal frequency are
    symmetric.
    """
    i = np.arange(SIDE)
    k = np.arange(SIDE)[:, None]
    cosine = (
        np.cos(np.pi * k * (2 * i + 1) / (2 * SIDE))
        * np.where(k == 0, 1, np.sqrt(2))
        / np.sqrt(SIDE)
    )
    # without the constant
    waves = [(u, v) for u in range(SIDE) for v in range(0, SIDE, 2) if u or v]
    waves.sort(key=lambda wave: (wave[0] ** 2 + wave[1] ** 2, wave))
    return np.stack([np.outer(cosine[u], cosine[v]).ravel() for u, v in waves[:latents]], axis=1)


def levels_per_unit(second_moment: Float[np.ndarray, "l l"], nu: float) -> float:
    """Grey levels per unit of x: the largest power of two that keeps REACH deviations of every
    pixel on the scale.
    """
    D = templates(len(second_moment))
    deviation = np.sqrt(np.einsum("pl,lm,pm->p", D, second_moment, D).max() + nu)
    return float(2.0 ** np.floor(np.log2((MIDDLE - 0.5) / (REACH * deviation))))


def pixels(
    x: Float[np.ndarray, "n 64"], levels: float
) -> tuple[UInt8[np.ndarray, "n 16 16"], float]:
    """Grey values, and the fraction of them that was clipped."""
    grey = np.rint(MIDDLE + levels * x).reshape(-1, SIDE, SIDE)
    clipped = float(((grey < 0) | (grey > 255)).mean())
    return np.clip(grey, 0, 255).astype(np.uint8).repeat(ZOOM, axis=1).repeat(ZOOM, axis=2), clipped


def png(picture: UInt8[np.ndarray, "16 16"]) -> bytes:
    from PIL import Image  # start-up time

    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
