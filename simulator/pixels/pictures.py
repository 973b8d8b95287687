"""Pictures in classes, each in one part of the data: what objects and photos are once they are read.

Training, validation and test never share a picture. Within each class and in the source's order, of every five
pictures the fourth is for validation and the fifth for the test; a source with a test set of its own keeps that, and
every sixth of the others is for validation.
"""

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from jaxtyping import Int, UInt8

PARTS = ("train", "validation", "test")
TURN = (0, 0, 0, 1, 2)  # part of every first, second, ... picture of a class
TURN_BESIDE_A_TEST = (0, 0, 0, 0, 0, 1)


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
        """A row of the given class for every uniform number, all of a part alike."""
        counts = self.counts(part)
        first = counts.cumsum(0) - counts
        # A number that is 1 to within rounding, times three, is three.
        place = torch.minimum((uniform * counts[classes]).to(torch.int64), counts[classes] - 1)
        return self.rows(part)[first[classes] + place]

    @property
    def digest(self) -> str:
        """What a run saw, as SHA-256 of pixels, labels and parts."""
        found = sha256(repr((self.names, tuple(self.pixels.shape))).encode())
        for field in (self.pixels, self.labels, self.parts):
            found.update(field.cpu().numpy().tobytes())
        return found.hexdigest()


def pictures(
    pixels: UInt8[np.ndarray, "N C S S"],
    labels: Int[np.ndarray, " N"],
    names: tuple[str, ...],
    what: str,
    turn: tuple[int, ...] = TURN,
) -> Pictures:
    """Pictures of the first classes of a source, dealt out to the parts."""
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
    """One collection of pictures for training and validation, and one all of which is for the test."""
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
