"""Assets of a pixel world: its objects, the colours or photos of its attribute, and their names; read once.

Training, validation and test never share a picture. Within each class, in the source's order, the fourth of every five
pictures is for validation and the fifth for the test. A source with a test set of its own keeps that, and every sixth
of the others is for validation.

`digits` are scikit-learn's 1,797 scans of 8 x 8 pixels (UCI, Alpaydin and Kaynak 1998), shown unscaled unless a size
is given: larger ones hold no more and take a convolution twelve times as long at 28.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int, UInt8

from simulator.pixels.coco import instances
from simulator.pixels.composition import cut, drawn_place, frame
from simulator.pixels.decoding import decode
from simulator.pixels.files import PHOTOS, read_all, read_classes, word
from simulator.pixels.mnist import read_mnist
from simulator.pixels.views import DIGITS, Pixels, rgb
from simulator.streams import numpy_stream

if TYPE_CHECKING:
    from PIL.Image import Image

PARTS = ("train", "validation", "test")
TURN = (0, 0, 0, 1, 2)  # part of every first, second, ... picture of a class
TURN_BESIDE_A_TEST = (0, 0, 0, 0, 0, 1)
DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")[:DIGITS]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures in classes."""

    pixels: UInt8[torch.Tensor, "N C S S"]
    labels: Int[torch.Tensor, " N"]
    parts: Int[torch.Tensor, " N"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> "Pictures":
        """The same on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("pixels", "labels", "parts")}
        return replace(self, **moved)

    def rows(self, part: str) -> Int[torch.Tensor, " M"]:
        """Rows of a part, class by class."""
        return (self.parts == PARTS.index(part)).nonzero()[:, 0]

    def counts(self, part: str) -> Int[torch.Tensor, " K"]:
        """Pictures of each class in a part."""
        return torch.bincount(self.labels[self.rows(part)], minlength=len(self.names))

    def chosen(self, part: str, classes: Int[torch.Tensor, "*n"], uniform: torch.Tensor) -> Int[torch.Tensor, "*n"]:
        """A row of the given class for every uniform number; all rows of a part are equally likely."""
        counts = self.counts(part)
        first = counts.cumsum(0) - counts
        # The product may round up to the count.
        place = torch.minimum((uniform * counts[classes]).to(torch.int64), counts[classes] - 1)
        return self.rows(part)[first[classes] + place]

    @property
    def digest(self) -> str:
        """SHA-256 of pixels, labels and parts."""
        total = sha256(repr((self.names, tuple(self.pixels.shape))).encode())
        for field in (self.pixels, self.labels, self.parts):
            total.update(field.cpu().numpy().tobytes())
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class Scenery:
    """Everything from which the pairs of a pixel world are rendered."""

    views: Pixels
    objects: Pictures
    photos: Pictures | None
    colours: UInt8[torch.Tensor, "K 3"] | None
    bare: UInt8[torch.Tensor, " 3"]
    shown: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all pictures and colours."""
        parts = [self.objects.digest, self.colours.tolist() if self.photos is None else self.photos.digest]
        return "+".join(map(str, parts))

    def to(self, device: str) -> "Scenery":
        """The same on a device."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in moved.items() if hasattr(value, "to")})


@lru_cache(maxsize=8)  # all digits of MNIST take 50 MB
def scenery(views: Pixels, classes: int, device: str = "cpu") -> Scenery:
    """The assets of a world, cached per process."""
    if device != "cpu":
        return scenery(views, classes).to(device)
    behind = photos(views, classes) if views.attribute == "photos" else None
    colours = () if behind is not None else views.palette(classes)
    return Scenery(
        views=views,
        objects=objects(views, classes),
        photos=behind,
        colours=None if behind is not None else torch.from_numpy(rgb(colours)),
        bare=torch.from_numpy(rgb((views.bare,))[0]),
        shown=colours if behind is None else behind.names,
    )


def objects(views: Pixels, classes: int) -> Pictures:
    """The objects of a world."""
    return _SOURCES[views.objects](views, classes)


def _digits(views: Pixels, classes: int) -> Pictures:
    try:
        from sklearn.datasets import load_digits  # an optional extra
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
    read = lambda path: placed(decode(path, "RGBA", still=True), f"{path.parent.name}/{path.name}", views.side)  # noqa: E731
    found = read_classes(views.root, classes, (".png",), shape, read)
    return pictures(*found, f"the folder {views.root!r}")


def _coco(views: Pixels, classes: int) -> Pictures:
    names, found = instances(views.root, classes, views.categories)
    named = {one.name: one for one in found}
    shape = (4, views.side, views.side)
    pixels = read_all(views.root, named, shape, lambda one: placed(one.cutout(), one.name, views.side))
    labels = np.array([one.label for one in found], dtype=np.int64)
    return pictures(pixels, labels, tuple(map(word, names)), f"the folder {views.root!r}")


def placed(image: "Image", name: str, side: int) -> UInt8[np.ndarray, "4 S S"]:
    """A cut-out in its frame. Its scale and place are drawn once, by its name."""
    from PIL import Image  # an optional extra

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


def pictures(
    pixels: UInt8[np.ndarray, "N C S S"],
    labels: Int[np.ndarray, " N"],
    names: tuple[str, ...],
    what: str,
    turn: tuple[int, ...] = TURN,
) -> Pictures:
    """Pictures of the first classes of a source, divided into the parts."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{what} has two classes that captions would call {twice!r}")
    kept = np.concatenate([np.flatnonzero(labels == k) for k in range(len(names))])
    counts = np.bincount(labels[kept], minlength=len(names))
    if counts.min() < len(turn):
        few = int(counts.argmin())
        raise ValueError(
            f"{what} has {counts[few]} of {names[few]!r}, too few for training, validation and test; {len(turn)} are "
            "enough"
        )
    parts = np.concatenate([np.resize(turn, count) for count in counts])
    return Pictures(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (pixels[kept], labels[kept], parts)), names)


def joined(first: Pictures, test: Pictures) -> Pictures:
    """Pictures for training and validation joined with a test set."""
    pairs = [(getattr(first, name), getattr(test, name)) for name in ("pixels", "labels", "parts")]
    pixels, labels, parts = (torch.cat(pair) for pair in pairs)
    order = labels.argsort(stable=True)
    return Pictures(pixels[order], labels[order], parts[order], first.names)


def resized(pixels: UInt8[torch.Tensor, "N C H W"], side: int) -> UInt8[torch.Tensor, "N C S S"]:
    """Pictures of another size, by bilinear interpolation that averages where it shrinks."""
    if pixels.shape[2:] == (side, side):
        return pixels
    scaled = torch.nn.functional.interpolate(pixels.float(), (side, side), mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)
