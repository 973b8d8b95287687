"""A sampled curve: the interval of its points, brackets around targets, and cubics between nodes."""

import numpy as np
import pytest
from scipy.special import expit

from simulator.accuracy import mean_interval
from theory.quadrature import REPLICATES
from theory.sampled_curve import FEW, LOG_ODDS, SampledCurve

NOISE = np.random.default_rng(0).normal(0, 1e-3, (REPLICATES, 2))


def points(lam: float) -> np.ndarray:
    """Replicates of a made-up curve: c* rises with lambda, k* falls, and each replicate has its own error."""
    return np.array([0.6 + 0.3 * lam**2, 0.9 - 0.4 * lam]) + NOISE * (1 + lam)


@pytest.mark.parametrize(("a", "b"), [(1, 0), (1, -1), (0.3, 0.7)])
def test_the_margin_is_half_the_interval_of_the_mean(a, b):
    h, curve = np.array([-2.0, 0.0, 1.5]), SampledCurve(points, 1)
    values = np.stack([points(lam) @ [a, b] for lam in expit(h)])
    _, _, low, high = mean_interval(values, 0.9, support=(-np.inf, np.inf))
    np.testing.assert_allclose(curve.margin(h, a, b, 0.9), (high - low) / 2, rtol=1e-12)


def test_brackets_hold_their_targets():
    curve, drop = SampledCurve(points, 1), np.linspace(-0.25, 0.35, 9)
    low, high = curve.bracket(1, -1, drop)
    below, above = (np.subtract(*curve.replicates(h).mean(axis=0)) for h in (low, high))
    assert (low < high).all()
    assert ((below < drop) & (drop <= above)).all()


def test_cubics_between_nodes_are_the_curve():
    h = np.linspace(*LOG_ODDS, 97)
    exact, between = (SampledCurve(points, worlds).replicates(h) for worlds in (1, FEW + 1))
    np.testing.assert_allclose(between, exact, atol=1e-3)
