"""What a proof adds to a verdict, and certificates on disk: written, checked again, damaged."""

import json
import re

import numpy as np
import pytest

from experiments.court.decide import Ruling
from experiments.court.judge import judge
from experiments.court.proving import file_name, need_libraries, ruled, verified
from experiments.errors import RequestError
from theory.claims.catalogue import claims
from theory.claims.claim import Axis, Claim
from theory.proofs.prove import prove

DOCKET = {claim.id: claim for claim in claims()}
PROOF = {"outcome": "proved", "reason": "shown"}


def quiet(line: str) -> None:
    pass


def test_only_a_supported_claim_is_proved():
    assert ruled(Ruling("supported", "seen"), PROOF).decision == "proved"
    for decision in ("undecided", "contradicted"):
        found = ruled(Ruling(decision, "seen"), PROOF)
        assert found == (decision, "seen; yet shown")
    for outcome in ("refuted", "open", "not provable"):
        assert ruled(Ruling("supported", "seen"), {**PROOF, "outcome": outcome}).decision == "supported"
    assert ruled(Ruling("supported", "seen"), None) == ("supported", "seen")


def test_the_verdict_carries_the_proof(tmp_path):
    claim = DOCKET["paper-condition-sufficient-at-one"]
    verdict = judge(claim, quick=True, prove=True, certificates=tmp_path / "new")
    assert verdict.verdict == "proved"
    assert verdict.proof["exact"]
    json.dumps(verdict.as_json(), allow_nan=False)
    (found,) = verified(tmp_path / "new", claims(), quiet)
    assert (found["claim"], found["shows"], found["refused"]) == (claim.id, "proved", None)
    assert judge(claim, quick=True).proof is None


def test_what_cannot_be_proved_is_judged_as_before():
    claim = Claim(
        id="mine",
        source="test",
        statement="",
        quantity="counter",
        relation=">=",
        domain={"p_spu": Axis(0.8, 0.9), "sigma_xi": 0.0},
        prediction=lambda w: np.where(w.p_spu > 0.5, 0.1, 0.0),
    )
    verdict = judge(claim, quick=True, prove=True)
    assert verdict.verdict == "supported"
    assert verdict.proof["outcome"] == "not provable"
    assert "not provable here: it branches on a value" in verdict.reason


@pytest.fixture(scope="module")
def certificate() -> bytes:
    return prove(DOCKET["wang-theorem-6.2-error"]).certificate


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "no certificate"),
        (lambda data: data[:40], "no certificate"),
        (lambda data: data.replace(b"sigma", b"sigmo", 1), None),  # words for people prove nothing
        (lambda data: data.replace(b'"claim": "wang', b'"claim": "wong', 1), "unknown"),
        (lambda data: data.replace(b"6.2-error", b"6.2-accuracy", 1), "other formulas"),
        (lambda data: data[:-20], "damaged|bytes"),
        (lambda data: data + b"more", None),  # of no consequence
    ],
)
def test_a_damaged_certificate_is_named(tmp_path, certificate, damage, words):
    (tmp_path / file_name("wang-theorem-6.2-error")).write_bytes(damage(certificate))
    (found,) = verified(tmp_path, claims(), quiet)
    if words is None:
        assert found["refused"] is None
    else:
        assert re.search(words, found["refused"])


def test_a_folder_without_certificates_is_a_wrong_request(tmp_path):
    with pytest.raises(RequestError, match="holds no certificate"):
        verified(tmp_path, claims(), quiet)


def test_missing_libraries_are_named(monkeypatch):
    from experiments.court import proving

    monkeypatch.setattr(proving, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"--prove needs python-flint, .* pip install python-flint"):
        need_libraries("--prove")
