"""The worst point of a claim's domain: where theory says that it fails most.

Corners and Sobol points first, then scipy's differential evolution and a polish, on the violation in its own unit
and, for bounds on accuracies, on the probit scale, which does not saturate where both sides are near 0 or 1.
"""

from typing import NamedTuple

import numpy as np

from simulator.world import Worlds
from theory.claims.claim import ALONG, Claim, log_slope

# A polish asks for one gradient component at a time, which a truth by quadrature answers slowly: only searches of at
# least this effort are polished.
POLISHED = 256
STEP = 0.05


class Worst(NamedTuple):
    """The worst point found, its violation by the closed forms, and what the search cost."""

    point: dict[str, float]
    violation: float
    evaluations: int


def corners(dimension: int) -> np.ndarray:
    """All corners of the unit cube, (2^dimension, dimension)."""
    return np.array(np.meshgrid(*[[0.0, 1.0]] * dimension)).reshape(dimension, -1).T


def sobol(dimension: int, count: int, seed: int) -> np.ndarray:
    """The first `count` scrambled Sobol points of the unit cube."""
    from scipy.stats import qmc

    power = int(np.ceil(np.log2(max(count, 1))))
    return qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)[:count]


def single(points: dict[str, np.ndarray], index: int) -> dict[str, float]:
    """One point of a grid, as plain floats."""
    return {name: float(values[index]) for name, values in points.items()}


def worlds_at(point: dict[str, float]) -> Worlds:
    """A grid of one world at a point of a domain."""
    return Worlds(**{name: np.array([value]) for name, value in point.items()})


def true_violation(claim: Claim, worlds: Worlds) -> np.ndarray:
    """v from the closed forms: what the search maximises. Zero where they know nothing: rates in n are measured."""
    if claim.along == "n":
        return np.zeros(worlds.shape)
    if claim.relation == "slope":
        values = [claim.truth(worlds.replace(**{claim.along: x})) for x in claim.grid]
        return claim.violation(log_slope(claim.grid, np.stack(values, -1)), worlds)
    if claim.relation in ALONG:
        later = worlds.replace(**{claim.along: np.asarray(getattr(worlds, claim.along)) + STEP})
        gap = claim.truth(worlds) - claim.truth(later)
        return claim.violation(gap if claim.relation == "increasing" else -gap, worlds)
    return np.asarray(claim.violation(claim.truth(worlds), worlds), float)


def search(claim: Claim, seed: int, effort: int = 1024) -> Worst:
    """The point of largest violation; `effort` Sobol points and about 30 times as many evaluations after them.

    A claim without free parameters is evaluated once.
    """
    dimension = len(claim.axes)
    if dimension == 0:
        unit = np.zeros((1, 0))
        return Worst(single(claim.place(unit), 0), float(true_violation(claim, claim.worlds(unit))[0]), 1)
    spent = 0

    def violation(unit: np.ndarray) -> np.ndarray:
        nonlocal spent
        spent += len(unit)
        return true_violation(claim, claim.worlds(unit))

    def probit(unit: np.ndarray) -> np.ndarray:
        nonlocal spent
        spent += len(unit)
        return claim.probit_violation(claim.worlds(unit))

    starts = np.concatenate([corners(dimension), sobol(dimension, effort, seed)])
    candidates = [starts]
    scales = [violation]
    if claim.probit_violation(claim.worlds(starts[:1])) is not None:
        scales.append(probit)
    for scale in scales:
        first = scale(starts)
        best = starts[np.argsort(first)[-max(8, 4 * dimension) :]]
        candidates.append(_evolve(scale, best, dimension, seed, effort))
    found = np.concatenate(candidates)
    values = violation(found)
    worst = int(np.argmax(values))
    return Worst(single(claim.place(found), worst), float(values[worst]), spent)


def _evolve(scale, population: np.ndarray, dimension: int, seed: int, effort: int) -> np.ndarray:
    from scipy.optimize import differential_evolution

    result = differential_evolution(
        lambda x: -scale(np.atleast_2d(x.T)) if x.ndim == 2 else -float(scale(x[None])[0]),
        [(0.0, 1.0)] * dimension,
        init=population,
        maxiter=max(4, effort // 16),
        tol=1e-8,
        rng=np.random.default_rng(seed),
        vectorized=True,
        updating="deferred",
        polish=effort >= POLISHED,
    )
    return result.x[None]


def roundest(claim: Claim, worst: Worst, needed: float) -> dict[str, float]:
    """A nearby point with as few digits as possible whose violation still reaches `needed`.

    Coordinates are rounded to 1, 2, 3 ... significant digits together; the worst point itself if none serves.
    """
    for digits in range(1, 7):
        point = {name: float(f"{value:.{digits}g}") for name, value in worst.point.items()}
        if claim.contains(point) and float(true_violation(claim, worlds_at(point))[0]) >= needed:
            return point
    return worst.point
