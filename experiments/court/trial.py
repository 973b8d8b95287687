"""judge(claim) -> Verdict: search for the worst point, measure afresh, decide.

The order matters: the points, n, the looks and the streams are fixed before any measurement that
counts.
"""

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from experiments.court.arms import drawable
from experiments.court.certificates import apply_proof, proof_of
from experiments.court.decision import decide
from experiments.court.measured import Measured, estimates, gather
from experiments.court.quantified import finding, on_average, somewhere
from experiments.court.worst_point import (
    KEPT,
    Worst,
    by_formula,
    by_measurement,
    corners,
    nowhere_defined,
    roundest,
    sobol,
)
from experiments.errors import SoberclipError
from experiments.finite_samples import Unmeasurable
from experiments.user_code import comes_from
from experiments.verdict import ALPHA, Verdict, cannot_be_judged, words_of
from simulator.accuracy import LEVEL
from simulator.progress import tell
from theory.claims.claim import BadValue, Claim, NoWorld, in_words_of
from theory.claims.relations import Point, single

AUDIT_POINTS = 32  # besides the worst point
QUICK_AUDIT_POINTS = 4
PROOF_SECONDS = 60.0


def judge(
    claim: Claim,
    *,
    seed: int = 0,
    quick: bool = False,
    error_rate: float | None = None,
    prove: bool = False,
    proof_seconds: float = PROOF_SECONDS,
    certificates: Path | None = None,
) -> Verdict:
    """Put one claim on trial.

    Parameters
    ----------
    claim : Claim
    seed
        Root of every stream.
    quick
        Whether to audit 4 points instead of 32 (the verdict says how many).
    error_rate
        alpha: a contradiction is wrong with probability at most alpha/2; by default .01.
    prove
        Whether to also prove or refute the closed form over the whole domain; `Verdict.proof` has
        the result. The prediction must consist of +, -, *, /, powers, sqrt, exp and Phi of fields
        of the world (see the README).
    proof_seconds
        Wall-clock limit of the proof. A proof that is not finished by then changes nothing.
    certificates
        Folder to which the certificate is written.

    Raises
    ------
    ValueError
        For an error rate outside (0, 1).
    RequestError
        If the quantity is defined nowhere, or a prediction, threshold or reference fails on the
        domain's worlds.
    """
    alpha = ALPHA if error_rate is None else error_rate
    if not 0 < alpha < 1:
        raise ValueError(f"error rate {alpha} lies outside (0, 1); .01 is usual")
    try:
        proof = proof_of(claim, proof_seconds, certificates) if prove else None
        began = perf_counter()
        tell(f"{claim.id}: searching")
        match claim.quantifier:
            case "always":
                worst = (by_measurement if claim.finite else by_formula)(claim, seed)
                worst = _alone(claim, worst, proof and proof["counterexample"])
                outcome = _everywhere(claim, worst, alpha, seed, quick)
            case "somewhere":
                outcome = somewhere(claim, alpha, seed)
            case "on average":
                outcome = on_average(claim, alpha, seed)
        if proof is not None:
            outcome["verdict"], outcome["reason"] = apply_proof(
                (outcome["verdict"], outcome["reason"]), proof
            )
        return Verdict(
            **words_of(claim),
            **outcome,
            level=LEVEL,
            alpha=alpha,
            tau=claim.tau,
            seconds=round(perf_counter() - began, 3),
            formula=claim.formula,
            quantity=claim.quantity.name,
            relation=claim.relation.name,
            quantifier=claim.quantifier,
            share=claim.share,
            seed=seed,
            proof=proof,
        )
    except (NoWorld, BadValue) as error:
        raise cannot_be_judged(claim, str(error)) from error
    except SoberclipError:
        raise
    except (Exception, SystemExit) as error:
        if comes_from(claim.subject, error) or comes_from(claim.against, error):
            raise cannot_be_judged(claim, in_words_of(error)) from error
        raise


def _alone(claim: Claim, worst: Worst, refuting: dict[str, float] | None) -> Worst:
    """The worst point, or the one where a proof refutes the claim; its violation must be the same
    without others.
    """
    if not np.isfinite(worst.violation):
        raise nowhere_defined(claim, worst)
    if refuting and refuting.keys() == worst.point.keys():
        violation = float(claim.true_violation(refuting)[0])
        if violation > worst.violation:  # in a thin region that the search has missed
            worst = worst._replace(point=refuting, violation=violation)
    if claim.axes and not claim.finite:  # a domain of one point was tried alone
        alone = float(claim.true_violation(worst.point)[0])
        if not abs(alone - worst.violation) <= claim.tau:
            why = (
                f"its violation at one point is {worst.violation:.4g} beside other points and"
                f" {alone:.4g} alone"
            )
            raise cannot_be_judged(claim, f"{why}; a prediction must depend on its world only")
    return worst


