"""A true law is supported and seldom contradicted, a false one is contradicted."""

import numpy as np
import pytest
from scipy.stats import binom
from stattest import SHARE, spend

from experiments.heads.gaussian_law import Photos
from experiments.heads.law_verdict import ALPHA, assess, square_bounds


def world(seed, K=6, n=100, B=3, d=12, interaction=0.0, modes=0.0):
    """Features are class + background + noise, scored by K random prompts; `interaction` and `modes` break the law."""
    rng = np.random.default_rng(seed)
    W, a = rng.normal(size=(K, d)), rng.normal(size=(B, d)) / 2
    m = rng.normal(size=(K, d)) / 3 + W / 3
    own, root = rng.normal(size=(K, B, d)) * interaction, rng.normal(size=(d, d)) / np.sqrt(d)
    y, common = np.repeat(np.arange(K), 2 * n), np.tile(np.repeat([True, False], n), K)
    b = np.where(common, y % B, (y + 1 + rng.integers(B - 1, size=len(y))) % B)
    x = m[y] + a[b] + own[y, b] + rng.normal(size=(len(y), d)) @ root
    x += modes * rng.choice([-1, 1], size=(len(y), 1)) * (W[y] - W[(y + 1) % K]) / 4
    return Photos(x @ W.T, y, b, common)


def test_photos_of_a_gaussian_are_predicted_within_the_bounds():
    law = assess(world(0, n=2500), 0.03, 0, 30)
    assert law["verdict"] == "supported"
    for name in ("common", "counter"):
        low, high = law[name]["bounds"]
        assert low <= 0 <= high
        assert law["groups"][name]["predicted"] == pytest.approx(law["groups"][name]["measured"], abs=0.03)
    assert law["photos_fitted"] + law["photos_measured"] == 6 * 2 * 2500


@pytest.mark.parametrize("broken", [{"interaction": 1.0}, {"modes": 2.5}])
def test_a_false_law_is_contradicted(broken):
    """Backgrounds that act on classes differently, and scores that are not Gaussian."""
    assert assess(world(3, n=600, **broken), 0.03, 0, 30)["verdict"] == "contradicted"


@pytest.mark.deep
def test_how_often_a_true_law_is_contradicted():
    """Without tolerance, the worst case: twice ALPHA passes, a rate of .14 fails with probability .99."""
    spend(SHARE)
    trials = 200
    hits = sum(
        assess(world(100 + s, K=3, n=40, B=2, d=6), 1e-9, s, 40)["verdict"] == "contradicted" for s in range(trials)
    )
    assert hits <= binom.ppf(1 - SHARE, trials, 2 * ALPHA), hits


def test_bounds_of_squares_cover():
    """Normal noise around true errors with RMS .04: each bound misses at its nominal rate."""
    spend(SHARE)
    rng, trials, tail = np.random.default_rng(6), 400, 0.05
    true = rng.normal(size=(8, 2))
    true *= 0.04 / np.sqrt((true**2).mean())
    variance = rng.uniform(0.0005, 0.003, size=(8, 2))
    off = true + np.sqrt(variance) * rng.normal(size=(trials, 8, 2))
    low, high = np.array([square_bounds(one, variance, tail) for one in off]).T
    for missed in ((low > 0.04).sum(), (high < 0.04).sum()):
        assert missed <= binom.ppf(1 - SHARE / 2, trials, 1.3 * tail)
        assert missed >= binom.ppf(SHARE / 2, trials, 0.5 * tail)
    none = np.zeros((3, 2))
    assert square_bounds(none, none, tail) == (0.0, pytest.approx(0, abs=1e-6))
    assert square_bounds(none, none, tail, floor=none + 0.002)[1] > 0.03  # a perfect sample proves little


def test_few_photos_that_are_all_right_show_little():
    y = np.repeat([0, 1, 2], 40)
    b, common = np.where(np.arange(120) % 2, y, (y + 1) % 3), np.arange(120) % 2 == 1
    scores = 100.0 * np.eye(3)[y] + np.random.default_rng(0).normal(size=(120, 3))
    law = assess(Photos(scores, y, b, common), 0.03, 0, 10)
    assert law["verdict"] == "undecided"
    assert law["rms"]["value"] == 0
    assert law["rms"]["bounds"][1] > 0.03


def test_photos_without_a_second_group_are_refused():
    photos = world(0, n=5)
    with pytest.raises(ValueError, match="no class has photos left to measure in both groups"):
        assess(photos[photos.common], 0.03, 0, 10)
