"""Sources of objects, by name: each reads the pictures of the first classes at a size.

`digits` are scikit-learn's 1,797 scans of 8 x 8 pixels (UCI, Alpaydin and Kaynak 1998), shown as they are unless a size
is asked for: larger ones hold no more and take a convolution twelve times as long at 28.
"""

from collections.abc import Callable

import numpy as np
import torch

from simulator.pixels.pictures import Pictures, pictures, resized
from simulator.pixels.views import DIGITS, Pixels

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")[:DIGITS]


def objects(views: Pixels, classes: int) -> Pictures:
    """The objects of a world.

    Parameters
    ----------
    views : Pixels
    classes : K

    Raises
    ------
    ValueError
        For a source that is missing, cannot be read or has too little of a class.
    """
    return _SOURCES[views.objects](views, classes)


def _digits(views: Pixels, classes: int) -> Pictures:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("objects = 'digits' come with scikit-learn, which is not installed") from None
    scans = load_digits()
    coverage = np.rint(scans.images * (255 / 16)).astype(np.uint8)[:, None]
    pixels = resized(torch.from_numpy(coverage), views.side).numpy()
    return pictures(pixels, scans.target.astype(np.int64), DIGIT_NAMES[:classes], "the digits")


_SOURCES: dict[str, Callable[[Pixels, int], Pictures]] = {"digits": _digits}
