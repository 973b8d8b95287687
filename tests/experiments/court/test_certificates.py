"""Proofs in verdicts, of users' claims and ours, and certificates on disk: written, verified,
damaged.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from closed_form import claim

from experiments.court.certificates import apply_proof, file_name, mismatch, proof_of, verify_folder
from experiments.court.trial import judge
from experiments.errors import RequestError
from experiments.page.evidence import headed
from theory import Phi, exp, learners, sqrt
from theory.claims.claim import Axis
from theory.docket.catalogue import CLAIMS
from theory.proofs.expression import Expression, NotExpressible
from theory.proofs.prover import prove

BY_ID = {one.id: one for one in CLAIMS}
PROOF = {"outcome": "proved", "reason": "shown"}
MINE = claim(domain={"p_spu": Axis(0.8, 0.9), "sigma_xi": 0.0}, prediction=lambda w: 0.1)


def test_only_a_supported_claim_is_proved():
    assert apply_proof(("supported", "seen"), PROOF)[0] == "proved"
    for decision in ("undecided", "contradicted"):
        found = apply_proof((decision, "seen"), PROOF)
        assert found == (decision, "seen; but shown")
    for outcome in ("refuted", "open", "not provable"):
        assert apply_proof(("supported", "seen"), {**PROOF, "outcome": outcome})[0] == "supported"


def test_the_verdict_carries_the_proof(tmp_path):
    verdict = judge(MINE, quick=True, prove=True, certificates=tmp_path / "new")
    assert verdict.verdict == "proved"
    assert verdict.proof["boxes"] > 0
    json.dumps(verdict.as_json(), allow_nan=False)
    (found,) = verify_folder(tmp_path / "new", [MINE])
    assert (found["claim"], found["shows"], found["refused"]) == (MINE.id, "proved", None)


def test_an_unfinished_proof_leaves_the_verdict():
    before = judge(MINE, quick=True)
    verdict = judge(MINE, quick=True, prove=True, proof_seconds=0.0)
    assert (
        (verdict.verdict, verdict.proof["outcome"])
        == (before.verdict, "open")
        == ("supported", "open")
    )
    assert before.proof is None
    assert verdict.reason == f"{before.reason}; {verdict.proof['reason']}"
    assert headed(verdict) == "supported, proof open"
    assert "undecided on 100 % of the domain" in verdict.proof["reason"]


def test_a_certificate_that_the_checker_refuses_is_not_written(monkeypatch, tmp_path):
    from theory.proofs import checker

    monkeypatch.setattr(checker, "exactly", lambda by, obligation: False)
    found = proof_of(BY_ID["paper-condition-sufficient-at-one"], seconds=5, certificates=tmp_path)
    assert found["outcome"] == "open"
    assert "the checker refuses the certificate: it does not show that" in found["reason"]
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def certificate() -> bytes:
    return prove(BY_ID["wang-theorem-6.2-error"]).certificate


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "not a certificate"),
        (lambda data: data[:40], "not a certificate"),
        (lambda data: data.replace(b"sigma", b"sigmo", 1), None),  # text for people is not checked
        (lambda data: data.replace(b'"claim": "wang', b'"claim": "wong', 1), "unknown"),
        (lambda data: data.replace(b"6.2-error", b"6.2-accuracy", 1), "other formulas"),
        (lambda data: data[:-20], "damaged|bytes"),
        (lambda data: data + b"more", None),  # has no effect
    ],
)
def test_a_damaged_certificate_is_named(tmp_path, certificate, damage, words):
    (tmp_path / file_name("wang-theorem-6.2-error")).write_bytes(damage(certificate))
    (found,) = verify_folder(tmp_path, CLAIMS)
    if words is None:
        assert found["refused"] is None
    else:
        assert re.search(words, found["refused"])


def test_a_folder_without_certificates_is_refused(tmp_path):
    (tmp_path / "proofs").mkdir()
    (tmp_path / "proofs" / file_name("one")).touch()
    with pytest.raises(RequestError, match=r"holds no certificate .*; try '.*proofs'"):
        verify_folder(tmp_path, CLAIMS)
    with pytest.raises(RequestError, match="nowhere' is not a folder"):
        verify_folder(tmp_path / "nowhere", CLAIMS)


def test_a_thin_counterexample_is_measured():
    """The search of the trial never meets the peak; the proof's point becomes the worst point."""
    thin = replace(
        MINE,
        domain={**MINE.domain, "mu_spu": Axis(0.5, 1.0), "sigma_inv": Axis(0.5, 1.0)},
        prediction=lambda w: (
            0.1 + 0.9 * exp(-1e9 * ((w.p_spu - 0.8765) ** 2 + (w.mu_spu - 0.765) ** 2))
        ),
    )
    assert judge(thin, quick=True).verdict == "supported"
    found = judge(thin, quick=True, prove=True)
    assert (found.verdict, found.proof["outcome"]) == ("contradicted", "refuted")
    assert found.counterexample["p_spu"] == pytest.approx(0.8765, abs=1e-3)


