"""Least regret where the ideal classifiers are known: a sphere, a polygon, a curve with made-up
points.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from theory.least_regret import LOG_ODDS, SampledCurve, least_regret_of_groups
from theory.quadrature import REPLICATES

NOISE = np.random.default_rng(0).normal(0, 1e-3, (REPLICATES, 2))


def points(p: float) -> np.ndarray:
    """Replicates of a made-up curve: c* rises with p, k* falls, and each replicate has its own
    error.
    """
    return np.array([0.6 + 0.3 * p**2, 0.9 - 0.4 * p]) + NOISE * (1 + p)


def test_cubics_between_nodes_are_the_curve():
    h = np.linspace(*LOG_ODDS, 97)
    exact = SampledCurve(points, False).replicates(h)
    between = SampledCurve(points, True).replicates(h)
    np.testing.assert_allclose(between, exact, atol=1e-3)
    np.testing.assert_allclose(exact[..., 50], points(expit(h[50])), atol=1e-12)


@given(st.floats(0.01, 0.99), st.sampled_from([(1, -1), (1, 0), (0, -1)]))
def test_a_sum_of_the_curve_is_taken_between_the_known_points_around_it(p, weights):
    curve = SampledCurve(points, False)
    value = np.array([points(p).mean(axis=0) @ weights])
    (low,), (high,) = curve.bracket(*weights, value)
    assert expit(low) <= p <= expit(high)
    assert sorted(curve.known).index(high) == sorted(curve.known).index(low) + 1


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1))
def test_a_polygon_of_three_groups_is_certified_by_mixtures(seed):
    """Heads with known accuracies: by duality r is the largest gain on all groups at once over
    their mixtures.
    """
    rng = np.random.default_rng(seed)
    heads = rng.uniform(0.3, 1, (6, 3))
    own = rng.uniform(0.2, 0.6, 3)
    weights, regret = least_regret_of_groups(lambda w: heads[(heads @ w).argmax()], own)
    mixtures = rng.dirichlet(np.full(6, 0.3), 20_000)
    assert regret >= (mixtures @ heads - own).min(axis=1).max() - 1e-6
    if not np.isnan(weights).any():
        assert regret == pytest.approx((heads @ weights).max() - own @ weights, abs=1e-6)


def test_one_group_has_a_shortfall_and_no_weights():
    weights, regret = least_regret_of_groups(lambda w: np.array([0.9]), np.array([0.7]))
    assert regret == pytest.approx(0.2)
    assert np.isnan(weights).all()
