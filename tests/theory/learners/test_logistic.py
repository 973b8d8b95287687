"""Logistic regression where objects may disagree with labels."""

from itertools import product

import numpy as np
import pytest
from reference import worlds_with

from simulator.world import World
from theory.learners import MaxMargin
from theory.learners.base import block_weights
from theory.learners.logistic import Logistic

NODES = np.arange(-72, 73) / 8
WEIGHTS = np.exp(-(NODES**2) / 2) / np.sqrt(2 * np.pi) / 8


def gradient_by_definition(u, blocks: World) -> np.ndarray:
    """-E[yx/(1 + e^(y u'x))] over the four groups, by a trapezoid rule that errs by e^-39 where
    |u_b sqrt(S_b)| < 4.
    """
    deviation = np.sqrt(blocks.image_variance)
    assert np.abs(u * deviation).max() < 4
    first, second = np.meshgrid(NODES, NODES, indexing="ij")
    total = np.zeros(2)
    for signs in product([1, -1], repeat=2):
        weight = np.where(np.array(signs) == 1, blocks.agreement, 1 - blocks.agreement).prod()
        x = np.stack([first, second], -1) * deviation + np.array(signs) * blocks.mean
        total -= weight * np.einsum(
            "i,j,ijb->b", WEIGHTS, WEIGHTS, x / (1 + np.exp(x @ u))[..., None]
        )
    return total


@pytest.mark.parametrize(
    ("p_inv", "world"),
    [
        (0.9, {"p_spu": 0.8, "mu_spu": 2.0}),
        (0.6, {"p_spu": 0.95, "nu": 0.3}),
        (0.2, {"p_spu": 0.3, "mu_inv": -0.5, "sigma_spu": 1.0}),
        (0.999, {"p_spu": 1.0, "sigma_inv": 0.8, "sigma_spu": 0.8}),
        # a noiseless object that errs does not separate
        (0.8, {"p_spu": 0.7, "sigma_inv": 0.0, "mu_spu": 1.5}),
        (0.5, {"p_spu": 0.9}),
        (0.0, {"p_spu": 0.9}),
    ],
)
def test_the_gradient_vanishes(p_inv, world):
    blocks = worlds_with(**world, p_inv=p_inv)
    u = Logistic().direction(blocks)
    # A relative error of 1e-9 in u moves the gradient by the Hessian, of order one.
    np.testing.assert_allclose(gradient_by_definition(u, blocks), 0, atol=1e-8)
    # a wrong answer is detected
    assert np.abs(gradient_by_definition(u * [1.0, 1.001], blocks)).max() > 1e-5


def test_newton_converges_in_extreme_worlds():
    gaps = [0.4, 1e-2, 1e-5, 1e-9]
    spreads = [0.0, 0.02, 0.3, 20.0]
    p_inv, p_spu, sigma_inv, sigma_spu = np.ix_(
        *(1 - np.array(x) for x in (gaps, gaps)), spreads, spreads
    )
    blocks = worlds_with(p_inv=p_inv, p_spu=p_spu, sigma_inv=sigma_inv, sigma_spu=sigma_spu)
    assert np.all(Logistic().direction(blocks) > 0)


@pytest.mark.parametrize("learner", [Logistic(), MaxMargin()], ids=lambda x: x.name)
def test_minimisers_of_blocks_are_those_of_all_latents(learner):
    """Both of sampled points, whose error is below .5 %."""
    world = World(classes=3, p_inv=0.7, p_spu=0.8, mu_spu=1.5)
    whole = block_weights(learner.critic(world).inside.mean(axis=0))
    np.testing.assert_allclose(2 * learner.direction(world), whole, rtol=5e-3)  # K - 1 = 2 copies


def test_separable_populations_are_refused():
    never = {"sigma_inv": 0.0, "p_inv": 0.0}  # an object that always disagrees with its label
    for fields in (
        never,
        {"sigma_inv": 0.0},
        *({"p_spu": p, "sigma_spu": 0.0, "p_inv": 0.8} for p in (0.0, 1.0)),
    ):
        with pytest.raises(ValueError, match="separable"):
            Logistic().direction(worlds_with(**fields))
    assert np.all(np.isfinite(Logistic().direction(worlds_with(sigma_inv=0.0, p_inv=1 - 1e-6))))


def test_very_rare_disagreements_have_no_effect():
    """Newton moves by one log odds per step here; a limit of a hundred steps was once too low."""
    far = {"p_spu": 0.0, "mu_inv": 4.0, "sigma_inv": 0.109375, "sigma_spu": 1.0}
    never = Logistic().direction(worlds_with(**far, p_inv=0.0))
    hardly = Logistic().direction(worlds_with(**far, p_inv=[1e-300, 5e-324]))
    assert hardly[0] == pytest.approx(never, rel=1e-4)
    assert hardly[1] == pytest.approx(never, rel=1e-9)


def test_a_block_with_mean_zero_gets_no_weight():
    u = Logistic().direction(worlds_with(mu_spu=[0.0, 1.0], p_spu=0.9, nu=0.1))
    assert u[0, 1] == 0
    assert np.all(u[:, 0] > 0)
    assert u[1, 1] > 0


@pytest.mark.parametrize("p_inv", [0.5, 0.5 + 1e-10])
def test_a_block_that_tells_nothing_settles_beside_one_that_tells_little(p_inv):
    """Newton's steps along the first end in rounding, which is large beside the second's weight of
    1e-11 per mean.
    """
    world = World(
        p_spu=0.86,
        mu_inv=-8.3,
        mu_spu=7e-6,
        sigma_inv=0.04,
        sigma_spu=1.1,
        sigma_xi=4e-8,
        p_inv=p_inv,
    )
    got, alone = (
        list(Logistic().accuracy(w)) for w in (world, world.replace(mu_inv=0.0, p_inv=1.0))
    )
    if p_inv == 0.5:
        assert got == pytest.approx(alone, abs=1e-9)
    assert sum(got) == pytest.approx(1.0, abs=1e-6)


def test_softmax_settles_where_steps_gain_less_than_rounding():
    """Such steps were halved 33 times, a hundred times over, in each of sixteen replicates."""
    world = World(
        classes=3, p_spu=0.8, mu_inv=7e-6, mu_spu=3e-6, sigma_inv=3.0, sigma_spu=8e-7, sigma_xi=0.9
    )
    assert list(Logistic().accuracy(world)) == pytest.approx([1 / 3] * 2, abs=1e-4)
