"""Least squares and Fisher's discriminant against group lists written out, for any agreement of the object."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import per_block, worlds_with

from theory.learners.least_squares import lda_direction, least_squares_direction
from theory.population import image_variance


def moments_by_groups(blocks):
    """(weights, labels, latent means) of every group (y, o, a), by listing them."""
    K, B = blocks.classes, len(blocks.mean)
    patterns = np.array([[1.0], [-1.0]]) if K == 2 else np.eye(K)
    codes = np.array(list(product(range(K), repeat=1 + B)))
    match = codes[:, 1:] == codes[:, :1]
    weights = np.where(match, blocks.agreement, (1 - blocks.agreement) / (K - 1)).prod(1) / K
    return weights, codes[:, 0], (blocks.mean[:, None] * patterns[codes[:, 1:]]).reshape(len(codes), -1)


worlds = st.builds(
    lambda p_inv, classes, **kw: (lambda b: b.replace(p_inv=p_inv))(worlds_with(classes=classes, **kw)),
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
    w, labels, M = moments_by_groups(blocks)
    K = blocks.classes
    Y = np.where(labels == 0, 1.0, -1.0)[:, None] if K == 2 else np.eye(K)[labels] - 1 / K
    centred = M - w @ M
    covariance = centred.T @ (w[:, None] * centred) + np.diag(np.repeat(image_variance(blocks), M.shape[1] // 2))
    W = np.linalg.solve(covariance, centred.T @ (w[:, None] * Y))
    expected = per_block(W, K)
    np.testing.assert_allclose(
        least_squares_direction(blocks), expected, rtol=1e-9, atol=1e-11 * max(np.abs(expected).max(), 1e-3)
    )


@given(worlds)
def test_lda_is_the_pooled_covariance_within_classes(blocks):
    w, labels, M = moments_by_groups(blocks)
    K = blocks.classes
    within, means = np.diag(np.repeat(image_variance(blocks), M.shape[1] // 2)), []
    for y in range(K):
        mine = labels == y
        means.append(K * w[mine] @ M[mine])
        centred = M[mine] - means[-1]
        within = within + centred.T @ (w[mine, None] * centred)
    # Between two classes r counts half of the difference of two means (K = 2), or all of it on one coordinate.
    difference = (means[0] - means[1]) / (2 if K == 2 else 1)
    W = np.linalg.solve(within, difference)
    expected = W if K == 2 else W.reshape(2, K)[:, 0]
    np.testing.assert_allclose(lda_direction(blocks), expected, rtol=1e-9, atol=1e-11 * max(np.abs(expected).max(), 1))


@given(worlds)
def test_lda_is_a_positive_multiple_of_least_squares(blocks):
    u, v = lda_direction(blocks), least_squares_direction(blocks)
    np.testing.assert_allclose(u * np.linalg.norm(v), v * np.linalg.norm(u), rtol=1e-12, atol=0)


@given(st.floats(0.5, 1), st.floats(0.5, 1), st.floats(0, 0.5))
@example(1.0, 0.9, 0.0)
def test_the_binary_ratio_as_printed(p_inv, p, nu):
    """u_spu/u_inv of the docstring, times alpha D_inv so that D_inv = 0 is no special case."""
    alpha, beta, si, ss = 1.2, 2.0, 1.0, 0.5
    blocks = worlds_with(p_spu=p, mu_inv=alpha, mu_spu=beta, sigma_inv=si, sigma_spu=ss, nu=nu)
    u = least_squares_direction(blocks.replace(p_inv=p_inv))
    S_i, S_s = si**2 + nu, ss**2 + nu
    left = u[1] * alpha * (2 * p_inv - 1) * (S_s + 4 * p * (1 - p) * beta**2)
    assert left == pytest.approx(u[0] * beta * (2 * p - 1) * (S_i + 4 * p_inv * (1 - p_inv) * alpha**2), abs=1e-12)


def test_a_noiseless_block_that_errs_is_no_special_case():
    blocks = worlds_with(p_spu=0.9, sigma_inv=0.0, sigma_spu=0.0).replace(p_inv=0.8)
    # r/d with D = (.6, .8): r = D, d = 1 - D^2.
    np.testing.assert_allclose(lda_direction(blocks), [0.6 / 0.64, 0.8 / 0.36], rtol=1e-12)
    with pytest.raises(ValueError, match="no finite direction"):
        lda_direction(worlds_with(sigma_inv=0.0))
