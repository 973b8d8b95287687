"""The search for the worst point of a claim's domain, where its violation seems largest: by closed
forms for claims about the population, by measurements for those about finite n."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from experiments.court.arms import draws_matrices
from experiments.court.measured import estimates
from experiments.errors import RequestError
from experiments.verdict import cannot_be_judged
from simulator.streams import numpy_stream
from theory.accuracy import binary_scores
from theory.claims.claim import Claim
from theory.claims.relations import Point, single
from theory.learners import LinearCLIP
from theory.learners.base import UNDEFINED

# Drawn points. A region with share s of the volume is missed with probability (1 - s)^points.
# CLOSED misses .2 % of the volume for 3e-4 of the seeds, QUADRATURE misses 1.5 % for 4e-4.
CLOSED = 4096
QUADRATURE = 512  # if an accuracy is no formula, or for K >= 3 classes
PLACED = 128  # for a table, or if the quantity is a place on a curve: half a millisecond per world
SAMPLED = 32  # for a table or for K >= 3 classes, if the accuracy is sampled: seconds per world
POLISHED = 1024  # from this many drawn points on, a polish follows; without a formula it is slow
ROUNDS = ((512, 64), (64, 512), (8, 4096))  # (candidates, values) of rounds with an exact law
FITTED_ROUNDS = ((48, 4), (12, 16), (4, 64))  # the same where a value takes longer
ALONE = ((0, 512),)  # the same where the domain is one point
KEPT = 0.9  # of the distance of a point's violation from its limit, where the point may be rounded
ENOUGH = 1e-3  # of the tolerance: the evolution ends when its violations scatter less
STEP = 1e-8  # of a difference quotient
LARGEST = 1e100  # of a violation in the evolution, which squares them
SPREADS = (0.1, 0.03)  # of children around the best candidates, in widths of the domain

# The violations of a claim at points, nan where they are undefined; None for a claim that it cannot
# measure.
Scale = Callable[[Claim, Point], np.ndarray | None]


class Worst(NamedTuple):
    """The result of a search."""

    point: dict[str, float]
    violation: float
    evaluations: int
    undefined: int


def corners(dimension: int) -> np.ndarray:
    """All corners of the unit cube, (2^dimension, dimension)."""
    return np.array(np.meshgrid(*[[0.0, 1.0]] * dimension)).reshape(dimension, 2**dimension).T


def drawn(dimension: int, count: int, seed: int) -> np.ndarray:
    """Independent even points of the unit cube; fewer points are the first of more.

    They depend on no more than this, so that all readings of one sentence are tried at the same
    worlds.
    """
    return numpy_stream(seed, "judge/worlds").random((count, dimension))


def sobol(dimension: int, count: int, seed: int) -> np.ndarray:
    """The first `count` scrambled Sobol points of the unit cube."""
    from scipy.stats import qmc  # start-up time

    power = int(np.ceil(np.log2(max(count, 1))))
    return qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)[
        :count
    ]


def nowhere_defined(claim: Claim, worst: Worst) -> RequestError:
    """The error of a claim whose violation is defined at none of the points that a search tried."""
    why = (
        f"{claim.quantity} minus its prediction is defined at none of the {worst.evaluations}"
        " points tried"
    )
    worlds = claim.relation.legs(claim, worst.point)[0].worlds
    try:
        for learner in claim.learners:
            claim.quantity.truth(claim, learner, worlds)
        claim.relation.target(claim, worlds)
    except UNDEFINED as error:  # the learner's reason, or the prediction's
        why = f"{why}; {error}"
    return cannot_be_judged(claim, why)


def _best(
    claim: Claim, unit: np.ndarray, values: np.ndarray, evaluations: int, first: np.ndarray
) -> Worst:
    """The worst of the candidates; nan counts as no violation at all. `first` are the values of the
    first ones.
    """
    worst = int(np.argmax(np.fmax(values, -np.inf)))
    point = single(claim.relation.points(claim, unit), worst)
    return Worst(point, float(values[worst]), evaluations, int(np.isnan(first).sum()))


def _effort(claim: Claim) -> int:
    """Number of drawn points, by the cost of the quantity: formula, quadrature, place on a curve or
    sampling.
    """
    sampled = any(learner.by_scores_alone for learner in claim.learners)
    if (
        sampled
        or claim.table
        or np.max(claim.at(claim.place(corners(len(claim.axes)))).classes) > 2
    ):
        lawful = all("exact" in learner.routes() for learner in claim.learners)
        return (PLACED if claim.table else QUADRATURE) if lawful else SAMPLED
    if claim.quantity.placed:
        return PLACED
    return QUADRATURE if any("images" in each.routes() for each in claim.learners) else CLOSED


def probit_violation(claim: Claim, points: Point) -> np.ndarray | None:
    """v on a scale that does not saturate, for bounds on a group accuracy; None for other
    claims.
    """
    quantity, side = claim.quantity, claim.relation.side
    bound_of_one = claim.against is None and quantity.sign and claim.relation.pointwise and side
    if not bound_of_one or not isinstance(claim.subject, LinearCLIP):
        return None
    worlds = claim.at(points)
    binary = np.all(np.equal(worlds.classes, 2)) and np.all(np.equal(worlds.p_inv, 1))
    if not binary or worlds.attribute or worlds.table is not None:
        return None
    z = binary_scores(claim.subject.direction(worlds), worlds)[quantity.groups[0], 0]
    bound = np.clip(ndtri(claim.value_of("prediction", worlds)), -38, 38)
    return side * (quantity.sign * z - bound)


SCALES: tuple[Scale, ...] = (Claim.true_violation, probit_violation)


def by_formula(claim: Claim, seed: int, scales: Sequence[Scale] = SCALES) -> Worst:
    """The point with the largest violation on the first scale: the worst start, or an end of an
    evolution.

    Differential evolution goes from the best starts on each scale in turn, and a polish from its
    end. It ends when violations scatter less than ENOUGH allows. An undefined point has the lowest
    violation.
    """
    from scipy.optimize import differential_evolution  # start-up time

    d = claim.dimension
    effort = _effort(claim)
    spent = 0
    starts = np.concatenate([corners(d), drawn(d, effort if d else 0, seed)])
    points = claim.relation.points(claim, starts)
    unit = [starts]
    values = []

    def loss(x, scale, low):
        nonlocal spent
        spent += x.shape[1]
        value = scale(claim, claim.relation.points(claim, x.T))
        return -np.clip(np.where(np.isfinite(value), value, low), -LARGEST, LARGEST)

    for scale in scales:
        if (of_starts := scale(claim, points)) is None:
            break
        spent += len(starts)
        values = values or [of_starts]
        if not d or not np.isfinite(of_starts).any():  # the last where a prediction leaves [0, 1]
            break
        least = max(float(np.min(of_starts[np.isfinite(of_starts)])) - 1.0, -LARGEST)
        end = differential_evolution(
            loss,
            [(0.0, 1.0)] * d,
            args=(scale, least),
            init=starts[np.argsort(np.fmax(of_starts, -np.inf))[-max(8, 4 * d) :]],
            maxiter=64 if effort >= POLISHED else 6 if effort == PLACED else 12,
            tol=1e-8,
            atol=ENOUGH * claim.tau,
            rng=np.random.default_rng(seed),
            vectorized=True,
            updating="deferred",
            polish=False,
        ).x
        ends = [
            end,
            *(
                [_polished(partial(loss, scale=scale, low=least), end)]
                if effort >= POLISHED
                else []
            ),
        ]
        unit.append(np.clip(ends, 0.0, 1.0))
        values.append(scales[0](claim, claim.relation.points(claim, unit[-1])))
        spent += len(ends)
    return _best(claim, np.concatenate(unit), np.concatenate(values), spent, values[0])


def _polished(loss: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> np.ndarray:
    """A minimum near the start, within the unit cube. One call has a point and its neighbours along
    every axis.
    """
    from scipy.optimize import minimize  # start-up time

    def with_slope(x: np.ndarray) -> tuple[float, np.ndarray]:
        steps = np.where(x > 0.5, -STEP, STEP)
        values = loss(np.vstack([x, x + np.diag(steps)]).T)
        return values[0], (values[1:] - values[0]) / steps

    return minimize(
        with_slope, start, jac=True, bounds=[(0.0, 1.0)] * len(start), method="L-BFGS-B"
    ).x


def by_measurement(claim: Claim, seed: int) -> Worst:
    """Corners, Sobol points and children of the best, with more replicates per round.

    Every round has its own random stream, so the last estimate is not the luckiest of many. Within
    a round all points share the stream, so they are compared on the same draws.
    """
    direct = not claim.quantity.placed and all(
        "exact" in learner.routes() for learner in claim.learners
    )
    rounds = ROUNDS if direct and not draws_matrices(claim) else FITTED_ROUNDS
    rng = np.random.default_rng(seed)
    spent = 0
    first = None
    d = claim.dimension
    rounds = rounds if d else ALONE
    unit = np.concatenate([corners(d), sobol(d, rounds[0][0], seed)])
    for number, (count, replicates) in enumerate(rounds):
        if number:
            parents = unit[: count // 2]
            children = np.repeat(parents, max(1, count // len(parents) - 1), axis=0)
            children = np.clip(
                children + SPREADS[number - 1] * rng.standard_normal(children.shape), 0.0, 1.0
            )
            unit = np.concatenate([parents, children])
        points = claim.relation.points(claim, unit)
        good = claim.relation.inside(claim, points)
        values = np.full(len(unit), -np.inf)
        inside = {name: column[good] for name, column in points.items()}
        values[good] = estimates(claim, inside, replicates, seed, number)
        spent += len(unit)
        first = values if first is None else first
        best = _best(claim, unit, values, spent, first)
        if not np.isfinite(best.violation):
            break
        unit = unit[np.argsort(-np.fmax(values, -np.inf), kind="stable")]
    return best


def roundest(
    claim: Claim, worst: Worst, needed: float, violation: Callable[[Point], float]
) -> dict[str, float]:
    """A nearby point with as few digits as possible whose violation still reaches `needed`.

    All coordinates are rounded to 1, 2, 3 ... significant digits. If none suffices, the worst point
    itself.
    """
    if not claim.axes:  # the domain is one point, and evaluating it may take seconds
        return worst.point
    for digits in range(1, 7):
        point = {name: float(f"{value:.{digits}g}") for name, value in worst.point.items()}
        if bool(claim.relation.inside(claim, point)) and violation(point) >= needed:
            return point
    return worst.point
