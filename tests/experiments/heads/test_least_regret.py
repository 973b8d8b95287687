"""The smooth curve against the theory's ideal curve and linear programming; errors against slow
counts.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_embeddings import WORLD
from scipy import stats
from scipy.optimize import linprog
from scipy.special import expit, logit
from stattest import SHARE, spend

from experiments.heads import least_regret
from experiments.heads.intervals import by_class, drawn_over_classes, drawn_over_photos, worth
from experiments.heads.least_regret import (
    FINE,
    RESOLVED,
    SMALL,
    WEIGHTS,
    WIDTHS,
    best_answers,
    smooth,
    trade,
    width_within,
)
from simulator.accuracy import LEVEL, Accuracy
from simulator.world import World
from theory import equivalent
from theory.learners import named

HEADLINE = World(p_spu=0.9, mu_spu=1.5, sigma_xi=6.0)
L = len(WEIGHTS)


def support(points):
    """B of heads (2, J) at WEIGHTS."""
    return (np.outer(WEIGHTS, points[0]) + np.outer(1 - WEIGHTS, points[1])).max(axis=1)


def ideal(world, weights=WEIGHTS):
    """The theory's ideal curve: Bayes rules of the world at other correlations."""
    return np.array(
        [list(named("bayes").accuracy(world.replace(p_spu=float(weight)))) for weight in weights]
    ).T


@pytest.mark.parametrize("world", [HEADLINE, WORLD])
def test_on_an_ideal_curve_p_and_r_are_the_theorys(world):
    """Also where the drop is 0, and between the weights; p' moves with the drop, without plateaus
    and jumps.
    """
    curve, _ = smooth(support(ideal(world)))
    for common, counter in (ideal(world, (0.5, 0.621, 0.8, 0.9, 0.97)) - 0.01).T.tolist():
        theory = equivalent(world, Accuracy(common, counter))
        assert curve.weight(common - counter) == pytest.approx(float(theory.correlation), abs=2e-3)
        assert curve.balanced(common - counter) - (common + counter) / 2 == pytest.approx(
            0.01, abs=3e-4
        )
    assert curve.weight(0.0) == pytest.approx(0.5, abs=1e-3)
    drops = np.linspace(-0.02, 0.4, 400)
    steps = np.diff(curve.weight(drops))
    assert (steps > 0).all()
    assert steps.max() < 0.004


@given(st.integers(0, 2**32 - 1))
def test_the_smooth_curve_is_concave_and_its_points_are_its_own(seed):
    rng = np.random.default_rng(seed)
    curve, _ = smooth(support(rng.uniform(0.3, 0.95, size=(2, 6))), float(rng.choice(WIDTHS)))
    assert (np.diff(curve.drop) >= -1e-12).all()
    weights = expit(rng.uniform(-5, 5, size=4))
    common, counter = curve.points(weights)
    np.testing.assert_allclose(curve.balanced(common - counter), (common + counter) / 2, atol=2e-4)
    # a tangent with this exchange rate
    for weight, c, k in zip(weights, common, counter, strict=True):
        everywhere = curve.points(FINE)
        assert (
            weight * everywhere[0] + (1 - weight) * everywhere[1]
            <= weight * c + (1 - weight) * k + 1e-4
        ).all()


@given(st.integers(0, 2**32 - 1))
def test_r_is_what_a_mixture_gains_on_both_groups(seed):
    """Against linear programming, for heads whose curve is smooth: many on a circle."""
    rng = np.random.default_rng(seed)
    turn = np.linspace(0, np.pi / 2, 60)
    points = 0.5 + 0.4 * np.array([np.sin(turn), np.cos(turn)])
    own = points[:, rng.integers(15, 45)] - rng.uniform(0, 0.1, size=2)
    gain = points - own[:, None]
    result = linprog(
        np.r_[np.zeros(60), -1],
        A_ub=np.hstack([-gain, np.ones((2, 1))]),
        b_ub=np.zeros(2),
        A_eq=np.r_[np.ones(60), 0][None],
        b_eq=[1],
        bounds=[(0, None)] * 60 + [(None, None)],
    )
    best = support(points)
    curve, _ = smooth(best, width_within(best, np.zeros((L, L))))
    assert curve.balanced(own[0] - own[1]) - own.mean() == pytest.approx(
        -result.fun, abs=1.5 * SMALL
    )


