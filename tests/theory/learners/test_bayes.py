"""The Bayes rule against slow oracles and closed forms; test_supervised compares it with other rules."""

import numpy as np
import pytest
from reference import worlds_with
from scipy.special import ndtr

from simulator.world import Attribute, World
from theory.learners.base import sampled_accuracy
from theory.learners.bayes import Bayes, bayes_accuracy


def accuracy_by_thresholds(blocks: World) -> tuple[float, float]:
    """(common, counter) from p(x | y): bisection for the threshold in one block, trapezoid rule over the other.

    The bisected block is the more reliable one, so that its threshold stays finite. A threshold beyond 60 standard
    deviations counts as none.
    """
    deviation = np.sqrt(blocks.image_variance)
    inner = int(abs(blocks.agreement[1] - 0.5) > abs(blocks.agreement[0] - 0.5))
    alpha, d, p = (float(x[inner]) for x in (blocks.mean, deviation, blocks.agreement))
    beta, e, q = (float(x[1 - inner]) for x in (blocks.mean, deviation, blocks.agreement))
    t = np.arange(-1800, 1801) / 200
    density = np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi) / 200
    rising = (p - 0.5) * alpha > 0

    def mixture(x, mean, deviation, agreement, y):
        like = [-((x - a * mean) ** 2) / (2 * deviation**2) for a in (1, -1)]
        with np.errstate(divide="ignore"):
            return np.logaddexp(np.log(agreement) + like[(1 - y) // 2], np.log1p(-agreement) + like[(1 + y) // 2])

    def prefers_plus(x, b):
        plus, minus = (mixture(x, alpha, d, p, y) + mixture(b, beta, e, q, y) for y in (1, -1))
        return plus > minus

    chance = {}  # P(decide +) by the signs of the bisected and the other block
    for other in (1, -1):
        b = other * beta + e * t
        low, high = np.full(t.shape, -60 * d), np.full(t.shape, 60 * d)
        for _ in range(80):
            middle = (low + high) / 2
            down = prefers_plus(middle, b) == rising
            low, high = np.where(down, low, middle), np.where(down, middle, high)
        for own in (1, -1):
            above = ndtr((own * alpha - low) / d)
            chance[own, other] = (above if rising else 1 - above) @ density
    shown = blocks.agreement[0]
    plus = chance if inner == 0 else {(o, a): value for (a, o), value in chance.items()}
    return tuple(shown * plus[1, a] + (1 - shown) * plus[-1, a] for a in (1, -1))


@pytest.mark.parametrize(
    ("p_inv", "world"),
    [
        (1.0, {"p_spu": 0.9, "mu_spu": 2.0, "nu": 0.49}),
        (1.0, {"p_spu": 0.9, "mu_inv": 0.02}),  # an object that is almost useless
        (1.0, {"p_spu": 0.2, "mu_spu": -3.0, "sigma_spu": 2.0}),
        (0.95, {"p_spu": 0.8, "mu_spu": 1.5}),
        (0.8, {"p_spu": 0.95, "mu_spu": 1.5}),  # the background is more reliable
        (0.9, {"p_spu": 0.9, "mu_spu": 2.0, "nu": 0.3}),  # equally reliable: a linear rule
        (0.7, {"p_spu": 0.1, "mu_inv": 0.4, "mu_spu": 2.0}),
        (0.2, {"p_spu": 0.9, "mu_inv": 3.0, "sigma_spu": 1.0}),  # an object that mostly disagrees with its label
        (0.6, {"p_spu": 0.999, "mu_inv": 2.0, "mu_spu": -0.5, "sigma_spu": 2.0}),
        (0.999, {"p_spu": 0.6, "mu_inv": 2.5, "sigma_inv": 0.5}),
    ],
)
def test_bayes_is_the_rule_of_the_two_densities(p_inv, world):
    blocks = worlds_with(**world, p_inv=p_inv)
    got = bayes_accuracy(blocks)
    assert (got.common, got.counter) == pytest.approx(accuracy_by_thresholds(blocks), abs=1e-6)


@pytest.mark.parametrize(
    ("world", "scores"),
    [
        ({"mu_inv": 0.0, "mu_spu": 1.0}, (2.0, -2.0)),  # the background alone decides: mu_spu/sigma_spu
        ({"mu_inv": 0.3, "mu_spu": 0.0}, (0.3, 0.3)),
        # An exact background adds its log odds to those of the object, 2 mu_inv x.
        ({"mu_inv": 0.8, "sigma_spu": 0.0}, (0.8 + np.log(9) / 1.6, 0.8 - np.log(9) / 1.6)),
    ],
)
def test_bayes_where_one_block_is_empty_or_exact(world, scores):
    got = bayes_accuracy(worlds_with(p_spu=0.9, **world))
    assert (got.common, got.counter) == pytest.approx(ndtr(scores), abs=1e-6)


def test_the_more_reliable_of_two_exact_blocks_decides():
    """Noiseless views with p_inv < 1. If both blocks are equally reliable and disagree, there is a tie."""
    exact = {"sigma_inv": 0.0, "sigma_spu": 0.0}
    for p_inv, p_spu, expected in (
        (0.9, 0.8, (0.9, 0.9)),  # the object decides
        (0.8, 0.9, (1.0, 0.0)),  # the background decides
        (0.9, 0.9, (0.9 + 0.1 / 2, 0.9 / 2)),  # right if both are right, else a tie or wrong
        (0.5, 0.5, (0.5, 0.5)),
    ):
        got = bayes_accuracy(worlds_with(p_spu=p_spu, **exact, p_inv=p_inv))
        assert (got.common, got.counter) == pytest.approx(expected, abs=1e-12)
        extra = World(p_spu=p_spu, sigma_xi=0.0, **exact, attribute=(Attribute(p=0.5),))
        got = bayes_accuracy(extra.replace(p_inv=p_inv))
        assert (got.common, got.counter) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("world", [World(classes=3, p_spu=0.8, mu_inv=1.8, mu_spu=1.5), World(classes=5, mu_spu=3.0)])
def test_the_average_over_certain_objects_is_the_limit_of_drawn_ones(world):
    """At p_inv = 1 one integral averages over all objects' coordinates; below it, those of other classes are drawn."""
    exact, drawn = (bayes_accuracy(world.replace(p_inv=p)) for p in (1.0, 1 - 1e-9))
    for a, b, *ends in zip(exact, drawn, exact.interval, drawn.interval, strict=True):
        margin = 7.3 / 2.13 * np.hypot(*(float(high - low) / 2 for low, high in ends))
        assert margin < 2e-3
        assert abs(a - b) < margin


OBJECT = {"mu_inv": 1.8, "mu_spu": 1.5, "sigma_xi": 4.0}
FURTHER = {"attribute": (Attribute(p=0.7, mu=0.9),)}
TABLE = {"table": [[0.35, 0.1, 0.05], [0.05, 0.2, 0.25]]}


@pytest.mark.parametrize(
    "fields",
    [
        FURTHER, {"p_inv": 0.3, **FURTHER}, {"classes": 3}, {"classes": 3, "p_inv": 0.8, "p_spu": 0.2},
        {"classes": 3, "p_inv": 0.1, **FURTHER}, TABLE, {"p_inv": 0.8, **TABLE},
        {"table": np.transpose(TABLE["table"]), "p_inv": 0.7},
    ],
)  # fmt: skip
def test_an_integrated_object_has_the_accuracies_of_scores_on_images(fields):
    """Sixteen randomisations of each differ by |t| = 7.3 once in 4e5 (95% is 2.13)."""
    world = World(**OBJECT, **fields)
    found, counted = Bayes().accuracy(world), sampled_accuracy(Bayes(), world)
    for a, b, *ends in zip(found, counted, found.interval, counted.interval, strict=True):
        margin = 7.3 / 2.13 * np.hypot(*(float(high - low) / 2 for low, high in ends))
        assert margin < 1e-2
        assert abs(a - b) < margin
