"""Proofs and refutations of catalogue claims over their domains, checked by dense search and false
twins.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from closed_form import claim

from experiments.court.worst_point import corners, sobol
from theory import Axis, Phi, exp, sqrt
from theory.docket.catalogue import CLAIMS
from theory.proofs.boxes import cover
from theory.proofs.checker import check
from theory.proofs.expression import NotExpressible, constant
from theory.proofs.obligations import Inequality, Obligation
from theory.proofs.prover import exact_route, prove
from theory.proofs.statements import statements

BY_ID = {one.id: one for one in CLAIMS}
RECORD = dict(
    line.split(",")
    for line in (Path(__file__).parents[2] / "verdicts.csv").read_text().splitlines()
)
PROVED = [id for id in BY_ID if RECORD[id] == "proved"]
BY_BOXES = [
    "wang-theorem-6.2-error",
    "wang-theorem-6.2-mean-prompt/error",
    "wang-theorem-6.2-mean-prompt/accuracy",
    "supervised-beats-clip-at-full-correlation/name-vs-logistic",
    "supervised-beats-clip-at-full-correlation/name-vs-least-squares",
    "one-number-decides/balanced",
    "many-classes/name-reliance",
    "xue-corollary/counter",
    "xue-corollary/balanced",
]
# The last claim of each relation, number of learners and kind of proof; deep runs try the twins of
# all.
SOME = {(BY_ID[id].relation, len(BY_ID[id].learners), id in BY_BOXES): id for id in PROVED}.values()
OPPOSITE = {"increasing": "decreasing", "decreasing": "increasing"}


@pytest.mark.parametrize("id", SOME)
def test_a_proof_is_complete_and_passes_the_checker(id):
    """The report's proofs of all claims pass the checker, too (`tests/test_readme.py`)."""
    proof = prove(BY_ID[id])
    assert proof.outcome == "proved", proof.reason
    assert proof.exact == (id not in BY_BOXES)
    assert check(proof.certificate, BY_ID[id]) == ("proved", proof.boxes)


@pytest.mark.parametrize("id", ["one-number-decides/counter", "one-number-decides/common"])
def test_t1_is_not_proved_by_t1(id):
    header = json.loads(prove(BY_ID[id]).certificate.split(b"\n", 2)[1])
    assert all(by.startswith("way") for case in header["cases"] for by in case["by"])


def test_no_exact_route_is_taken_after_the_deadline():
    obligation = statements(BY_ID["reliance-law/name"])[0].obligations[0]
    assert exact_route(obligation, np.inf) is not None
    assert exact_route(obligation, 0.0) is None


def points(claim) -> dict[str, np.ndarray]:
    """Corners and Sobol points of the domain; a monotone claim also has second points."""
    return claim.relation.points(
        claim, np.concatenate([corners(claim.dimension), sobol(claim.dimension, 1000, 0)])
    )


@pytest.mark.parametrize(
    "id", [pytest.param(id, marks=[pytest.mark.deep] * (id not in SOME)) for id in PROVED]
)
def test_dense_search_finds_no_more_than_tau_and_the_false_twin_is_refuted(id):
    """The twin is violated by up to 2 tau. The twin of a monotone claim has the opposite
    direction.
    """
    claim = BY_ID[id]
    worst = np.nanmax(claim.true_violation(points(claim)))
    assert worst <= claim.tau
    if claim.relation.name in OPPOSITE:
        twin = replace(claim, relation=OPPOSITE[claim.relation.name])
    elif claim.relation.name == "iff":
        twin = replace(claim, threshold=claim.threshold + 2 * claim.tau)
    else:
        shift = 2 * claim.tau if claim.relation.side == 0 else 2 * claim.tau - worst
        sign = -1 if claim.relation.name == "<=" else 1
        twin = replace(claim, prediction=lambda x: claim.prediction(x) + sign * shift)
    proof = prove(twin)
    assert proof.outcome == "refuted", proof.reason
    assert check(proof.certificate, twin) == ("refuted", 0)
    assert twin.contains(proof.counterexample.fields)
    if claim.relation.name not in OPPOSITE:
        found = twin.true_violation(proof.counterexample.fields)[0]
        assert twin.tau < proof.counterexample.least == pytest.approx(found, abs=1e-6)


def test_the_axis_of_a_monotone_claim_may_begin_at_a_fixed_field_only():
    claim = BY_ID["reliance-grows-with-correlation-name"]
    rest = {
        name: given for name, given in claim.domain.items() if name not in ("sigma_inv", "p_spu")
    }

    def beginning_at(sigma_inv):
        p_spu = Axis(lambda world: world.sigma_inv, 0.95)
        return replace(claim, domain={"sigma_inv": sigma_inv, "p_spu": p_spu, **rest})

    assert prove(beginning_at(0.6)).outcome == "proved"
    with pytest.raises(NotExpressible, match="its domain in 'p_spu' depends on other fields"):
        statements(beginning_at(Axis(0.5, 0.9)))


SPREADS = {"sigma_inv": Axis(0.6, 1.8), "sigma_spu": Axis(0.2, 1.5)}
NARROW = claim(
    domain={"p_spu": Axis(0.55, 0.95), "mu_spu": Axis(0.6, 2.5), **SPREADS},
    prediction=lambda w: without_view_noise(w) - 0.005,
)


def without_view_noise(w):
    """The counter accuracy of linear CLIP prompted by name, if views had no noise."""
    a = 1 + w.sigma_inv**2
    b = w.mu_spu * (2 * w.p_spu - 1)
    return Phi((a - w.mu_spu * b) / sqrt(a**2 * w.sigma_inv**2 + b**2 * w.sigma_spu**2))


@pytest.mark.deep
def test_a_proof_with_little_slack_closes():
    """The slack is .0039. To first order it takes 425,000 boxes, and a minute."""
    proof = prove(NARROW, seconds=100)
    assert proof.outcome == "proved", proof.reason
    assert proof.boxes < 150_000
    assert check(proof.certificate, NARROW) == ("proved", proof.boxes)


def test_a_thin_region_of_violations_is_found_where_bounds_stay_above_tau():
    """A peak of 1e-12 of the domain's volume; the random search never meets it."""

    def peak(w):
        return exp(
            -((1e3 * (w.mu_spu - 1.2345)) ** 2)
            - (1e3 * (w.p_spu - 0.6789)) ** 2
            - (1e3 * (w.sigma_inv - 1)) ** 2
        )

    thin = replace(NARROW, prediction=lambda w: without_view_noise(w) - 0.2 + 0.3 * peak(w))
    assert prove(thin, budget=0).outcome == "open"
    proof = prove(thin)
    assert proof.outcome == "refuted", proof.reason
    assert check(proof.certificate, thin) == ("refuted", 0)
    assert proof.counterexample.fields["mu_spu"] == pytest.approx(1.2345, abs=1e-3)


def test_an_open_proof_says_how_much_is_left():
    few = prove(NARROW, budget=100)
    more = prove(NARROW, budget=5000)
    assert (few.outcome, more.outcome) == ("open", "open")
    left = float(re.search(r"undecided on (\S+) % of the domain", few.reason)[1])
    less = float(re.search(r"undecided on (\S+) % of the domain", more.reason)[1])
    assert 0 < less < left <= 100


def test_a_constant_is_one_box_that_cannot_be_halved():
    """Without time for algebra a constant once raised IndexError."""
    true, false = (Obligation("", (Inequality(constant(value), strict=True),)) for value in (-1, 1))
    assert len(cover(true, 10, 9, lambda point: None).tree) == 1
    assert cover(false, 10, 9, lambda point: None).tree is None
