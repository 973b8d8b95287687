"""Closed-form accuracies: known answers, parity of every route, symmetries and limits."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import many_class_integrals, population_critic, worlds_with
from scipy.special import ndtr

from simulator.gaussian.critic import group_accuracy
from simulator.prompts import LINEAR
from simulator.strategies import worlds
from simulator.world import Attribute, World
from theory.accuracy import binary_scores, linear_accuracy
from theory.learners import LinearCLIP

PROMPTS = ("name", "mean")


@pytest.mark.parametrize(
    ("prompt", "fields", "expected"),
    [
        # no noise: certain
        ("name", {"p_spu": 0.9, "mu_spu": 2.0, "sigma_inv": 0.0, "sigma_spu": 0.0}, (1, 0)),
        # no object: the rule is zero
        ("name", {"p_spu": 0.9, "mu_spu": 2.0, "mu_inv": 0.0}, (0.5, 0.5)),
        ("mean", {"p_spu": 0.5, "mu_spu": 0.0, "sigma_inv": 0.0}, (1, 1)),
        # a tie
        ("name", {"p_spu": 1.0, "mu_spu": 1.0, "sigma_inv": 0.0, "sigma_spu": 0.0}, (1, 0.5)),
    ],
)
def test_rules_without_noise_or_without_weights(prompt, fields, expected):
    blocks = worlds_with(**fields)
    u = LinearCLIP(prompt).direction(blocks)
    by_scores = [ndtr(z) for (z,) in binary_scores(u, blocks)]
    for got in (LinearCLIP(prompt).accuracy(blocks), linear_accuracy(u, blocks), by_scores):
        assert [float(x) for x in got] == pytest.approx(expected, abs=1e-15)


@given(worlds(classes=st.just(2), most_attributes=2), st.sampled_from(LINEAR))
def test_attributes_and_masks_against_the_explicit_critic(world, prompt):
    blocks = world
    mixture = world.mixture()
    u = LinearCLIP(prompt).direction(blocks)
    s = float(np.sqrt(u**2 @ blocks.image_variance))
    pull = float(np.abs(u * blocks.mean).sum())
    assume(s > 1e-6 * pull)
    assume(np.abs(u).max() > 1e-60)
    explicit = group_accuracy(population_critic(world, prompt), mixture, world.nu_image)[0]
    got = LinearCLIP(prompt).accuracy(blocks)
    slack = (
        1e-12
        + 1e-13
        * (float((blocks.mean**2 + blocks.scale**2).max()) ** 1.5)
        * np.abs(blocks.mean).max()
        / s
    )
    assert [float(x) for x in got] == pytest.approx(list(explicit), abs=slack)
    assert [float(x) for x in linear_accuracy(u, blocks)] == pytest.approx(
        list(explicit), abs=slack
    )


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(
    "world",
    [
        World(classes=3, p_spu=0.9, mu_spu=2.0, dim_image=6, dim_text=6),
        World(classes=4, p_spu=0.1, mention_spu=0.4, mu_inv=2.0, dim_image=8, dim_text=8),
        World(classes=3, p_spu=0.8, attribute=(Attribute(mu=2.0, p=0.7),), dim_image=9, dim_text=9),
        World(
            classes=4, attribute=(Attribute(p=0.9), Attribute(mu=-1.0)), dim_image=16, dim_text=16
        ),
        World(classes=3, p_inv=0.7, p_spu=0.9, mu_spu=2.0, dim_image=6, dim_text=6),
        World(classes=50, mu_inv=1.5, mu_spu=2.0, sigma_xi=0.0, dim_image=100, dim_text=100),
    ],
)
def test_many_classes_against_the_explicit_critic(world, prompt):
    explicit = group_accuracy(population_critic(world, prompt), world.mixture(), world.nu_image)[0]
    got = LinearCLIP(prompt).accuracy(world)
    # 2^10 Sobol points: about 1e-4
    assert [float(x) for x in got] == pytest.approx(list(explicit), abs=5e-4)


@pytest.mark.parametrize(
    ("K", "alpha", "beta", "si", "ss", "nu", "u"),
    [
        (3, 1.0, 2.0, 1.0, 0.5, 0.0, (1.0, 0.4)),
        (3, 1.0, 3.0, 0.4, 0.2, 0.1, (1.0, 2.0)),
        (10, 2.0, 1.0, 0.7, 1.5, 0.2, (1.0, -0.5)),
        (1000, 4.0, 2.0, 1.0, 0.5, 0.5, (1.0, 0.3)),
    ],
)
def test_many_class_integrals_against_mpmath(K, alpha, beta, si, ss, nu, u):
    blocks = worlds_with(mu_inv=alpha, mu_spu=beta, sigma_inv=si, sigma_spu=ss, nu=nu, classes=K)
    got = linear_accuracy(np.array(u), blocks)
    expected = many_class_integrals(*u, alpha, beta, si**2 + nu, ss**2 + nu, K)
    assert (float(got.common), float(got.counter)) == pytest.approx(expected, abs=1e-13)


blocks_of_any_kind = st.builds(
    worlds_with,
    classes=st.sampled_from([2, 3, 20]),
    p_spu=st.floats(0, 1),
    **dict.fromkeys(("mu_inv", "mu_spu", "sigma_inv", "sigma_spu"), st.floats(0.1, 5)),
    nu=st.floats(0, 5),
)


@given(blocks_of_any_kind, st.floats(0, 5), st.floats(1e-3, 1e3))
def test_symmetries_of_linear_rules(blocks, t, c):
    """The length of a rule has no effect; a sign change of the background swaps the groups of two
    classes.
    """
    u = np.array([1.0, t])
    got = linear_accuracy(u, blocks)
    scaled = linear_accuracy(c * u, blocks)
    assert [float(x) for x in scaled] == pytest.approx([float(x) for x in got], abs=1e-12)
    if blocks.classes == 2:
        assert ndtr(binary_scores(u, blocks)[:, 0]) == pytest.approx(
            [float(x) for x in got], abs=1e-13
        )
        other = linear_accuracy(np.array([1.0, -t]), blocks)
        assert [float(other.counter), float(other.common)] == pytest.approx(
            [float(x) for x in got], abs=1e-13
        )
    # t >= 0 and mu_spu > 0 lean on the background
    assert float(got.common) >= float(got.counter) - 1e-13
