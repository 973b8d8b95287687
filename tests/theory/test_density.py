"""Densities against the explicit mixture: one Gaussian per group and caption mask."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import log_densities
from scipy.special import logsumexp

from simulator.world import Attribute, World
from theory.density import class_log_density, given_label, log_density, prompt_scores

WORLDS = [
    World(p_spu=0.8, mu_spu=1.7, mention_inv=0.6, mention_spu=0.3, sigma_xi=5, dim_text=30),
    World(p_spu=1.0, mu_inv=-0.7, mention_spu=0.0, sigma_xi=4),
    World(p_spu=0.3, sigma_inv=0.0, sigma_xi=6, attribute=(Attribute(p=0.9, mention=0.5, mu=0.4),)),
    World(p_spu=0.7, classes=3, mention_spu=0.4, sigma_xi=6, mu_spu=1.3),
    World(p_spu=0.0, classes=4, mention_inv=0.2, sigma_xi=6),
    World(p_inv=0.8, p_spu=0.7, mention_inv=0.5, sigma_xi=5, sigma_xi_text=2.0),
    World(p_inv=0.6, p_spu=0.7, classes=3, mention_spu=0.4, sigma_xi=6),
    World(
        p_spu=0.7, mention_inv=0.6, sigma_xi=0.0, sigma_xi_text=4.0, detail_inv=0.3, detail_spu=0.0
    ),
    World(p_spu=0.7, classes=3, sigma_xi=5, detail_inv=0.0, detail_spu=0.8, bare=0.4),
]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("seen", ["both", "image", "text"])
def test_factorised_density_is_the_mixtures(world, seen):
    """Two orders of summing a few dozen float64 terms."""
    image, text = np.random.default_rng(3).normal(size=(2, 5, world.latents))
    views = [None if seen == "text" else image, None if seen == "image" else text]
    expected = log_densities(world, *views)
    np.testing.assert_allclose(log_density(*views, world), logsumexp(expected, axis=1), rtol=1e-10)
    np.testing.assert_allclose(
        class_log_density(*views, world), expected + np.log(world.classes), rtol=1e-10
    )


# scipy's logsumexp divides by a share, so that its shares may not be subnormal.
@given(st.lists(st.floats(-800, 800), min_size=2, max_size=7), st.just(0.0) | st.floats(1e-300, 1))
@example([-800.0, 0.0, 800.0], 1.0)
@example([0.0, 0.0], 0.0)
def test_attribute_is_summed_out_without_cancellation_and_underflow(values, p):
    """By the law of a world, and by a table with empty cells."""
    f = np.array([values, np.zeros(len(values))])
    K = len(values)
    for law in (np.where(np.eye(K), p, (1 - p) / (K - 1)), np.tril(np.full((K, K), 1 / K))):
        expected = np.transpose([logsumexp(f, b=row, axis=1) for row in law])
        np.testing.assert_allclose(given_label(f, law), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("prompt", ["name", "mean"])
def test_captions_without_noise_are_the_limit_of_little_noise(classes, prompt):
    """At nu_T = 0 a masked block is an atom. Which prompt fits an image better is continuous
    there.
    """
    quiet = World(
        classes=classes,
        sigma_xi=4.0,
        sigma_xi_text=0.0,
        mention_inv=0.7,
        mention_spu=0.4,
        p_spu=0.8,
    )
    faint = quiet.model_copy(update={"sigma_xi_text": 1e-7})
    images = 2 * np.random.default_rng(4).normal(size=(300, quiet.latents))
    scores = [prompt_scores(images, w.prompts(prompt), w) for w in (quiet, faint)]
    gaps = [s - s[:, :1] for s in scores]
    # A mention with value 0 weighs sqrt(nu_T) = 1e-8 of a masked block; every other term is
    # smaller.
    np.testing.assert_allclose(gaps[0], gaps[1], rtol=0, atol=1e-7)


def test_small_noise_leaves_a_finite_exact_density():
    # At nu = 1e-12, S_I S_T - sigma^4 loses all digits. At x_I = x_T = mu the density has a closed
    # form.
    world = World(p_spu=1.0, mu_spu=0.0, sigma_xi=8e-6, sigma_spu=1.0)
    nu = world.nu_image
    at = np.array([1.0, 0.0])
    got = log_density(at, at, world)
    determinant = 2 * nu + nu**2
    per_block = -0.5 * np.log(4 * np.pi**2 * determinant)
    other_class = -0.5 * 4 * 2 * nu / determinant
    assert got == pytest.approx(2 * per_block + np.log(0.5 + 0.5 * np.exp(other_class)), rel=1e-12)
