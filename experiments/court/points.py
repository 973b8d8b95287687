"""Where a claim is tried: points of its domain, the worlds that its relation compares there, what they add up to.

A point is the domain's fields by name. Most relations look at one world a point; increasing and decreasing at two,
x < x' along one parameter, both inside the domain (x' is kept under "<parameter>_later"); slope at one a value of its
grid.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simulator.accuracy import Numbers
from simulator.world import Worlds
from theory.claims.claim import Claim, Relation, log_slope
from theory.learners.base import UNDEFINED, attempt

LATER = "_later"
MONOTONE = ("increasing", "decreasing")
INFINITE = 10**9  # a claim about at least so many pairs is one about the population
Point = Mapping[str, Numbers]


class Leg(NamedTuple):
    """Worlds of a grid of points, and the number of pairs that a learner is given there."""

    worlds: Worlds
    n: int


def finite(claim: Claim) -> bool:
    """Whether the claim speaks of finite numbers of pairs, of which closed forms know nothing; so does a share."""
    return claim.n < INFINITE or claim.along == "n" or claim.share is not None


def dimension(claim: Claim) -> int:
    """Number of coordinates of a point in the unit cube."""
    return len(claim.axes) + (claim.relation in MONOTONE)


def placed(claim: Claim, unit: np.ndarray) -> dict[str, np.ndarray]:
    """The points at rows of the unit cube."""
    if claim.relation not in MONOTONE:
        return claim.place(unit)
    column = list(claim.axes).index(claim.along)
    ends = np.sort(unit[..., [column, -1]], axis=-1)
    early, late = (np.array(unit[..., :-1]) for _ in range(2))
    early[..., column], late[..., column] = ends[..., 0], ends[..., 1]
    return {**claim.place(early), claim.along + LATER: claim.place(late)[claim.along]}


def inside(claim: Claim, point: Point) -> np.ndarray:
    """Whether points lie in the domain, the later world of a monotone relation too, to rounding."""
    here = {name: value for name, value in point.items() if not name.endswith(LATER)}
    good = claim.contains(here)
    if claim.relation in MONOTONE:
        later = point[claim.along + LATER]
        good = good & claim.contains(claim.moved(here, claim.along, later))
        good = good & (np.asarray(later) > np.asarray(here[claim.along]))
    return np.asarray(good)


def legs(claim: Claim, point: Point) -> list[Leg]:
    """The worlds that the relation compares, the earlier one first."""
    fields = {name: value for name, value in point.items() if not name.endswith(LATER)}
    if claim.relation in MONOTONE:
        both = (fields, claim.moved(fields, claim.along, point[claim.along + LATER]))
        return [Leg(Worlds(**each), claim.n) for each in both]
    if claim.relation != "slope":
        return [Leg(Worlds(**fields), claim.n)]
    if claim.along == "n":
        return [Leg(Worlds(**fields), int(x)) for x in claim.grid]
    # A grid of worlds keeps its shape: the varied field takes one value everywhere.
    shape = Worlds(**fields).shape
    return [Leg(Worlds(**claim.moved(fields, claim.along, np.full(shape, x))), claim.n) for x in claim.grid]


def combined(claim: Claim, values: list[np.ndarray]) -> np.ndarray:
    """What the relation speaks of: the quantity; how much it falls (rises) from x to x'; its log-log slope."""
    if claim.relation == "slope":
        return log_slope(claim.grid, np.stack(values, axis=-1))
    if claim.relation in MONOTONE:
        return values[0] - values[1] if claim.relation == "increasing" else values[1] - values[0]
    return values[0]


def true_violation(claim: Claim, point: Point) -> np.ndarray:
    """v of the population by the closed forms; nan where the quantity is undefined, -inf outside the domain."""
    each = legs(claim, point)
    values = combined(claim, [attempt(claim.truth, leg.worlds)[0] for leg in each])
    v = violation_at(claim, values, each[0].worlds)
    return v if claim.relation not in MONOTONE else np.where(inside(claim, point), v, -np.inf)


def violation_at(claim: Claim, values: np.ndarray, worlds: Worlds) -> np.ndarray:
    """v where the quantity has these values, world by world where the prediction is undefined in some.

    For a claim about a share of trainings the values are shares that satisfy the relation.
    """
    if claim.share is not None:
        return claim.share - np.broadcast_to(values, worlds.shape)
    try:
        return np.broadcast_to(np.asarray(claim.violation(values, worlds), float), worlds.shape).copy()
    except UNDEFINED:
        if worlds.size == 1:
            return np.full(worlds.shape, np.nan)
        return np.array([violation_at(claim, values[[i]], worlds[[i]])[0] for i in range(worlds.size)])


def relation(claim: Claim) -> Relation:
    """How the judged number compares with its target; a share of trainings is bounded below, whatever holds in each."""
    return claim.relation if claim.share is None else ">="


def target(claim: Claim, worlds: Worlds) -> tuple[float, bool]:
    """What the quantity is compared with in one world."""
    if claim.share is not None:
        return claim.share, True
    number = lambda x: float(np.asarray(x, float).reshape(-1)[0])  # noqa: E731
    prediction = number(claim.prediction(worlds))
    if claim.relation != "iff":
        return (0.0 - prediction if claim.relation in MONOTONE else prediction), True
    edge = claim.threshold(worlds) if callable(claim.threshold) else claim.threshold
    return number(edge), prediction > 0


def single(points: Mapping[str, np.ndarray], index: int) -> dict[str, float]:
    """One point of a grid, as plain floats."""
    return {name: float(values[index]) for name, values in points.items()}


def row(point: Point) -> dict[str, np.ndarray]:
    """A point as a grid of one."""
    return {name: np.array([value]) for name, value in point.items()}
