"""The law against least squares and scikit-learn; halves are strata."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from experiments.heads.gaussian_law import bayes_rules, fit, halves


def drawn(rng, K=3, B=4, n=12):
    """n photos of each class on each background: values, (class, background), and whether they are
    common.
    """
    m = rng.normal(size=(K, K)) + np.eye(K)
    a = rng.normal(size=(B, K)) / 2
    y, b = (part.ravel() for part in np.meshgrid(range(K), np.repeat(range(B), n), indexing="ij"))
    return m[y] + a[b] + rng.normal(size=(len(y), K)), np.column_stack([y, b]), b == y % B


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_the_fit_is_least_squares(seed):
    rng = np.random.default_rng(seed)
    photos = drawn(rng)
    chosen = np.sort(rng.permutation(len(photos[0]))[:90])
    y, cells, common = (part[chosen] for part in photos)
    law = fit(y, cells, common)
    design = np.hstack([np.eye(3)[cells[:, 0]], np.eye(4)[cells[:, 1]]])
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    for cell, mean in zip(law.cells, law.means, strict=True):
        own = (cells == cell).all(axis=1)
        assert fitted[own] == pytest.approx(np.tile(mean, (own.sum(), 1)), abs=1e-9)
    whole = LedoitWolf(assume_centered=True).fit(y - fitted)
    assert law.covariance == pytest.approx(whole.covariance_ * 90 / 84, rel=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_halves_are_strata(seed):
    rng = np.random.default_rng(seed)
    _, cells, common_rows = drawn(rng, n=5)
    label, background = cells.T
    first = halves(cells, common_rows, rng)
    for k in range(3):
        for common in (True, False):
            own = first[(label == k) & (common_rows == common)]
            assert own.sum() == -(-len(own) // 2)
        for b in range(4):
            assert first[(label == k) & (background == b)].sum() in (2, 3)


def test_too_few_photos_are_refused():
    photos = drawn(np.random.default_rng(0), n=1)
    with pytest.raises(ValueError, match="4 photos leave no degree of freedom for 4 cells"):
        fit(*(part[photos[1][:, 0] == 0] for part in photos))


def test_a_class_without_photos_of_a_group_has_no_share_in_it():
    """Three classes far apart; the third is never counter. Every rule is right."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 0, 1, 1, 2], 20)
    b = np.repeat([0, 1, 1, 0, 0], 20)
    values = 30 * np.eye(3)[y] + rng.normal(size=(100, 3))
    law = fit(values, np.column_stack([y, b]), (y == b) | (y == 2))
    assert law.shares.sum(axis=1).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert (bayes_rules(law, np.array([0.1, 0.9]))(values, y) == 1).all()
