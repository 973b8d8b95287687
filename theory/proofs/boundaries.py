"""Boundaries between worlds, enclosed: where two learners are equally robust, where a printed inequality turns.

Both are zeros of formulas that theory evaluates, recorded and enclosed along one axis by `theory.proofs.roots`; the
other fields take one value a line.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulator.accuracy import Numbers
from theory.boundary import inequality_margins
from theory.learners.base import Learner
from theory.proofs.expression import Expression, NotExpressible, constant, variable
from theory.proofs.roots import Roots, roots
from theory.proofs.statements import quantity, score, worlds_of


def lead(first: Learner, second: Learner, fields: Mapping[str, Any]) -> Expression:
    """Counter accuracy of one learner minus that of another as a formula, both through Phi's inverse: a z-score.

    It vanishes exactly where the accuracies are equal, and it does not saturate.
    """
    if len(fields.get("attribute", ())) or fields.get("p_inv", 1.0) != 1.0:
        raise NotExpressible("only worlds with one background and p_inv = 1 have formulas of this kind")
    world = worlds_of(fields)
    try:
        one, two = (score(quantity("counter", learner, world)) for learner in (first, second))
    except NotExpressible:
        raise
    except ValueError as error:  # a learner's own words
        raise NotExpressible(str(error)) from error
    return one - two


def equally_robust(
    first: Learner,
    second: Learner,
    fields: Mapping[str, Any],
    along: str,
    low: float,
    high: float,
    **others: Numbers | Sequence[float],
) -> Roots:
    """Where along one field two learners are equally accurate on the counter group, enclosed to 1e-6."""
    formula = lead(first, second, {**fields, **{name: variable(name) for name in (along, *others)}})
    return roots(formula, along, low, high, {name: np.asarray(x, float) for name, x in others.items()})


def turning_points(
    along: str = "p_spu", low: float = 0.5, high: float = 1.0, **others: Numbers | Sequence[float]
) -> tuple[Roots, Roots]:
    """Where the printed inequalities of [W] Theorem 6.2 turn (error, accuracy), a line a world.

    `theory.boundary.turning_points` finds one turn in p_spu by bisection; here every turn along a field is enclosed to
    1e-6, and all else proved to be none. At mu_spu = 1 both margins vanish throughout: nothing is decided there.
    """
    given = np.broadcast_arrays(*(np.asarray(x, float) for x in others.values()))
    lines = dict(zip(others, map(np.ravel, given), strict=True))
    margins = inequality_margins(*map(variable, ("p_spu", "mu_spu", "sigma_inv", "sigma_spu")))
    return tuple(roots(constant(margin), along, low, high, lines) for margin in margins)
