"""The decision rule: bounds of violations, numbers of models, error rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.court.decision import decide, p_value, violation_bounds
from experiments.inference import Bounds, t_bounds

TAU = 0.005


@given(st.sampled_from([1, -1, 0]), st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 0.05))
def test_a_violation_is_as_far_as_its_interval(side, b, centre, half):
    """Intervals of q are wider for smaller tails; low is 0 if that of an equality contains b, even
    off its centre.
    """
    low, high = violation_bounds(
        side, lambda tail: Bounds(centre - half / tail, centre + half / tail), b, 0.1
    )
    violation = side * (centre - b) if side else abs(centre - b)
    assert high == pytest.approx(violation + half / 0.1, abs=1e-12)
    assert low == pytest.approx(
        violation - half / 0.1 if side else max(0.0, violation - half / 0.05), abs=1e-12
    )


def test_p_value_inverts_the_bound():
    samples = np.random.default_rng(2).normal(0.02, 0.004, 12)
    low = lambda tails: np.array([t_bounds(samples, float(tail)).low for tail in tails])  # noqa: E731
    p = p_value(low, TAU)
    assert p_value(low, TAU, steps=10, parts=16) == pytest.approx(p, rel=1e-6)
    assert p == pytest.approx(
        stats.ttest_1samp(samples, TAU, alternative="greater").pvalue, rel=1e-6
    )
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
