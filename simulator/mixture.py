"""The groups of a world written out: a finite mixture of Gaussians with one shared diagonal covariance of the latents.

Exact laws and slow oracles need it; the closed forms use the world's symmetry and never list groups.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

# Largest groups x latents of a mixture: 10^7 float64 cells are 80 MB.
LARGEST_MIXTURE = 10_000_000


@dataclass(frozen=True)
class Mixture:
    """The groups (y, o, a_1, a_2, ...) of a world: label, object shown, attributes shown.

    Class 0 of the binary world is y = +1, class 1 is y = -1.
    """

    labels: Int[np.ndarray, " G"]
    objects: Int[np.ndarray, " G"]
    backgrounds: Int[np.ndarray, "G J"]
    weights: Float[np.ndarray, " G"]
    test_weights: Float[np.ndarray, " G"]
    means: Float[np.ndarray, "G l"]
    variances: Float[np.ndarray, " l"]
    mention: Float[np.ndarray, " B"]
    block: Int[np.ndarray, " l"]
    classes: int
    mismatch: float

    @property
    def common(self) -> np.ndarray:
        """Boolean (G,): the first attribute agrees with the label."""
        return self.backgrounds[:, 0] == self.labels

    @cached_property
    def seen(self) -> "Mixture":
        """The groups that training shows, those of positive weight: at p = 1 K groups of K^2."""
        seen = self.weights > 0
        by_group = ("labels", "objects", "backgrounds", "weights", "test_weights", "means")
        return replace(self, **{name: getattr(self, name)[seen] for name in by_group})

    def group_average(self, values: Float[np.ndarray, "*r G"]) -> Float[np.ndarray, "*r 2"]:
        """Means over the common and the counter groups under the test law."""
        averages = []
        for part in (self.common, ~self.common):
            weight = self.test_weights[part]
            averages.append(values[..., part] @ (weight / weight.sum()))
        return np.stack(averages, axis=-1)

    def masks(self) -> tuple[Float[np.ndarray, "P l"], Float[np.ndarray, " P"]]:
        """Possible caption masks, one row over the latents per mask, and their probabilities."""
        options = [[0.0, 1.0] if 0 < pi < 1 else [float(pi)] for pi in self.mention]
        rows = np.array(list(product(*options)))
        probability = np.where(rows == 1, self.mention, 1 - self.mention).prod(axis=1)
        return rows[:, self.block], probability

    @cached_property
    def pairs(self) -> list["PairedGroups"]:
        """The groups of pairs, one entry per caption mask; then those of images with captions of other pairs.

        Such an image and caption are independent. Only what both show matters, not their labels.
        """
        masks, probability = self.masks()
        means = [np.concatenate([self.means, b * self.means], axis=1) for b in masks]
        every = [
            PairedGroups((1 - self.mismatch) * self.weights * chance, mean, b, True)
            for mean, b, chance in zip(means, masks, probability, strict=True)
        ]
        if not self.mismatch:
            return every
        image, which = np.unique(self.means, axis=0, return_inverse=True)
        weight = np.bincount(which.ravel(), self.weights)
        if len(weight) ** 2 * len(self.variances) > LARGEST_MIXTURE:
            raise ValueError(
                f"mismatch = {self.mismatch:g} with {len(weight):,} different groups makes {len(weight) ** 2:,} pairs "
                "of them, too many for an exact law; draw the pairs"
            )
        both = np.outer(weight, weight).ravel()
        first, second = np.repeat(image, len(image), axis=0), np.tile(image, (len(image), 1))
        return every + [
            PairedGroups(self.mismatch * both * chance, np.concatenate([first, b * second], axis=1), b, False)
            for b, chance in zip(masks, probability, strict=True)
        ]


class PairedGroups(NamedTuple):
    """Groups of pairs with one caption mask; `linked` if image and caption share their latents."""

    weights: Float[np.ndarray, " G"]
    means: Float[np.ndarray, "G two_l"]
    mask: Float[np.ndarray, " l"]
    linked: bool


def block_width(classes: int) -> int:
    """Latents of one block: one number for two classes, K for more."""
    return 1 if classes == 2 else classes


def class_means(classes: int) -> Float[np.ndarray, "K width"]:
    """Mean of a block per class in units of mu: +1 and -1 for two classes, unit vectors for more."""
    return np.array([[1.0], [-1.0]]) if classes == 2 else np.eye(classes)


@lru_cache(maxsize=2)  # replicates of one world follow each other
def mixture_of(world, objects: bool | None = None) -> Mixture:
    """The groups of a `simulator.world.World` written out."""
    K, J = world.classes, 1 + len(world.attribute)
    objects = world.p_inv < 1 if objects is None else objects
    groups = K ** (1 + J + objects)
    if groups * world.latents > LARGEST_MIXTURE:
        raise ValueError(
            f"classes = {K} with {J} attribute(s) makes {groups:,} groups of {world.latents} latents, "
            f"more than the limit of {LARGEST_MIXTURE:,} cells; "
            f"the largest number of classes that fits is {_largest_classes(J, objects)}"
        )
    mean, scale, agreement, mention = (np.array(x) for x in zip(*world.numbers(), strict=True))
    codes = np.array(list(product(range(K), repeat=1 + J + objects)), dtype=np.int64)
    if not objects:
        codes = np.insert(codes, 1, codes[:, 0], axis=1)  # the object shown is the label's
    match = codes[:, 1:] == codes[:, :1]
    chance = np.where(match, agreement, (1 - agreement) / (K - 1))
    test = np.where(match, world.p_inv, (1 - world.p_inv) / (K - 1))[:, 0]
    width = block_width(K)
    return Mixture(
        labels=codes[:, 0],
        objects=codes[:, 1],
        backgrounds=codes[:, 2:],
        weights=chance.prod(axis=1) / K,
        test_weights=test / K ** (1 + J),
        means=(mean[:, None] * class_means(K)[codes[:, 1:]]).reshape(len(codes), -1),
        variances=np.repeat(scale**2, width),
        mention=mention,
        block=np.repeat(np.arange(1 + J), width),
        classes=K,
        mismatch=world.mismatch,
    )


def _largest_classes(attributes: int, objects: bool) -> int:
    classes = 2
    while (classes + 1) ** (2 + attributes + objects) * (1 + attributes) <= LARGEST_MIXTURE:
        classes += 1
    return classes
