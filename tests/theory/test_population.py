"""Block formulas of the population against the covariance summed over all groups."""

from fractions import Fraction

import numpy as np
import pytest
from reference import latent_cross_covariance, population_critic, worlds_with

from simulator.world import World
from theory.learners import GaussianPMI, LinearCLIP


def differences(u: np.ndarray, world: World) -> np.ndarray:
    """Weight of each block in the score of class 0 minus that of class 1, from the explicit
    critic.
    """
    if world.classes == 2:
        return u[0] / 2  # the prompt of a two-class decision is q_+ - q_- = 2 q_+
    shape = (2 + len(world.attribute), world.classes)
    difference = (u[0] - u[1]).reshape(shape)
    return (difference[:, 0] - difference[:, 1]) / 2


def test_projecting_is_not_leaving_the_word_out():
    """T12: reliance at p = .9, mu_spu = 2 is .8 by name; 0 with equal mentions; .1939 or -.1174
    with others.
    """
    grid = worlds_with(
        p_spu=0.9, mu_spu=2.0, mention_inv=[1, 0.7, 1, 0.6, 1], mention_spu=[1, 0.7, 0.5, 1, 0]
    )
    u = LinearCLIP("name", projected=True).direction(grid)
    assert u[:, 1] / u[:, 0] == pytest.approx([0, 0, 0.19394, -0.11743, 0.8], abs=1e-5)
    assert (u[:2, 1] == 0).all()


def test_a_cut_through_a_tie_is_refused():
    equal = worlds_with(p_spu=0.5, mu_spu=1.0, sigma_inv=0.5, sigma_spu=0.5)
    with pytest.raises(
        ValueError, match=r"embed_dim = 1 cuts between equal singular values .* without a tie is 2"
    ):
        LinearCLIP("name", 1).direction(equal)
    assert LinearCLIP("name", 2).direction(equal) == pytest.approx(
        LinearCLIP("name").direction(equal)
    )
    # Five classes: every value of the class differences occurs four times.
    five = worlds_with(classes=5, sigma_inv=0.5, sigma_spu=0.1, mu_spu=3.0)
    for width in (1, 2, 3, 6):
        with pytest.raises(
            ValueError, match=f"embed_dim = {width} cuts between equal .* without a tie is 4"
        ):
            LinearCLIP("name", width).direction(five)
    LinearCLIP("name", 4).direction(five)


def test_a_cut_keeps_the_modes_of_the_covariance_of_all_groups():
    """At every width. Bare captions show no detail, so half of them halve the modes that are
    constant over classes.
    """
    world = World(
        classes=3, p_spu=0.8, mu_spu=1.5, sigma_inv=1.2, sigma_spu=0.9, bare=0.5, mention_spu=0.8
    )
    values = np.linalg.svd(latent_cross_covariance(world), compute_uv=False)
    for width in range(1, len(values) + 1):
        if width < len(values) and values[width - 1] - values[width] < 1e-12:
            with pytest.raises(ValueError, match=f"embed_dim = {width} cuts between equal"):
                LinearCLIP("mean", width).direction(world)
        else:
            explicit = differences(population_critic(world, "mean", width).inside[0], world)
            u = LinearCLIP("mean", width).direction(world)
            assert u / np.linalg.norm(u) == pytest.approx(
                explicit / np.linalg.norm(explicit), abs=1e-12
            ), width


def test_little_noise_has_a_limit_if_captions_omit_the_object():
    """As nu -> 0, omitted mentions keep the object's text block random; the background's varies
    only by nu_T.
    """
    worlds = worlds_with(nu=[1e-8, 1e-16], p_spu=0.8, mu_spu=1.5, mention_inv=0.5)
    quiet, quieter = GaussianPMI("mean").direction(worlds)
    np.testing.assert_allclose(quiet / quiet[1], quieter / quieter[1], rtol=1e-5, atol=1e-5)


def test_the_gaussian_pmi_is_exact_with_hardly_any_noise():
    """Against fractions. A difference of covariances in floats makes u_1 .0016 here, which moves
    margins by .2.
    """
    world = World(mu_spu=100.0, sigma_inv=1.0, detail_inv=0.5, mention_inv=0.9, sigma_xi=1e-6)
    numbers = (
        world.mean,
        world.correlation,
        *world.variances(),
        *map(world.caption_kinds.moment, (1, 2)),
    )
    mu, D, v, n, n_T, m, m2 = map(np.vectorize(Fraction, otypes=[object]), numbers)
    C = np.outer(mu * D, mu * D) + np.diag(mu**2 * (1 - D**2) + v)
    nu_T = Fraction(float(world.nu_text))
    S_T = m[:, None] * C * m + np.diag(m2 * (n_T - nu_T) + nu_T + (m2 - m**2) * np.diag(C))

    def inverse(M):
        determinant = M[0, 0] * M[1, 1] - M[0, 1] ** 2
        return np.array([[M[1, 1], -M[0, 1]], [-M[1, 0], M[0, 0]]]) / determinant

    u = (B := inverse(C + np.diag(n)) @ (C * m)) @ inverse(S_T - m[:, None] * C @ B) @ [mu[0], 0]
    assert GaussianPMI().direction(world) @ [float(-u[1] / u[0]), 1] == pytest.approx(0, abs=1e-12)
