"""Points of a claim's domain, the worlds that its relation compares there, and the violation that they give.

A point maps field names to values. Most relations use one world per point. The monotone relations use two, x < x'
along one parameter, both inside the domain; x' is stored under "<parameter>_later". "slope" uses one per value of its
grid.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from traceback import walk_tb
from typing import NamedTuple

import numpy as np

from experiments.errors import RequestError, SoberclipError
from simulator.accuracy import Numbers
from simulator.world import World
from theory.claims.claim import Axis, Claim, fields_before, in_words_of, log_slope
from theory.learners.base import UNDEFINED, attempt

LATER = "_later"
MONOTONE = ("increasing", "decreasing")
INFINITE = 10**9  # a claim about at least this many pairs is about the population
Point = Mapping[str, Numbers]


class Leg(NamedTuple):
    """Worlds of a grid of points, and the number of pairs per training there."""

    worlds: World
    n: int


def finite(claim: Claim) -> bool:
    """Whether the claim is about finitely many pairs or a share of trainings, for which there is no closed form."""
    return claim.n < INFINITE or claim.along == "n" or claim.share is not None


def dimension(claim: Claim) -> int:
    """Number of coordinates of a point in the unit cube."""
    return len(claim.axes) + (claim.relation in MONOTONE)


def points_at(claim: Claim, unit: np.ndarray) -> dict[str, np.ndarray]:
    """The points at rows of the unit cube."""
    try:
        if claim.relation not in MONOTONE:
            return claim.place(unit)
        column = list(claim.axes).index(claim.along)
        ends = np.sort(unit[..., [column, -1]], axis=-1)
        early, late = (np.array(unit[..., :-1]) for _ in range(2))
        early[..., column], late[..., column] = ends[..., 0], ends[..., 1]
        return {**claim.place(early), claim.along + LATER: claim.place(late)[claim.along]}
    except ValueError as error:
        raise cannot_be_judged(claim, str(error)) from error


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
            new[name] = given(fields_before(new)) if callable(given) else fields[name]
    return {**new, claim.along: to}


def legs(claim: Claim, point: Point) -> list[Leg]:
    """The worlds that the relation compares, the earlier one first."""
    fields = {name: value for name, value in point.items() if not name.endswith(LATER)}
    try:
        here = claim.at(fields)
        if claim.relation in MONOTONE:
            return [Leg(here, claim.n), Leg(claim.at(move_along(claim, fields, point[claim.along + LATER])), claim.n)]
        if claim.relation != "slope":
            return [Leg(here, claim.n)]
        if claim.along == "n":
            return [Leg(here, int(x)) for x in claim.grid]
        # A grid of worlds keeps its shape: the varied field takes one value everywhere.
        varied = (move_along(claim, fields, np.full(here.shape, x)) for x in claim.grid)
        return [Leg(claim.at(each), claim.n) for each in varied]
    except ValueError as error:  # no valid worlds
        raise cannot_be_judged(claim, str(error)) from error


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


def violation_at(claim: Claim, values: np.ndarray, worlds: World) -> np.ndarray:
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


def with_checked_values(claim: Claim) -> Claim:
    """The claim with functions that return real numbers, one per world or one for all, or raise RequestError.

    ValueError and ArithmeticError pass: they mean that a world has no answer.
    """

    def checked(name: str, function: Callable) -> Callable:
        def call(worlds):
            try:
                value = np.asarray(function(worlds))
            except UNDEFINED:
                raise
            except (Exception, SystemExit) as error:
                if _author_modules(function):
                    raise _blamed(claim, error) from error
                raise
            if value.dtype.kind not in "biuf":
                raise cannot_be_judged(claim, f"its {name} has type {value.dtype}; real numbers are needed")
            shape = value.shape[:-2] if name == "reference" else value.shape
            if len(shape) > worlds.ndim or np.broadcast_shapes(shape, worlds.shape) != worlds.shape:
                raise cannot_be_judged(claim, f"its {name} has shape {value.shape} for worlds of shape {worlds.shape}")
            return value.astype(float)

        return call

    names = ("prediction", "threshold", "reference")
    return replace(claim, **{name: checked(name, f) for name in names if callable(f := getattr(claim, name))})


@contextmanager
def author_errors(claim: Claim) -> Iterator[None]:
    """Turn an error in the author's functions, or in a method of the author's learners, into a RequestError.

    Errors of ours stay.
    """
    ends = chain.from_iterable(given if isinstance(given, Axis) else [given] for given in claim.domain.values())
    functions = filter(callable, (claim.prediction, claim.threshold, claim.reference, *ends))
    involved = [learner for learner in (claim.subject, claim.against) if learner is not None]
    authors = _author_modules(*functions, *map(type, involved))
    learners = [learner for learner in involved if _author_modules(type(learner))]
    try:
        yield
    except SoberclipError:
        raise
    except (Exception, SystemExit) as error:
        for frame, _ in walk_tb(error.__traceback__):
            caller = frame.f_locals.get("self")
            if frame.f_globals.get("__name__") in authors or any(caller is learner for learner in learners):
                raise _blamed(claim, error) from error
        raise


def _author_modules(*makers: Callable) -> set[str]:
    """Modules of these functions and classes that are not ours."""
    ours = ("simulator", "theory", "experiments", "builtins")
    return {str(maker.__module__) for maker in makers if str(maker.__module__).partition(".")[0] not in ours}


def _blamed(claim: Claim, error: BaseException) -> RequestError:
    """The error of the claim's own code."""
    return cannot_be_judged(claim, in_words_of(error))


def cannot_be_judged(claim: Claim, reason: str) -> RequestError:
    """The error of a claim that has no verdict."""
    return RequestError(f"claim {claim.id!r} cannot be judged: {' '.join(reason.split())}")