def _everywhere(claim: Claim, worst: Worst, alpha: float, seed: int, quick: bool) -> dict[str, Any]:
    """Measure at the worst point if it violates the claim, and else audit it and further points."""
    if worst.violation > claim.tau:
        return _at_worst(claim, worst, alpha, seed)
    count = QUICK_AUDIT_POINTS if quick else AUDIT_POINTS
    points = audits(claim, worst, count, seed) if worst.violation < claim.tau else []
    samples = list[Measured]()
    obstacles = list[str]()
    for i, point in enumerate(points):
        tell(f"{claim.id}: measuring at point {i + 1} of {len(points)}")
        try:
            samples.append(
                gather(claim, point, claim.tau, alpha / 2 / len(points), f"audit/{i}", seed)
            )
        except Unmeasurable as error:
            obstacles.append(str(error))
    bounds = [each.violation() for each in samples]
    obstacles += [each.note for each in samples if each.note]
    decision, _ = ruling = decide(
        None, bounds, worst.violation, claim.tau, [*dict.fromkeys(obstacles)]
    )
    highs = [float(bound.high) for bound in bounds]
    sample = samples[-1 if decision == "supported" else int(np.argmax(highs))] if samples else None
    largest = max(highs, default=np.inf)
    bounded = largest if np.isfinite(largest) else None
    return finding(ruling, worst, sample, audits=len(bounds), largest_violation_bounded=bounded)


def _at_worst(claim: Claim, worst: Worst, alpha: float, seed: int) -> dict[str, Any]:
    """Measure where the claim fails by its closed form, on drawn pairs where so many can be
    drawn.
    """
    point = _near(claim, _within_reach(claim, worst, seed), seed)
    tell(f"{claim.id}: measuring at point 1 of 1")
    try:
        sample = gather(claim, point, claim.tau, alpha / 2, "worst", seed, drawn=True)
    except Unmeasurable as error:
        return finding(decide(None, [], worst.violation, claim.tau, [str(error)]), worst)
    notes = [sample.note] if sample.note else []
    decision, _ = ruling = decide(sample.violation(), [], worst.violation, claim.tau, notes)
    counterexample = sample.arms.point or None if decision == "contradicted" else None
    return finding(ruling, worst, sample, p_value=sample.p_value, counterexample=counterexample)


def _within_reach(claim: Claim, worst: Worst, seed: int) -> Worst:
    """The worst point that can be measured. Learners without an exact law need pairs that can be
    drawn.
    """

    def drawable_violation(claim: Claim, points: Point) -> np.ndarray:
        reached = [drawable(leg.worlds, leg.n) for leg in claim.relation.legs(claim, points)]
        return np.where(np.all(reached, axis=0), claim.true_violation(points), -np.inf)

    fitted = any(not learner.routes() & {"exact", "images"} for learner in claim.learners)
    if claim.finite or not fitted or np.isfinite(drawable_violation(claim, worst.point)).all():
        return worst
    reachable = by_formula(claim, seed, [drawable_violation])
    return reachable if reachable.violation > claim.tau else worst


def _near(claim: Claim, worst: Worst, seed: int) -> dict[str, float]:
    """The worst point, or a rounder point near by that fails almost as much."""

    def violation(point):
        ends = (
            estimates(claim, point, 4096, seed, 99) if claim.finite else claim.true_violation(point)
        )
        return float(ends[0])

    excess = worst.violation - claim.tau
    return roundest(claim, worst, claim.tau + min(KEPT * excess, 2 * claim.tau), violation)


def audits(claim: Claim, worst: Worst, count: int, seed: int) -> list[dict[str, float]]:
    """The worst point and up to `count` corners and Sobol points of the domain.

    Points where the population's quantity is undefined are left out, as the search leaves them out.
    """
    if not (d := claim.dimension):
        return [worst.point]
    vertices = corners(d)
    vertices = vertices[
        np.linspace(0, len(vertices) - 1, min(len(vertices), count // 2)).round().astype(int)
    ]
    grid = claim.relation.points(claim, np.concatenate([vertices, sobol(d, 2 * count, seed + 1)]))
    # The closed form is -inf outside the domain.
    v = (
        np.where(claim.relation.inside(claim, grid), 0.0, -np.inf)
        if claim.finite
        else claim.true_violation(grid)
    )
    return [worst.point, *(single(grid, int(i)) for i in np.flatnonzero(np.isfinite(v))[:count])]
