"""Claims that hold somewhere, or on average, rather than in every world of their domain.

Both use the worlds from which the search for a worst point starts (`worst_point.drawn`). So all
readings of one sentence are tried at the same worlds, which are drawn evenly over the domain's
axes, each on its own scale.

somewhere   supported if, at the world of the set where the closed form has most slack, new data
            show that the claim holds by more than tau ("=": to within tau); else undecided, because
            no set of worlds shows that a claim holds nowhere
on average  about the mean of the quantity over the worlds of the domain where it has a value, by
the closed form:
            supported if its violation is bounded below tau, contradicted if above; the interval is
            about which worlds were drawn

A decision is wrong with probability alpha/2 at most.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from experiments.court.decision import Decision, Ruling, p_value, violation_bounds
from experiments.court.measured import Measured, gather
from experiments.court.worst_point import KEPT, Worst, corners, drawn, nowhere_defined, roundest
from experiments.finite_samples import Unmeasurable
from experiments.inference import Sample
from experiments.verdict import cannot_be_judged
from simulator.accuracy import LEVEL
from theory.claims.claim import Claim
from theory.claims.relations import single

WORLDS, SLOW_WORLDS = 4096, 1024  # the latter where accuracies are no formulas
CURVE_WORLDS = 512  # where each world needs its ideal curve
COARSE = 16  # halvings for a p-value to one percent, where a bound takes 20 milliseconds


def finding(
    ruling: Ruling, searched: Worst, sample: Measured | None = None, **further: Any
) -> dict[str, Any]:
    """The fields of a verdict that say what was searched and what was measured."""
    decision, reason = ruling
    point = searched.point or None
    words = {
        "verdict": decision,
        "reason": reason,
        "worst": point,
        "point": point,
        "search_evaluations": searched.evaluations,
        "undefined": searched.undefined,
        "largest_violation_found": searched.violation,
    }
    return words | (sample.fields if sample else {}) | further


def worlds_for(claim: Claim, seed: int) -> np.ndarray:
    """Points of the unit cube."""
    formulas = all("exact" in learner.routes() for learner in claim.learners)
    on_curve = claim.quantity.placed and not claim.quantity.family
    return drawn(
        len(claim.axes), CURVE_WORLDS if on_curve else WORLDS if formulas else SLOW_WORLDS, seed
    )


def somewhere(claim: Claim, alpha: float, seed: int) -> dict[str, Any]:
    """Measure where the closed form has most slack."""
    points = claim.place(np.concatenate([corners(len(claim.axes)), worlds_for(claim, seed)]))
    v = claim.true_violation(points)
    if not np.isfinite(v).any():
        raise nowhere_defined(claim, Worst(single(points, 0), np.nan, v.size, v.size))
    least = int(np.nanargmin(v))
    best = Worst(single(points, least), float(v[least]), v.size, int(np.isnan(v).sum()))
    limit = -claim.tau if claim.relation.side else claim.tau
    if best.violation >= limit:
        why = (
            f"at {v.size} points the smallest violation by theory is {best.violation:.4g}, not"
            f" below {limit:g}"
        )
        return finding(("undecided", f"{why}; other points are not covered"), best)
    needed = KEPT * (limit - best.violation) - limit
    point = roundest(claim, best, needed, lambda p: -float(claim.true_violation(p)[0]))
    try:
        sample = gather(claim, point, limit, alpha / 2, "somewhere", seed)
    except Unmeasurable as error:
        return finding(("undecided", str(error)), best)
    high = float(sample.violation().high)
    word: Decision = "supported" if high < limit else "undecided"
    return finding(
        (word, f"at the best point the violation is at most {high:.4g}; {limit:g} is needed"),
        best,
        sample,
    )


def on_average(claim: Claim, alpha: float, seed: int) -> dict[str, Any]:
    """The mean over the domain, estimated from the drawn worlds by the closed form."""
    unit = worlds_for(claim, seed)
    points = claim.place(unit)
    worlds = claim.at(points)
    # The violation of "at most 0" is the quantity itself.
    values = replace(claim, relation="<=", prediction=lambda _: 0.0).true_violation(points)
    bound = np.unique(claim.value_of("prediction", worlds))
    support = claim.support
    if support is None or len(bound) > 1:
        raise cannot_be_judged(
            claim, "a mean over worlds needs a bounded quantity and a prediction that is one number"
        )
    defined = np.isfinite(values)
    if not defined.any() or not np.all(claim.relation.inside(claim, points)):
        raise cannot_be_judged(
            claim, f"{claim.quantity} is not defined in the worlds of its domain"
        )
    sample = Sample(np.clip(values[defined], *support), support=support)
    target = float(bound[0])
    bounds = partial(violation_bounds, claim.relation.side, sample.bounds, target)
    low, high = bounds(alpha / 2)
    interval = sample.bounds((1 - LEVEL) / 2)
    mean = float(np.ravel(claim.violation(np.array([sample.mean]), worlds[[0]]))[0])
    searched = Worst({}, mean, len(unit), int((~defined).sum()))
    where = (
        f"over {defined.sum()} worlds the violation is {mean:.4g} on average, and over the domain"
        " between"
    )
    word: Decision = (
        "supported" if high < claim.tau else "contradicted" if low > claim.tau else "undecided"
    )
    against = None
    if word == "contradicted":
        against = p_value(
            lambda tails: np.array([bounds(float(tail)).low for tail in tails]), claim.tau, COARSE
        )
    return finding(
        (word, f"{where} {low:.4g} and {high:.4g}; {claim.tau:g} is allowed"),
        searched,
        predicted=target,
        measured=sample.mean,
        interval=[*map(float, interval)],
        route="closed form",
        n=claim.n,
        replicates=sample.size,
        p_value=against,
    )
