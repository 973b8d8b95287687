"""A true law is supported and seldom contradicted; a false one is contradicted, with the right reason."""

import numpy as np
import pytest
from scipy.stats import binom
from stattest import SHARE, spend

from experiments.counteranimal.gaussian_law import Scores, fit
from experiments.counteranimal.law_test import ALPHA, assess, reliance, square_bounds


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
    return Scores(x @ W.T, y, b, common, np.arange(len(y)))


def test_photos_of_a_gaussian_are_predicted_within_the_bounds():
    document = assess(world(0, n=2500), 0.03, redraws=30)
    law = document["law"]
    assert document["verdict"] == "supported"
    for name in ("common", "counter"):
        low, high = law[name]["bounds"]
        assert low <= 0 <= high
        assert law["groups"][name]["predicted"] == pytest.approx(law["groups"][name]["measured"], abs=0.03)
    off = [(c["predicted"] - c["measured"]) / c["standard_error"] for c in document["classes"]]
    assert np.abs(off).max() < 4
    assert document["photos_fitted"] + document["photos_measured"] == 6 * 2 * 2500


@pytest.mark.parametrize(
    ("broken", "own", "reason"),
    [
        ({"interaction": 1.0}, "undecided", "backgrounds act on classes differently"),
        ({"modes": 2.5}, "contradicted", "not Gaussian with one covariance"),
    ],
)
def test_the_part_that_fails_is_named(broken, own, reason):
    document = assess(world(3, n=600, **broken), 0.03, redraws=30)
    assert (document["verdict"], document["own_effects"]["verdict"]) == ("contradicted", own)
    assert reason in document["reason"]


@pytest.mark.deep
def test_how_often_a_true_law_is_contradicted():
    """Without tolerance, the worst case: the test accepts a rate of at most twice ALPHA over these seeds."""
    spend(SHARE)
    trials = 400
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
    document = assess(Scores(scores, y, b, common, np.arange(120)), 0.03, redraws=10)
    assert document["verdict"] == "undecided"
    assert document["law"]["rms"]["value"] == 0
    assert document["law"]["rms"]["bounds"][1] > 0.03


@pytest.mark.parametrize(
    ("alpha", "beta", "u"), [(1.0, 1.0, (1.0, 0.4)), (1.5, 0.8, (2.0, -0.5)), (1.0, 2.0, (1.0, 0.0))]
)
def test_reliance_is_that_of_the_papers_world(alpha, beta, u):
    """Two classes, latents (z_inv, z_spu), a linear rule u: t is u_spu mu_spu/(u_inv mu_inv)."""
    rng, n = np.random.default_rng(7), 4000
    y, a = (rng.choice([-1, 1], size=n) for _ in range(2))
    z = np.column_stack([alpha * y, beta * a]) + rng.normal(size=(n, 2))
    margin = z @ np.array(u)
    photos = Scores(np.column_stack([-margin, margin]), (y > 0).astype(int), (a > 0).astype(int), a == y, np.arange(n))
    found = reliance(fit(photos), photos, np.arange(2), 0)
    assert found["t"] == pytest.approx(u[1] * beta / (u[0] * alpha), abs=0.08)


def test_photos_without_a_second_group_are_refused():
    photos = world(0, n=5)
    with pytest.raises(ValueError, match="no class has photos left to measure in both groups"):
        assess(photos[photos.common], 0.03)
