"""Means over classes and their intervals: identities, oracles, coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t
from stattest import SHARE

from experiments.heads import intervals
from experiments.heads.intervals import counted, group_accuracies, interval_method, worst_cell
from experiments.results import FEWEST


@st.composite
def counts(draw, low=0, size=None):
    C = size or draw(st.integers(1, 8))
    photos = np.array(
        draw(st.lists(st.tuples(*[st.integers(low, 30)] * 2), min_size=C, max_size=C))
    )
    share = np.array(draw(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=C, max_size=C)))
    return counted(np.arange(C) * 7, photos, np.floor(share * photos).astype(np.int64))


@given(counts(low=1))
def test_means_are_what_their_names_say(table):
    macro = group_accuracies(table, "macro")
    micro = group_accuracies(table, "micro")
    for g, group in enumerate(("common", "counter")):
        correct = table.correct[group].tolist()
        photos = table.photos[group].tolist()
        by_hand = math.fsum(k / n for k, n in zip(correct, photos, strict=True))
        assert macro[g] == pytest.approx(by_hand / len(table), abs=1e-12)
        assert micro[g] == pytest.approx(sum(correct) / sum(photos), abs=1e-12)


@given(counts(low=1))
def test_weights_of_the_bootstrap_are_repetition_of_classes(table):
    """The vectorised replicate against a table in which the drawn classes are written out."""
    C = len(table.index)
    drawn = np.arange(C)[::-1] // 2
    again = table.iloc[drawn].set_axis(np.arange(C))
    weights = np.bincount(drawn, minlength=C).astype(float)
    for mean in ("macro", "micro"):
        assert np.allclose(
            group_accuracies(table, mean, weights), group_accuracies(again, mean), atol=1e-12
        )


@pytest.mark.deep
def test_intervals_cover():
    """Coverage of the drop's 95% interval at 12 classes drawn from a population, 600 data sets.

    Exact coverage .95 has standard error .0089; the limit .92 is 3.4 errors below, a false alarm of
    4e-4. Plain percentile intervals cover .918 of the same data sets.
    """
    rng = np.random.default_rng(20240)
    hits, sets, C = 0, 600, 12
    for _ in range(sets):
        centre = np.clip(rng.normal([0.7, 0.5], 0.12, size=(C, 2)), 0, 1)
        photos = rng.integers(30, 80, size=(C, 2))
        table = counted(np.arange(C), photos, rng.binomial(photos, centre))
        low, high = intervals.over_classes(
            table, "macro", seed=int(rng.integers(2**31)), replicates=1000
        )["drop"]
        hits += low <= 0.2 <= high
    assert hits / sets > 0.92


def test_photo_bounds_are_clopper_and_pearsons_on_the_effective_sample():
    """With one photo per class the exact interval; otherwise the textbook formula."""
    right = np.array([[1, 0], [1, 1], [0, 0], [1, 0], [1, 0]])
    single = counted(np.arange(5), np.ones((5, 2), dtype=np.int64), right)
    for (low, high), k in zip(intervals.over_photos(single, "macro"), (4, 1), strict=False):
        exact = binomtest(k, 5).proportion_ci(0.95, "exact")
        assert (low, high) == pytest.approx((exact.low, exact.high))
    for C in (3, FEWEST - 1, FEWEST):
        sizes = np.resize([[10, 8], [40, 8], [5, 8]], (C, 2))
        bounds = intervals.over_photos(counted(np.arange(C), sizes, sizes), "macro")[:2]
        for (low, _), photos in zip(bounds, sizes.T, strict=True):
            few = 1.0 if C < FEWEST else (t.isf(0.025, photos.sum() - 1) / t.isf(0.025, C - 1)) ** 2
            assert low == pytest.approx(
                0.025 ** (1 / (few * C**2 / (1 / photos).sum()))
            )  # all right: the tail is low^n


def test_few_classes_have_intervals_over_photos():
    """One class: Clopper and Pearson's own. Nine: as of these photos alone, where the bootstrap's
    is far wider.
    """
    table = counted(np.array([3]), np.array([[50, 40]]), np.array([[40, 12]]))
    found = intervals.over_classes(table, "macro")
    for name, k, n in (("common", 40, 50), ("counter", 12, 40)):
        exact = binomtest(k, n).proportion_ci(0.95, "exact")
        assert found[name] == pytest.approx((exact.low, exact.high))
    assert found["drop"][0] < 0.5 < found["drop"][1]
    photos = np.full((FEWEST, 2), 400)
    # classes that differ far more than their photos
    right = np.linspace([0.1, 0.2], [0.9, 1.0], FEWEST) * photos
    every = counted(np.arange(FEWEST), photos, right.astype(int))
    over_classes, over_photos = (
        np.ptp(intervals.over_classes(part, "macro")["common"]) for part in (every, every[1:])
    )
    assert over_photos < 0.04 < 0.3 < over_classes
    assert "9 classes are too few to resample" in interval_method(FEWEST - 1)
    assert "over classes" in interval_method(FEWEST)


def test_the_interval_of_the_worst_covers_the_least_accuracy():
    """Twelve cells of 20 photos with equal true accuracy, where selecting the worst misleads most.

    A plain 95 % interval covers the truth in only two thirds of the 200 draws.
    """
    truth, draws, covered, plain = 0.7, 200, 0, 0
    photos = np.full(12, 20)
    for right in np.random.default_rng(0).binomial(photos, truth, size=(draws, 12)):
        at, (low, high) = worst_cell(right, photos)
        covered += low <= truth <= high
        low, high = binomtest(int(right[at]), 20).proportion_ci(0.95, "exact")
        plain += low <= truth <= high
    assert binomtest(covered, draws, 0.95, alternative="less").pvalue > SHARE
    assert plain < 0.9 * draws