def test_a_kink_that_the_photos_resolve_is_not_smoothed_away():
    """A label that shows with probability .8, a background that says the rest: B = max(lambda, .8,
    1 - lambda).
    """
    best = np.maximum(np.maximum(WEIGHTS, 1 - WEIGHTS), 0.8)
    sharp = width_within(best, 1e-8 * np.eye(L))
    blurred = width_within(best, 1e-2 * np.eye(L))
    assert (sharp, blurred) == (WIDTHS[-1], WIDTHS[0])
    curve, _ = smooth(best, sharp)
    assert np.abs(np.interp(WEIGHTS, FINE, curve.best) - best).max() < 0.02
    assert curve.weight(0.4) == pytest.approx(0.8, abs=0.03)
    smooth_one = support(ideal(WORLD))
    assert width_within(smooth_one, np.zeros((L, L))) == WIDTHS[0]
    assert (
        np.abs(np.interp(WEIGHTS, FINE, smooth(smooth_one)[0].best) - smooth_one).max() < SMALL / 10
    )


def heads_and_best(points, off=0.0):
    """Accuracies of heads, of the best at each weight on the same photos, and of that on others."""
    best = points[
        :, (np.outer(WEIGHTS, points[0]) + np.outer(1 - WEIGHTS, points[1])).argmax(axis=1)
    ]
    return np.hstack([points, best + off, best - off])


def placed(found, errors=None):
    """The trade where `errors` (R x 2 x M) are drawn; by default none."""
    drawn = found + (np.zeros((20, *found.shape)) if errors is None else errors)
    return trade(found, drawn, np.full(2, np.inf), np.random.default_rng(0))


def test_r_is_uncertain_by_what_the_smooth_curve_misses(monkeypatch):
    """B = max(lambda, .8, 1 - lambda) again, smoothed too much; the last head is beside a kink,
    below the curve.
    """
    # So wide a smoothing is chosen at large errors only, and these would hide the misfit in the
    # interval.
    monkeypatch.setattr(least_regret, "width_within", lambda best, errors: WIDTHS[0])
    points = np.array([[0.8, 1.0, 0.0, 0.9], [0.8, 0.0, 1.0, 0.4]])
    curve, _, (*_, at), _ = placed(heads_and_best(points))
    off = np.abs(np.interp(WEIGHTS, FINE, curve.best) - support(points))
    missed = np.interp(at["equivalent_correlation"], WEIGHTS, off)
    assert missed > 0.02
    assert at["interval"]["shortfall"] == pytest.approx(
        (at["shortfall"] - missed, at["shortfall"] + missed)
    )


def test_over_few_classes_intervals_are_those_of_student():
    spend(SHARE)
    means = np.random.default_rng(0).random((5, 2, 3))
    drawn = drawn_over_classes(means, np.random.default_rng(1))
    low, high = stats.t.interval(LEVEL, 4, means.mean(axis=0), stats.sem(means))
    # 400 draws know a deviation to 3.5 %
    np.testing.assert_allclose(
        drawn.std(axis=0, ddof=1) * stats.norm.ppf((1 + LEVEL) / 2), (high - low) / 2, rtol=0.15
    )
    np.testing.assert_allclose(
        drawn.mean(axis=0), means.mean(axis=0), atol=0.25 * (high - low).max()
    )


def test_one_dominating_head_has_an_interval_and_no_number():
    """Nothing was measured beside it, so no slope is known there; a head with a larger drop stands
    beyond the end.
    """
    found = heads_and_best(np.array([[0.95, 0.9, 0.4], [0.93, 0.4, 0.9]]))
    errors = 0.01 * np.random.default_rng(0).normal(size=(400, *found.shape))
    errors[:, :, 3:] = errors[:, :, :1]  # the best is the first head
    _, _, (first, second, _), _ = placed(found, errors)
    assert first["equivalent_correlation"] is None
    low, high = first["interval"]["equivalent_correlation"]
    assert high - low > RESOLVED
    assert first["photos_needed"] == pytest.approx(((high - low) / RESOLVED) ** 2)
    assert first["shortfall"] == pytest.approx(0, abs=1e-6)
    assert second["equivalent_correlation"] == 1
    assert second["shortfall"] == pytest.approx(0.05, abs=1e-3)


