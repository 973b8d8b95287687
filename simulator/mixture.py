"""The groups of a world written out: a finite mixture of Gaussians with one shared diagonal
covariance of the latents.

Exact laws need it; closed forms use the world's symmetry and never list groups.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

# Largest groups x latents of a mixture: 10^7 float64 cells are 80 MB.
LARGEST_MIXTURE = 10_000_000
TIE = 1e-9  # relative difference of two entries of a table that count as equal
COMMON, COUNTER, UNSEEN = range(3)

Table = tuple[tuple[float, ...], ...]  # joint probabilities of K classes (rows) and A backgrounds
Common = tuple[tuple[int, ...], ...]  # backgrounds of each class


class CaptionKind(NamedTuple):
    """A kind of caption, block by block: its probability, and the multiple of the block's latents
    that it shows.
    """

    chance: Float[np.ndarray, "*w B"]
    multiple: float  # 0 only if the caption omits the block


@dataclass(frozen=True)
class CaptionKinds:
    """The kinds of caption of all worlds, also those that never occur: first the block as it is,
    last silence.
    """

    every: tuple[CaptionKind, ...]

    def moment(self, power: int = 1) -> Float[np.ndarray, "*w B"]:
        """E[m^power] of every block, m the multiple of its latents that a caption shows."""
        return sum((kind.chance * kind.multiple**power for kind in self.every), np.zeros(()))

    @property
    def silence(self) -> Float[np.ndarray, "*w B"]:
        """Probability that a caption is silent on a block."""
        return self.every[-1].chance

    @property
    def always_told(self) -> Bool[np.ndarray, "*w B"]:
        """Whether every caption shows a block as it is."""
        return self.every[0].chance == 1

    @property
    def plainly_told(self) -> bool:
        """Whether every caption shows a block as it is, or not at all."""
        return not any(kind.chance.any() for kind in self.every[1:-1])


def common_backgrounds(table: Table, common: Common | None = None) -> Common:
    """The common backgrounds of each class: those given, or its most frequent ones, ties
    included.
    """
    if common is not None:
        return common
    return tuple(tuple(a for a, w in enumerate(row) if w >= max(row) * (1 - TIE)) for row in table)


def cell_groups(table: Table, common: Common | None = None) -> Int[np.ndarray, "K A"]:
    """COMMON for a class's common backgrounds, COUNTER for others that training shows with it,
    UNSEEN for the rest.
    """
    groups = np.where(np.array(table) == 0, UNSEEN, COUNTER)
    for own, columns in zip(groups, common_backgrounds(table, common), strict=True):
        own[list(columns)] = COMMON
    return groups


def groups_of(table: Table | None, common: Common | None = None) -> list[int]:
    """The groups that a world's test images have; common and counter ones without a table."""
    return [COMMON, COUNTER] if table is None else np.unique(cell_groups(table, common)).tolist()


def cell_shares(groups: Int[np.ndarray, "K A"]) -> Float[np.ndarray, "K A"]:
    """Share of each cell in its group: one over the classes that have such cells, then over the
    class's cells.
    """
    shares = np.zeros(groups.shape)
    for group in (COMMON, COUNTER, UNSEEN):
        cells = groups == group
        counts = cells.sum(axis=1, keepdims=True)
        shares += cells / np.maximum(counts, 1) / max(1, np.count_nonzero(counts))
    return shares


