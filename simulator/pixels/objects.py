"""Sources of objects, by name, and photos behind them: each reads the pictures of the first classes at a size.

`digits` are scikit-learn's 1,797 scans of 8 x 8 pixels (UCI, Alpaydin and Kaynak 1998), shown as they are unless a size
is asked for: larger ones hold no more and take a convolution twelve times as long at 28.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8

from simulator.pixels.coco import instances
from simulator.pixels.composition import cut, drawn_place, frame
from simulator.pixels.decoding import decode
from simulator.pixels.files import PHOTOS, read_all, read_classes, word
from simulator.pixels.mnist import read_mnist
from simulator.pixels.pictures import PARTS, TURN_BESIDE_A_TEST, Pictures, joined, pictures, resized
from simulator.pixels.views import DIGITS, Pixels
from simulator.streams import numpy_stream

if TYPE_CHECKING:
    from PIL.Image import Image

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")[:DIGITS]


def objects(views: Pixels, classes: int) -> Pictures:
    """The objects of a world."""
    return _SOURCES[views.objects](views, classes)


def _digits(views: Pixels, classes: int) -> Pictures:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError(
            "objects = 'digits' come with scikit-learn, which is not installed; in the checkout "
            "run: python -m pip install -e '.[pixels]'"
        ) from None
    scans = load_digits()
    coverage = np.rint(scans.images * (255 / 16)).astype(np.uint8)[:, None]
    pixels = resized(torch.from_numpy(coverage), views.side).numpy()
    return pictures(pixels, scans.target.astype(np.int64), DIGIT_NAMES[:classes], "the digits")


def _mnist(views: Pixels, classes: int) -> Pictures:
    sets = []
    for part, turn in (("train", TURN_BESIDE_A_TEST), ("test", (PARTS.index("test"),))):
        scans, labels = read_mnist(views.root, part)
        pixels = resized(torch.from_numpy(scans[:, None].copy()), views.side).numpy()
        sets.append(pictures(pixels, labels, DIGIT_NAMES[:classes], f"MNIST's {part} set", turn))
    return joined(*sets)


def _cutouts(views: Pixels, classes: int) -> Pictures:
    shape = (4, views.side, views.side)
    read = lambda path: standing(decode(path, "RGBA", still=True), f"{path.parent.name}/{path.name}", views.side)  # noqa: E731
    found = read_classes(views.root, classes, (".png",), shape, read)
    return pictures(*found, f"the folder {views.root!r}")


def _coco(views: Pixels, classes: int) -> Pictures:
    names, found = instances(views.root, classes, views.categories)
    named = {one.name: one for one in found}
    shape = (4, views.side, views.side)
    pixels = read_all(views.root, named, shape, lambda one: standing(one.cutout(), one.name, views.side))
    labels = np.array([one.label for one in found], dtype=np.int64)
    return pictures(pixels, labels, tuple(map(word, names)), f"the folder {views.root!r}")


def standing(image: "Image", name: str, side: int) -> UInt8[np.ndarray, "4 S S"]:
    """A cut-out where it stands in every image: its scale and place are drawn once, by its name."""
    from PIL import Image

    cutout = cut(image, drawn_place(numpy_stream(0, f"place of {name}")), side)
    whole = Image.new("RGBA", (side, side))
    whole.paste(cutout.object, (cutout.x, cutout.y))
    return np.moveaxis(np.asarray(whole), -1, 0)


def photos(views: Pixels, classes: int) -> Pictures:
    """The backgrounds of a world whose attribute is photos, a subfolder an attribute."""
    side = views.side
    read = lambda path: np.moveaxis(np.asarray(frame(decode(path, still=True), side)), -1, 0)  # noqa: E731
    found = read_classes(views.photos, classes, PHOTOS, (3, side, side), read)
    return pictures(*found, f"the folder {views.photos!r}")


_SOURCES: dict[str, Callable[[Pixels, int], Pictures]] = {
    "digits": _digits,
    "mnist": _mnist,
    "cutouts": _cutouts,
    "coco": _coco,
}
