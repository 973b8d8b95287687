"""The closed forms decide these claims as the record says; the laws that a remedy makes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.court.worst_point import corners
from experiments.lab.mitigations import mitigated
from simulator.world import World
from theory.claims.claim import Claim
from theory.docket import combinations, detail, remedies
from theory.learners import InfoNCE
from theory.proofs.expression import NotExpressible
from theory.proofs.identity import digest_of
from theory.proofs.statements import statements

RECORD = dict(line.split(",") for line in (Path(__file__).parents[2] / "verdicts.csv").read_text().splitlines())
CLAIMS = [*remedies.CLAIMS, *combinations.CLAIMS, *detail.CLAIMS]
UNLIMITED = [claim for claim in CLAIMS if claim.n == 10**10]


EXTREME = {"always": np.nanmax, "somewhere": np.nanmin, "on average": np.nanmean}


def violation(claim: Claim) -> float:
    """The violation that decides, at the corners and at some points of the domain."""
    d = claim.dimension
    unit = np.concatenate([corners(d), np.random.default_rng(0).random((20 if d else 0, d))])
    return float(EXTREME[claim.quantifier](claim.true_violation(claim.relation.points(claim, unit))))


@pytest.mark.parametrize("claim", UNLIMITED, ids=lambda claim: claim.id)
def test_closed_forms_decide_as_the_record_says(claim):
    assert (violation(claim) > claim.tau) == (RECORD[claim.id] == "contradicted")


def test_captions_that_name_a_random_background_have_the_law_that_the_claim_uses():
    (claim,) = (c for c in CLAIMS if c.id == "misstated-not-learned/infonce")
    (world,) = (claim.at(claim.place(np.full((1, 2), 0.5)))[0],)
    for prompt in ("name", "mean"):
        assert mitigated("contradict", world, InfoNCE(prompt)) == (world, claim.subject)


def test_a_second_background_is_part_of_the_world():
    """It is amplified as the claim says, and a proof refuses it."""
    (claim,) = (c for c in CLAIMS if c.id == "whac-a-mole/logistic")
    (second,) = claim.at(claim.place(np.zeros((1, 0)))).attribute
    assert (float(second.p[0]), second.mu) == (0.98, 1.0)
    other = replace(claim, domain={**claim.domain, "attribute.p": 0.5})
    assert digest_of(claim).sha256 != digest_of(other).sha256
    assert float(other.true_violation(other.relation.points(other, np.zeros((1, 0))))[0]) == pytest.approx(0.1)
    with pytest.raises(NotExpressible, match=r"no field 'attribute\.p'"):
        statements(replace(claim, subject="linear"))


def test_the_accuracy_that_a_claim_gives_as_a_number_is_that_of_the_law():
    world = World(**combinations.ONE_WORLD, table=combinations.ONE_HOLE)
    expected = combinations.INFONCE_ON_ONE_HOLE
    assert float(combinations.INFONCE_NAME.accuracy(world).unseen) == pytest.approx(expected, abs=3e-4)
