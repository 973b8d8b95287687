"""Every confidence bound: coverage under its assumption, agreement with a slow version, and
atoms.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from stattest import SHARE, assert_same_law, spend

from experiments.inference import (
    Sample,
    betting_bounds,
    binomial_bounds,
    bootstrap_interval,
    combined,
    expanded_tail,
    holm,
    hull,
    interval95,
    mcnemar,
    resampled_means,
    resamples,
    sign_test,
    t_bounds,
)

TAIL = 0.01


def assert_misses_at_most(misses: np.ndarray, tail: float) -> None:
    """Assert by a binomial test that designs miss at a rate of at most `tail`."""
    spend(SHARE)
    designs = misses.size
    missed = int(misses.sum())
    assert missed <= stats.binom.isf(SHARE, designs, tail), (
        f"{missed} of {designs} miss at tail {tail}"
    )


# (sampler of a law on [0, 1], mean of the law)
LAWS = {
    # Like accuracies after seven pairs.
    "rare atom": (lambda rng, shape: np.where(rng.random(shape) < 0.03, 0.45, 0.0), 0.0135),
    "constant": (lambda rng, shape: np.full(shape, 0.3), 0.3),
    "coin": (lambda rng, shape: (rng.random(shape) < 0.1).astype(float), 0.1),
    "skewed": (lambda rng, shape: rng.beta(0.2, 2.0, shape), 0.2 / 2.2),
    "narrow": (lambda rng, shape: rng.uniform(0.49, 0.51, shape), 0.5),
    "far atom": (lambda rng, shape: np.where(rng.random(shape) < 0.01, 0.0, 0.9), 0.891),
}


def test_t_bounds_are_scipys_within_the_support():
    samples = np.array([0.1, 0.4, 0.35, 0.8, 0.55])
    low, high = stats.t.interval(0.95, 4, samples.mean(), stats.sem(samples))
    assert interval95(samples) == pytest.approx([low, high], rel=1e-12)
    assert interval95(samples[:1]) is None
    assert interval95(np.array([0.08, 0.16]))[0] == 0.0
    ends = {
        support: Sample(samples[:2], normal=True, support=support).bounds(0.01)
        for support in (None, (-0.5, 1))
    }
    assert ends[-0.5, 1] == (-0.5, 1)
    assert ends[None] == pytest.approx(
        stats.t.interval(0.98, 1, samples[:2].mean(), stats.sem(samples[:2]))
    )
    with pytest.raises(ValueError, match="got 1"):
        t_bounds(samples[:1], 0.05)


def test_binomial_bounds_are_scipys():
    for k, n in ((0, 7), (3, 7), (7, 7), (12, 400)):
        exact = stats.binomtest(k, n).proportion_ci(0.98, method="exact")
        assert tuple(binomial_bounds(k, n, 0.01)) == pytest.approx(
            (exact.low, exact.high), rel=1e-9
        )


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("designs", [500, pytest.param(20_000, marks=pytest.mark.deep)])
def test_betting_coverage(law, designs):
    draws, mean = LAWS[law]
    rng = np.random.default_rng(designs)
    low = []
    high = []
    for start in range(0, designs, 1000):
        bounds = betting_bounds(draws(rng, (min(1000, designs - start), 60)), TAIL)
        low.append(bounds.low)
        high.append(bounds.high)
    # 1e-12: bounds of a constant may differ from it by rounding.
    assert_misses_at_most(np.concatenate(low) > mean + 1e-12, TAIL)
    assert_misses_at_most(np.concatenate(high) < mean - 1e-12, TAIL)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
    st.floats(1e-4, 0.4),
    st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (-2.0, 3.0)]),
)
@example([0.0, 5e-324], 0.25, (0.0, 1.0))
def test_betting_bounds_are_where_the_capital_reaches_its_goal(unit, tail, support):
    floor, ceiling = support
    values = floor + (ceiling - floor) * np.array(unit)
    low, high = betting_bounds(values, tail, support)
    assert floor <= low <= values.mean() + 1e-7
    assert values.mean() - 1e-7 <= high <= ceiling

    def capital(x, m):
        """The definition as explicit products."""
        stakes = [2.0**-j for j in range(int(np.ceil(np.log2(len(x)) / 2)) + 2)]
        return np.mean([np.prod([1 - s + s * v / m for v in x]) for s in stakes])

    x = (values - floor) / (ceiling - floor)
    m = (low - floor) / (ceiling - floor)
    if m > 1e-6:
        assert capital(x, m) >= 1 / tail * (1 - 1e-6)
        assert capital(x, m + 1e-6) < 1 / tail


def test_equal_values_are_counted():
    values = np.array([-1.0, 0.0, 1.0])
    counts = np.array([3, 90, 12])
    assert betting_bounds(values, 0.01, (-1, 1), counts) == pytest.approx(
        betting_bounds(np.repeat(values, counts), 0.01, (-1, 1)), abs=1e-12
    )
    without = betting_bounds(values, 0.01, (-1, 1), np.array([0, 90, 12]))
    assert without == pytest.approx(
        betting_bounds(values[1:], 0.01, (-1, 1), np.array([90, 12])), abs=1e-12
    )
    with pytest.raises(ValueError, match="lie outside the support"):
        betting_bounds(values, 0.01)


def test_a_sample_gets_the_sharpest_valid_bound():
    values = np.array([0.2, 0.5, 0.4, 0.3])
    assert Sample(values).bounds(0.01) == (-np.inf, np.inf)
    assert Sample(values, normal=True).bounds(0.01) == pytest.approx(t_bounds(values, 0.01))
    assert Sample(values, support=(0, 1)).bounds(0.01) == pytest.approx(
        betting_bounds(values, 0.01)
    )
    answers = Sample(np.array([0.0, 1.0]), support=(0, 1), counts=np.array([30, 70]))
    assert answers.bounds(0.01) == pytest.approx(binomial_bounds(70, 100, 0.01))
    assert (answers.size, answers.mean) == (100, 0.7)


def test_expanded_percentiles_of_a_normal_bootstrap_are_the_t_interval():
    # Bootstrap means of C values have standard deviation sqrt((C - 1)/C) s/sqrt(C).
    values = np.array([0.3, 0.1, 0.7, 0.4, 0.9])
    C = len(values)
    spread = np.std(values) / np.sqrt(len(values))
    ends = values.mean() + spread * stats.norm.ppf(
        [expanded_tail(C, 0.9), 1 - expanded_tail(C, 0.9)]
    )
    assert ends == pytest.approx(t_bounds(values, 0.05), rel=1e-12)
    drawn = values.mean() + spread * stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert bootstrap_interval(drawn, C, 0.9) == pytest.approx(ends, abs=1e-4)
    assert bootstrap_interval(drawn, 1) is None
    assert bootstrap_interval(np.full(9, 0.5), C) is None


def test_errors_of_several_sources_add_up_in_squares():
    assert combined(1.0, (0.7, 1.3), (0.6, 1.0)) == pytest.approx((0.5, 1.3))
    assert combined(1.0, (1.2, 1.5)) == pytest.approx((1.0, 1.5))
    assert hull(None, (0.1, 0.2)) == (0.1, 0.2)
    assert hull((0.0, 0.15), (0.1, 0.2)) == (0.0, 0.2)


def test_sign_test_is_the_binomial_tail():
    assert [sign_test(*split) for split in ((0, 0), (5, 5), (3, 0), (1, 6))] == pytest.approx(
        [1, 1, 1 / 4, 1 / 8]
    )


strata = st.lists(
    st.sampled_from([(n, m) for n in range(4) for m in range(4) if n + m]).flatmap(
        lambda n: st.tuples(
            st.integers(0, n[0]), st.integers(0, n[1]), st.just(n[0]), st.just(n[1])
        )
    ),
    min_size=1,
    max_size=5,
)


@given(strata)
def test_the_sum_over_strata_is_enumerated(rows):
    """All tables with the right answers of each stratum, weighted by their hypergeometric
    probability.
    """
    right, asked = np.hsplit(np.array(rows), 2)
    laws = [stats.hypergeom(n + m, k + l, n) for (k, l), (n, m) in zip(right, asked, strict=True)]
    chance: dict[int, float] = {}
    for table in product(
        *(range(int(law.support()[0]), int(law.support()[1]) + 1) for law in laws)
    ):
        chance[sum(table)] = chance.get(sum(table), 0) + np.prod(
            [law.pmf(k) for law, k in zip(laws, table, strict=True)]
        )
    seen = chance[int(right[:, 0].sum())]
    expected = sum(p for p in chance.values() if p <= seen * (1 + 1e-7))
    assert mcnemar(right, asked) == pytest.approx(min(1, expected), rel=1e-9)


def test_equal_values_are_drawn_together():
    values = np.repeat([0.0, 1.0, -0.5], [9, 4, 2])
    slow = resamples(15, 8000, np.random.default_rng(0)) @ values / 15
    fast = resampled_means(values, 8000, np.random.default_rng(1))
    jitter = np.random.default_rng(2).random((2, 8000)) * 1e-6  # atoms that differ by rounding
    assert_same_law(slow + jitter[0], fast + jitter[1], effect=0.1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array))
def test_holms_adjustment_is_its_definition(p):
    m = len(p)
    order = np.argsort(p, kind="stable")
    for rank, i in enumerate(order):
        by_hand = min(1, max((m - r) * p[order[r]] for r in range(rank + 1)))
        assert holm(p)[i] == pytest.approx(by_hand, abs=1e-12)
