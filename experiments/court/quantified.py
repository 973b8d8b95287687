"""Claims that hold somewhere, or on average, rather than in every world of their domain.

Both use the worlds from which the search for a worst point starts (`worst_point.drawn`). So all readings of one
sentence are tried at the same worlds, which are drawn evenly over the domain's axes, each on its own scale.

somewhere   supported if, at the world of the set where the closed form has most slack, new data show that the claim
            holds by more than tau ("=": to within tau); else undecided, because no set of worlds shows that a claim
            holds nowhere
on average  about the mean of the quantity over the worlds of the domain where it has a value, by the closed form:
            supported if its violation is bounded below tau, contradicted if above; the interval is about which worlds
            were drawn

A decision is wrong with probability alpha/2 at most.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from experiments.court.decision import POWER, Decision, Ruling, violation_bounds
from experiments.court.measurement import Design, Evidence, gather
from experiments.court.worst_point import KEPT, Worst, corners, drawn, roundest
from experiments.finite_samples import Unmeasurable
from experiments.inference import Bounds, Sample
from experiments.verdict import cannot_be_judged
from theory.claims.claim import Claim
from theory.claims.relations import single

WORLDS, SLOW_WORLDS = 4096, 1024  # the latter where accuracies are no formulas
CURVE_WORLDS = 512  # where each world needs its ideal curve


class Finding(NamedTuple):
    """What a trial found: the decision, the evidence that is shown, and the bounds at audited points."""

    ruling: Ruling
    searched: Worst
    shown: Evidence | None
    against: Evidence | None = None  # the evidence that the p-value is about
    bounds: tuple[Bounds, ...] = ()


def worlds_for(claim: Claim, seed: int) -> np.ndarray:
    """Points of the unit cube."""
    formulas = all(learner.has_exact_law() for learner in claim.learners)
    on_curve = claim.quantity.placed and not claim.quantity.family
    return drawn(len(claim.axes), CURVE_WORLDS if on_curve else WORLDS if formulas else SLOW_WORLDS, seed)


def somewhere(claim: Claim, alpha: float, seed: int) -> Finding:
    """Measure where the closed form has most slack."""
    points = claim.place(np.concatenate([corners(len(claim.axes)), worlds_for(claim, seed)]))
    v = claim.true_violation(points)
    if not np.isfinite(v).any():
        raise cannot_be_judged(claim, f"{claim.quantity} minus its prediction is defined at none of {v.size} points")
    least = int(np.nanargmin(v))
    best = Worst(single(points, least), float(v[least]), v.size, int(np.isnan(v).sum()))
    limit = -claim.tau if claim.relation.side else claim.tau
    if best.violation >= limit:
        why = f"at {v.size} points the smallest violation by theory is {best.violation:.4g}, not below {limit:g}"
        return Finding(Ruling("undecided", f"{why}; other points are not covered"), best, None)
    needed = KEPT * (limit - best.violation) - limit
    point, found = roundest(claim, best, needed, lambda p: -float(claim.true_violation(p)[0]))
    try:
        shown = gather(claim, Design(point, limit + found, alpha / 2, 1 - POWER, "somewhere"), seed)
    except Unmeasurable as error:
        return Finding(Ruling("undecided", str(error)), best, None)
    high = float(shown.bounds(alpha / 2).high)
    word: Decision = "supported" if high < limit else "undecided"
    return Finding(
        Ruling(word, f"at the best point the violation is at most {high:.4g}; {limit:g} is needed"), best, shown
    )


def on_average(claim: Claim, alpha: float, seed: int) -> Finding:
    """The mean over the domain, estimated from the drawn worlds by the closed form."""
    unit = worlds_for(claim, seed)
    points = claim.place(unit)
    worlds = claim.at(points)
    # The violation of "at most 0" is the quantity itself.
    values = replace(claim, relation="<=", prediction=lambda _: 0.0).true_violation(points)
    bound = np.unique(claim.given("prediction", worlds))
    support = claim.support
    if support is None or len(bound) > 1:
        raise cannot_be_judged(claim, "a mean over worlds needs a bounded quantity and a prediction that is one number")
    defined = np.isfinite(values)
    if not defined.any() or not np.all(claim.relation.inside(claim, points)):
        raise cannot_be_judged(claim, f"{claim.quantity} is not defined in the worlds of its domain")
    sample = Sample(np.clip(values[defined], *support), support=support)
    target = float(bound[0])
    bounds = partial(violation_bounds, claim.relation.side, sample.bounds, target)
    shown = Evidence({}, sample, claim.n, "closed form", target, bounds, None)
    low, high = bounds(alpha / 2)
    mean = float(np.ravel(claim.violation(np.array([sample.mean]), worlds[[0]]))[0])
    searched = Worst({}, mean, len(unit), int((~defined).sum()))
    where = f"over {defined.sum()} worlds the violation is {mean:.4g} on average, and over the domain between"
    word: Decision = "supported" if high < claim.tau else "contradicted" if low > claim.tau else "undecided"
    against = shown if word == "contradicted" else None
    return Finding(
        Ruling(word, f"{where} {low:.4g} and {high:.4g}; {claim.tau:g} is allowed"), searched, shown, against
    )