@dataclass(frozen=True)
class Mixture:
    """The groups (y, o, a_1, a_2, ...) of a world: label, object shown, attributes shown.

    The first of two classes, or backgrounds, is +1, the second -1. `test_groups` are COMMON,
    COUNTER or UNSEEN. `label_means` are the latents of bare captions, which tell the label alone.
    `variances` are those of the latents within a group, `image_variances` those of an image's
    coordinates, with its noise.
    """

    labels: Int[np.ndarray, " G"]
    objects: Int[np.ndarray, " G"]
    backgrounds: Int[np.ndarray, "G J"]
    weights: Float[np.ndarray, " G"]
    test_groups: Int[np.ndarray, " G"]
    test_weights: Float[np.ndarray, " G"]
    means: Float[np.ndarray, "G l"]
    label_means: Float[np.ndarray, "G l"]
    variances: Float[np.ndarray, " l"]
    image_variances: Float[np.ndarray, " l"]
    caption_kinds: CaptionKinds
    detail: Float[np.ndarray, " B"]
    block: Int[np.ndarray, " l"]
    classes: int
    mismatch: float
    bare: float

    @cached_property
    def seen(self) -> "Mixture":
        """The groups that training shows, those of positive weight: at p = 1 K groups of K^2."""
        positive = self.weights > 0
        by_group = (
            "labels",
            "objects",
            "backgrounds",
            "weights",
            "test_groups",
            "test_weights",
            "means",
            "label_means",
        )
        return replace(self, **{name: getattr(self, name)[positive] for name in by_group})

    @cached_property
    def cross_covariance(self) -> Float[np.ndarray, "l l"]:
        """A = Cov(z_I, z_T) over the groups that training shows, up to the factor 1 - mismatch."""
        centred = self.weights[:, None] * (self.means - self.weights @ self.means)
        latents = centred.T @ self.means + np.diag(self.detail[self.block] * self.variances)
        captions = latents * self.caption_kinds.moment()[self.block]
        return (1 - self.bare) * captions + self.bare * centred.T @ self.label_means

    def group_average(self, values: Float[np.ndarray, "*r G"]) -> Float[np.ndarray, "*r groups"]:
        """Means over the common and the counter groups, and the unseen ones if there are any; nan
        over none.
        """
        averages = []
        for group in range(max(COUNTER, self.test_groups.max()) + 1):
            part = self.test_groups == group
            weight = self.test_weights[part]
            average = (
                values[..., part] @ (weight / weight.sum())
                if part.any()
                else np.full(values.shape[:-1], np.nan)
            )
            averages.append(average)
        return np.stack(averages, axis=-1)

    def masks(self) -> tuple[Float[np.ndarray, "P l"], Float[np.ndarray, " P"]]:
        """Multiples of all latents that a caption can show, one row per combination, and their
        probabilities.
        """
        options = [
            [
                (kind.multiple, kind.chance[b])
                for kind in reversed(self.caption_kinds.every)
                if kind.chance[b] > 0
            ]
            for b in range(len(self.detail))
        ]
        multiple, chance = np.moveaxis(np.array(list(product(*options))), -1, 0)
        return multiple[:, self.block], chance.prod(axis=1)

    @cached_property
    def pairs(self) -> list["PairedGroups"]:
        """The groups of pairs, one entry per kind of caption; then those of images with captions of
        other pairs.

        Such an image and caption are independent. Only what both show matters, not their labels.
        """
        masks, chances = self.masks()
        kinds = [
            ((1 - self.bare) * chance, mask * self.means, mask, 1.0)
            for mask, chance in zip(masks, chances, strict=True)
        ]
        if self.bare:
            kinds = [kind for kind in kinds if kind[0]] + [
                (self.bare, self.label_means, 0 * masks[0], 0.0)
            ]
        detail = self.detail[self.block]
        matched = (1 - self.mismatch) * self.weights
        every = [
            PairedGroups(
                matched * chance, np.concatenate([self.means, means], axis=1), mask, detail, noise
            )
            for chance, means, mask, noise in kinds
        ]
        if not self.mismatch:
            return every
        image, which = np.unique(self.means, axis=0, return_inverse=True)
        weight = np.bincount(which.ravel(), self.weights)
        if len(weight) ** 2 * len(self.variances) > LARGEST_MIXTURE:
            raise ValueError(
                f"mismatch = {self.mismatch:g} with {len(weight):,} different groups makes"
                f" {len(weight) ** 2:,} pairs of them, too many for an exact law; draw the pairs"
            )
        for chance, means, mask, noise in kinds:
            text = image * mask
            share = weight
            if not noise:
                text, which = np.unique(means, axis=0, return_inverse=True)
                share = np.bincount(which.ravel(), self.weights)
            both = np.hstack([np.repeat(image, len(text), axis=0), np.tile(text, (len(image), 1))])
            weights = self.mismatch * chance * np.outer(weight, share).ravel()
            every.append(PairedGroups(weights, both, mask, 0 * detail, noise))
        return every


