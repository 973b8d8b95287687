"""Claims of the docket proved and refuted over their whole domains; false twins; certificates that are forged."""

import pytest

from theory.claims.catalogue import claims
from theory.proofs.checker import check
from theory.proofs.prove import prove

DOCKET = {claim.id: claim for claim in claims()}
EXACT = [
    "counter-majority-wrong",
    "paper-condition-sufficient-at-one",
    "xue-data-model-1/common",
    "xue-data-model-1/counter",
    "corrected-law/name-common",
    "corrected-law/name-counter",
    "corrected-law/mean-common",
    "corrected-law/mean-counter",
    "no-correlation-no-reliance/name",
    "no-correlation-no-reliance/mean",
    "reliance-grows-with-correlation-name",
    "captions-mentioning-background-hurt-mean",
    "prompt-matters",
    "xue-intra-class-contrasting/name",
    "xue-intra-class-contrasting/mean",
]
BY_BOXES = ["wang-theorem-6.2-error", "wang-theorem-6.2-accuracy"]
REFUTED = [
    "wang-half-correlation/error",
    "wang-half-correlation/accuracy",
    "paper-condition-sufficient",
    "reliance-grows-with-correlation-mean",
    "no-extra-robustness/linear-name-vs-least-squares",
    "no-extra-robustness/linear-mean-vs-least-squares",
    "view-noise",
]


@pytest.mark.parametrize("id", [*EXACT, *BY_BOXES])
def test_what_is_proved(id):
    proof = prove(DOCKET[id])
    assert proof.outcome == "proved", proof.reason
    assert proof.exact == (id in EXACT)
    assert check(proof.certificate, DOCKET[id]) == ("proved", proof.boxes)


@pytest.mark.parametrize("id", REFUTED)
def test_what_is_refuted_by_a_point_at_which_the_violation_is_certain(id):
    claim = DOCKET[id]
    proof = prove(claim)
    assert proof.outcome == "refuted", proof.reason
    assert proof.counterexample.least > claim.tau
    assert claim.contains(proof.counterexample.fields)
    assert check(proof.certificate, claim) == ("refuted", 0)


@pytest.mark.parametrize("id", ["wang-half-correlation/error", "paper-condition-sufficient", "view-noise"])
def test_the_refuting_point_is_one_by_the_closed_forms(id):
    from experiments.court.points import row, true_violation

    found = prove(DOCKET[id]).counterexample
    assert true_violation(DOCKET[id], row(found.fields))[0] == pytest.approx(found.least, abs=1e-6)
