"""The Gaussian PMI against covariances of all coordinates, summed over groups and masks, and its two limits."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import joint_covariance, per_block, prompt_by_mixture, worlds_with

from simulator.world import Attribute, World
from theory.learners import LinearCLIP
from theory.learners.gaussian import gaussian_direction


def in_all_coordinates(world: World, prompt: str) -> np.ndarray:
    """W (l, K) of the class scores x_I' W, from the precision matrix of both views: -Q_IT p_y."""
    Q = np.linalg.inv(joint_covariance(world))
    return -Q[: world.latents, world.latents :] @ prompt_by_mixture(world, prompt).T


chances = st.floats(0.05, 1)
worlds = st.builds(
    lambda classes, nu, nu_text, extra, **fields: World(
        classes=classes,
        dim_image=16,
        dim_text=16,
        sigma_xi=4 * nu**0.5,
        sigma_xi_text=4 * nu_text**0.5,
        attribute=(Attribute(p=0.7, mu=0.8, sigma=0.6, mention=0.5),) * extra,
        **fields,
    ),
    classes=st.integers(2, 4),
    nu=st.floats(0.01, 3),
    nu_text=st.just(0.0) | st.floats(0.01, 3),
    extra=st.integers(0, 1),
    p_inv=st.floats(0.5, 1),
    p_spu=st.floats(0.5, 1),
    **dict.fromkeys(("mu_inv", "mu_spu", "sigma_inv", "sigma_spu"), st.floats(0.1, 2)),
    mention_inv=chances,
    mention_spu=chances,
    mismatch=st.sampled_from([0.0, 0.3]),
    **dict.fromkeys(("detail_inv", "detail_spu"), st.just(1.0) | st.floats(0, 1)),
    bare=st.sampled_from([0.0, 0.4]),
)


@given(worlds, st.sampled_from(["name", "mean", "background"]))
def test_scores_come_from_the_precision_matrix_of_both_views(world, prompt):
    expected = per_block(in_all_coordinates(world, prompt), world.classes)
    assume(np.abs(expected).max() > 1e-6)
    found = gaussian_direction(world, prompt)
    np.testing.assert_allclose(
        found / np.abs(found).max(), expected / np.abs(expected).max(), rtol=1e-7, atol=1e-7, err_msg=repr(world)
    )


@pytest.mark.parametrize("prompt", ["name", "mean"])
@pytest.mark.parametrize("classes", [2, 3])
def test_limits_are_the_nearest_prompt_and_linear_clip(prompt, classes):
    quiet, loud = (worlds_with(nu=nu, classes=classes, p_spu=0.8, mu_spu=1.5) for nu in (1e-9, 1e4))
    u, q = gaussian_direction(quiet, prompt), quiet.prompt(prompt)
    np.testing.assert_allclose(u / u[0], q / q[0], atol=1e-8)
    u, linear = gaussian_direction(loud, prompt), LinearCLIP(prompt).direction(loud)
    np.testing.assert_allclose(u / u[0], linear / linear[0], rtol=1e-3)


def test_little_noise_has_a_limit_if_captions_omit_the_object():
    """As nu -> 0, omitted mentions keep the object's text block random; the background's varies only by nu_T."""
    quiet, quieter = (
        gaussian_direction(worlds_with(nu=nu, p_spu=0.8, mu_spu=1.5, mention_inv=0.5), "mean") for nu in (1e-8, 1e-16)
    )
    np.testing.assert_allclose(quiet / quiet[1], quieter / quieter[1], rtol=1e-5, atol=1e-5)
