"""Measured places of classifiers on curves of others, which are functions of their two mean accuracies.

The curve on which a classifier is placed is a closed form; its accuracies (c, k) are measured. A quantity changes with
each of them in one direction. So its bounds follow from a bound of each, and are wrong with at most the sum of their
tails. A claim may compare several classifiers or worlds: their values are added with signs, and so are the bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.court.decision import size_needed
from experiments.finite_samples import EVEN
from experiments.inference import FRACTION, Bounds, Sample
from simulator.accuracy import Accuracy, Numbers
from simulator.world import World
from theory.claims.claim import Claim

RARE = 0.02  # share of the hits or the misses: 12 in a set
SPARED = 2  # means of 32 sets of even images, of skewness .4, miss t bounds up to 1.5 times as often as they should
GAPS = np.geomspace(1e-5, 0.25, 8)  # of bounds from mean accuracies; the gap of the value is interpolated


class Term(NamedTuple):
    """One classifier in one world: its sign in the claim's value, and samples of its common and counter accuracy."""

    sign: int
    world: World
    groups: tuple[Sample, Sample]


@dataclass(frozen=True)
class StandingSample:
    """What was measured of the number that the claim's relation is about, in the form of a `Sample`."""

    claim: Claim
    terms: Sequence[Term]
    size: int  # replicates

    @property
    def mean(self) -> float:
        """The value at the mean accuracies."""
        return means_of([self])[0]

    def bounds(self, tail: Numbers) -> Bounds:
        """One-sided bounds of the value, from bounds of every mean accuracy at its share of the tail, or of tails."""
        low, high, tails = 0.0, 0.0, np.ravel(tail) / self._parts
        for term in self.terms:
            each = (np.transpose([group.bounds(float(t)) for t in tails]) for group in term.groups)
            least, most = self._ends(term.world, *each)
            low, high = (low + least, high + most) if term.sign > 0 else (low - most, high - least)
        return Bounds(*(np.reshape(end, np.shape(tail))[()] for end in (low, high)))

    def size_needed(self, gap: float, tail: float, miss: float) -> float:
        """`decision.size_needed` for bounds of the value: the largest that a mean accuracy needs."""
        needed, tail, miss = 0.0, tail / self._parts, miss / self._parts
        for term in self.terms:
            c, k = (group.mean for group in term.groups)
            least, most = self._ends(term.world, np.stack([c - GAPS, c + GAPS]), np.stack([k - GAPS, k + GAPS]))
            reach = np.maximum.accumulate((most - least) / 2)
            share = gap / len(self.terms)
            if share <= reach[0]:
                return np.inf
            near = np.exp(np.interp(np.log(share), np.log(reach + 1e-300), np.log(GAPS)))
            for group in term.groups:
                per_replicate = group.size / self.size
                needed = max(needed, np.ceil(size_needed(group, near, tail, miss) / per_replicate))
        return needed

    @property
    def _parts(self) -> int:
        """Number of equal parts of a tail; every mean accuracy uses one."""
        return SPARED * 2 * len(self.terms)

    def _ends(self, world: World, common: np.ndarray, counter: np.ndarray) -> np.ndarray:
        """(least, most) value over rectangles with ends (low, high); all values where a flat curve tells nothing."""
        pairs = zip((common, counter), self.claim.quantity.changes, strict=True)
        accuracy = Accuracy(*(np.clip(group[::sign], 0, 1) for group, sign in pairs))
        worlds = world.ravel()[np.zeros(np.shape(accuracy.common), int)]
        ends = np.asarray(self.claim.quantity.at(self.claim, worlds, accuracy)[0])
        widest = np.array(self.claim.quantity.support)
        return np.where(np.isnan(ends), np.reshape(widest, (2,) + (1,) * (ends.ndim - 1)), ends)


def means_of(samples: Sequence[Sample | StandingSample]) -> list[float]:
    """The means of samples of one claim; those on curves need one call per term instead of one per sample."""
    if not samples or not isinstance(samples[0], StandingSample):
        return [sample.mean for sample in samples]
    claim, means = samples[0].claim, np.zeros(len(samples))
    for terms in zip(*(sample.terms for sample in samples), strict=True):
        accuracy = Accuracy(*np.transpose([[group.mean for group in term.groups] for term in terms]))
        worlds = World.stack([term.world for term in terms])
        means += [term.sign for term in terms] * np.asarray(claim.quantity.at(claim, worlds, accuracy)[0])
    return means.tolist()


def even_sample(rates: Float[np.ndarray, " R"]) -> Sample:
    """Accuracies on sets of even images, as a sample.

    If a set has many hits and misses, its rate is nearly normal. If one of them is rare, all images are counted: they
    scatter less than independent images, for which the binomial bounds are exact. A few cells on the boundary, whose
    hits have a variance v < 1, have a skewness of up to 1/sqrt(v), and 32 sets of them can be equal: a deviation of one
    hit stands in place of theirs.
    """
    if RARE <= rates.mean() <= 1 - RARE:
        return Sample(rates, normal=True, support=FRACTION, least=1 / EVEN**2)
    images = len(rates) * EVEN**2
    hits = np.rint(rates.mean() * images)
    return Sample(np.array(FRACTION), support=FRACTION, counts=np.array([images - hits, hits]))
