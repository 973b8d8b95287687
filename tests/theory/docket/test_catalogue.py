"""The claims of the catalogue have distinct ids, valid points and finite violations."""

import numpy as np
import pytest

from experiments.court.worst_point import corners, probit_violation
from theory.claims.claim import Axis
from theory.docket.catalogue import CLAIMS
from theory.docket.common import REGIME

NAMES = [c.id for c in CLAIMS]
# Learners without a formula get few points here: these show only that they evaluate.
SLOW = {"infonce", "bayes", "logistic"}


def learners(claim) -> set[str]:
    return {s.name for s in (claim.subject, claim.against) if s is not None}


def named(id: str):
    return next(c for c in CLAIMS if c.id == id)


def cube(claim, count: int = 16) -> np.ndarray:
    """Corners and uniform points of the claim's unit cube."""
    d = len(claim.axes)
    return np.concatenate([corners(d), np.random.default_rng(0).random((count if d else 0, d))])


def test_ids_are_unique():
    assert len(set(NAMES)) == len(NAMES)
    assert all(id == id.strip().lower() and " " not in id for id in NAMES)


def test_placed_points_lie_in_the_domain():
    for claim in CLAIMS:
        assert np.all(claim.contains(claim.place(cube(claim)))), claim.id


def violations(claim, unit) -> np.ndarray:
    """v at rows of the unit cube; for a monotone relation, second points lie between the first points and the end."""
    if claim.dimension > unit.shape[1]:
        along = list(claim.axes).index(claim.along)
        unit = np.column_stack([0.9 * unit, 0.95 + 0.05 * unit[:, along]])
    return claim.true_violation(claim.relation.points(claim, unit))


@pytest.mark.parametrize("claim", [c for c in CLAIMS if not c.finite], ids=[n.id for n in CLAIMS if not n.finite])
def test_violations_are_finite_over_the_domain(claim):
    slow = learners(claim) & SLOW
    unit = cube(claim, 4)[-6:] if slow else cube(claim)
    values = violations(claim, unit)
    assert values.shape == (len(unit),)
    # A family may not reach a common accuracy, and a curve may be flat: most points are left.
    assert np.isfinite(values).mean() >= (0.6 if claim.quantity.placed else 1)
    probit = probit_violation(claim, claim.place(unit))
    assert probit is None or np.isfinite(probit).all()


def test_the_regime_is_the_papers():
    point = named("wang-theorem-6.2-error").place(cube(named("wang-theorem-6.2-error"), 500))
    assert {n for n, a in REGIME.items() if isinstance(a, Axis)} == {"sigma_inv", "sigma_spu", "mu_spu", "p_spu"}
    assert np.all(point["sigma_spu"] <= point["sigma_inv"])
    assert np.all(point["mu_spu"] >= 1 + point["sigma_inv"] ** 2 / 2)
    assert np.all(point["p_spu"] >= 0.99)
