"""Points of a claim's domain as grids, the violation of the population there, and who is to blame for an error."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from experiments.errors import RequestError
from experiments.user_code import refused_errors
from simulator.world import World
from theory.claims.claim import BadValue, Claim, NoWorld, in_words_of
from theory.claims.relations import Point
from theory.learners.base import UNDEFINED, attempt


def true_violation(claim: Claim, point: Point) -> np.ndarray:
    """v of the population by the closed forms; nan where the quantity is undefined, -inf outside the domain."""
    each = claim.relation.legs(claim, point)
    values = claim.relation.combine(claim, [attempt(claim.truth, leg.worlds)[0] for leg in each])
    v = violation_at(claim, values, each[0].worlds)
    return np.where(claim.relation.inside(claim, point), v, -np.inf) if claim.relation.further else v


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


@contextmanager
def judging(claim: Claim) -> Iterator[None]:
    """Turn an error of the claim's functions, or of a user's learner in it, into the refusal to judge the claim."""
    learners = [learner for learner in (claim.subject, claim.against) if learner is not None]
    with refused_errors(lambda error: cannot_be_judged(claim, in_words_of(error)), learners=learners):
        try:
            yield
        except (NoWorld, BadValue) as error:
            raise cannot_be_judged(claim, str(error)) from error


def cannot_be_judged(claim: Claim, reason: str) -> RequestError:
    """The error of a claim that has no verdict."""
    return RequestError(f"claim {claim.id!r} cannot be judged: {' '.join(reason.split())}")