class PairedGroups(NamedTuple):
    """Groups of pairs whose captions show the multiples `mask` of the latents.

    A caption's latents have the variances mask^2 sigma^2, and the covariances mask g sigma^2 with
    the image's, g their `detail`: 0 if they belong to other pairs. `noise` is 0 if the captions
    have no view noise, else 1.
    """

    weights: Float[np.ndarray, " G"]
    means: Float[np.ndarray, "G two_l"]
    mask: Float[np.ndarray, " l"]
    detail: Float[np.ndarray, " l"]
    noise: float


def block_width(classes: int) -> int:
    """Latents of one block: one number for two classes, K for more."""
    return 1 if classes == 2 else classes


def class_means(classes: int) -> Float[np.ndarray, "K width"]:
    """Mean of a block per class in units of mu: +1 and -1 for two classes, unit vectors for
    more.
    """
    return np.array([[1.0], [-1.0]]) if classes == 2 else np.eye(classes)


@lru_cache(maxsize=2)  # replicates of one world follow each other
def mixture_of(world, objects: bool | None = None) -> Mixture:
    """The groups of a `simulator.world.World` written out."""
    K = world.classes
    A = world.background_count
    J = 1 + len(world.attribute)
    objects = world.p_inv < 1 if objects is None else objects
    _check_size(world, J, objects)
    sizes = [K, *[K] * objects, *[A] * J]
    codes = np.array(list(product(*map(range, sizes))), dtype=np.int64)
    if not objects:
        codes = np.insert(codes, 1, codes[:, 0], axis=1)  # the object shown is the label's
    y = codes[:, 0]
    background = codes[:, 2]
    match = codes[:, 1:] == codes[:, :1]
    law = (
        np.where(match[:, 0], world.p_inv, (1 - world.p_inv) / (K - 1))
        if objects
        else np.ones(len(codes))
    )
    if world.table is None:
        p = world.agreement
        weights = np.where(match, p, (1 - p) / (K - 1)).prod(axis=1) / K
        groups = np.where(match[:, 1], COMMON, COUNTER)
        test = law / K ** (1 + J)
    else:
        weights = law * np.array(world.table)[y, background]
        cells = cell_groups(world.table, world.common)
        groups = cells[y, background]
        test = law * cell_shares(cells)[y, background]
    widths = [block_width(K), *[block_width(A)] * J]
    patterns = [class_means(K), *[class_means(A)] * J]
    means = [
        mu * pattern[code]
        for mu, pattern, code in zip(world.mean, patterns, codes.T[1:], strict=True)
    ]
    return Mixture(
        labels=y,
        objects=codes[:, 1],
        backgrounds=codes[:, 2:],
        weights=weights,
        test_groups=groups,
        test_weights=test,
        means=np.concatenate(means, axis=1),
        label_means=np.concatenate(
            [world.mean[0] * patterns[0][y], *(0 * part for part in means[1:])], axis=1
        ),
        variances=np.repeat(world.scale**2, widths),
        image_variances=np.repeat(world.image_variance, widths),
        caption_kinds=world.caption_kinds,
        detail=world.detail,
        block=np.repeat(np.arange(1 + J), widths),
        classes=K,
        mismatch=world.mismatch,
        bare=world.bare,
    )


def _check_size(world, attributes: int, objects: bool) -> None:
    """Raise ValueError for more groups than a mixture may have."""
    groups = world.classes ** (1 + objects) * world.background_count**attributes
    if groups * world.latents <= LARGEST_MIXTURE:
        return
    fits = 2
    while (fits + 1) ** (2 + attributes + objects) * (1 + attributes) <= LARGEST_MIXTURE:
        fits += 1
    what = f"classes = {world.classes} with {attributes} attribute(s)"
    near = f"number of classes that fits is {fits}"
    if world.table is not None:
        what = f"a table of {world.classes} x {world.background_count}"
        near = f"square table that fits has {fits} rows"
    raise ValueError(
        f"{what} makes {groups:,} groups of {world.latents} latents, more than the limit of"
        f" {LARGEST_MIXTURE:,} cells; the largest {near}"
    )
