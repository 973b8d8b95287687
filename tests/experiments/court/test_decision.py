"""The decision rule: bounds of violations, sample sizes, error rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from stattest import SHARE, spend

from experiments.court.decision import (
    FEWEST,
    betting_size,
    binomial_size,
    decide,
    deviation_bound,
    normal_size,
    p_value,
    size_needed,
    violation_bounds,
)
from experiments.inference import Bounds, Sample, bets, betting_bounds, binomial_bounds, t_bounds

TAU = 0.005
TARGET = 0.5
VIOLATIONS = {1: lambda q: q - TARGET, -1: lambda q: TARGET - q, 0: lambda q: abs(q - TARGET)}  # by side


def bounds_of(side, samples, tail, target=TARGET):
    return violation_bounds(side, lambda a: t_bounds(samples, a), target, tail)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20), st.sampled_from(sorted(VIOLATIONS)))
def test_the_violation_of_the_mean_lies_between_its_bounds(values, side):
    samples = np.array(values)
    violation = VIOLATIONS[side](samples.mean())
    low, high = bounds_of(side, samples, 0.05)
    assert low <= violation + 1e-12
    assert high >= violation - 1e-12


@given(st.floats(-2, 2), st.floats(0, 2), st.floats(0, 2))
def test_an_equality_is_as_far_as_its_interval(b, centre, half):
    """low is 0 if the interval of q contains b, even off its centre."""
    ends = Bounds(centre - half, centre + half)
    low, high = violation_bounds(0, lambda tail: ends, b, 0.05)
    assert low == pytest.approx(max(0.0, abs(centre - b) - half), abs=1e-12)
    assert high == pytest.approx(abs(centre - b) + half, abs=1e-12)


@pytest.mark.parametrize("side", VIOLATIONS)
@pytest.mark.parametrize("designs", [2000, pytest.param(100_000, marks=pytest.mark.deep)])
def test_coverage_on_every_side(side, designs):
    """Coverage 1 - tail of each bound of v, at violations 0, tau and between, with 8 normal replicates per design."""
    rng, tail = np.random.default_rng(designs), 0.02
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


def hits_enough(hits: np.ndarray, power: float) -> None:
    """Assert by a binomial test that a simulated design reaches its power."""
    spend(SHARE)
    assert hits.sum() >= stats.binom.ppf(SHARE, hits.size, power), f"power {hits.mean():.3f}, not {power}"


def test_a_normal_design_has_the_power_it_promises_without_waste():
    deviation, gap, tail, miss = 1.0, 0.3, 0.005, 0.05
    R = normal_size(deviation, gap, tail, miss)
    rng = np.random.default_rng(20240501)
    hits_enough(t_bounds(rng.normal(gap, deviation, (2000, int(R))), tail).low > 0, 1 - miss)
    assert 1.3 * ((stats.norm.isf(tail) + stats.norm.isf(0.05)) * deviation / gap) ** 2 > R


@pytest.mark.parametrize("ratio", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("tail", [0.005, 0.005 / 64])
def test_a_design_is_the_smallest_with_its_quantiles(ratio, tail):
    def wanted(R: int) -> float:
        return ((stats.t.isf(tail, R - 1) + stats.t.isf(0.05, R - 1)) * ratio) ** 2

    least = next(R for R in range(8, 10_000) if wanted(R) <= R)
    assert normal_size(ratio, 1.0, tail, 0.05) == least


def test_a_deviation_is_bounded_by_chi_square():
    pilot = Sample(np.array([0.3, 0.1, 0.7, 0.4, 0.9]), normal=True)
    bound = np.std(pilot.values, ddof=1) * np.sqrt(4 / stats.chi2.ppf(0.02, 4))
    assert deviation_bound(pilot, 0.02) == pytest.approx(bound, rel=1e-12)


def test_a_binomial_design_pays_for_discreteness():
    quantiles = stats.norm.isf(0.005) + stats.norm.isf(0.05)
    assert binomial_size(0.4, 0.1, 0.005, 0.05) == np.ceil(quantiles**2 * 0.25 / 0.01 + 20)


@pytest.mark.parametrize(
    ("values", "gap"),
    [(np.linspace(0.4, 0.6, 9), 0.2), (np.linspace(0.1, 0.9, 200), 0.05), (np.linspace(0, 0.03, 80), 0.1)],
)
def test_a_betting_design_uses_its_best_stake(values, gap):
    """The last sample's mean is within the gap from the end of the support; there the end is the bound."""
    tail, miss = 0.005, 0.05

    def least(gains: np.ndarray) -> float:
        missing = lambda R: R * gains.mean() - stats.norm.isf(miss) * gains.std() * np.sqrt(R) - goal  # noqa: E731
        return brentq(missing, 1e-6, 1e12) if gains.mean() > 0 else np.inf

    goal, needed = np.log(len(bets(1e6)) / tail), [float(FEWEST)]
    for side in (values, 1 - values):
        m = side.mean() - gap
        if m > 0:
            stakes = bets(1e6)[1:]
            needed.append(min(least(np.log(1 - t + t * np.append(side, 0.0) / m)) for t in stakes))
    assert np.isfinite(max(needed))
    assert betting_size(Sample(values, support=(0.0, 1.0)), gap, tail, miss) == np.ceil(max(needed))


