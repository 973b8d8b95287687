"""Law 2: an interval holds its own value (also checked in law 1), and is as wide as its maker's
numbers scatter.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import stdtrit
from stattest import assert_scale

from experiments import inference
from experiments.ground_truth.place import place
from simulator.accuracy import LEVEL, mean_interval
from simulator.world import Attribute, World
from theory.ideal_curve import IdealCurve, equivalent_of_draws
from theory.learners import Bayes
from theory.learners.bayes import bayes_accuracy
from theory.quadrature import REPLICATES, estimate

MODELS, PHOTOS, CLUSTERS = 8, 2000, 60
WORLD = World(p_spu=0.9, mu_spu=1.5, sigma_xi=6.0)


class Maker(NamedTuple):
    """One run gives a number and the ends of its interval; `freedom` of the error behind it; the
    level requested.
    """

    run: Callable[[int], tuple[float, float, float]]
    freedom: float
    level: float = LEVEL
    seeds: int = 200
    factor: float = 1.5  # of the scale, which so many runs resolve

    def quantile(self) -> float:
        return float(
            stdtrit(self.freedom if np.isfinite(self.freedom) else 1e9, (1 + self.level) / 2)
        )


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 0.02, shape)


def of_mean(level: float) -> Callable[[int], tuple]:
    def run(seed: int) -> tuple:
        mean, _, low, high = mean_interval(normal(seed, MODELS), level)
        return mean, low, high

    return run


def of_accuracy(accuracy, group: int) -> tuple:
    return float([*accuracy][group]), *map(float, [*accuracy.interval][group])


def of_bounds(seed: int, tail: float) -> tuple:
    values = normal(seed, MODELS)
    return values.mean(), *inference.t_bounds(values, tail)


def of_models(seed: int) -> tuple:
    values = normal(seed, MODELS)
    return values.mean(), *inference.interval95(values)


def of_photos(seed: int) -> tuple:
    right = np.random.default_rng(seed).binomial(PHOTOS, 0.4)
    return right / PHOTOS, *inference.binomial_bounds(right, PHOTOS, (1 - LEVEL) / 2)


def of_clusters(seed: int) -> tuple:
    values = normal(seed, CLUSTERS)
    rng = np.random.default_rng(seed + 10_000)
    return values.mean(), *inference.bootstrap_interval(
        inference.resampled_means(values, 999, rng), CLUSTERS
    )


def of_place(seed: int) -> tuple:
    """The correlation of models that scatter about an ideal classifier's accuracies."""
    at = IdealCurve(WORLD).at(0.8)
    draws = np.array([float(at.common), float(at.counter)]) - 0.02 + (normal(seed, MODELS, 2) - 0.5)
    found = equivalent_of_draws(WORLD, draws)
    return float(found.correlation), *map(float, found.interval.ends["correlation"])


MAKERS = {
    "mean_interval": Maker(of_mean(LEVEL), MODELS - 1),
    "mean_interval at .8": Maker(of_mean(0.8), MODELS - 1, 0.8),
    "estimate": Maker(lambda seed: of_accuracy(estimate(normal(seed, MODELS, 2)), 1), MODELS - 1),
    "t_bounds": Maker(lambda seed: of_bounds(seed, 0.1), MODELS - 1, 0.8),
    "interval95": Maker(of_models, MODELS - 1),
    "binomial_bounds": Maker(of_photos, np.inf),
    "bootstrap_interval": Maker(of_clusters, CLUSTERS - 1),
    "equivalent_of_draws": Maker(of_place, MODELS - 1),
    **{
        f"bayes_accuracy, {kind}": Maker(
            lambda seed, world=world: of_accuracy(bayes_accuracy(world, seed=seed), 1),
            REPLICATES - 1,
            seeds=30,
            factor=3.0,
        )
        for kind, world in (
            ("three classes", World(classes=3, p_spu=0.8)),
            ("attribute", World(attribute=(Attribute(p=0.8, mu=1.5),))),
        )
    },
}
# Wider by design, so that their scale is checked from below alone, in their own rooms.
CONSERVATIVE = {
    "equivalent": "each pair of accuracies within the rectangle has its p' and r within",
    "shortfall of equivalent_of_draws": "the smallest and the largest over the interval of p'",
    "caption_detail": "the error is of one half of the captions, and the value the mean of two",
    "betting_bounds": "hold for any law on the support, at every number of values",
}


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
    [
        *((world, images, (0, 0.9, 1)) for world, images in product(WORLDS, FEW)),
        (TABLED, (10, 10), (1,)),
    ],
)
def test_a_place_of_few_or_extreme_counts_lies_in_its_interval(world, images, shares):
    """Also where no classifier has so many right answers: r is then negative, by chance or because
    of the world.
    """
    for common, counter in product(shares, repeat=2):
        counts = {
            "common": (int(common * images[0]), images[0]),
            "counter": (int(counter * images[1]), images[1]),
        }
        found = place(counts, world=world)
        assert_within(found.correlation, found.interval, (counts, "p'"))
        assert_within(found.shortfall, found.equivalent.interval.ends["shortfall"], (counts, "r"))
        for group, (right, n) in counts.items():
            assert_within(right / n, found.accuracy.interval.ends[group], (counts, group))


@pytest.mark.parametrize(
    "draws", [((1, 1), (1, 0.9)), ((1, 0), (1, 1)), ((0.3, 0.9), (1, 0.9)), ((0, 0), (0, 1))]
)
def test_a_place_of_two_draws_lies_in_its_interval(draws):
    found = equivalent_of_draws(WORLD, np.array(draws, float))
    for value, ends in zip(found, found.interval, strict=True):
        assert_within(value, ends, draws)


@pytest.mark.parametrize("group", [0, 1])
def test_a_shortfall_errs_as_its_groups_do_at_the_weights_of_p(group):
    """At p' = p the standard error of r is p times that of the common, and 1 - p times that of the
    counter accuracy.
    """
    draws = np.tile([*Bayes().accuracy(WORLD)][:2], (5, 1))
    draws[:, group] += 1e-6 * np.arange(-2, 3)
    _, high = equivalent_of_draws(WORLD, draws).interval.ends["shortfall"]
    error = 1e-6 * np.sqrt(2.5 / 5) * stdtrit(4, 0.975)
    assert high == pytest.approx(error * abs(group - WORLD.p_spu), rel=0.01)


def test_every_maker_is_checked_or_conservative():
    makers = {
        name for name in vars(inference) if name.endswith(("_bounds", "_interval", "interval95"))
    }
    assert makers - {name.split(",")[0].split(" ")[0] for name in (*MAKERS, *CONSERVATIVE)} <= {
        "violation_bounds"
    }
