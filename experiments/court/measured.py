"""From draws to bounds of a violation, for every route and quantity.

What a relation limits is a number q of the means of some samples, which changes with each mean in
one direction. A number of single trainings or images has one sample, and q is its mean. A place on
a curve has one for every learner, world and group: the curve is a closed form, and the accuracies
are measured. Bounds of q follow from bounds of each mean, and are wrong with at most the sum of
their tails.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.court import budget
from experiments.court.arms import Arms, arms_at
from experiments.court.decision import p_value, violation_bounds
from experiments.finite_samples import EVEN, OF_RULES, Unmeasurable
from experiments.inference import FRACTION, Bounds, Numbers, Sample
from simulator.accuracy import LEVEL, Accuracy
from simulator.progress import tell
from simulator.streams import numpy_stream
from simulator.world import World
from theory.claims.claim import Claim
from theory.claims.relations import Point, single

RARE = 0.02  # share of the hits or the misses: 12 in a set
# means of 32 sets of even images, of skewness .4, miss t bounds up to 1.5 times as often as they
# should
SPARED = 2


@dataclass(frozen=True)
class Measured:
    """What was measured at one point: the samples, and the number q of their means with its
    bounds.
    """

    arms: Arms
    samples: list[Sample]
    size: int
    tail: float = 0.0
    share: float = 1.0  # of the tail, at which its bounds decide
    note: str | None = None

    @property
    def mean(self) -> float:
        return float(self.value(np.array([sample.mean for sample in self.samples])))

    @cached_property  # a prediction may take a second, and a p-value has forty bounds
    def _limit(self) -> tuple[float, int]:
        """The number that limits q, and its side."""
        claim = self.arms.claim
        if claim.share is not None:
            return claim.share, -1
        target, side = (
            np.ravel(each)[0].item() for each in claim.relation.target(claim, self.arms.here)
        )
        return target, side

    def value(self, means: np.ndarray, end: int = 0) -> Numbers:
        """q at means (sample, ...); where a flat curve tells nothing, nan, or the lowest (end -1)
        or highest q (1).
        """
        if not self.arms.on_curves:
            return means[0]
        claim = self.arms.claim
        q = np.zeros(())
        for (sign, world), pair in zip(
            self._terms, means.reshape(-1, 2, *means.shape[1:]), strict=True
        ):
            worlds = world.ravel()[np.zeros(pair.shape[1:], int)]
            place = np.asarray(claim.quantity.at(claim, worlds, Accuracy(*np.clip(pair, 0, 1)))[0])
            if end:
                place = np.where(
                    np.isnan(place), claim.quantity.support[(1 + sign * end) // 2], place
                )
            q = q + sign * place
        return q

    def bounds(self, tail: Numbers) -> Bounds:
        """One-sided bounds of q, from bounds of every mean at its share of the tail, or of
        tails.
        """
        if not self.arms.on_curves:
            return self.samples[0].bounds(tail)
        tails = np.ravel(tail) / (SPARED * len(self.samples))
        ends = np.array([[sample.bounds(float(t)) for t in tails] for sample in self.samples])
        rises = (
            np.concatenate(
                [sign * np.array(self.arms.claim.quantity.changes) for sign, _ in self._terms]
            )
            > 0
        )
        # the corners of a rectangle of means
        lowest, highest = np.where(rises, ends.T, ends.T[::-1]).swapaxes(1, 2)
        q = self.value(lowest, -1), self.value(highest, 1)
        return Bounds(*(np.reshape(end, np.shape(tail))[()] for end in q))

    def violation(self, tail: Numbers | None = None) -> Bounds:
        """Bounds of the violation, each side at a tail; by default at that which decides."""
        target, side = self._limit
        return violation_bounds(
            side, self.bounds, target, self.tail * self.share if tail is None else tail
        )

    @property
    def p_value(self) -> float:
        """The smallest tail, over all looks, at which the violation is seen to exceed tau."""
        tau = self.arms.claim.tau
        if self.arms.on_curves:  # many tails take the time of one
            p = p_value(lambda tails: self.violation(tails).low, tau, steps=4, parts=16)
        else:

            def lows(tails: np.ndarray) -> np.ndarray:
                return np.array([self.violation(float(tail)).low for tail in tails])

            p = p_value(lows, tau)
        return min(1.0, p + (budget.LOOKS - 1) * min(p, budget.STRICT * self.tail))

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a verdict that rest on it."""
        interval = self.bounds((1 - LEVEL) / 2)
        routes = dict.fromkeys(arm.route for arm in self.arms.every)
        # per group, where nothing is trained
        images = self.size * (EVEN**2 if "even images" in routes else 1)
        return {
            "predicted": self._limit[0],
            "measured": self.mean,
            "interval": [*map(float, interval)] if np.isfinite(interval).all() else None,
            "route": " and ".join(routes),
            "n": max(
                (arm.n for arm in self.arms.every if arm.route not in OF_RULES), default=images
            ),
            "replicates": self.size,
            "point": self.arms.point or None,
        }

    @property
    def _terms(self) -> list[tuple[int, World]]:
        """The sign of every arm in q, and its world."""
        weights = self.arms.claim.relation.weights
        legs = zip(weights, self.arms.legs, strict=True)
        return [
            ((-1) ** place * weight, arm.world)
            for weight, leg in legs
            for place, arm in enumerate(leg)
        ]