def test_the_best_head_is_chosen_on_all_photos_and_on_others():
    """50 heads that guess: the best on the same photos seems better than 1/2, the best on other
    photos does not.
    """
    rng = np.random.default_rng(0)
    group = np.arange(2000) % 4
    right = rng.random((2000, 50)) < 0.5
    best = best_answers(right, group, np.random.default_rng(1))
    same, other, every = (accuracies(answers, group) for answers in (*best, right))
    middle = L // 2
    direct = every.mean(axis=0)
    assert same[:, middle].mean() == pytest.approx(direct.max(), abs=1e-6)
    assert same[:, middle].mean() > 0.51
    assert abs(other[:, middle].mean() - 0.5) < 0.034  # 3 standard errors
    right[:, 7] = True  # a head that is always right is always chosen
    for answers in best_answers(right, group, np.random.default_rng(1)):
        assert answers.min() == 1
    right[:, 3], right[:, 7] = group % 2 == 0, group % 2
    for answers in best_answers(right, group, np.random.default_rng(1)):
        assert (answers[:, -1] == (group % 2 == 0)).all()
        assert (answers[:, 0] == group % 2).all()


def accuracies(right, group):
    photos, correct = by_class(right, group)
    return (correct / photos[..., None]).mean(axis=0)


def test_a_bootstrap_over_photos_has_the_errors_of_counts(monkeypatch):
    spend(SHARE)
    monkeypatch.setattr("experiments.heads.intervals.DRAWS", 20_000)
    monkeypatch.setattr("experiments.heads.intervals.BLOCK", 50)
    rng = np.random.default_rng(3)
    group = np.repeat([0, 2, 4], 40) + np.tile([0, 1, 1, 0, 0], 24)
    right = rng.random((120, 4)) < 0.7
    drawn = drawn_over_photos(right, group, np.random.default_rng(0))
    for g in (0, 1):
        cells = [right[group == 2 * y + g].astype(float) for y in range(3)]
        mean = np.mean([cell.mean(axis=0) for cell in cells], axis=0)
        assert accuracies(right, group)[g] == pytest.approx(mean)
        expected = sum(np.cov(cell.T) / len(cell) for cell in cells) / 9
        assert drawn[:, g].mean(axis=0) == pytest.approx(
            mean, abs=5 * np.sqrt(expected.max() / 20_000)
        )
        # five errors of 1 %
        assert np.cov(drawn[:, g].T) == pytest.approx(expected, abs=0.05 * expected.max())
    between = np.cov(drawn.reshape(20_000, -1).T)[:4, 4:]
    assert np.abs(between).max() < 0.05 * expected.max()
    photos, _ = by_class(right, group)
    assert worth(photos)[0] == pytest.approx(9 / sum(1 / n for n in photos[:, 0]))
    assert logit(WEIGHTS)[-1] == pytest.approx(6)


@pytest.mark.parametrize("off", [0.0, 0.01])
def test_without_error_the_interval_is_the_place_and_what_selection_costs(off):
    """On the same photos the best heads are better than on average by `off`, on others worse by as
    much.
    """
    _, band, (at, *_), _ = placed(heads_and_best(np.column_stack([[0.85, 0.6], ideal(WORLD)]), off))
    theory = equivalent(WORLD, Accuracy(0.85, 0.6))
    assert at["equivalent_correlation"] == pytest.approx(float(theory.correlation), abs=2e-3)
    assert at["shortfall"] == pytest.approx(float(theory.shortfall), abs=3e-4)
    ends = (max(at["shortfall"] - off, 0), at["shortfall"] + off)
    assert at["interval"]["shortfall"] == pytest.approx(ends, abs=3e-4 if off else None)
    if not off:
        assert at["interval"]["equivalent_correlation"] == pytest.approx(
            (at["equivalent_correlation"],) * 2
        )
        np.testing.assert_allclose(*band)
