"""Equivalent correlation and shortfall against their definition, over a fine grid of Bayes
rules.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtr, softmax
from scipy.stats import binom, t
from stattest import POWER, SHARE, spend

from simulator.accuracy import LEVEL, Accuracy
from simulator.world import Attribute, World
from theory.ideal_curve import IdealCurve, equivalent, equivalent_of_draws
from theory.learners import bayes
from theory.quadrature import REPLICATES

HEADLINE = World(p_spu=0.9, mu_spu=1.5, sigma_xi=6.0)

sizes = st.floats(0.1, 4.0)
worlds_of_two_classes = st.builds(
    World,
    p_spu=st.floats(0.02, 0.98),
    mu_inv=sizes,
    mu_spu=sizes,
    sigma_inv=st.floats(0.1, 2.0),
    sigma_spu=st.floats(0.1, 2.0),
    sigma_xi=st.sampled_from([0.0, 1.0, 8.0]),
    p_inv=st.sampled_from([1.0, 0.95, 0.7]),
)
# A grid of 16 worlds costs as much as a world.
rows = st.lists(worlds_of_two_classes, min_size=16, max_size=16).map(World.stack)


def ideal_by_definition(world: World, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(c*, k*) of + where D_inv tanh(a x) + D_spu tanh(b s) > 0, by a fine trapezoid over the
    background.
    """
    a, b = (world.mean / np.sqrt(world.scale**2 + world.nu_image))[:2]
    t = np.arange(-1800, 1801) / 200
    weight = np.exp(-(t**2) / 2) / np.exp(-(t**2) / 2).sum()
    with np.errstate(divide="ignore"):
        m = (2 * lam[:, None] - 1) / (2 * world.p_inv - 1) * np.tanh(b * (b + t))
        threshold = np.arctanh(np.clip(m, -1, 1)) / a
    together = ndtr(a + threshold) @ weight
    apart = ndtr(a - threshold) @ weight
    p = world.p_inv
    return p * together + (1 - p) * (1 - apart), p * apart + (1 - p) * (1 - together)


@given(worlds_of_two_classes, st.floats(0.3, 1), st.floats(0, 1))
@settings(max_examples=12)
def test_both_numbers_are_the_minimiser_and_the_minimum_over_all_correlations(world, common, share):
    counter = share * common
    place = equivalent(world, Accuracy(common, counter))
    # Fine near the ends, where the ideal drop can change within 1e-6 of lambda = 1. The last entry
    # is p' itself.
    lam = np.concatenate(
        [
            [0.0],
            expit(np.linspace(-30, 30, 301)),
            [1.0],
            [np.nan_to_num(place.correlation, nan=0.5)],
        ]
    )
    c, k = ideal_by_definition(world, lam)
    regret = lam * (c - common) + (1 - lam) * (k - counter)
    # With p_inv < 1 the threshold is infinite beyond a point, where the trapezoid's error is of the
    # size of its step.
    precision = 1e-6 if world.p_inv == 1 else 1e-3
    assert place.shortfall <= regret.min() + precision
    if not np.isnan(place.correlation):
        assert place.shortfall == pytest.approx(regret[-1], abs=precision)


@pytest.mark.parametrize("weights", [(1, -1), (1, 0), (0, -1)])
def test_a_sum_of_the_curve_is_found_where_it_is_taken(weights):
    curve = IdealCurve(
        World(p_spu=0.5, mu_spu=[[0.5], [1.5], [3.0]], sigma_xi=[2.0, 6.0], p_inv=0.95)
    )
    lam = np.array([0.2, 0.7])

    def total(ideal):
        return weights[0] * ideal.common + weights[1] * ideal.counter

    np.testing.assert_allclose(
        curve.where(*weights, total(curve.at(lam))), np.tile(lam, (3, 1)), rtol=0, atol=1e-6
    )
    ends = [
        curve.where(*weights, total(curve.at(end)) + beyond)
        for end, beyond in ((0.0, -0.1), (1.0, 0.1))
    ]
    assert (ends[0] == 0).all()
    assert (ends[1] == 1).all()


