"""The relations between a quantity and a claim's prediction. Each is one object of RELATIONS.

A relation says which worlds are compared at a point, which number q of the quantity's values it
limits, and how:

    v = q - target        where q may not exceed the target (side 1)
    v = target - q        where q may not fall below it     (side -1)
    v = |q - target|      where q may do neither            (side 0)

A point maps fields to values. Most relations compare one world per point. The monotone ones compare
two, x < x' along one parameter, both inside the domain; x' is stored under "<parameter>_later".
"slope" compares one world per value of a grid. `claim` is a `theory.claims.claim.Claim`, which
names these objects.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from simulator.accuracy import Numbers
from simulator.world import World
from theory.claims.words import Rules

LATER = "_later"
Point = Mapping[str, Numbers]


def single(points: Point, index: int) -> dict[str, float]:
    """One point of a row of points, as plain floats."""
    return {name: float(np.ravel(values)[index]) for name, values in points.items()}


class Leg(NamedTuple):
    """Worlds of a grid of points, and the number of pairs per training there."""

    worlds: World
    n: int


@dataclass(frozen=True)
class Relation:
    """A relation between the quantity at one world and the prediction there.

    Attributes
    ----------
    name
        The name in a claim.
    side
        1, -1 or 0, as above.
    words
        The claim in words, with {quantity} and {value}.
    weights
        q is the sum of the quantity's values in the compared worlds with these weights; empty for
        "slope".
    """

    name: str
    side: int
    words: str
    weights: tuple[int, ...] = (1,)
    pointwise: ClassVar[bool] = True  # whether it compares one world with one number
    further: ClassVar[int] = 0  # coordinates of a point beside the axes of the domain
    fewest: ClassVar[int] = 0  # values that show the law of q

    def __str__(self) -> str:
        return self.name

    def rules(self, claim: Any) -> Rules:
        """The rules that a claim with this relation keeps."""
        yield from ()

    def declared(self, claim: Any) -> dict[str, Any]:
        """Fields of a claim that mean something for this relation alone."""
        return {}

    def target(self, claim: Any, worlds: World) -> tuple[Numbers, Numbers]:
        """(the number that limits q, the side of the limit), world by world."""
        return claim.value_of("prediction", worlds), self.side

    def points(self, claim: Any, unit: np.ndarray) -> dict[str, np.ndarray]:
        """The points at rows of the unit cube. Raises NoWorld where the domain has none."""
        return claim.place(unit)

    def inside(self, claim: Any, point: Point) -> np.ndarray:
        """Whether points lie in the domain, to rounding."""
        return np.asarray(claim.contains(point))

    def legs(self, claim: Any, point: Point) -> list[Leg]:
        """The compared worlds, the earlier one first. Raises NoWorld for points without one."""
        return [Leg(claim.at(point), claim.n)]

    def compare(self, claim: Any, values: Iterable[Iterable[Numbers]]) -> Numbers:
        """q of the quantity's values of each learner in each compared world; the second learner is
        subtracted.
        """
        return self.combine(
            claim, [first - others[0] if others else first for first, *others in values]
        )

    def combine(self, claim: Any, values: Sequence[Numbers]) -> Numbers:
        """q of one value in each compared world."""
        first, *others = (
            weight * value for weight, value in zip(self.weights, values, strict=True)
        )
        return first + others[0] if others else first

    def support(self, low: float, high: float) -> tuple[float, float] | None:
        """The smallest and the largest possible q, if the quantity lies between low and high."""
        return low, high


class Equivalence(Relation):
    """The quantity exceeds a threshold exactly where the prediction is positive."""

    pointwise = False

    def declared(self, claim):
        return {"threshold": claim.threshold}

    def target(self, claim, worlds):
        return claim.value_of("threshold", worlds), np.where(
            claim.value_of("prediction", worlds) > 0, -1, 1
        )


class Monotone(Relation):
    """The quantity rises (falls) by at least the prediction from a point to any later one; below 0
    it may go back.
    """

    pointwise = False
    further = 1

    def rules(self, claim):
        yield not claim.along, f"relation {self.name!r} needs `along`, the parameter that is varied"
        varied = claim.along in claim.axes
        yield (
            not varied,
            f"relation {self.name!r} along {claim.along!r} needs an Axis for it in the domain",
        )

    def target(self, claim, worlds):
        return 0.0 - claim.value_of("prediction", worlds), self.side  # no -0

    def points(self, claim, unit):
        column = list(claim.axes).index(claim.along)
        ends = np.sort(unit[..., [column, -1]], axis=-1)
        early, late = (np.array(unit[..., :-1]) for _ in range(2))
        early[..., column], late[..., column] = ends[..., 0], ends[..., 1]
        return {**claim.place(early), claim.along + LATER: claim.place(late)[claim.along]}

    def inside(self, claim, point):
        here, later = self._parts(claim, point)
        after = np.asarray(later) > np.asarray(here[claim.along])
        return np.asarray(claim.contains(here) & claim.contains(claim.moved(here, later)) & after)

    def legs(self, claim, point):
        here, later = self._parts(claim, point)
        return [Leg(claim.at(here), claim.n), Leg(claim.at(claim.moved(here, later)), claim.n)]

    def support(self, low, high):
        return low - high, high - low

    def _parts(self, claim: Any, point: Point) -> tuple[dict[str, Numbers], Numbers]:
        later = claim.along + LATER
        return {name: value for name, value in point.items() if name != later}, point[later]


class Slope(Relation):
    """The least-squares slope of log |quantity| on the log of a parameter, over a grid of its
    values.
    """

    pointwise = False
    fewest = 32  # logarithms of small numbers have heavy tails

    def rules(self, claim):
        yield not claim.along, f"relation {self.name!r} needs `along`, the parameter that is varied"
        least, words = (
            (2, "whole numbers from 2") if claim.along == "n" else (1e-9, "positive numbers")
        )
        values = claim.grid if isinstance(claim.grid, tuple | list) else ()
        good = all(
            isinstance(x, Real) and least <= x <= 1e12 and (claim.along != "n" or x % 1 == 0)
            for x in values
        )
        needed = f"a grid of at least 2 values of {claim.along}, {words}, not {claim.grid!r}"
        yield not good or len(set(values)) < 2, f"relation 'slope' needs {needed}"
        several = (
            "relation 'slope' compares trainings of several worlds; `share` needs another relation"
        )
        yield claim.share is not None, several

    def legs(self, claim, point):
        here = claim.at(point)
        if claim.along == "n":
            return [Leg(here, int(x)) for x in claim.grid]
        # A grid of worlds keeps its shape: the varied field takes one value everywhere.
        return [
            Leg(claim.at(claim.moved(point, np.full(here.shape, x))), claim.n) for x in claim.grid
        ]

    def combine(self, claim, values):
        return log_slope(claim.grid, np.stack(values, axis=-1))

    def support(self, low, high):
        return None


def log_slope(grid, values: np.ndarray) -> Numbers:
    """Least-squares slope of log |values| (..., len(grid)) on log grid."""
    x = np.log(np.asarray(grid, float))
    x = x - x.mean()
    return sum(
        weight * np.log(v**2) / 2
        for weight, v in zip(x / (x @ x), np.moveaxis(values, -1, 0), strict=True)
    )


RELATIONS = {
    relation.name: relation
    for relation in (
        Relation(">=", -1, "{quantity} ≥ {value}"),
        Relation("<=", 1, "{quantity} ≤ {value}"),
        Relation("=", 0, "{quantity} = {value}"),
        Equivalence("iff", 1, "{quantity} above {value} exactly where the condition holds"),
        Monotone("increasing", 1, "{quantity} increasing, a fall of at most {value}", (1, -1)),
        Monotone("decreasing", 1, "{quantity} decreasing, a rise of at most {value}", (-1, 1)),
        Slope("slope", 0, "slope of log {quantity} = {value}", ()),
    )
}
