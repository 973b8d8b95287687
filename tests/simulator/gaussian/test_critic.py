"""Exact accuracy of a linear critic against counting, sampling and its symmetries."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import grid_accuracy, sampled_accuracy
from stattest import assert_mean

from simulator.gaussian.critic import (
    LinearCritic,
    gaussian_points,
    group_accuracy,
    many_class_accuracy,
    standardise,
    two_class_scores,
)
from simulator.strategies import worlds
from simulator.streams import numpy_stream
from simulator.world import Attribute, World

TWO = st.just(2)
weight = st.floats(-5, 5).map(lambda x: round(x, 3))


def critic_from(w: np.ndarray, D: np.ndarray) -> LinearCritic:
    """One critic from its score vectors (P, d) and the image dictionary (d, l)."""
    inside = w @ D
    beyond = w - inside @ D.T
    return LinearCritic(inside[None], (beyond @ beyond.T)[None])


def view_vectors(draw, world: World) -> np.ndarray:
    rows = 1 if world.classes == 2 else world.classes
    return draw(arrays(float, (rows, world.dim_image), elements=weight))


@pytest.mark.parametrize(
    ("world", "u", "outside"),
    [
        (World(p_spu=0.9, mu_spu=2.0, sigma_xi=0.0), (1.0, 0.8), 0.0),
        (World(mu_spu=1.0, sigma_inv=0.3, sigma_spu=2.0, sigma_xi=4.0), (1.0, -0.5), 0.7),
        (World(mu_inv=0.5, mu_spu=1.5, sigma_spu=0.0, sigma_xi=8.0), (0.4, 0.9), 3.0),
        (World(sigma_inv=0.0, sigma_spu=1.0, sigma_xi=0.0), (1.0, 1.0), 0.0),
    ],
)
def test_two_classes_against_a_grid_of_quantiles(world, u, outside):
    critic = LinearCritic(np.array([[u]]), np.array([[[outside]]]))
    common, counter = group_accuracy(critic, world.mixture(), world.nu_image)[0]
    deviation = np.sqrt(np.array([world.sigma_inv, world.sigma_spu]) ** 2 + world.nu_image)
    for found, background in ((common, world.mu_spu), (counter, -world.mu_spu)):
        counted = grid_accuracy(
            np.array(u), np.array([world.mu_inv, background]), deviation, np.sqrt(world.nu_image * outside)
        )
        # A grid of 1000 quantiles misplaces at most about one row of cells, 41 quantiles of the third axis one in
        # 41^2 of a smooth average.
        assert found == pytest.approx(counted, abs=1.5e-3)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_critic_that_is_always_zero_guesses(classes):
    world = World(classes=classes, dim_image=10, dim_text=10)
    rows = 1 if classes == 2 else classes
    critic = LinearCritic(np.zeros((1, rows, world.latents)), np.zeros((1, rows, rows)))
    assert group_accuracy(critic, world.mixture(), world.nu_image)[0] == pytest.approx(1 / classes, abs=1e-12)


def test_scores_that_tie_share_the_decision():
    """Noiseless world, K = 3, and a critic that sees only whether the class is 2: classes 0 and 1 tie."""
    world = World(classes=3, sigma_inv=0.0, sigma_spu=0.0, sigma_xi=0.0, dim_image=6, dim_text=6)
    u = np.zeros((1, 3, 6))
    u[0, 2, 2] = 1.0
    accuracy = many_class_accuracy(LinearCritic(u, np.zeros((1, 3, 3))), world.mixture(), 0.0, gaussian_points(2, 3, 0))
    labels = world.mixture().labels
    assert accuracy[0, labels == 2] == pytest.approx(1.0)
    assert accuracy[0, labels != 2] == pytest.approx(1 / 3)


def test_a_decision_without_noise_is_certain():
    world = World(mu_spu=0.5, sigma_inv=0.0, sigma_spu=0.0, sigma_xi=0.0)
    for u, expected in (((1.0, 1.0), (1.0, 1.0)), ((1.0, 3.0), (1.0, 0.0)), ((1.0, 2.0), (1.0, 0.5))):
        critic = LinearCritic(np.array([[u]]), np.zeros((1, 1, 1)))
        assert tuple(group_accuracy(critic, world.mixture(), 0.0)[0]) == expected


def test_standardise_sends_zero_over_zero_to_zero():
    gap, deviation = np.array([0.0, 1.0, -1.0, 2.0]), np.array([0.0, 0.0, 0.0, 4.0])
    assert standardise(gap, deviation).tolist() == [0.0, np.inf, -np.inf, 0.5]


def test_two_class_scores_need_one_vector():
    world = World()
    critic = LinearCritic(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="2 score vectors given; two classes need 1"):
        two_class_scores(critic, world.mixture(), 0.0)


@pytest.mark.parametrize(
    "world",
    [
        World(classes=3, p_spu=0.8, mu_spu=2.0, sigma_xi=3.0, dim_image=12, dim_text=6),
        World(classes=4, mu_inv=2.0, sigma_inv=0.3, sigma_xi=0.0, dim_image=8, dim_text=8),
        World(classes=3, attribute=(Attribute(mu=1.5),), dim_image=9, dim_text=9, sigma_xi=1.0),
    ],
)
def test_many_classes_against_direct_sampling(world):
    """Skewed critics, so that no symmetry hides an exchanged class."""
    rng, K = numpy_stream(0, "test/critic"), world.classes
    mixture = world.mixture()
    u = np.eye(K, world.latents) + 0.4 * rng.standard_normal((K, world.latents))
    beyond = 0.8 * rng.standard_normal((K, 3)) * (world.dim_image > world.latents)
    critic = LinearCritic(u[None], (beyond @ beyond.T)[None])
    accuracy = many_class_accuracy(critic, mixture, world.nu_image, gaussian_points(K - 1, 12, 0))[0]
    # Sobol points leave an error of about 1e-4; 30000 draws resolve .017 at the rate stated.
    deviation = np.sqrt(mixture.variances)
    decisions = [
        sampled_accuracy(critic, m, y, deviation, world.nu_image, 30_000, rng)
        for m, y in zip(mixture.means, mixture.labels, strict=True)
    ]
    assert_mean(np.stack(decisions, axis=1), accuracy, effect=0.05, what="accuracy of every group")
    common = mixture.common
    expected = [accuracy[common].mean(), accuracy[~common].mean()]
    assert group_accuracy(critic, mixture, world.nu_image)[0] == pytest.approx(expected, abs=2e-3)


@given(st.data(), worlds(classes=TWO), st.floats(1e-3, 1e3))
def test_scale_does_not_matter_and_sign_reverses(data, world, scale):
    D = np.eye(world.dim_image, world.latents)
    w = view_vectors(data.draw, world)
    mixture = world.mixture()
    z = two_class_scores(critic_from(w, D), mixture, world.nu_image)
    # Scaling rounds u and so u'm, by a few eps of its largest term; where the terms cancel the z-score follows.
    terms = (np.abs(w @ D) @ np.abs(mixture.means).T).max()
    deviation = np.sqrt((w @ D) ** 2 @ mixture.variances + world.nu_image * (w**2).sum())[0]
    assume(deviation > 1e-9 * terms > 0)
    slack = 1e-13 * terms / deviation
    assert two_class_scores(critic_from(scale * w, D), mixture, world.nu_image) == pytest.approx(z, 1e-9, slack)
    assert two_class_scores(critic_from(-w, D), mixture, world.nu_image) == pytest.approx(-z, 1e-9, slack)


@given(st.data(), worlds(classes=TWO), st.integers(0, 2**16))
def test_rotating_the_view_does_not_matter(data, world, seed):
    """w and D turned by one rotation: the critic, and with it every accuracy, stays."""
    D = np.eye(world.dim_image, world.latents)
    w = view_vectors(data.draw, world)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((world.dim_image, world.dim_image)))[0]
    before, after = critic_from(w, D), critic_from(w @ Q.T, Q @ D)
    assert after.inside == pytest.approx(before.inside, abs=1e-12)
    assert after.outside == pytest.approx(before.outside, abs=1e-11)


@given(st.data(), worlds(classes=st.just(3), most_attributes=0), st.floats(0.01, 100))
def test_many_class_symmetries(data, world, scale):
    """Scale; one vector added to all scores; classes relabelled together with their latents."""
    assume(world.sigma_xi > 0.1)
    D = np.eye(world.dim_image, world.latents)
    w = view_vectors(data.draw, world)
    # Scores that nearly tie with the noise of their difference would be decided by rounding.
    assume(np.linalg.svd((w - w.mean(axis=0))[:2], compute_uv=False)[-1] > 1e-2)
    mixture, nu = world.mixture(), world.nu_image
    before = group_accuracy(critic_from(w, D), mixture, nu)
    # One seed, so the same points; the ordering of eigenvectors may change them, within the error of the net.
    assert group_accuracy(critic_from(scale * w, D), mixture, nu) == pytest.approx(before, abs=5e-3)
    common = data.draw(arrays(float, world.dim_image, elements=weight))
    assert group_accuracy(critic_from(w + common, D), mixture, nu) == pytest.approx(before, abs=5e-3)
    shift = np.roll(np.arange(3), 1)
    moved = w.copy()
    moved[:, : world.latents] = w[:, [*shift, *(3 + shift)]]
    assert group_accuracy(critic_from(moved[shift], D), mixture, nu) == pytest.approx(before, abs=5e-3)


@pytest.mark.parametrize("dimension", [1, 2, 7])
def test_gaussian_points_are_a_balanced_net(dimension):
    """2^10 scrambled Sobol points: every half and quarter of each axis holds its share exactly."""
    x = gaussian_points(dimension, 10, 3)
    assert x.shape == (1024, dimension)
    for edge, share in ((0.0, 512), (0.6744897501960817, 768)):
        assert ((x < edge).sum(axis=0) == share).all()
    assert (gaussian_points(dimension, 10, 3) == x).all()
    assert (gaussian_points(dimension, 10, 4) != x).any()
