"""The claims of the catalogue have distinct ids, valid points and finite violations."""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments.court.worst_point import corners, probit_violation
from theory.claims.claim import Axis
from theory.docket import combinations, detail, remedies
from theory.docket.catalogue import CLAIMS, TRAINED
from theory.docket.common import REGIME

BY_ID = {claim.id: claim for claim in CLAIMS}
RECORD = dict(line.split(",") for line in (Path(__file__).parents[2] / "verdicts.csv").read_text().splitlines())
DECIDED = {claim.id for part in (remedies, combinations, detail) for claim in part.CLAIMS}
EXTREME = {"always": np.nanmax, "somewhere": np.nanmin, "on average": np.nanmean}
# Learners without a formula get few points here: these show only that they evaluate.
SLOW = {"infonce", "bayes", "logistic"}


def cube(d: int, count: int = 16) -> np.ndarray:
    """Corners and uniform points of a unit cube."""
    return np.concatenate([corners(d), np.random.default_rng(0).random((count if d else 0, d))])


def test_ids_are_unique_and_statements_are_sentences():
    assert len(BY_ID) == len(CLAIMS)
    assert all(id == id.strip().lower() and " " not in id for id in BY_ID)
    for claim in (*CLAIMS, *TRAINED):
        assert re.fullmatch(r"[A-Z\[](?!.*%s).*[^ .]\.", claim.statement), claim.id


def test_placed_points_lie_in_the_domain():
    for claim in CLAIMS:
        assert np.all(claim.contains(claim.place(cube(len(claim.axes))))), claim.id


UNLIMITED = [
    pytest.param(claim, id=claim.id, marks=[pytest.mark.deep] * bool(getattr(claim.subject, "scale", None)))
    for claim in CLAIMS
    if not claim.finite
]


@pytest.mark.parametrize("claim", UNLIMITED)
def test_closed_forms_have_values_and_decide_as_the_record_says(claim):
    """Corners and a few points of some parts of the docket suffice for its verdicts."""
    decided = claim.id in DECIDED
    few = SLOW & {rule.name for rule in claim.learners} and not decided
    unit = cube(claim.dimension, 4)[-6:] if few else cube(claim.dimension)
    values = claim.true_violation(claim.relation.points(claim, unit))
    assert values.shape == (len(unit),)
    # A family may not reach a common accuracy, and a curve may be flat: most points are left.
    assert np.mean(~np.isnan(values)) >= (0.6 if claim.quantity.placed else 1)
    assert np.isfinite(values).any()
    if decided:
        assert (EXTREME[claim.quantifier](values) > claim.tau) == (RECORD[claim.id] == "contradicted")
    if claim.quantifier == "always" and RECORD[claim.id] in ("supported", "proved"):
        assert np.nanmax(values) <= claim.tau
    probit = probit_violation(claim, claim.place(cube(len(claim.axes))))
    assert probit is None or np.isfinite(probit).all()


def test_the_regime_is_the_papers():
    claim = BY_ID["wang-theorem-6.2-error"]
    point = claim.place(cube(len(claim.axes), 500))
    assert {n for n, a in REGIME.items() if isinstance(a, Axis)} == {"sigma_inv", "sigma_spu", "mu_spu", "p_spu"}
    assert np.all(point["sigma_spu"] <= point["sigma_inv"])
    assert np.all(point["mu_spu"] >= 1 + point["sigma_inv"] ** 2 / 2)
    assert np.all(point["p_spu"] >= 0.99)


@pytest.mark.parametrize(
    ("id", "number", "ends"),
    [
        ("view-noise", "nu_image", (0, 1)),
        ("paper-condition-sufficient", "p_spu", (0.5, 1)),
        ("dimension-not-needed", "dim_image", (2, 1000)),
    ],
)
def test_a_domain_ends_where_its_statement_says(id, number, ends):
    claim = BY_ID[id]
    values = getattr(claim.at(claim.place(cube(len(claim.axes)))), number)
    assert (values.min(), values.max()) == pytest.approx(ends)
