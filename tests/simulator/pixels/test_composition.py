"""A composite's pixels follow from object, opacity and photo."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simulator.pixels.composition import SCALES, Placement, composite, cut, drawn_place, frame

SIDE = 40


def rgba(pixels) -> Image.Image:
    return Image.fromarray(np.asarray(pixels, dtype=np.uint8))


def test_pixels_are_mixed_by_opacity():
    """An object of random colours and opacities. Its corners are opaque, so its box is the whole
    picture.
    """
    h = 20
    w = 16
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (h, w, 4))
    pixels[[0, 0, -1, -1], [0, -1, 0, -1], 3] = 255
    pixels[0, w // 2, 3] = 0
    photo = frame(rgba(rng.integers(0, 256, (SIDE, SIDE, 3))), SIDE)
    ready, corner = cut(rgba(pixels), Placement(h / SIDE, 0.25, 0.75), SIDE)
    assert corner == (6, 15)
    behind = np.asarray(photo).astype(float)
    part = behind[15 : 15 + h, 6 : 6 + w]
    a = pixels[..., 3:] / 255
    part[...] = a * pixels[..., :3] + (1 - a) * part
    made = np.asarray(composite(ready, corner, photo))
    assert np.abs(made - behind).max() <= 0.5 + 1e-9
    untouched = np.ones((SIDE, SIDE), dtype=bool)
    untouched[15 : 15 + h, 6 : 6 + w] = False
    assert (made[untouched] == np.asarray(photo)[untouched]).all()


def test_what_is_transparent_lends_no_colour():
    """A white disc in a fully transparent red field, shrunk, on grey: no pixel has more red than
    green.
    """
    y, x = np.mgrid[:99, :99] - 49
    inside = x**2 + y**2 <= 40**2
    pixels = np.zeros((99, 99, 4))
    pixels[..., 0] = 255
    pixels[inside] = 255
    grey = Image.new("RGB", (SIDE, SIDE), (90, 90, 90))
    made = np.asarray(composite(*cut(rgba(pixels), Placement(0.5, 0.5, 0.5), SIDE), grey)).astype(
        int
    )
    assert made.max() == 255
    assert (made[..., 0] == made[..., 1]).all()
    assert ((made > 90) & (made < 255)).any()  # edges lie between grey and white
    assert made.min() == 90


@given(st.integers(1, 60), st.integers(1, 60), st.floats(*SCALES), st.floats(0, 1), st.floats(0, 1))
def test_every_place_lies_in_the_frame(height, width, scale, across, down):
    pixels = np.full((height + 2, width + 2, 4), 255)
    pixels[[0, -1]] = pixels[:, [0, -1]] = 0  # a margin outside the object
    ready, (x, y) = cut(rgba(pixels), Placement(scale, across, down), SIDE)
    w, h = ready.size
    assert abs(max(w, h) - scale * SIDE) <= 0.5
    assert 0 <= x <= SIDE - w
    assert 0 <= y <= SIDE - h


def test_places_are_drawn_from_their_own_ranges():
    places = np.array([drawn_place(np.random.default_rng(seed)) for seed in range(200)])
    for column, (low, high) in zip(places.T, (SCALES, (0, 1), (0.5, 1)), strict=True):
        assert low <= column.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < column.max() <= high


def test_a_photo_is_cut_to_a_square_and_stands_upright():
    wide = np.zeros((20, 60, 3))
    wide[:, 20:40] = 200
    assert (np.asarray(frame(rgba(wide), 20)) == 200).all()
    turned = Image.new("RGB", (2 * SIDE, 2 * SIDE), (0, 0, 0))
    # red above; EXIF says that the camera was rotated
    turned.paste((250, 0, 0), (0, 0, 2 * SIDE, SIDE))
    turned.getexif()[0x0112] = 6
    upright = np.asarray(frame(turned, SIDE))
    assert upright[0, -1, 0] > 200 > upright[0, 0, 0]
