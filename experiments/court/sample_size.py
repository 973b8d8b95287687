"""Measurement at one point, with a sample size that is fixed before the measurement that counts.

A pilot on a stream of its own shows the spread of the values. The number of values follows from the bound that they
must reach. The pilot never enters the verdict.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from experiments.court.decision import FEWEST, TWO_SIDED, size_needed, violation_bounds
from experiments.court.domain import Point, legs, relation, row, target, violation_at
from experiments.court.routes import RARE, by_image, measure, named_route, pairs_for, rarest, routes_of, worlds_at
from experiments.finite_samples import Route, Unmeasurable
from experiments.inference import Bounds, Sample
from simulator.streams import numpy_stream
from simulator.world import Worlds
from theory.claims.claim import Claim
from theory.learners.base import Learner

PILOT_IMAGES = 20_000
MOST_IMAGES = 4_000_000
# Trainings in a pilot: an exact law takes a thousandth of the time of a fit; to rule out atoms takes many values.
PILOT_FITS, PILOT_LAWS, PILOT_ATOMS = 8, 64, 512
SLOPES = 32  # fewest values of a log-log slope: logarithms of small numbers have heavy tails
MOST_LAWS = 200_000
MOST_NUMBERS = 4e7  # drawn pairs at one point, over all fits


@final  # a subclass could define __bool__; `shown and shown.route` relies on truth
@dataclass(frozen=True)
class Evidence:
    """What was measured at one point."""

    point: dict[str, float]
    sample: Sample
    n: int
    route: str
    predicted: float
    promised: bool
    note: str | None

    def bounds(self, claim: Claim, tail: float) -> Bounds:
        """Bounds of the violation; infinite if the law of the sample has no bounds."""
        if self.sample.bounds(tail) is None:
            return Bounds(-np.inf, np.inf)
        return violation_bounds(relation(claim), self.sample.bounds, self.predicted, tail, self.promised)


def gather(
    claim: Claim, point: Point, *, drawn: bool, gap: float, tail: float, miss: float, seed: int, purpose: str
) -> Evidence:
    """Measure at one point, often enough that a bound at `tail` lies within `gap` with probability 1 - `miss`."""
    worlds = worlds_at(claim, point)
    routes = routes_of(claim, point, drawn)
    most = most_values(claim, worlds, routes)
    lawful = routes_of(claim, point, drawn=False)
    first = min(_pilot_size(claim, worlds, lawful), most_values(claim, worlds, lawful))
    pilot = measure(claim, point, first, _derived(seed, f"pilot/{purpose}"), lawful, routes)
    # Both sides can miss, and bounds of |q - b| split their tail.
    needed = size_needed(pilot, gap, tail / 2 if relation(claim) in TWO_SIDED else tail, miss / 2)
    fewest = PILOT_IMAGES if by_image(claim, routes) else SLOPES if claim.relation == "slope" else FEWEST
    size = int(min(max(needed, fewest), most))
    sample = measure(claim, point, size, _derived(seed, purpose), routes)
    predicted, promised = target(claim, legs(claim, row(point))[0].worlds)
    trained = [route for route in routes.values() if route != "drawn images"]
    n = max((pairs_for(n, world, route) for world, n in worlds for route in trained), default=sample.size)
    return Evidence(
        dict(point),
        sample,
        n,
        named_route(routes),
        predicted,
        promised,
        _note(sample, needed, size),
    )


def _note(sample: Sample, needed: float, size: int) -> str | None:
    if sample.bounds(0.05) is None:
        return "the mean of an unbounded quantity over so few pairs has no bound"
    if needed > size:
        wanted = "no number of values" if np.isinf(needed) else f"{needed:.3g} values"
        return f"{wanted} would be enough for power .95 there, and at most {size} are measured"
    return None


def most_values(claim: Claim, worlds: list, routes: dict[Learner, Route]) -> int:
    """The largest sample at a point, by the cost of a value."""
    if by_image(claim, routes):
        return MOST_IMAGES
    if set(routes.values()) == {"exact law"}:
        slow = claim.quantity == "minimiser-rate" or getattr(claim.subject, "embed_dim", None) is not None
        many = max(world.classes for world, _ in worlds) > 2
        return 4000 if slow or many else MOST_LAWS
    pairs = sum(pairs_for(n, world, route) for world, n in worlds for route in routes.values())
    return int(max(FEWEST, MOST_NUMBERS / max(pairs, 1000)))


def _pilot_size(claim: Claim, worlds: list, routes: dict[Learner, Route]) -> int:
    if by_image(claim, routes):
        return PILOT_IMAGES
    rare = any(
        route != "drawn images" and pairs_for(n, world, route) * float(rarest(Worlds.of(world))) < RARE
        for world, n in worlds
        for route in routes.values()
    )
    if rare or claim.share is not None:
        return PILOT_ATOMS
    return PILOT_LAWS if set(routes.values()) == {"exact law"} else PILOT_FITS


def pilot_violation(claim: Claim, seed: int):
    """An estimator of v for `search`, for claims about finite n. All points of a round share their random draws."""

    def estimate(point: dict[str, float], replicates: int, number: int) -> float:
        each = legs(claim, row(point))
        routes = routes_of(claim, point, drawn=False)
        try:
            size = min(replicates, most_values(claim, worlds_at(claim, point), routes))
            sample = measure(claim, point, size, _derived(seed, f"search/{number}"), routes)
        except Unmeasurable:
            return np.nan
        return float(violation_at(claim, np.array([sample.mean]), each[0].worlds)[0])

    return estimate


def _derived(seed: int, purpose: str) -> int:
    """A separate root seed per purpose, so that measurements share no random numbers."""
    return int(numpy_stream(seed, f"judge/{purpose}").integers(2**62))
