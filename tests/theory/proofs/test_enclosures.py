"""Whole formulas of the docket: their values and slopes at points of a box lie in the prover's intervals over the box,
and in the balls of the checker.

The values are balls of 128 bits. Boxes go down to those of no width, over which an interval is as wide as its rounding
and no wider.
"""

from functools import cache

import numpy as np
import pytest
from flint import ctx
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from theory.claims.catalogue import CLAIMS
from theory.proofs import checker, expression, intervals
from theory.proofs.expression import Expression, NotExpressible, evaluate
from theory.proofs.statements import Statement, statements

EXAMPLES, BOXES, POINTS = 2, 30, 10  # points of a box
DEPTHS = st.sampled_from([0, 1, 2, 3, 5, 8, 20, 50, None])  # halvings of an axis; None: a point
CHECKER = (checker.QUICK, checker.TIGHT)
NAMES = ("later", "mention_inv", "mention_spu", "mu_spu", "p_spu", "sigma_inv", "sigma_spu", "sigma_xi")


@cache
def docket() -> list[Statement]:
    """Of all claims that arithmetic says."""
    found = []
    for claim in CLAIMS:
        try:
            found += statements(claim)
        except NotExpressible:
            continue
    return found


@cache
def violations() -> list[tuple[list[Expression], list[Expression]]]:
    """Each formula twice, for the prover and for the checker."""
    every = {e for statement in docket() for v in statement.violations for e in v if e is not None}
    return [([e], [e]) for e in every]


@cache
def obligations() -> list[tuple[list[Expression], list[Expression]]]:
    """Each with its slopes, those of the prover and those of the checker."""
    every = {(each, *o.coordinates) for statement in docket() for o in statement.obligations for each in o.alternatives}
    sides = (expression.gradient, checker.gradient)
    return [
        tuple([e.left_side(gradient), *gradient(e.left_side(gradient), names)] for gradient in sides)
        for e, *names in every
    ]


@st.composite
def points_in_boxes(draw) -> dict[str, np.ndarray]:
    """By coordinate: ends (2, BOXES, 1) of boxes of the prover's kind, and points (BOXES, POINTS) in them, exactly."""
    share = np.random.default_rng(draw(st.integers(0, 2**32))).random
    found = {}
    for name in NAMES:
        depths = draw(st.lists(DEPTHS, min_size=BOXES, max_size=BOXES))
        width = np.array([[0.0 if depth is None else 0.5**depth] for depth in depths])
        step = np.where(width > 0, width, 0.5**50)
        low = np.floor(share((BOXES, 1)) / step) * step
        points = np.clip(low + width * share((BOXES, POINTS)), low, low + width)
        found[name] = np.stack([low, low + width]), points
    return found


@pytest.mark.parametrize("formulas", [violations, obligations])
@given(drawn=points_in_boxes())
@settings(max_examples=EXAMPLES, phases=[Phase.generate])  # a failing example shrinks for minutes
def test_what_formulas_and_slopes_are_lies_in_their_enclosures(formulas, drawn):
    over = {name: intervals.Interval(*ends) for name, (ends, _) in drawn.items()}
    balls = {name: checker.UNION(*map(checker.BALL, ends)) for name, (ends, _) in drawn.items()}
    at = {name: checker.BALL(points) for name, (_, points) in drawn.items()}
    assert EXAMPLES * BOXES * POINTS * len(formulas()) >= 5e4
    for ours, theirs in formulas():
        with ctx.workprec(checker.BITS), np.errstate(all="ignore"):
            values = evaluate(theirs, checker.QUICK, at)
            enclosures = evaluate(ours, intervals.RULES, over)
            enclosures += [(ball, ball) for rules in CHECKER for ball in evaluate(theirs, rules, balls)]
        for (low, high), value in zip(enclosures, values * (1 + len(CHECKER)), strict=True):
            assert not np.any((value < low) | (value > high)), ours[0]  # ends are met by balls of numbers equal to them
