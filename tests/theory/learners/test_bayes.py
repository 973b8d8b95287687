"""The Bayes rule against slow oracles (a quantile grid, drawn images) and known answers; beside other rules in
test_supervised."""

import numpy as np
import pytest
from reference import worlds_with
from scipy.special import ndtri

from simulator.world import Attribute, World, Worlds
from theory.density import class_log_density
from theory.learners.bayes import bayes_accuracy
from theory.learners.supervised import image_variance


# theory.md section 6, nu = .49, sigma_inv = 1, sigma_spu = .5; four printed digits.
@pytest.mark.parametrize(
    ("p", "mu", "expected"),
    [
        (0.5, 1, (0.7937, 0.7937)),
        (0.75, 1, (0.8821, 0.6440)),
        (0.75, 2, (0.9275, 0.5665)),
        (0.9, 2, (0.9784, 0.3177)),
        (0.99, 2, (0.9930, 0.0518)),
    ],
)
def test_bayes_known_answers(p, mu, expected):
    got = bayes_accuracy(worlds_with(p_spu=p, mu_spu=mu, nu=0.49))
    assert (got.common, got.counter) == pytest.approx(expected, abs=5.001e-5)
    assert got.interval is None


# The steep cases: an almost useless object (x_inv becomes the outer variable), a noiseless background, mu_inv = 0.
@pytest.mark.parametrize(
    "world",
    [
        {"p_spu": 0.9, "mu_inv": 0.02, "mu_spu": 1.0},
        {"p_spu": 0.7, "mu_inv": 0.02, "mu_spu": 1.0},
        {"p_spu": 0.9, "mu_inv": 0.0, "mu_spu": 1.0},
        {"p_spu": 0.2, "mu_inv": 1.0, "mu_spu": -3.0, "sigma_spu": 2.0},
        {"p_spu": 0.95, "mu_inv": 0.8, "mu_spu": 1.0, "sigma_spu": 0.0},
        {"p_spu": 0.75, "mu_inv": 0.3, "mu_spu": 0.0},
    ],
)
def test_bayes_matches_a_quantile_grid(world):
    blocks = worlds_with(**world)
    got = bayes_accuracy(blocks)
    t = ndtri((np.arange(1200) + 0.5) / 1200)
    deviation, p = np.sqrt(image_variance(blocks)), blocks.agreement[1]
    for sign, accuracy in ((1, got.common), (-1, got.counter)):
        x, b = blocks.mean[0] + deviation[0] * t, sign * blocks.mean[1] + deviation[1] * t
        inv = 2 * blocks.mean[0] * x / deviation[0] ** 2
        if deviation[1] > 0:
            like = [np.exp(-((b - m) ** 2) / (2 * deviation[1] ** 2)) for m in (blocks.mean[1], -blocks.mean[1])]
        else:
            like = [1.0 * (b == m) for m in (blocks.mean[1], -blocks.mean[1])]
        spu = np.log((p * like[0] + (1 - p) * like[1]) / ((1 - p) * like[0] + p * like[1]))
        decision = inv[:, None] + spu
        grid = (decision > 1e-12).mean() + 0.5 * (np.abs(decision) <= 1e-12).mean()
        assert float(accuracy) == pytest.approx(grid, abs=1e-3)  # the grid's own error, about one cell in 1200


@pytest.mark.parametrize("world", [World(classes=3, p_spu=0.8), World(attribute=(Attribute(p=0.8, mu=1.5),))])
def test_sampled_bayes_matches_drawn_images(world):
    """2e5 images a group; two errors of at most .0012 each and the interval: false alarm below 1e-6 (5 sigma)."""
    blocks, n = Worlds.of(world), 200_000
    K, B = blocks.classes, len(blocks.mean)
    got = bayes_accuracy(blocks, seed=5)
    rng = np.random.default_rng(2)
    for group, accuracy, (low, high) in ((0, got.common, got.interval[0]), (1, got.counter, got.interval[1])):
        codes = np.column_stack([np.zeros(n, int), np.full(n, group), rng.integers(K, size=(n, B - 2))])
        pattern = np.array([[1.0], [-1.0]]) if K == 2 else np.eye(K)
        x = blocks.mean[:, None] * pattern[codes]
        x = x + np.sqrt(image_variance(blocks))[:, None] * rng.standard_normal(x.shape)
        right = class_log_density(x, None, blocks).argmax(-1) == 0
        assert low <= accuracy <= high
        spread = np.hypot(np.sqrt(accuracy * (1 - accuracy) / n), (high - low) / 4.26)
        assert abs(right.mean() - accuracy) < 5 * spread


def test_sampled_bayes_agrees_with_quadrature():
    """A further attribute at p = 1/2 carries nothing, so the sampled route must return the exact number."""
    exact = bayes_accuracy(Worlds.of(World(p_spu=0.8, mu_spu=1.4)))
    got = bayes_accuracy(World(p_spu=0.8, mu_spu=1.4, attribute=(Attribute(p=0.5),)).blocks())
    # Smooth integrand on 2^16 points in all; sixteen randomisations pass a |t| of 7.3 once in 4e5.
    for a, b, (low, high) in zip(exact[:2], got[:2], got.interval, strict=True):
        assert abs(float(a) - float(b)) < 7.3 / 2.13 * (high - low) / 2 + 1e-6


def test_out_of_domain_is_refused():
    with pytest.raises(ValueError, match="classes = 51"):
        bayes_accuracy(Worlds.of(World(classes=51, dim_image=200, dim_text=200)))
    with pytest.raises(ValueError, match="no density"):
        bayes_accuracy(worlds_with(p_spu=1.0, sigma_inv=0.0, sigma_spu=0.0))
