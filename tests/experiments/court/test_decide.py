"""The rule of decision as pure statistics: bounds, sample sizes, error rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.court.decide import Bounds, decide, mean_bounds, replicates_for, violation_bounds
from experiments.inference import interval95


def test_bounds_are_the_t_interval_of_scipy():
    samples = np.array([0.1, 0.4, 0.35, 0.8, 0.55])
    low, high = stats.t.interval(0.95, 4, samples.mean(), stats.sem(samples))
    assert interval95(samples) == pytest.approx([low, high], rel=1e-12)
    assert interval95(samples[:1]) is None


def test_one_replicate_has_no_bounds():
    with pytest.raises(ValueError, match="1 replicate"):
        mean_bounds(np.array([0.5]), 0.05)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20), st.floats(-5, 5))
def test_violation_of_an_equality_lies_between_its_bounds(values, b):
    samples = np.array(values)
    bounds = violation_bounds(lambda q: np.abs(q - b), samples, 0.05)
    assert bounds.low <= abs(samples.mean() - b) + 1e-12
    assert bounds.high >= abs(samples.mean() - b) - 1e-12


def test_an_interval_around_the_prediction_shows_no_violation():
    samples = np.array([-1.0, 1.0, -1.0, 1.0])
    assert violation_bounds(np.abs, samples, 0.05).low <= 0
    # Off centre but still inside: the lower bound must not be the distance of the nearer end.
    assert violation_bounds(np.abs, samples + 0.1, 0.05).low <= 0.1


def test_sample_size_has_the_power_it_promises():
    deviation, effect, tail = 1.0, 0.3, 0.005
    R = replicates_for(deviation, effect, tail)
    rng = np.random.default_rng(20240501)
    trials = 2000
    hits = sum(mean_bounds(rng.normal(effect, deviation, R), tail).low > 0 for _ in range(trials))
    # Declared false-alarm rate 1e-4 for the check that power is at least .95, by the exact binomial.
    assert stats.binom.cdf(hits, trials, 0.95) > 1e-4
    assert 1.3 * ((stats.norm.isf(tail) + stats.norm.isf(0.05)) * deviation / effect) ** 2 > R


def test_no_spread_needs_the_smallest_design():
    assert replicates_for(0.0, 0.005, 0.01) == 8


@pytest.mark.parametrize(
    ("worst", "audits", "searched", "verdict"),
    [
        (Bounds(0.02, 0.03), [], 0.025, "contradicted"),
        (Bounds(0.004, 0.03), [Bounds(0, 0.001)], 0.025, "undecided"),
        (None, [Bounds(0, 0.001), Bounds(0, 0.004)], 0.003, "supported"),
        (None, [Bounds(0, 0.001), Bounds(0, 0.006)], 0.003, "undecided"),
        (None, [Bounds(0, 0.001)], 0.005, "undecided"),
    ],
)
def test_rule_of_decision(worst, audits, searched, verdict):
    assert decide(worst, audits, searched, 0.005) == verdict


@pytest.mark.parametrize("side", ["contradicted", "supported"])
def test_error_rate_at_the_edge(side):
    """At v = tau exactly, either verdict is false; over 400 runs each stays below alpha.

    alpha = .05, so a verdict is false with probability at most alpha/2 = .025: 10 expected. More than 24 of 400
    has probability 6e-5 (binomial), the declared false-alarm rate of this test.
    """
    rng = np.random.default_rng(7)
    tau, alpha, runs = 0.005, 0.05, 400
    false = 0
    for _ in range(runs):
        samples = rng.normal(0.5 + tau, 0.002, 8)
        bounds = violation_bounds(lambda q: np.abs(q - 0.5), samples, alpha / 2)
        false += bounds.low > tau if side == "contradicted" else bounds.high < tau
    assert stats.binom.sf(24, runs, alpha / 2) < 1e-4
    assert false <= 24
    assert false > 0, "bounds so wide that they never err are not bounds at alpha/2"
