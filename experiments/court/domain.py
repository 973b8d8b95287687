"""Points of a claim's domain, the worlds that its relation compares there, and the violation that they give.

A point maps field names to values. Most relations use one world per point. The monotone relations use two, x < x'
along one parameter, both inside the domain; x' is stored under "<parameter>_later". "slope" uses one per value of its
grid.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from experiments.errors import RequestError
from simulator.accuracy import Numbers
from simulator.world import Worlds
from theory.claims.claim import Claim, in_words_of, log_slope
from theory.learners.base import UNDEFINED, attempt

LATER = "_later"
MONOTONE = ("increasing", "decreasing")
INFINITE = 10**9  # a claim about at least this many pairs is about the population
Point = Mapping[str, Numbers]


class Leg(NamedTuple):
    """Worlds of a grid of points, and the number of pairs per training there."""

    worlds: Worlds
    n: int


def finite(claim: Claim) -> bool:
    """Whether the claim is about finitely many pairs or a share of trainings, for which there is no closed form."""
    return claim.n < INFINITE or claim.along == "n" or claim.share is not None


def dimension(claim: Claim) -> int:
    """Number of coordinates of a point in the unit cube."""
    return len(claim.axes) + (claim.relation in MONOTONE)


def points_at(claim: Claim, unit: np.ndarray) -> dict[str, np.ndarray]:
    """The points at rows of the unit cube."""
    with blamed_on(claim):
        if claim.relation not in MONOTONE:
            return claim.place(unit)
        column = list(claim.axes).index(claim.along)
        ends = np.sort(unit[..., [column, -1]], axis=-1)
        early, late = (np.array(unit[..., :-1]) for _ in range(2))
        early[..., column], late[..., column] = ends[..., 0], ends[..., 1]
        return {**claim.place(early), claim.along + LATER: claim.place(late)[claim.along]}


def inside(claim: Claim, point: Point) -> np.ndarray:
    """Whether points, and the later worlds of a monotone relation, lie in the domain up to rounding."""
    here = {name: value for name, value in point.items() if not name.endswith(LATER)}
    good = claim.contains(here)
    if claim.relation in MONOTONE:
        later = point[claim.along + LATER]
        good = (
            good & claim.contains(move_along(claim, here, later)) & (np.asarray(later) > np.asarray(here[claim.along]))
        )
    return np.asarray(good)


def move_along(claim: Claim, fields: Mapping[str, Numbers], to: Numbers) -> dict[str, Numbers]:
    """The same points with another value of `along`, and of the fields that the domain computes from it."""
    new: dict[str, Numbers] = {}
    for name, given in claim.domain.items():
        if name == claim.along:
            new[name] = to
        else:
            new[name] = claim.given(name, new, np.shape(to)) if callable(given) else fields[name]
    return {**new, claim.along: to}


def legs(claim: Claim, point: Point) -> list[Leg]:
    """The worlds that the relation compares, the earlier one first."""
    fields = {name: value for name, value in point.items() if not name.endswith(LATER)}
    with blamed_on(claim):
        here = Worlds(**fields)
        if claim.relation in MONOTONE:
            return [Leg(here, claim.n), Leg(Worlds(**move_along(claim, fields, point[claim.along + LATER])), claim.n)]
        if claim.relation != "slope":
            return [Leg(here, claim.n)]
        if claim.along == "n":
            return [Leg(here, int(x)) for x in claim.grid]
        # A grid of worlds keeps its shape: the varied field takes one value everywhere.
        varied = (move_along(claim, fields, np.full(here.shape, x)) for x in claim.grid)
        return [Leg(Worlds(**each), claim.n) for each in varied]


def combine(claim: Claim, values: list[np.ndarray]) -> np.ndarray:
    """The value that the relation limits: the quantity, its log-log slope, or its fall (rise) from x to x'."""
    if claim.relation == "slope":
        return log_slope(claim.grid, np.stack(values, axis=-1))
    if claim.relation in MONOTONE:
        return values[0] - values[1] if claim.relation == "increasing" else values[1] - values[0]
    return values[0]


def true_violation(claim: Claim, point: Point) -> np.ndarray:
    """v of the population by the closed forms; nan where the quantity is undefined, -inf outside the domain."""
    each = legs(claim, point)
    values = combine(claim, [attempt(claim.truth, leg.worlds)[0] for leg in each])
    v = violation_at(claim, values, each[0].worlds)
    return v if claim.relation not in MONOTONE else np.where(inside(claim, point), v, -np.inf)


def violation_at(claim: Claim, values: np.ndarray, worlds: Worlds) -> np.ndarray:
    """v for these values of the quantity, world by world if the prediction is undefined in some world.

    For a claim about a share of trainings the values are the shares that satisfy the relation.
    """
    if claim.share is not None:
        return claim.share - np.broadcast_to(values, worlds.shape)
    try:
        return np.broadcast_to(np.asarray(claim.violation(values, worlds), float), worlds.shape).copy()
    except UNDEFINED:
        if worlds.size == 1:
            return np.full(worlds.shape, np.nan)
        return np.array([violation_at(claim, values[[i]], worlds[[i]])[0] for i in range(worlds.size)])


def single(points: Mapping[str, np.ndarray], index: int) -> dict[str, float]:
    """One point of a grid, as plain floats."""
    return {name: float(values[index]) for name, values in points.items()}


def row(point: Point) -> dict[str, np.ndarray]:
    """A point as a grid of size 1."""
    return {name: np.array([value]) for name, value in point.items()}


def guard_errors(claim: Claim) -> Claim:
    """The claim; a programming error in one of its functions becomes a RequestError.

    ValueError and ArithmeticError pass: they mean that a world has no answer.
    """

    def guard(name: str, function: Callable) -> Callable:
        def call(worlds):
            with blamed_on(claim, but=UNDEFINED):
                value = function(worlds)
            with blamed_on(claim):
                matrix = (2, 2) if name == "reference" else ()
                values, due = np.asarray(value, float), (*worlds.shape, *matrix)
                fits = all(a in (1, b) for a, b in zip(values.shape[::-1], due[::-1], strict=False))
                if not fits or not len(matrix) <= values.ndim <= len(due):
                    raise ValueError(f"its {name} has shape {values.shape}, where {due} was expected")
            return values

        return call

    names = ("prediction", "threshold", "reference")
    return replace(claim, **{name: guard(name, f) for name in names if callable(f := getattr(claim, name))})


@contextmanager
def blamed_on(claim: Claim, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn errors of the claim's own code into RequestError. A misspelt field gets the nearest valid name."""
    try:
        yield
    except (*but, RequestError):
        raise
    except UNDEFINED as error:
        raise cannot_be_judged(claim, str(error)) from error
    except Exception as error:
        raise cannot_be_judged(claim, in_words_of(error)) from error


def cannot_be_judged(claim: Claim, reason: str) -> RequestError:
    """The error of a claim that has no verdict."""
    return RequestError(f"claim {claim.id!r} cannot be judged: {reason}")