@pytest.mark.parametrize(
    ("world", "accuracy", "correlation", "shortfall"),
    [
        (HEADLINE, (0.9, 0.0), 1.0, None),  # more drop than any ideal classifier has
        (HEADLINE, (0.0, 0.9), 0.0, None),
        # no object: any mixture of two background rules
        (World(mu_inv=0.0, mu_spu=2.0), (0.6, 0.3), 0.5, 0.05),
        # a clear object: the ideal drop is 0
        (World(sigma_inv=0.0, sigma_xi=0.0), (0.9, 0.8), 1.0, 0.1),
        (World(sigma_inv=0.0, sigma_spu=0.0, sigma_xi=0.0), (0.9, 0.8), 1.0, 0.1),
    ],
)
def test_ends_of_the_curve(world, accuracy, correlation, shortfall):
    place = equivalent(world, Accuracy(*accuracy))
    assert place.correlation == pytest.approx(correlation, abs=1e-6)
    if shortfall is not None:
        assert place.shortfall == pytest.approx(shortfall, abs=1e-6)
    assert place.interval is None


@pytest.mark.parametrize(
    ("world", "accuracy", "fits", "shortfall"),
    [
        (World(mu_spu=0.0), (0.8, 0.7), (0.0, 1.0), ndtr(1 / np.sqrt(1 + 1 / 64)) - 0.8),
        (World(sigma_inv=0.0, sigma_xi=0.0), (0.8, 0.8), (0.0, 1.0), 0.2),
        (World(sigma_spu=0.0, sigma_xi=0.0, p_inv=0.8), (1.0, 0.0), (0.8, 1.0), 0.0),
        # An error of 2e-8, as InfoNCE's accuracies may have, where all correlations from .05 to .95
        # have one drop.
        (
            World(mu_inv=2.6, mu_spu=0.54, sigma_inv=0.1, sigma_spu=0.54, p_inv=0.95),
            (0.95 - 2e-8, 0.95),
            (0.05, 0.95),
            2e-8,
        ),
        # Both classes have the same common background, so that no weights of the groups make
        # backgrounds informative.
        (
            World(table=((0.5, 0.2), (0.2, 0.1)), mu_spu=1.5, sigma_xi=6.0),
            (0.9, 0.5),
            (0.0, 1.0),
            None,
        ),
    ],
)
def test_correlations_that_fit_equally_well_are_the_interval(world, accuracy, fits, shortfall):
    """With an interval of the accuracies, with replicates and without; in a grid, beside a world
    that has a place.
    """
    own = Accuracy.of(accuracy, LEVEL, [(x, x) for x in accuracy])
    rows = np.array([accuracy, accuracy])
    for place in (
        equivalent(world, Accuracy(*accuracy)),
        equivalent(world, own),
        equivalent_of_draws(world, rows),
    ):
        assert np.isnan(place.correlation)
        assert place.interval.ends["correlation"] == pytest.approx(fits, abs=1e-3)
        assert shortfall is None or place.shortfall == pytest.approx(shortfall, abs=1e-6)
    if world.table is None:
        grid = World.stack([world, HEADLINE])
        place = equivalent(
            grid, Accuracy(np.array([accuracy[0], 0.9]), np.array([accuracy[1], 0.5]))
        )
        assert np.isnan(place.correlation).tolist() == [True, False]
        low, high = place.interval.ends["correlation"]
        assert (low[0], high[0]) == pytest.approx(fits, abs=1e-3)
        assert low[1] == pytest.approx(high[1], abs=1e-8)
        assert low[1] == pytest.approx(
            equivalent(HEADLINE, Accuracy(0.9, 0.5)).correlation, abs=1e-8
        )


def test_further_attributes_leave_the_ideal_curve_as_it_is():
    accuracy = Accuracy(0.9, 0.5)
    further = HEADLINE.replace(attribute=(Attribute(p=0.9, mu=1.5),))
    assert tuple(equivalent(further, accuracy)) == tuple(equivalent(HEADLINE, accuracy))