LOUD = claim(
    relation="<=",
    domain={
        "p_spu": Axis(0.9, 1.0),
        "mu_spu": Axis(2.0, 3.0),
        "sigma_inv": Axis(0.5, 1.0),
        "sigma_xi": 0.0,
    },
    prediction=lambda w: Phi(1.5 - w.mu_spu),
)


@dataclass(frozen=True)
class Ridge(learners.Learner):
    name: ClassVar[str] = "ridge"
    words: ClassVar[str] = "ridge regression"

    def direction(self, w):
        return w.mean * w.correlation / (w.scale**2 + w.nu_image[..., None] + 1)


@dataclass(frozen=True)
class RecordedRidge(Ridge):
    name: ClassVar[str] = "recorded-ridge"

    def weights(self, x):
        r = x.mu_spu * (2 * x.p_spu - 1)
        return x.mu_inv / (x.sigma_inv**2 + x.nu_image + 1), r / (x.sigma_spu**2 + x.nu_image + 1)


@dataclass(frozen=True)
class Mislabelled(RecordedRidge):
    """Inherits the formula of another rule."""

    name: ClassVar[str] = "mislabelled"

    def direction(self, worlds):
        return super().direction(worlds) * [1.0, 0.5]


ARITHMETIC = (
    LOUD.prediction,
    lambda w: exp(2 - w.mu_spu) / (2 * sqrt(w.mu_spu - 1)),
    lambda w: 0.5 * w.mu_spu ** (w.sigma_inv - w.mu_spu / 2),
    lambda w: 0.35,
)
OTHER = (
    (lambda w: 0.4 + 0 * w.mean[..., 1], "sqrt, exp and Phi of theory take fields as they are"),
    (lambda w: w.mu_spu.clip(0.4, 0.5), "there is no 'clip'"),
)
OWN = (
    (Ridge(), "not provable", "the direction of learner 'ridge' is not a formula"),
    (RecordedRidge(), "proved", "over the whole domain"),
    (Mislabelled(), "not provable", "the recorded formula gives a violation of"),
)


@pytest.mark.parametrize(
    ("fields", "outcome", "why"),
    [
        *(({"prediction": each}, "proved", "over the whole domain") for each in ARITHMETIC),
        *(({"prediction": each}, "not provable", why) for each, why in OTHER),
        *(
            ({"subject": each, "prediction": lambda w: 0.6}, outcome, why)
            for each, outcome, why in OWN
        ),
        (
            {"quantifier": "on average", "prediction": lambda w: 0.35},
            "not provable",
            "holds 'on average'",
        ),
    ],
)
def test_arithmetic_of_fields_is_proved_and_all_else_gets_a_reason(fields, outcome, why):
    found = proof_of(replace(LOUD, **fields), seconds=20)
    assert found["outcome"] == outcome, found["reason"]
    assert why in found["reason"]
    assert found["reason"].startswith("not provable here: ") == (outcome == "not provable")
    assert "\n" not in found["reason"]


def test_a_prediction_that_depends_on_its_input_type_proves_nothing():
    two_faced = replace(LOUD, prediction=lambda w: 0.9 if isinstance(w.mu_spu, Expression) else 0.0)
    assert "the trial" in mismatch(two_faced)
    verdict = judge(two_faced, quick=True, prove=True)
    assert (verdict.verdict, verdict.proof["outcome"]) == ("contradicted", "not provable")


def test_an_error_while_a_proof_records_the_prediction_is_its_authors():
    def prediction(w):
        raise AssertionError("no formula")

    with pytest.raises(RequestError, match="AssertionError: no formula"):
        judge(replace(LOUD, prediction=prediction), quick=True, prove=True)


def test_recorded_formulas_equal_the_tried_ones():
    compared = {}
    for one in CLAIMS:
        with suppress(NotExpressible):
            compared[one.id] = mismatch(one)
    assert len(compared) > 20
    assert not any(compared.values()), compared