def measured(arms: Arms, draws: np.ndarray, tail: float = 0.0, share: float = 1.0) -> Measured:
    """What draws (sample, value) show. Raises Unmeasurable for draws that show no number."""
    size = draws.shape[-1]
    if not arms.on_curves:
        return Measured(arms, [_sample(arms, draws[0])], size, tail, share)
    routes = [arm.route for arm in arms.every for _ in range(2)]
    samples = [
        (
            even_sample(rates)
            if route == "even images"
            else Sample(np.clip(rates, *FRACTION), normal=not arms.rare, support=FRACTION)
        )
        for route, rates in zip(routes, draws, strict=True)
    ]
    return Measured(arms, samples, size, tail, share)


def _sample(arms: Arms, q: np.ndarray) -> Sample:
    """The sample of values of q; for a claim about a share of trainings a value is 1 if the
    relation holds in one.
    """
    claim, support = arms.claim, arms.claim.support
    if arms.by_image:
        values, counts = np.unique(q, return_counts=True)
        return Sample(values, support=support, counts=counts)
    if not np.isfinite(q).all():
        raise Unmeasurable(f"{claim.quantity} of a drawn sample is not a number at this point")
    if claim.share is not None:
        holds = claim.violation(q, arms.here) <= claim.tolerance
        return Sample(holds.astype(float), support=FRACTION)
    if support is not None:
        inside = np.clip(q, *support)  # an accuracy of many classes can round to 1 + 1e-16
        if (beyond := np.abs(q - inside)).max() > 1e-9:
            value = q.flat[beyond.argmax()]
            raise Unmeasurable(
                f"{claim.quantity} came to {value:g} at this point, outside its support {support}"
            )
        q = inside
    return Sample(q, normal=not arms.rare, support=support)


def even_sample(rates: Float[np.ndarray, " R"]) -> Sample:
    """Accuracies on sets of even images, as a sample.

    If a set has many hits and misses, its rate is nearly normal. If one of them is rare, all images
    are counted: they scatter less than independent images, for which the binomial bounds are exact.
    A few cells on the boundary, whose hits have a variance v < 1, have a skewness of up to
    1/sqrt(v), and 32 sets of them can be equal: a deviation of one hit stands in place of theirs.
    """
    if RARE <= rates.mean() <= 1 - RARE:
        return Sample(rates, normal=True, support=FRACTION, least=1 / EVEN**2)
    images = len(rates) * EVEN**2
    hits = np.rint(rates.mean() * images)
    return Sample(np.array(FRACTION), support=FRACTION, counts=np.array([images - hits, hits]))


def gather(
    claim: Claim,
    point: Point,
    limit: float,
    tail: float,
    purpose: str,
    seed: int,
    drawn: bool = False,
) -> Measured:
    """Measure a few values, and then several times as many, until bounds exclude the limit or the
    budget is spent.

    A bound at the result's share of the tail is wrong with probability `tail` at most, over all
    looks. `purpose` names the random streams; each look adds values on its own. Raises Unmeasurable
    for a point beyond the budget.
    """
    arms = arms_at(claim, point, drawn)
    sizes = arms.effort.looks
    blocks = []
    for k, more in enumerate(np.diff([0, *sizes])):
        blocks.append(arms.draws(int(more), derived(seed, f"{purpose}/{k}")))
        share = budget.STRICT if k < len(sizes) - 1 else budget.FINAL
        estimate = measured(arms, np.concatenate(blocks, axis=-1), tail, share)
        low, high = estimate.violation()
        if low > limit or high < limit:
            return estimate
        if high == np.inf:
            return replace(
                estimate, note="the mean of an unbounded quantity over so few pairs has no bound"
            )
    return replace(
        estimate, note=f"at most {sizes[-1]} values are measured there, which do not suffice"
    )


def estimates(
    claim: Claim, points: Point, size: int, seed: int, number: int
) -> Float[np.ndarray, " P"]:
    """Estimates of v at points, for claims about finite n; nan where a point cannot be measured.

    All points of round `number` share their random draws.
    """
    worlds = claim.relation.legs(claim, points)[0].worlds
    means = np.full(worlds.size, np.nan)
    for i in range(worlds.size):
        tell(f"{claim.id}: estimate at point {i + 1} of {worlds.size}")
        with suppress(Unmeasurable):
            arms = arms_at(claim, single(points, i))
            draws = arms.draws(int(min(size, arms.effort.most)), derived(seed, f"search/{number}"))
            means[i] = measured(arms, draws).mean
    return claim.violation(means, worlds) if claim.share is None else claim.share - means


def derived(seed: int, purpose: str) -> int:
    """A separate root seed per purpose, so that measurements share no random numbers."""
    return int(numpy_stream(seed, f"judge/{purpose}").integers(2**62))
