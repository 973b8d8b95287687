"""Counts: their law against the distribution function, their values against stored ones, for every
numpy.
"""

import numpy as np
from scipy.special import bdtr, ndtr
from stattest import assert_mean

from simulator.exact_counts import INVERTED, binomial, multinomial
from simulator.streams import numpy_stream

SIZE = 200_000  # values; enough to see errors of .02 standard deviations in the share below a point
LAWS = [(61, 0.5), (500, 0.45), (500, 0.93), (10_000, 0.004), (10**6, 0.97), (10**12, 0.45)]


def test_large_counts_have_the_binomial_law():
    """Shares below nine points of each law; counts of 10^12 are normal to a millionth."""
    n, p = (np.array(column) for column in zip(*LAWS, strict=True))
    assert np.all(n * np.minimum(p, 1 - p) > INVERTED)
    points = np.floor(n * p + np.linspace(-2, 2, 9)[:, None] * np.sqrt(n * p * (1 - p)))
    counts = binomial(np.tile(n, (SIZE, 1)), p, numpy_stream(3, "counts"))
    chances = bdtr(points, n, p)
    chances[:, -1] = ndtr(np.linspace(-2, 2, 9))
    below = (counts[:, None] <= points).reshape(SIZE, -1)
    assert_mean(below, chances, effect=0.02, what="counts below nine points")


def test_counts_of_groups_have_the_multinomial_moments():
    """Weights with any sum; groups of weight zero, also in the last place; counts on both sides of
    INVERTED.
    """
    n = 500
    weights = np.array([3.0, 0.0, 12.0, 4.0, 1.0, 0.0])
    w = weights / weights.sum()
    counts = multinomial(n, weights, SIZE, numpy_stream(3, "groups", n))
    assert np.all(counts.sum(axis=1) == n)
    assert np.all(counts[:, weights == 0] == 0)
    centred = counts - n * w
    products = (centred[:, :, None] * centred[:, None, :]).reshape(SIZE, -1)
    covariance = n * (np.diag(w) - np.outer(w, w))
    assert_mean(
        np.hstack([centred, products]),
        [*np.zeros(6), *covariance.ravel()],
        effect=0.02,
        what="groups",
    )


def test_numbers_are_the_same_whatever_numpy_draws_them():
    """Generator.binomial draws other large counts from numpy 2.5 on; the stored values hold for
    both.
    """
    n = np.array([[10, 500, 10**6, 10**12]])
    assert binomial(n, np.full(4, 0.45), numpy_stream(7, "counts")).tolist() == [
        [4, 225, 450138, 449999273630]
    ]
    groups = multinomial(10**6, np.array([0.45, 0.05, 0.05, 0.45]), 2, numpy_stream(7, "groups"))
    assert groups.tolist() == [[449879, 49886, 50358, 449877], [449953, 50258, 49782, 450007]]
