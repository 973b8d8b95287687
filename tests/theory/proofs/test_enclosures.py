"""Values and slopes of all formulas at points of a box lie in the prover's intervals and in the
checker's balls.
"""

from functools import cache

import numpy as np
import pytest
from flint import ctx
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from theory.docket.catalogue import CLAIMS
from theory.proofs import checker, expression, intervals
from theory.proofs.expression import Expression, NotExpressible, evaluate
from theory.proofs.statements import Statement, statements

EXAMPLES, BOXES, POINTS = 2, 30, 4  # points per box
# halvings of an axis; None: a box of no width
DEPTHS = st.sampled_from([0, 1, 2, 3, 5, 8, 20, 50, None])
CHECKER = (checker.QUICK, checker.TIGHT)
FIELDS = (
    "bare detail_inv detail_spu mention_inv mention_spu mu_spu p_spu sigma_inv sigma_spu sigma_xi"
)
NAMES = ("later", *FIELDS.split())


@cache
def catalogue() -> list[Statement]:
    """Statements of all claims of the catalogue that are arithmetic."""
    found = []
    for claim in CLAIMS:
        try:
            found += statements(claim)
        except NotExpressible:
            continue
    return found


@cache
def violations() -> list[tuple[list[Expression], list[Expression]]]:
    """Each formula of a violation as a pair, for the prover and for the checker."""
    every = {
        e for statement in catalogue() for v in statement.violations for e in v if e is not None
    }
    return [([e], [e]) for e in every]


@cache
def obligations() -> list[tuple[list[Expression], list[Expression]]]:
    """Each obligation with its slopes by the prover, and with those by the checker."""
    mine = [o for s in catalogue() for o in s.obligations[: len(s.violations)]]
    every = {(each, *o.coordinates) for o in mine for each in o.alternatives}
    sides = (expression.gradient, checker.gradient)
    return [
        tuple(
            [e.left_side(gradient), *gradient(e.left_side(gradient), names)] for gradient in sides
        )
        for e, *names in every
    ]


@st.composite
def points_in_boxes(draw) -> dict[str, np.ndarray]:
    """Per coordinate: exact ends (2, BOXES, 1) of the prover's boxes, and points (BOXES, POINTS) in
    them.
    """
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
def test_formulas_and_slopes_lie_in_their_enclosures(formulas, drawn):
    over = {name: intervals.Enclosure(*ends) for name, (ends, _) in drawn.items()}
    balls = {name: checker.UNION(*map(checker.BALL, ends)) for name, (ends, _) in drawn.items()}
    at = {name: checker.BALL(points) for name, (_, points) in drawn.items()}
    assert EXAMPLES * BOXES * POINTS * len(formulas()) >= 2e4
    for ours, theirs in formulas():
        with ctx.workprec(checker.BITS), np.errstate(all="ignore"):
            values = evaluate(theirs, checker.QUICK, at)
            enclosures = evaluate(ours, intervals.RULES, over)
            enclosures += [
                (ball, ball) for rules in CHECKER for ball in evaluate(theirs, rules, balls)
            ]
        for (low, high), value in zip(enclosures, values * (1 + len(CHECKER)), strict=True):
            # a ball may touch an end that it equals
            assert not np.any((value < low) | (value > high)), ours[0]
