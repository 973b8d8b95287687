"""The Gaussian PMI against covariances of all coordinates, summed over groups and masks, and its two limits."""

import numpy as np
import pytest
from reference import worlds_with

from theory.learners import LinearCLIP
from theory.learners.gaussian import GaussianPMI


@pytest.mark.parametrize("prompt", ["name", "mean"])
@pytest.mark.parametrize("classes", [2, 3])
def test_limits_are_the_nearest_prompt_and_linear_clip(prompt, classes):
    quiet, loud = (worlds_with(nu=nu, classes=classes, p_spu=0.8, mu_spu=1.5) for nu in (1e-9, 1e4))
    u, q = GaussianPMI(prompt).direction(quiet), quiet.prompt(prompt)
    np.testing.assert_allclose(u / u[0], q / q[0], atol=1e-8)
    u, linear = GaussianPMI(prompt).direction(loud), LinearCLIP(prompt).direction(loud)
    np.testing.assert_allclose(u / u[0], linear / linear[0], rtol=1e-3)


def test_little_noise_has_a_limit_if_captions_omit_the_object():
    """As nu -> 0, omitted mentions keep the object's text block random; the background's varies only by nu_T."""
    quiet, quieter = (
        GaussianPMI("mean").direction(worlds_with(nu=nu, p_spu=0.8, mu_spu=1.5, mention_inv=0.5))
        for nu in (1e-8, 1e-16)
    )
    np.testing.assert_allclose(quiet / quiet[1], quieter / quieter[1], rtol=1e-5, atol=1e-5)
