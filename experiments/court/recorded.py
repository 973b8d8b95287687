"""Whether the formula that a proof is about is the one that the trial evaluates.

A proof records the claim's prediction and its learners' `weights`; the trial evaluates the prediction and the learners'
`direction` or `accuracy`. For learners of the project tests hold the two together. Of a user's own claim nobody knows:
a prediction may ask what kind of number it is given, and a learner may inherit `weights` and change `direction`. So
both are compared in floats at points of the domain, each time that a proof is to count.
"""

import numpy as np

from experiments.court.points import LATER, MONOTONE, true_violation
from theory.claims.claim import Claim
from theory.proofs.counterexample import FLOATS
from theory.proofs.expression import evaluate, variable, variables
from theory.proofs.statements import LATER as LATER_COORDINATE
from theory.proofs.statements import Statement, statements

POINTS = 64  # of each case
ROUNDING = 1e-6  # logistic directions are found to 1e-9, and 0/0 is near at some edges


def unlike(claim: Claim) -> str | None:
    """Where the recorded violation differs from the closed form's, in a sentence; None if it does at no point tried."""
    for statement in statements(claim):
        recorded, point = _recorded(claim, statement)
        trial = true_violation(claim, point)
        wrong = np.isfinite(trial) & ~(np.abs(recorded - trial) <= ROUNDING * np.maximum(1, np.abs(trial)))
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            where = ", ".join(f"{name} = {value[first]:.4g}" for name, value in point.items())
            return (
                f"the formula that its fields record gives a violation of {recorded[first]:.4g} at {where}, and the "
                f"trial {trial[first]:.4g}"
            )
    return None


def _recorded(claim: Claim, statement: Statement) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The statement's violation at uniform points of its domain, and these as the court writes points."""
    fields = dict(statement.fields)
    if claim.relation in MONOTONE:
        ahead = variable(claim.along) + (1 - variable(claim.along)) * variable(LATER_COORDINATE)
        low, high = claim.axes[claim.along].bounds()
        fields[claim.along + LATER] = low + (high - low) * ahead
    wanted = [part for violation in statement.violations for part in violation if part is not None]
    names = sorted(set(variables(*wanted, *fields.values())))
    draw = np.random.default_rng(0)
    unit = {name: draw.random(POINTS) for name in names}

    def numbers(e):
        return np.broadcast_to(evaluate([e], FLOATS, unit)[0], POINTS)

    with np.errstate(all="ignore"):
        violations = [
            np.where(True if each.where is None else numbers(each.where) > 0, numbers(each.v), -np.inf)
            for each in statement.violations
        ]
        return np.max(violations, axis=0), {name: np.array(numbers(value)) for name, value in fields.items()}
