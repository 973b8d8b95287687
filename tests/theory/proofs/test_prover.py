"""Claims of the docket proved and refuted over their whole domains; false twins; dense search beside the proofs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.court.domain import points_at, row, true_violation
from experiments.court.worst_point import corners, sobol
from theory.claims.catalogue import CLAIMS
from theory.proofs.checker import check
from theory.proofs.prover import prove

DOCKET = {claim.id: claim for claim in CLAIMS}
RECORD = dict(line.split(",") for line in (Path(__file__).parents[2] / "verdicts.csv").read_text().splitlines())
PROVED = [id for id in DOCKET if RECORD[id] == "proved"]
BY_BOXES = [
    "wang-theorem-6.2-error",
    "wang-theorem-6.2-mean-prompt/error",
    "wang-theorem-6.2-mean-prompt/accuracy",
    "supervised-beats-clip-at-full-correlation/name-vs-logistic",
    "supervised-beats-clip-at-full-correlation/name-vs-least-squares",
    "one-number-decides/balanced",
    "many-classes/name-reliance",
]
# The first of each relation, number of learners and kind of proof; the deep runs try all.
FIRST = {(DOCKET[id].relation, len(DOCKET[id].learners), id in BY_BOXES): id for id in reversed(PROVED)}


REFUTED = [
    "wang-lemma-d3",
    "wang-half-correlation/error",
    "wang-half-correlation/accuracy",
    "paper-condition-sufficient",
    "reliance-grows-with-correlation-mean",
    "no-extra-robustness/linear-name-vs-least-squares",
    "no-extra-robustness/linear-mean-vs-least-squares",
    "view-noise",
]
OPPOSITE = {"increasing": "decreasing", "decreasing": "increasing"}


EACH = pytest.mark.parametrize(
    "id", [pytest.param(id, marks=[pytest.mark.deep] * (id not in FIRST.values())) for id in PROVED]
)


@EACH
def test_what_is_proved(id):
    proof = prove(DOCKET[id])
    assert proof.outcome == "proved", proof.reason
    assert proof.exact == (id not in BY_BOXES)
    assert check(proof.certificate, DOCKET[id]) == ("proved", proof.boxes)


@pytest.mark.parametrize("id", ["one-number-decides/counter", "one-number-decides/common"])
def test_t1_is_not_proved_by_t1(id):
    header = json.loads(prove(DOCKET[id]).certificate.split(b"\n", 2)[1])
    assert all(by.startswith("way") for case in header["cases"] for by in case["by"])


def points(claim) -> dict[str, np.ndarray]:
    """Corners and Sobol points of the domain, with a claim's later points where it has some."""
    dimension = len(claim.axes) + (claim.relation in OPPOSITE)
    return points_at(claim, np.concatenate([corners(dimension), sobol(dimension, 1000, 0)]))


@EACH
def test_dense_search_finds_no_more_than_tau_and_the_false_twin_is_refuted(id):
    """The twin's largest violation is 2 tau; that of a monotone claim is the claim that it falls instead of rises."""
    claim = DOCKET[id]
    worst = np.nanmax(true_violation(claim, points(claim)))
    assert worst <= claim.tau
    if claim.relation in OPPOSITE:
        twin = replace(claim, relation=OPPOSITE[claim.relation])
    elif claim.relation == "iff":
        twin = replace(claim, threshold=claim.threshold + 2 * claim.tau)
    else:
        shift = 2 * claim.tau if claim.relation in ("=", "slope") else 2 * claim.tau - worst
        sign = -1 if claim.relation == "<=" else 1
        twin = replace(claim, prediction=lambda x: claim.prediction(x) + sign * shift)
    proof = prove(twin)
    assert proof.outcome == "refuted", proof.reason
    assert check(proof.certificate, twin) == ("refuted", 0)


@pytest.mark.parametrize("id", REFUTED)
def test_what_is_refuted_by_a_point_at_which_the_violation_is_certain(id):
    claim = DOCKET[id]
    proof = prove(claim)
    assert proof.outcome == "refuted", proof.reason
    assert proof.counterexample.least > claim.tau
    assert claim.contains(proof.counterexample.fields)
    assert check(proof.certificate, claim) == ("refuted", 0)
    if claim.relation not in OPPOSITE:
        found = true_violation(claim, row(proof.counterexample.fields))[0]
        assert found == pytest.approx(proof.counterexample.least, abs=1e-6)
