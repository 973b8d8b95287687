"""Least squares and Fisher's discriminant against explicit lists of groups, for any p_inv."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import per_block, worlds_with

from simulator.world import Attribute
from theory.learners.least_squares import LeastSquares


def moments_by_groups(blocks):
    """(weights, labels, latent means, latent variances) of all groups."""
    K, B = blocks.classes, len(blocks.mean)
    patterns = np.array([[1.0], [-1.0]]) if K == 2 else np.eye(K)
    codes = np.array(list(product(range(K), repeat=1 + B)))
    match = codes[:, 1:] == codes[:, :1]
    weights = np.where(match, blocks.agreement, (1 - blocks.agreement) / (K - 1)).prod(1) / K
    means = (blocks.mean[:, None] * patterns[codes[:, 1:]]).reshape(len(codes), -1)
    return weights, codes[:, 0], means, np.repeat(blocks.image_variance, patterns.shape[1])


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
    w, labels, M, variances = moments_by_groups(blocks)
    K = blocks.classes
    Y = np.where(labels == 0, 1.0, -1.0)[:, None] if K == 2 else np.eye(K)[labels] - 1 / K
    centred = M - w @ M
    covariance = centred.T @ (w[:, None] * centred) + np.diag(variances)
    W = np.linalg.solve(covariance, centred.T @ (w[:, None] * Y))
    expected = per_block(W, K)
    np.testing.assert_allclose(
        LeastSquares().direction(blocks), expected, rtol=1e-9, atol=1e-11 * max(np.abs(expected).max(), 1e-3)
    )


def test_a_noiseless_block_that_errs_needs_no_special_case():
    blocks = worlds_with(p_spu=0.9, sigma_inv=0.0, sigma_spu=0.0).replace(p_inv=0.8)
    u = LeastSquares().direction(blocks)  # along r/d with D = (.6, .8): r = D, d = 1 - D^2
    assert u[1] / u[0] == pytest.approx((0.8 / 0.36) / (0.6 / 0.64), rel=1e-12)