def test_a_binomial_design_has_the_power_it_promises_without_waste():
    p, gap, tail, miss = 0.9, 0.01, 0.005, 0.05
    n = int(binomial_size(p, gap, tail, miss))
    k = np.random.default_rng(3).binomial(n, p, 2000)
    bounds = binomial_bounds(k, n, tail)
    hits_enough((bounds.high < p + gap) & (bounds.low > p - gap), 1 - 2 * miss)
    assert n < 1.4 * (stats.norm.isf(tail) + stats.norm.isf(miss)) ** 2 * p * (1 - p) / gap**2


def test_a_betting_design_has_the_power_it_promises_without_waste():
    rng, gap, tail, miss = np.random.default_rng(5), 0.02, 0.005, 0.05

    def law(shape):
        return np.where(rng.random(shape) < 0.1, 0.6, 0.1)  # mean .15, deviation .15

    R = int(betting_size(Sample(law(512), support=(0, 1)), gap, tail, miss))
    bounds = betting_bounds(law((200, R)), tail)
    hits_enough((bounds.high < 0.15 + gap) & (bounds.low > 0.15 - gap), 1 - 2 * miss)
    assert 3 * ((stats.norm.isf(tail) + stats.norm.isf(0.05)) * 0.15 / gap) ** 2 > R


def test_designs_have_the_size_that_their_bound_needs():
    flat = np.full(64, 0.3)
    assert size_needed(Sample(flat, normal=True), TAU, 0.01, 0.05) == 8
    # Eight equal values may miss an atom: bounds need about log(1/tail)/tau values.
    assert size_needed(Sample(flat, support=(0, 1)), TAU, 0.01, 0.05) > np.log(100) / TAU
    assert size_needed(Sample(flat), TAU, 0.01, 0.05) == np.inf
    assert size_needed(Sample(flat, normal=True), 0.0, 0.01, 0.05) == np.inf


@pytest.mark.parametrize("values", [np.repeat([0.0, 1.0], [90, 422]), np.random.default_rng(1).beta(2, 5, 64)])
def test_designs_do_not_depend_on_the_scale(values):
    """Twice the values with twice the gap: two-valued pilots and others ask for the same number."""
    one = size_needed(Sample(values, support=(0.0, 1.0)), 0.02, 0.005, 0.05)
    two = size_needed(Sample(2 * values - 1, support=(-1.0, 1.0)), 0.04, 0.005, 0.05)
    assert one == pytest.approx(two, rel=1e-9)
    assert size_needed(Sample(2 * values - 1, support=(-1.0, 1.0)), 0.02, 0.005, 0.05) > 2 * one


@pytest.mark.parametrize("values", [[0.3, 0.1, 0.7, 0.4, 0.9], [2.0, 2.5, 1.0, 3.0, 0.0, 2.2, 1.1, 4.0]])
def test_a_normal_design_divides_its_miss_between_the_deviation_and_the_mean(values):
    """Half of it that the pilot's deviation is too small, half of it that the mean of the replicates is too far off."""
    tail, miss, gap = 0.003, 0.04, 0.5
    freedom = len(values) - 1
    deviation = np.std(values, ddof=1) * np.sqrt(freedom / stats.chi2.ppf(miss / 2, freedom))

    def wanted(R: int) -> float:
        return ((stats.t.isf(tail, R - 1) + stats.t.isf(miss / 2, R - 1)) * deviation / gap) ** 2

    least = next(R for R in range(FEWEST, 10_000) if wanted(R) <= R)
    assert size_needed(Sample(np.array(values), normal=True), gap, tail, miss) == least


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
    ruling = decide(worst, audits, searched, TAU, obstacles)
    assert ruling.decision == verdict
    if verdict == "undecided":
        assert all(sentence in ruling.reason for sentence in obstacles)


def test_a_note_explains_and_decides_nothing():
    wide = "12,000 replicates are needed"
    assert decide(None, [Bounds(0, 0.001)], 0.003, TAU, notes=[wide]).decision == "supported"
    assert wide in decide(None, [Bounds(0, 0.006)], 0.003, TAU, notes=[wide]).reason
