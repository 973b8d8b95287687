"""Law 2: an interval holds its own value (also checked in law 1), and is as wide as its maker's numbers scatter."""

from itertools import product

import numpy as np
import pytest
from laws.intervals import CONSERVATIVE, MAKERS, WORLD
from scipy.special import stdtrit
from stattest import assert_scale

from experiments import inference
from experiments.ground_truth.place import place
from simulator.world import World
from theory.ideal_curve import equivalent_of_draws
from theory.learners import Bayes

WORLDS = (WORLD, WORLD.replace(p_inv=0.6), WORLD.replace(mu_spu=0.0))
TABLED = World(table=[[0.35, 0.15], [0.1, 0.4]], mu_spu=1.5, sigma_xi=6.0)
FEW = (1, 1), (10, 10), (100_000, 5), (5, 100_000)  # images per group


@pytest.mark.deep
@pytest.mark.parametrize("name", MAKERS)
def test_an_interval_is_as_wide_as_numbers_scatter(name):
    maker = MAKERS[name]
    values, low, high = np.transpose([maker.run(seed) for seed in range(maker.seeds)]).astype(float)
    assert np.all((low <= values) & (values <= high))
    errors = (high - low) / 2 / maker.quantile()
    assert_scale(values, errors, factor=maker.factor, freedom=maker.freedom, what=name)


def assert_within(value: float, ends: tuple[float, float], what: object) -> None:
    low, high = ends
    assert np.isnan(value) or low <= value <= high, what


@pytest.mark.parametrize(
    ("world", "images", "shares"),
    [*((world, images, (0, 0.9, 1)) for world, images in product(WORLDS, FEW)), (TABLED, (10, 10), (1,))],
)
def test_a_place_of_few_or_extreme_counts_lies_in_its_interval(world, images, shares):
    """Also where no classifier has so many right answers: r is then negative, by chance or because of the world."""
    for common, counter in product(shares, repeat=2):
        counts = {"common": (int(common * images[0]), images[0]), "counter": (int(counter * images[1]), images[1])}
        found = place(counts, world=world)
        assert_within(found.correlation, found.interval, (counts, "p'"))
        assert_within(found.shortfall, found.equivalent.interval.ends["shortfall"], (counts, "r"))
        for group, (right, n) in counts.items():
            assert_within(right / n, found.accuracy.interval.ends[group], (counts, group))


@pytest.mark.parametrize("draws", [((1, 1), (1, 0.9)), ((1, 0), (1, 1)), ((0.3, 0.9), (1, 0.9)), ((0, 0), (0, 1))])
def test_a_place_of_two_draws_lies_in_its_interval(draws):
    found = equivalent_of_draws(WORLD, np.array(draws, float))
    for value, ends in zip(found, found.interval, strict=True):
        assert_within(value, ends, draws)


@pytest.mark.parametrize("group", [0, 1])
def test_a_shortfall_errs_as_its_groups_do_at_the_weights_of_p(group):
    """At p' = p the standard error of r is p times that of the common, and 1 - p times that of the counter accuracy."""
    draws = np.tile([*Bayes().accuracy(WORLD)][:2], (5, 1))
    draws[:, group] += 1e-6 * np.arange(-2, 3)
    _, high = equivalent_of_draws(WORLD, draws).interval.ends["shortfall"]
    error = 1e-6 * np.sqrt(2.5 / 5) * stdtrit(4, 0.975)
    assert high == pytest.approx(error * abs(group - WORLD.p_spu), rel=0.01)


def test_every_maker_is_checked_or_conservative():
    makers = {name for name in vars(inference) if name.endswith(("_bounds", "_interval", "interval95"))}
    assert makers - {name.split(",")[0].split(" ")[0] for name in (*MAKERS, *CONSERVATIVE)} <= {"violation_bounds"}