@pytest.mark.parametrize("K", [2, 3])
def test_an_empty_grid_has_no_places(K):
    none = np.zeros(0)
    place = equivalent(World(classes=K, mu_spu=none), Accuracy(none, none))
    assert np.shape(place.correlation) == np.shape(place.shortfall) == (0,)
    assert place.unseen is None


def ideal_of_three_classes(world: World, lam: float) -> list[float]:
    """(c*, k*) by a tensor grid: class 0 beats both others at the object, given the background's
    coordinates.
    """
    a, b = (world.mean / np.sqrt(world.scale**2 + world.nu_image))[:2]
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    noise = np.array(np.meshgrid(nodes, nodes, nodes)).reshape(3, -1)
    weight = np.prod(np.meshgrid(weights, weights, weights), axis=0).ravel() / weights.sum() ** 3
    found = []
    for background in (0, 1):
        s = noise + b * (np.arange(3) == background)[:, None]
        q = (1 - lam) / 2
        likely = np.log(q + (lam - q) * softmax(b * s, axis=0))
        apart = (likely[0] - likely[1:]) / a + a
        found.append(
            float(weight @ (ndtr(nodes + apart[..., None]).prod(axis=0) @ weights) / weights.sum())
        )
    return found


@pytest.mark.parametrize("correlation", [0.5, 0.8])
def test_three_classes_agree_with_the_definition_to_1e_4(correlation):
    world = World(classes=3, p_spu=0.9, mu_inv=2.0, mu_spu=2.0, sigma_xi=8.0)
    ideal = np.array(ideal_of_three_classes(world, correlation))
    assert tuple(equivalent(world, Accuracy(*(ideal - 0.03)))) == pytest.approx(
        (correlation, 0.03), abs=1e-4
    )


@given(rows, st.floats(0.5, 0.95), st.floats(0.2, 0.9), st.floats(0.001, 0.05))
@settings(max_examples=2)
def test_the_interval_holds_every_place_within_the_rectangle(worlds, common, counter, half):
    sides = (common - half, common + half), (counter - half, counter + half)
    interval = equivalent(worlds, Accuracy.of((common, counter), 0.9, sides)).interval
    assert interval.level == 0.9
    grid = np.meshgrid(*(np.linspace(*side, 3) for side in sides))
    place = equivalent(worlds, Accuracy(*(x.reshape(-1, 1) for x in grid)))
    known = (place.shortfall >= 0) & ~np.isnan(place.correlation)  # a world allows these accuracies
    for value, (low, high) in zip(place, interval, strict=True):
        assert np.all((low - 1e-6 <= value)[known])
        assert np.all((value <= high + 1e-6)[known])


@pytest.mark.deep
@pytest.mark.parametrize("draws", [False, True])
def test_intervals_hold_the_error_of_a_sampled_curve(draws, monkeypatch):
    """40 seeds of a curve that is exact without its table; a coverage of .5 is found with power
    .99.
    """
    fields = {
        "mu_inv": 1.3,
        "mu_spu": 2.0,
        "sigma_xi": 4.0,
        "p_inv": 0.9,
    }
    points = bayes.bayes_points
    world = World(table=[[0.4, 0.1], [0.1, 0.4]], **fields)
    accuracy = Accuracy(0.86, 0.62)
    exact = equivalent(World(p_spu=0.8, **fields), accuracy)
    monkeypatch.setattr(bayes, "TERMS", 2**10)
    seeds = 40
    misses = np.zeros(2, int)
    most = binom.isf(SHARE, seeds, 0.05)
    assert binom.sf(most, seeds, 0.5) > POWER
    for seed in range(1, 1 + seeds):
        monkeypatch.setattr(bayes, "bayes_points", lambda world, seed=seed: points(world, seed))
        place = (
            equivalent_of_draws(world, np.array([[*accuracy]] * 3))
            if draws
            else equivalent(world, accuracy)
        )
        misses += [
            not low <= value <= high
            for (low, high), value in zip(place.interval, exact, strict=True)
        ]
    for number in misses:
        spend(SHARE)
        assert number <= most


