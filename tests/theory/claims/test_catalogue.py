"""The claims on trial: complete, distinct, and sound where mathematics decides them."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.court.domain import dimension, finite, placed, true_violation
from simulator.world import SCALARS
from theory.claims.catalogue import claims
from theory.claims.claim import TOLERANCES, Axis
from theory.claims.common import REGIME

ALL = claims()
NAMES = [c.id for c in ALL]
# Learners without a formula are searched elsewhere; a handful of points shows that they evaluate at all.
SLOW = {"infonce", "bayes", "logistic"}


def learners(claim) -> set[str]:
    return {s.name for s in (claim.subject, claim.against) if s is not None}


def named(id: str):
    return next(c for c in ALL if c.id == id)


def cube(claim, count: int = 64) -> np.ndarray:
    """Corners and uniform points of the claim's unit cube."""
    d = len(claim.axes)
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * d)).reshape(d, -1).T if d else np.zeros((1, 0))
    return np.concatenate([corners, np.random.default_rng(0).random((count, d))])


def test_ids_are_unique():
    assert len(set(NAMES)) == len(NAMES)
    assert all(id == id.strip().lower() and " " not in id for id in NAMES)


@pytest.mark.parametrize("claim", ALL, ids=NAMES)
def test_every_claim_says_what_where_and_according_to_whom(claim):
    assert claim.source
    assert claim.statement.endswith(".")
    assert claim.formula
    assert claim.formula.count("{") == claim.formula.count("}")
    assert claim.tau > 0
    assert claim.quantity in TOLERANCES
    assert set(claim.domain) <= set(SCALARS)
    assert claim.along is None or claim.along in (*SCALARS, "n")


@pytest.mark.parametrize("claim", ALL, ids=NAMES)
def test_the_domain_map_stays_inside(claim):
    points = claim.place(cube(claim))
    for i in range(len(next(iter(points.values())))):
        assert claim.contains({name: float(values[i]) for name, values in points.items()})
    for name, axis in claim.domain.items():
        if isinstance(axis, Axis):
            low, high = axis.bounds(SimpleNamespace(**points))
            assert np.all(low <= high), name
            assert np.all((points[name] >= low) & (points[name] <= high)), name


def violations(claim, unit) -> np.ndarray:
    """v at rows of the unit cube; the second points of a monotone relation lie between the first ones and the end."""
    if dimension(claim) > unit.shape[1]:
        along = list(claim.axes).index(claim.along)
        unit = np.column_stack([0.9 * unit, 0.95 + 0.05 * unit[:, along]])
    return true_violation(claim, placed(claim, unit))


@pytest.mark.parametrize("claim", [c for c in ALL if not finite(c)], ids=[n.id for n in ALL if not finite(n)])
def test_violations_are_finite_over_the_domain(claim):
    slow = learners(claim) & SLOW
    unit = cube(claim, 4)[-6:] if slow else cube(claim)
    values = violations(claim, unit)
    assert values.shape == (len(unit),)
    assert np.isfinite(values).all()
    probit = claim.probit_violation(claim.worlds(unit))
    assert probit is None or np.isfinite(probit).all()


# Equivalences and equalities that theory.md proves: never off by more than tau anywhere we look.
PROVED = [
    c
    for c in ALL
    if c.source.startswith("soberclip")
    and not learners(c) & SLOW
    and c.id not in ("view-noise", "reliance-grows-with-correlation-mean", "paper-condition-sufficient")
    and not c.id.startswith("wang-half-correlation/")
    and c.quantity != "minimiser-rate"
    and not finite(c)
]


@pytest.mark.parametrize("claim", PROVED, ids=[c.id for c in PROVED])
def test_proved_claims_hold_on_a_dense_sample(claim):
    assert violations(claim, cube(claim, 2000)).max() <= claim.tau


@pytest.mark.parametrize("group", ["common", "counter"])
def test_xue_needs_no_correction(group):
    claim = named(f"xue-data-model-1/{group}")
    assert violations(claim, cube(claim, 2000)).max() < 1e-12


@pytest.mark.parametrize(
    ("id", "at_least"),
    [
        ("wang-lemma-d3", 0.3),
        ("wang-half-correlation/error", 0.1),
        ("wang-half-correlation/accuracy", 0.05),
        ("paper-condition-sufficient", 0.1),
    ],
)
def test_claims_that_theory_refutes_fail_somewhere(id, at_least):
    claim = named(id)
    assert violations(claim, cube(claim, 500)).max() > at_least


@pytest.mark.parametrize("id", ["wang-theorem-6.2-error", "wang-theorem-6.2-accuracy"])
def test_theorem_62_in_its_regime_and_at_full_correlation(id):
    claim = named(id)
    unit = cube(claim, 2000)
    at_one = {**claim.place(unit), "p_spu": np.ones(len(unit))}
    assert true_violation(claim, at_one).max() < 1e-12  # fact (i)


def test_the_regime_is_the_papers():
    point = named("wang-theorem-6.2-error").place(cube(named("wang-theorem-6.2-error"), 500))
    assert {n for n, a in REGIME.items() if isinstance(a, Axis)} == {"sigma_inv", "sigma_spu", "mu_spu", "p_spu"}
    assert np.all(point["sigma_spu"] <= point["sigma_inv"])
    assert np.all(point["mu_spu"] >= 1 + point["sigma_inv"] ** 2 / 2)
    assert np.all(point["p_spu"] >= 0.99)
