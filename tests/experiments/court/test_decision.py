"""The decision rule: bounds of violations, numbers of models, error rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from stattest import SHARE, spend

from experiments.court.decision import decide, p_value, violation_bounds
from experiments.inference import Bounds, t_bounds

TAU = 0.005
TARGET = 0.5
VIOLATIONS = {1: lambda q: q - TARGET, -1: lambda q: TARGET - q, 0: lambda q: abs(q - TARGET)}  # by side


def bounds_of(side, samples, tail, target=TARGET):
    return violation_bounds(side, lambda a: t_bounds(samples, a), target, tail)


@given(st.floats(-2, 2), st.floats(0, 2), st.floats(0, 2))
def test_an_equality_is_as_far_as_its_interval(b, centre, half):
    """low is 0 if the interval of q contains b, even off its centre."""
    ends = Bounds(centre - half, centre + half)
    low, high = violation_bounds(0, lambda tail: ends, b, 0.05)
    assert low == pytest.approx(max(0.0, abs(centre - b) - half), abs=1e-12)
    assert high == pytest.approx(abs(centre - b) + half, abs=1e-12)


@pytest.mark.parametrize("side", VIOLATIONS)
def test_coverage_on_every_side(side):
    """Coverage 1 - tail of each bound of v, at violations 0, tau and between, with 8 normal replicates per design."""
    designs, tail = 2000, 0.02
    rng = np.random.default_rng(designs)
    for mean in (TARGET, TARGET + TAU, TARGET - TAU / 2):
        truth = VIOLATIONS[side](mean)
        low, high = bounds_of(side, rng.normal(mean, TAU, (designs, 8)), tail)
        spend(SHARE)
        most = stats.binom.isf(SHARE / 2, designs, tail)
        assert (low > truth + 1e-15).sum() <= most
        assert (high < truth - 1e-15).sum() <= most
        if mean > TARGET:  # neither bound is at 0 there
            assert (low > truth).any(), "bounds that never err are too wide"
            assert (high < truth).any()


def test_p_value_inverts_the_bound():
    samples = np.random.default_rng(2).normal(0.02, 0.004, 12)
    low = lambda tails: np.array([bounds_of(1, samples, float(t), target=0.0).low for t in tails])  # noqa: E731
    p = p_value(low, TAU)
    assert p_value(low, TAU, steps=10, parts=16) == pytest.approx(p, rel=1e-6)
    assert p == pytest.approx(stats.ttest_1samp(samples, TAU, alternative="greater").pvalue, rel=1e-6)
    assert p_value(lambda tail: 0.0, TAU) == 1.0


@pytest.mark.parametrize(
    ("worst", "audits", "searched", "obstacles", "verdict"),
    [
        (Bounds(0.02, 0.03), [], 0.025, [], "contradicted"),
        (Bounds(0.02, 0.03), [], 0.025, ["a point is undefined"], "contradicted"),
        (Bounds(0.004, 0.03), [Bounds(0, 0.001)], 0.025, [], "undecided"),
        (None, [Bounds(0, 0.001), Bounds(0, 0.004)], 0.003, [], "supported"),
        (None, [Bounds(0, 0.001), Bounds(0, 0.006)], 0.003, [], "undecided"),
        (None, [Bounds(0, 0.001)], 0.005, [], "undecided"),
        (None, [Bounds(0, 0.001)], 0.003, ["the drawn pairs are separable"], "undecided"),
        (None, [], 0.003, [], "undecided"),
    ],
)
def test_decision_rule(worst, audits, searched, obstacles, verdict):
    decision, reason = decide(worst, audits, searched, TAU, obstacles)
    assert decision == verdict
    if verdict == "undecided":
        assert all(sentence in reason for sentence in obstacles)
