"""Exact accuracy of a linear critic against counts, integrals and symmetries."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from simulator.gaussian.critic import LinearCritic, group_accuracy, many_class_accuracy, reliance
from simulator.gaussian.statistics import projected_critics
from simulator.world import Attribute, World


def test_a_decision_without_noise_is_certain():
    world = World(mu_spu=0.5, sigma_inv=0.0, sigma_spu=0.0, sigma_xi=0.0)
    for u, expected in (
        ((1.0, 1.0), (1.0, 1.0)),
        ((1.0, 3.0), (1.0, 0.0)),
        ((1.0, 2.0), (1.0, 0.5)),
    ):
        critic = LinearCritic(np.array([[u]]), np.zeros((1, 1, 1)))
        assert tuple(group_accuracy(critic, world.mixture(), 0.0)[0]) == expected


def test_reliance_by_hand():
    two = World()
    three = World(classes=3)
    assert reliance(LinearCritic(np.array([[[2.0, 1.0]]]), np.zeros((1, 1, 1))), two).tolist() == [
        0.5
    ]
    own = np.concatenate([2 * np.eye(3), -0.5 * np.eye(3)], axis=1)
    shifted = own + np.arange(6.0)  # the same vector added to every class changes no decision
    both = LinearCritic(np.stack([own, shifted]), np.zeros((2, 3, 3)))
    assert reliance(both, three) == pytest.approx(-0.25, abs=1e-14)
    for shape in ((3, 3), (2, 3)):
        table = np.full(shape, 1 / np.prod(shape))
        assert np.isnan(reliance(both, World(table=table))).all(), (
            "no class has a background of its own"
        )
    nothing, no_object = (
        LinearCritic(np.array([[u]]), np.zeros((1, 1, 1))) for u in ([0.0, 0.0], [0.0, 1.0])
    )
    assert np.isnan(reliance(nothing, two)).all()
    assert np.isposinf(reliance(no_object, two)).all()


@pytest.mark.parametrize(
    "table", [[[0.4, 0.1, 0.1], [0.0, 0.3, 0.1]], [[0.2, 0.1], [0.1, 0.2], [0.0, 0.4]]]
)
def test_an_intercept_acts_as_a_shift_of_all_images(table):
    """Of two classes, and of three, each with a number of its own."""
    world = World(table=table, dim_image=5, dim_text=5)
    rng = np.random.default_rng(0)
    P = 1 if len(table) == 2 else 3
    u = rng.normal(size=(1, P, world.latents))
    constant = rng.normal(size=(1, P))
    outside = np.ones((1, P, P))
    here = world.mixture()
    still = LinearCritic(u, outside)
    moved = replace(here, means=here.means + np.linalg.pinv(u[0]) @ constant[0])
    found = group_accuracy(LinearCritic(u, outside, constant), here, world.nu_image)
    assert found == pytest.approx(group_accuracy(still, moved, world.nu_image), abs=1e-12)
    assert np.abs(found - group_accuracy(still, here, world.nu_image)).max() > 0.05


TRAINED = [(3, 6, 0), (3, 90, 0), (4, 8, 0), (3, 12, 1)]
DEEP = [pytest.param(10, n, 0, marks=pytest.mark.deep) for n in (12, 300)]


@pytest.mark.parametrize(("K", "n", "attributes"), TRAINED + DEEP)
def test_many_classes_of_trained_critics_keep_the_stated_error(K, n, attributes):
    """Against scipy's normal orthant probabilities (Genz), score differences one by one."""
    d = (2 + attributes) * K + 3
    further = (Attribute(mu=1.5),) * attributes
    own = World(
        classes=K, p_spu=0.8, mu_inv=2.0, mu_spu=1.5, sigma_inv=0.5, dim_image=d, dim_text=d
    )
    world = own.replace(attribute=further)
    mixture = world.mixture()
    nu = world.nu_image
    critic = next(projected_critics(world, "name", n, 1, 0))
    u = critic.inside[0]
    covariance = u @ np.diag(mixture.variances + nu) @ u.T + nu * critic.outside[0]
    right = []
    for m, y in zip(mixture.means, mixture.labels, strict=True):
        above = np.eye(K)[y] - np.eye(K)[np.arange(K) != y]  # score of y minus the others'
        # P(all differences > 0) is the distribution function of minus the differences at 0.
        mean = -above @ (u @ m)
        spread = above @ covariance @ above.T
        law = multivariate_normal(mean, spread, abseps=1e-4, releps=0, maxpts=40_000, seed=0)
        right.append(law.cdf(np.zeros(K - 1)))
    stated = 3e-4 if n >= 30 * K else 1.5e-3
    found = [group_accuracy(critic, mixture, nu, seed)[0] for seed in range(8)]
    # Scipy's errors average out over groups.
    assert np.abs(found - mixture.group_average(np.array(right))).max() < stated + 5e-5
    # No error is stated for a single group and 4096 points. The largest observed is .006, for 10
    # classes and 12 pairs.
    assert many_class_accuracy(critic, mixture, nu, power=12)[0] == pytest.approx(right, abs=0.01)
