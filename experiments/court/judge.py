"""judge(claim) -> Verdict: search for the worst point, fix the design, measure afresh, decide.

The order matters: the points, n, replicates and streams are fixed before any measurement that counts. A pilot on
its own stream estimates the spread of one replicate; it never enters the verdict.
"""

from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from experiments.abilities import ability_of
from experiments.court.decide import Decision, decide, replicates_for, violation_bounds
from experiments.court.routes import Route, counting_deviation, measure, routes_of
from experiments.court.search import Worst, corners, roundest, search, single, sobol, worlds_at
from experiments.inference import interval95
from theory.claims.claim import Claim

AUDIT_POINTS = 32  # besides the worst point
QUICK_AUDIT_POINTS = 4
DRAWN = 100_000  # pairs, or test images, in one replicate of a drawn route
Point = dict[str, float]  # a domain's fields
MOST_REPLICATES = 400  # a claim that needs more is undecided rather than slow
PILOT = 8


@dataclass(frozen=True)
class Verdict:
    """One claim decided, with the evidence. Accuracies are fractions.

    predicted, measured and interval (95%, of the measured quantity) are those of the counterexample if there is
    one; of a point inside the domain if supported; of the audit point that comes out worst if undecided.
    largest_violation_bounded is the largest upper bound of v over the audit points, None if none was needed.
    """

    claim: str
    source: str
    statement: str
    verdict: Decision
    predicted: float
    measured: float
    interval: list[float]
    counterexample: dict[str, float] | None
    route: str
    n: int
    replicates: int
    alpha: float
    tau: float
    seconds: float
    formula: str
    quantity: str
    relation: str
    point: Point
    audits: int
    search_evaluations: int
    largest_violation_found: float
    largest_violation_bounded: float | None
    seed: int

    def as_json(self) -> dict[str, Any]:
        """A plain document."""
        return asdict(self)


@dataclass(frozen=True)
class _Evidence:
    """Measurements of the quantity at one point, made for a one-sided bound at `tail`."""

    point: Point
    samples: np.ndarray
    n: int
    route: Route
    tail: float

    def bounds(self, claim: Claim):
        """Bounds on the violation."""
        worlds = worlds_at(self.point)
        return violation_bounds(lambda value: np.squeeze(claim.violation(value, worlds)), self.samples, self.tail)


def judge(
    claim: Claim, *, seed: int = 0, quick: bool = False, error_rate: float | None = None, effort: int | None = None
) -> Verdict:
    """Put one claim on trial.

    quick audits fewer points (the verdict says how many). error_rate overrides the claim's alpha. effort is the
    number of Sobol points of the search. Raises ValueError for an error rate outside (0, 1).
    """
    began = perf_counter()
    alpha = claim.error_rate if error_rate is None else error_rate
    if not 0 < alpha < 1:
        raise ValueError(f"error rate {alpha} lies outside (0, 1); .01 is usual")
    audit_route, worst_route = routes_of(claim)
    worst = search(claim, seed, effort or search_effort(claim))
    points = audit_points(claim, worst, QUICK_AUDIT_POINTS if quick else AUDIT_POINTS, seed)

    against = None
    if worst.violation > claim.tau:
        # Halfway between tau and the worst violation is still far from tau, and leaves room for round numbers.
        point = roundest(claim, worst, (claim.tau + worst.violation) / 2)
        effect = max(claim.tau, (worst.violation - claim.tau) / 2)  # what theory expects beyond tau there
        against = _gather(claim, point, worst_route, alpha / 2, effect, seed, "worst")
    worst_bounds = against and against.bounds(claim)

    audits: list[_Evidence] = []
    if not (worst_bounds and worst_bounds.low > claim.tau):
        for i, point in enumerate(points):
            audits.append(_gather(claim, point, audit_route, alpha / (2 * len(points)), claim.tau, seed, f"audit/{i}"))
    bounds = [evidence.bounds(claim) for evidence in audits]
    verdict = decide(worst_bounds, bounds, worst.violation, claim.tau)

    tightest = max(bounds, key=lambda b: b.high, default=None)
    if verdict == "contradicted":
        shown = against
    else:
        shown = audits[-1] if verdict == "supported" else audits[bounds.index(tightest)]
    return Verdict(
        claim=claim.id,
        source=claim.source,
        statement=claim.statement,
        verdict=verdict,
        predicted=_number(_reference(claim, shown.point)),
        measured=float(shown.samples.mean()),
        interval=interval95(shown.samples),
        counterexample=dict(shown.point) if verdict == "contradicted" else None,
        route=shown.route,
        n=shown.n,
        replicates=len(shown.samples),
        alpha=alpha,
        tau=claim.tau,
        seconds=round(perf_counter() - began, 3),
        formula=claim.formula,
        quantity=claim.quantity,
        relation=claim.relation,
        point=dict(shown.point),
        audits=len(audits),
        search_evaluations=worst.evaluations,
        largest_violation_found=worst.violation,
        largest_violation_bounded=tightest and tightest.high,
        seed=seed,
    )


def search_effort(claim: Claim) -> int:
    """Sobol points of the search: fewer where the truth is a quadrature rather than a formula."""
    return 64 if any(ability_of(s).images for s in (claim.subject, claim.against) if s is not None) else 1024


def audit_points(claim: Claim, worst: Worst, count: int, seed: int) -> list[Point]:
    """The worst point found, then corners and Sobol points of the domain, `count` in all besides it."""
    dimension = len(claim.axes)
    if dimension == 0:
        return [worst.point]
    vertices = corners(dimension)
    vertices = vertices[np.linspace(0, len(vertices) - 1, min(len(vertices), count // 2)).round().astype(int)]
    unit = np.concatenate([vertices, sobol(dimension, count - len(vertices), seed + 1)])
    grid = claim.place(unit)
    return [worst.point, *(single(grid, i) for i in range(len(unit)))]


def _gather(claim: Claim, point: Point, route: Route, tail: float, effect: float, seed: int, purpose: str) -> _Evidence:
    """Measure at one point with as many replicates as power .95 at the given effect asks for."""
    n = claim.n if route == "exact law" else min(claim.n, DRAWN)
    deviation = counting_deviation(claim, n, route)
    if deviation is None:
        pilot = measure(claim, point, n, PILOT, _derived(seed, f"pilot/{purpose}"), route)
        # The spread of 8 replicates is uncertain: its upper 97.5% bound (chi-square, 7 degrees) is 2.04 times it.
        deviation = 2.04 * float(pilot.std(ddof=1))
    replicates = replicates_for(deviation, effect, tail / 2)
    replicates = min(replicates, MOST_REPLICATES)
    samples = measure(claim, point, n, replicates, _derived(seed, purpose), route)
    return _Evidence(point, samples, n, route, tail)


def _derived(seed: int, purpose: str) -> int:
    """A root seed of its own for a purpose, so that no measurement shares numbers with another."""
    from simulator.streams import numpy_stream

    return int(numpy_stream(seed, f"judge/{purpose}").integers(2**62))


def _reference(claim: Claim, point: Point) -> Any:
    """What the quantity was to be compared with."""
    worlds = worlds_at(point)
    if claim.relation == "iff":
        return claim.threshold(worlds) if callable(claim.threshold) else claim.threshold
    return claim.prediction(worlds)


def _number(value: Any) -> float:
    return float(np.asarray(value).reshape(()))
