"""Boundaries enclosed: the bisection's turning points, T5's correlation, and learners without a formula."""

import numpy as np
import pytest

from simulator.world import Worlds
from theory import boundary, learners
from theory.proofs.boundaries import equally_robust, lead, turning_points
from theory.proofs.expression import NotExpressible
from theory.proofs.roots import WIDTH
from theory.published import smallest_mu_spu

NAME, MEAN, SQUARES = learners.LinearCLIP("name"), learners.LinearCLIP("mean"), learners.LeastSquares()


def test_each_inequality_turns_exactly_once_under_the_theorem_s_conditions():
    """Every one of 400 worlds; the bisection's point lies in the enclosure, and there is no other turn."""
    rng = np.random.default_rng(0)
    si = rng.uniform(0.3, 2, 400)
    mu, ss = smallest_mu_spu(si) * rng.uniform(1.01, 3, 400), si * rng.random(400)
    for found, bisected in zip(
        turning_points(mu_spu=mu, sigma_inv=si, sigma_spu=ss), boundary.turning_points(mu, si, ss), strict=True
    ):
        assert found.enclosed.line.tolist() == list(range(400))
        assert len(found.undecided) == 0
        assert np.all((found.enclosed.low <= bisected + 1e-12) & (bisected <= found.enclosed.high + 1e-12))
        assert np.all(found.enclosed.high - found.enclosed.low <= WIDTH)


def test_turning_points_along_another_axis_are_the_same_curve():
    """Where the error inequality turns at p = .7 along mu_spu, it turns at mu_spu along p."""
    si = np.linspace(0.5, 1.5, 11)
    along_mu, _ = turning_points("mu_spu", 1.125, 4.0, p_spu=0.7, sigma_inv=si, sigma_spu=0.5)
    line, mu = along_mu.enclosed.line, along_mu.enclosed.middle
    along_p, _ = turning_points(mu_spu=mu, sigma_inv=si[line], sigma_spu=0.5)
    assert len(line) == 11
    assert np.allclose(along_p.enclosed.middle, 0.7, atol=2 * WIDTH)


def test_equally_robust_is_t5_s_correlation():
    """p_c = (1 + sqrt(1 - [S_i (1 + sigma_inv^2) - S_s]/mu_spu^2))/2, theory.md's T5 at mu_inv = 1."""
    mu, nu = np.linspace(1.4, 6, 40), 0.3
    world = {"sigma_inv": 1.0, "sigma_spu": 0.5, "sigma_xi": np.sqrt(64 * nu), "dim_image": 64}
    found = equally_robust(NAME, SQUARES, world, "p_spu", 0.6, 1.0, mu_spu=mu)
    nu = world["sigma_xi"] ** 2 / 64
    root = 1 - ((1 + nu) * 2 - (0.25 + nu)) / mu**2
    p_c = (1 + np.sqrt(np.maximum(root, 0))) / 2
    there = (root > 0) & (p_c > 0.6)
    assert found.enclosed.line.tolist() == np.flatnonzero(there).tolist()
    assert np.all((found.enclosed.low <= p_c[there] + 1e-12) & (p_c[there] - 1e-12 <= found.enclosed.high))


def test_the_lead_s_enclosures_are_where_the_accuracies_agree():
    """Along the other axis, for the mean prompt, against the learners' own accuracies."""
    p = np.linspace(0.6, 0.98, 30)
    found = equally_robust(MEAN, SQUARES, {"sigma_xi": 0.0}, "mu_spu", 0.5, 4.0, p_spu=p).enclosed
    assert len(found) > 20
    gap = [
        learner.accuracy(Worlds(sigma_xi=0.0, p_spu=p[found.line], mu_spu=end)).counter
        for end in (found.low, found.high)
        for learner in (MEAN, SQUARES)
    ]
    assert np.all((gap[0] - gap[1]) * (gap[2] - gap[3]) <= 0)


def test_at_no_correlation_all_are_equal_and_nothing_is_claimed():
    found = equally_robust(NAME, MEAN, {}, "p_spu", 0.5, 1.0, mu_spu=np.array([1.0, 2.0]))
    assert len(found.enclosed) == 0
    assert np.all(found.undecided.high < 0.5 + WIDTH)


@pytest.mark.parametrize(
    ("pair", "world", "why"),
    [
        ((NAME, learners.InfoNCE()), {}, "infonce"),
        ((NAME, learners.Logistic()), {}, "logistic"),
        ((NAME, SQUARES), {"p_inv": 0.9}, "p_inv = 1"),
        ((NAME, SQUARES), {"attribute": (object(),)}, "one background"),
        ((NAME, SQUARES), {"classes": 3}, "3 classes"),
    ],
)
def test_what_has_no_formula_says_so(pair, world, why):
    with pytest.raises(NotExpressible, match=why):
        lead(*pair, world)
