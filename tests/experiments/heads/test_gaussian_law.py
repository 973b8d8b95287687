"""The law against slow oracles: probabilities against scipy and against simulation, fits against lstsq."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import helmert
from scipy.special import ndtr
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from experiments.heads.gaussian_law import (
    Law,
    Photos,
    cell_shares,
    fit,
    halves,
    ideal_curve,
    normals,
    probabilities,
    redrawn,
    rotated,
)

POINTS = {k: normals(k, np.random.default_rng(0)) for k in (1, 2, 3)}


def drawn(rng, K=3, B=4, n=12):
    """n photos of each class on each background."""
    m, a = rng.normal(size=(K, K)) + np.eye(K), rng.normal(size=(B, K)) / 2
    y, b = (part.ravel() for part in np.meshgrid(range(K), np.repeat(range(B), n), indexing="ij"))
    return Photos(m[y] + a[b] + rng.normal(size=(len(y), K)), y, b, b == y % B)


def fitted_to(photos):
    return fit(photos.cell, rotated(photos.values))


def law_of(mean, covariance, truth, error=0.0):
    """A law of one cell, from moments of scores."""
    turn = helmert(len(mean))
    return Law(
        np.array([[truth, 0]]),
        np.zeros(1, dtype=np.int64),
        np.array([[error]]),
        mean[None] @ turn.T,
        turn @ covariance @ turn.T,
        np.zeros((1, len(mean) - 1)),
        1,
    )


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
@settings(max_examples=25)
def test_the_probability_is_scipys_orthant(seed, K):
    rng = np.random.default_rng(seed)
    root, mean, truth = rng.normal(size=(K, K)), rng.normal(size=K), int(rng.integers(K))
    covariance = root @ root.T + 0.1 * np.eye(K)
    apart = np.delete(np.eye(K)[truth] - np.eye(K), truth, axis=0)  # s_y - s_k of the others
    expected = multivariate_normal(-(apart @ mean), apart @ covariance @ apart.T).cdf(np.zeros(K - 1))
    found = probabilities(law_of(mean, covariance, truth), POINTS[K - 1])[:, 0]
    if K == 2:
        gap, spread = apart @ mean, np.sqrt(apart @ covariance @ apart.T)
        assert found == pytest.approx(np.full(len(found), float(ndtr(gap / spread).item())), abs=1e-12)
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - expected) <= max(0.004, 6 * error)
    assert error < 0.004


def test_an_uncertain_mean_leaves_the_expectation_right():
    """Averaged over means with error N(0, h Sigma), the probability at (1 - h) Sigma is the true one."""
    rng, h = np.random.default_rng(1), 0.3
    mean, covariance = np.array([0.8, -0.3]), np.array([[1.0, 0.2], [0.2, 1.4]])
    true = float(probabilities(law_of(mean, covariance, 0), POINTS[1])[0, 0])
    off = rng.multivariate_normal(mean, h * covariance, size=1500)
    values = np.array([probabilities(law_of(one, covariance, 0, h), POINTS[1])[0, 0] for one in off])
    assert abs(values.mean() - true) < 5 * values.std() / np.sqrt(len(values))
    plain = np.array([probabilities(law_of(one, covariance, 0), POINTS[1])[0, 0] for one in off])
    assert abs(plain.mean() - true) > 5 * plain.std() / np.sqrt(
        len(plain)
    )  # without the correction the error is visible


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_the_fit_is_least_squares(seed):
    rng = np.random.default_rng(seed)
    photos = drawn(rng)
    photos = photos[np.sort(rng.permutation(len(photos.label))[:90])]
    law, y = fitted_to(photos), rotated(photos.values)
    design = np.hstack([np.eye(3)[photos.label], np.eye(4)[photos.background]])
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert law.means[law.where] == pytest.approx(fitted, abs=1e-9)
    hat = design @ np.linalg.pinv(design)
    assert law.error[law.where] == pytest.approx(np.diag(hat), abs=1e-9)
    assert law.freedom == 90 - 6
    whole = LedoitWolf(assume_centered=True).fit(y - fitted)
    assert law.covariance == pytest.approx(whole.covariance_ * 90 / 84, rel=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_halves_are_strata(seed):
    rng = np.random.default_rng(seed)
    photos = drawn(rng, n=5)
    first = halves(photos.cell, photos.common, rng)
    for k in range(3):
        for common in (True, False):
            own = first[(photos.label == k) & (photos.common == common)]
            assert own.sum() == -(-len(own) // 2)
        for b in range(4):
            assert first[(photos.label == k) & (photos.background == b)].sum() in (2, 3)


def test_laws_fitted_again_scatter_like_the_first():
    """The variance of means over bootstrap fits is error times Sigma."""
    photos = drawn(np.random.default_rng(4), n=30)
    law, rng = fitted_to(photos), np.random.default_rng(5)
    means = np.array([redrawn(law, rng).means for _ in range(200)])
    ratio = means.var(axis=0, ddof=1) / (law.error[:, None] * np.diag(law.covariance))
    assert 0.8 < ratio.mean() < 1.2
    assert np.abs(means.mean(axis=0) - law.means).max() < 6 * np.sqrt(ratio.max() * law.error.max() / 200) * 2


def test_too_few_photos_are_refused():
    photos = drawn(np.random.default_rng(0), n=1)
    with pytest.raises(ValueError, match="4 photos leave no degree of freedom for 4 cells"):
        fitted_to(photos[photos.label == 0])


def test_a_class_without_photos_of_a_group_has_no_share_in_it():
    """Three classes far apart; the third is never counter. Every rule is right, so both accuracies are 1."""
    rng = np.random.default_rng(0)
    y, b = np.repeat([0, 0, 1, 1, 2], 20), np.repeat([0, 1, 1, 0, 0], 20)
    law = fit(np.column_stack([y, b]), 30 * np.eye(3)[y] + rng.normal(size=(100, 3)))
    shares = cell_shares(law, (y == b) | (y == 2), 3)
    assert shares.sum(axis=1).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert ideal_curve(law, shares, np.array([0.1, 0.9]), rng) == pytest.approx(np.ones((2, 2)))
