"""The law against least squares and scikit-learn; halves are strata."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from experiments.heads.gaussian_law import Photos, bayes_rules, fit, halves


def drawn(rng, K=3, B=4, n=12):
    """n photos of each class on each background."""
    m, a = rng.normal(size=(K, K)) + np.eye(K), rng.normal(size=(B, K)) / 2
    y, b = (part.ravel() for part in np.meshgrid(range(K), np.repeat(range(B), n), indexing="ij"))
    return Photos(m[y] + a[b] + rng.normal(size=(len(y), K)), y, b, b == y % B)


def some(photos, chosen):
    return Photos(*(values[chosen] for values in vars(photos).values()))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_the_fit_is_least_squares(seed):
    rng = np.random.default_rng(seed)
    photos = drawn(rng)
    photos = some(photos, np.sort(rng.permutation(len(photos.label))[:90]))
    law, y = fit(photos), photos.values
    design = np.hstack([np.eye(3)[photos.label], np.eye(4)[photos.background]])
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    for cell, mean in zip(law.cells, law.means, strict=True):
        own = (photos.cell == cell).all(axis=1)
        assert fitted[own] == pytest.approx(np.tile(mean, (own.sum(), 1)), abs=1e-9)
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


def test_too_few_photos_are_refused():
    photos = drawn(np.random.default_rng(0), n=1)
    with pytest.raises(ValueError, match="4 photos leave no degree of freedom for 4 cells"):
        fit(some(photos, photos.label == 0))


def test_a_class_without_photos_of_a_group_has_no_share_in_it():
    """Three classes far apart; the third is never counter. Every rule is right."""
    rng = np.random.default_rng(0)
    y, b = np.repeat([0, 0, 1, 1, 2], 20), np.repeat([0, 1, 1, 0, 0], 20)
    photos = Photos(30 * np.eye(3)[y] + rng.normal(size=(100, 3)), y, b, (y == b) | (y == 2))
    law = fit(photos)
    assert law.shares.sum(axis=1).tolist() == [[1, 1, 1], [1, 1, 0]]
    assert (bayes_rules(law).right(photos.values, np.array([0.1, 0.9]), y) == 1).all()
