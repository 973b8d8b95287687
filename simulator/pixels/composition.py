"""Composites of cut-outs and photos: images in, images out.

Pillow resizes RGBA with colours multiplied by their opacity, so transparent pixels lend no colour
to an edge. The triangle filter has positive weights, so no edge overshoots. With opacity a and the
object's colour c a composite is a c + (1 - a) photo, rounded once.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

SCALES = (0.4, 0.7)  # an object's longer side, as a fraction of the frame
VISIBLE = 8  # of 255: fainter pixels are not part of an object
HALF = 128  # an object's most opaque pixel is at least half opaque


class Placement(NamedTuple):
    scale: float
    across: float
    down: float


def drawn_place(rng: np.random.Generator) -> Placement:
    """A random place: scale uniform in SCALES, anywhere across, in the lower half of the free
    height.
    """
    scale, across, down = rng.random(3)
    low, high = SCALES
    return Placement(low + (high - low) * scale, across, (1 + down) / 2)


def cut(image: "Image", place: Placement, side: int) -> tuple["Image", tuple[int, int]]:
    """The visible part of a picture, resized for its place in a frame, and its (x, y) there."""
    from PIL.Image import Resampling  # start-up time

    opacity = image.getchannel("A")
    faintest, strongest = opacity.getextrema()
    if strongest < HALF:
        raise ValueError("transparent throughout")
    if faintest == 255:
        raise ValueError("nowhere transparent, so it is a photo, not a cut-out")
    box = opacity.point(lambda a: 255 * (a >= VISIBLE)).getbbox()
    width = box[2] - box[0]
    height = box[3] - box[1]
    per_pixel = place.scale * side / max(width, height)
    w = max(1, round(per_pixel * width))
    h = max(1, round(per_pixel * height))
    visible = image.resize((w, h), Resampling.BILINEAR, box)
    return visible, (round(place.across * (side - w)), round(place.down * (side - h)))


def frame(image: "Image", side: int) -> "Image":
    """The largest centred square of a photo, upright."""
    from PIL import ImageOps  # start-up time
    from PIL.Image import Resampling

    return ImageOps.fit(ImageOps.exif_transpose(image), (side, side), Resampling.BICUBIC)


def composite(visible: "Image", corner: tuple[int, int], photo: "Image") -> "Image":
    picture = photo.copy()
    picture.paste(visible, corner, visible)
    return picture
