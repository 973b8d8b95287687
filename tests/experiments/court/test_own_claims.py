"""User claims: proved if the prediction is arithmetic, else judged by measurement, with a reason."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from scipy.stats import norm

from experiments.court.certificates import mismatch, proof_of
from experiments.court.trial import judge
from experiments.errors import RequestError
from theory import Axis, Claim, Phi, exp, learners, sqrt
from theory.docket.catalogue import CLAIMS
from theory.proofs.expression import Expression, NotExpressible

MINE = Claim(
    id="loudness-costs",
    source="me",
    statement="Each unit of the background's loudness costs linear CLIP a standard deviation at least.",
    quantity="counter",
    relation="<=",
    domain={"p_spu": Axis(0.9, 1.0), "mu_spu": Axis(2.0, 3.0), "sigma_inv": Axis(0.5, 1.0), "sigma_xi": 0.0},
    prediction=lambda w: Phi(1.5 - w.mu_spu),
)


@pytest.mark.parametrize(
    "prediction",
    [
        MINE.prediction,
        lambda w: exp(2 - w.mu_spu) / 2,
        lambda w: 0.4 / sqrt(w.mu_spu - 1),
        lambda w: 0.4 * (w.mu_spu - 1) ** -0.5,
        lambda w: 0.5 * w.mu_spu ** (w.sigma_inv - w.mu_spu / 2),
        lambda w: 0.35,
    ],
)
def test_arithmetic_of_fields_is_proved(prediction):
    found = proof_of(replace(MINE, prediction=prediction), seconds=20)
    assert found["outcome"] == "proved", found["reason"]


@pytest.mark.parametrize(
    ("prediction", "why"),
    [
        (lambda w: 0.4 if np.all(w.mu_spu > 1) else 0.5, "branches on a value"),
        (lambda w: norm.cdf(1.5 - w.mu_spu), "not a finite number"),
        (lambda w: 0.4 + 0 * w.mean[..., 1], "sqrt, exp and Phi of theory take fields as they are"),
        (lambda w: w.mu_spu.clip(0.4, 0.5), "there is no 'clip'"),
    ],
)
def test_other_predictions_are_not_provable_and_get_a_reason(prediction, why):
    found = proof_of(replace(MINE, prediction=prediction), seconds=20)
    assert found["outcome"] == "not provable"
    assert found["reason"].startswith("not provable here: ")
    assert why in found["reason"]
    assert "\n" not in found["reason"]


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


@pytest.mark.parametrize(
    ("learner", "outcome", "why"),
    [
        (Ridge(), "not provable", "the direction of learner 'ridge' is not a formula"),
        (RecordedRidge(), "proved", "over the whole domain"),
        (Mislabelled(), "not provable", "the recorded formula gives a violation of"),
    ],
)
def test_custom_learners_are_proved_only_by_their_own_formula(learner, outcome, why):
    found = proof_of(replace(MINE, subject=learner, prediction=lambda w: 0.6), seconds=20)
    assert found["outcome"] == outcome
    assert why in found["reason"]


def test_a_prediction_that_depends_on_its_input_type_proves_nothing():
    two_faced = replace(MINE, prediction=lambda w: 0.9 if isinstance(w.mu_spu, Expression) else 0.0)
    assert "the trial" in mismatch(two_faced)
    verdict = judge(two_faced, quick=True, prove=True)
    assert (verdict.verdict, verdict.proof["outcome"]) == ("contradicted", "not provable")


def test_an_error_while_a_proof_records_the_prediction_is_its_authors():
    def prediction(w):
        raise AssertionError("no formula")

    with pytest.raises(RequestError, match="AssertionError: no formula"):
        judge(replace(MINE, prediction=prediction), quick=True, prove=True)


def test_recorded_formulas_equal_the_tried_ones():
    compared = {}
    for claim in CLAIMS:
        with suppress(NotExpressible):
            compared[claim.id] = mismatch(claim)
    assert len(compared) > 20
    assert not any(compared.values()), compared
