"""Least squares and Fisher's discriminant against explicit lists of groups, for any p_inv."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import per_block, worlds_with

from simulator.world import Attribute
from theory.learners.least_squares import LeastSquares

worlds = st.builds(
    lambda attributes, **kw: worlds_with(attribute=(Attribute(p=0.7, mu=0.8),) * attributes, **kw),
    attributes=st.integers(0, 1),
    p_inv=st.floats(0, 1),
    p_spu=st.floats(0, 1),
    mu_inv=st.floats(0.1, 3),
    mu_spu=st.floats(-3, -0.1),
    sigma_inv=st.floats(0.1, 3),
    sigma_spu=st.floats(0.1, 3),
    nu=st.floats(0, 1),
    classes=st.integers(2, 4),
)


@given(worlds)
def test_least_squares_is_regression_on_the_groups(blocks):
    mixture, K = blocks.mixture(), blocks.classes
    Y = np.where(mixture.labels == 0, 1.0, -1.0)[:, None] if K == 2 else np.eye(K)[mixture.labels] - 1 / K
    centred = mixture.means - mixture.weights @ mixture.means
    weighed = mixture.weights * centred.T
    expected = per_block(np.linalg.solve(weighed @ centred + np.diag(mixture.image_variances), weighed @ Y), K)
    slack = 1e-11 * max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(LeastSquares().direction(blocks), expected, rtol=1e-9, atol=slack)


def test_a_noiseless_block_that_errs_needs_no_special_case():
    blocks = worlds_with(p_spu=0.9, sigma_inv=0.0, sigma_spu=0.0).replace(p_inv=0.8)
    u = LeastSquares().direction(blocks)  # along r/d with D = (.6, .8): r = D, d = 1 - D^2
    assert u[1] / u[0] == pytest.approx((0.8 / 0.36) / (0.6 / 0.64), rel=1e-12)
