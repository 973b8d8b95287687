"""Accuracy by group, and intervals of means over replicates, against scipy."""

import numpy as np
import pytest
from scipy import stats

from simulator.accuracy import Accuracy, mean_interval


def test_the_worst_group_is_the_smallest_of_those_that_there_are():
    """Of three worlds, the table of the first has no counter group, and that of the second no unseen group."""
    groups = ([0.9, 0.9, 0.3], [np.nan, 0.5, 0.4], [0.7, np.nan, 0.6])
    assert Accuracy.of(map(np.array, groups)).worst.tolist() == [0.7, 0.5, 0.3]


def test_an_interval_is_students_over_the_finite_replicates_within_the_support():
    values = np.array([[0.3, 0.5, 0.4, 0.7], [0.3, np.nan, 0.4, 0.7], [0.2, np.nan, np.nan, np.nan], [np.nan] * 4])
    mean, error, low, high = mean_interval(values, 0.9, (0.2, 0.7))
    for k in (0, 1):
        own = values[k][np.isfinite(values[k])]
        assert (mean[k], error[k]) == pytest.approx((own.mean(), stats.sem(own)))
        whole = stats.t.interval(0.9, len(own) - 1, own.mean(), stats.sem(own))  # (.12, .82) of the second row
        assert (low[k], high[k]) == pytest.approx(np.clip(whole, 0.2, 0.7))
    assert mean[2] == 0.2
    assert np.isnan([mean[3], *error[2:], *low[2:], *high[2:]]).all()
