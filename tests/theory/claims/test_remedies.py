"""The closed forms decide these claims and their false twins; what no test elsewhere checks: interpolated weights."""

import numpy as np
import pytest

from experiments.court.domain import points_at, true_violation
from experiments.court.worst_point import corners
from simulator.world import World, Worlds
from theory.claims.claim import Claim
from theory.claims.remedies import CLAIMS
from theory.learners import LeastSquares, LinearCLIP, Logistic, MaxMargin
from theory.population import block_covariance

FALSE = {
    "misaligned/unlimited-pairs",
    "projecting-suffices/any-captions",
    "omitted-not-learned/linear",
    "wider-relies-less/mean",
    "interpolated-weights/target",
}
UNLIMITED = [claim for claim in CLAIMS if claim.n == 10**10]


def largest(claim: Claim) -> float:
    """Largest violation at the corners and at some points of the domain."""
    d = len(claim.axes)
    unit = np.concatenate([corners(d), np.random.default_rng(0).random((20, d))])
    return float(np.max(true_violation(claim, points_at(claim, unit))))


def twin(claim: Claim) -> Claim:
    """The same claim with a bound that its own closed form misses everywhere by two tolerances."""
    far = (1 if claim.relation == ">=" else -1) * 2 * claim.tau
    fields = {name: getattr(claim, name) for name in claim.__dataclass_fields__}

    def missed(worlds):
        return claim.truth(worlds) + far

    return Claim(**{**fields, "prediction": missed})


@pytest.mark.parametrize("claim", UNLIMITED, ids=lambda claim: claim.id)
def test_closed_forms_decide_as_the_record_says(claim):
    assert (largest(claim) > claim.tau) == (claim.id in FALSE)


@pytest.mark.parametrize("claim", [c for c in UNLIMITED if c.id not in FALSE], ids=lambda claim: claim.id)
def test_a_false_twin_is_violated(claim):
    assert largest(twin(claim)) > claim.tau


def test_weights_halfway_are_those_of_the_mean_correlation():
    """M = (M_0 + M_1)/2 for two classes: C is affine in p."""
    none, some, halfway = (Worlds.of(World(p_spu=p, mu_spu=2.0)) for p in (0.5, 0.9, 0.7))
    np.testing.assert_allclose(block_covariance(halfway), (block_covariance(none) + block_covariance(some)) / 2)


def test_what_removing_a_second_background_does():
    """Why one statement is not on trial: linear CLIP weighs a background alike whatever the other does."""
    both, one = (World(mu_spu=1.5, attribute=({"mu": 1.5, "p": p},)) for p in (0.9, 0.5))
    for learner, more in (
        (LinearCLIP("name"), False),
        (LeastSquares(), False),
        (Logistic(), True),
        (MaxMargin(), True),
    ):
        t = [u[1] / u[0] for u in (learner.direction(world) for world in (both, one))]
        assert t[1] - t[0] > 0.01 if more else abs(t[1] - t[0]) < 1e-12