def test_groups_that_move_together_leave_the_drop_and_move_the_shortfall():
    """Their covariance counts twice: the interval of r is that of the common movement."""
    moves = np.array([-0.01, 0.0, 0.004, 0.006])
    place = equivalent_of_draws(HEADLINE, np.array([0.9, 0.5]) + moves[:, None])
    (low, high), (least, most) = place.interval
    assert high - low < 1e-6
    half = t.ppf(0.975, 3) * moves.std(ddof=1) / 2
    assert (least, most) == pytest.approx(
        (place.shortfall - half, place.shortfall + half), abs=1e-7
    )
    alike = equivalent_of_draws(
        HEADLINE, np.tile([0.9, 0.5], (64, 1)), np.array([0.9, 0.5]) + moves[:, None]
    )
    assert alike.interval.ends["shortfall"] == pytest.approx((least, most), abs=1e-7), (
        "4 sets of shared images"
    )
    apart = equivalent_of_draws(HEADLINE, np.array([0.9, 0.5]) + moves[:, None] * [1, -1])
    drops = [float(IdealCurve(HEADLINE).at(end).drop) for end in apart.interval.ends["correlation"]]
    assert drops == pytest.approx([0.4 - 2 * half, 0.4 + 2 * half], abs=1e-8)


OTHER_VALUES = {
    "mu_inv": 1.5,
    "mu_spu": 1.5,
    "sigma_inv": 1.5,
    "sigma_spu": 1.5,
    "sigma_xi": 2.5,
    "p_inv": 0.8,
}


@pytest.mark.parametrize("field", [*OTHER_VALUES, "dim_image"])
def test_worlds_of_three_classes_share_a_curve_only_if_the_correlation_alone_differs(
    field, monkeypatch
):
    """The ideal drop is here a made-up number of all fields, so that a wrong world is noticed."""

    def made_up(world, table, points):
        p = 3 * table[0, 0]
        numbers = [np.ravel(getattr(world, name))[0] for name in (*OTHER_VALUES, "dim_image")]
        drop = 0.2 * p * (1 + np.sin(np.dot(numbers, np.arange(1, 8))) / 2)
        return np.tile([0.6 + drop, 0.6 - drop], (REPLICATES, 1))

    monkeypatch.setattr(bayes, "bayes_replicates", made_up)
    monkeypatch.setattr(bayes, "bayes_points", lambda world: [])
    two = [
        OTHER_VALUES.get(field, 40),
        {"sigma_xi": 1.0, "p_inv": 1.0, "dim_image": 64}.get(field, 2.0),
    ]
    grid = World(classes=3, p_spu=[[0.5], [0.7]], **{field: two})
    place = equivalent(grid, Accuracy(0.65, 0.6))
    drawn = equivalent_of_draws(
        grid, np.broadcast_to(np.reshape([0.65, 0.6], (2, 1, 1)), (3, 2, 2, 2))
    )
    for index in np.ndindex(2, 2):
        single = equivalent(grid[index], Accuracy(0.65, 0.6))
        for found in (place, drawn):
            assert (found.correlation[index], found.shortfall[index]) == pytest.approx(
                tuple(single), abs=1e-6
            )
    assert abs(place.correlation[0, 0] - place.correlation[0, 1]) > 1e-3


def test_accuracies_that_no_classifier_has_get_an_interval_and_one_replicate_none():
    """That of p' was inverted."""
    low, high = equivalent(
        HEADLINE, Accuracy.of((0.96, 0.6), 0.95, [(0.95, 0.97), (0.59, 0.61)])
    ).interval.ends["correlation"]
    assert low < high
    assert equivalent_of_draws(HEADLINE, np.array([[0.9, 0.5]])).interval is None
