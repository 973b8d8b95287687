"""The theory's law for embeddings of real photos: a class mean plus a background effect plus
Gaussian noise.

In the paper's world a view is an object's mean plus a background's mean plus independent noise.
Embeddings have this form, too:

    x = m_y + a_b + N(0, Sigma)

m_y is the mean of class y, a_b the effect of background b in every class, Sigma is shared. The
Bayes rule at group weight lambda compares lambda p(x | y, common) + (1 - lambda) p(x | y, counter),
with the densities of this law. Whether the law holds does not matter: its rules are heads, measured
like all others.

Letters: N photos in D dimensions, K labels, G cells (class, background) with photos, L group
weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from simulator.accuracy import won

SMALLEST = float(np.finfo(np.float32).eps) ** 2  # the variance of a unit vector's rounding


class Law(NamedTuple):
    cells: Int[np.ndarray, "G 2"]  # (class, background)
    means: Float[np.ndarray, "G D"]
    covariance: Float[np.ndarray, "D D"]
    # of a group and class's photos in each cell, whose photos are of one group
    shares: Float[np.ndarray, "2 G K"]


def fit(
    y: Float[np.ndarray, "N D"], cell: Int[np.ndarray, "N 2"], common: Bool[np.ndarray, " N"]
) -> Law:
    """Least squares of class and background effects, and the Ledoit-Wolf covariance of the
    residuals.
    """
    from sklearn.covariance import ledoit_wolf  # an optional extra

    N = len(cell)
    label = cell[:, 0]
    cells, where = np.unique(cell, axis=0, return_inverse=True)
    n = np.bincount(where)
    design = np.hstack([(column[:, None] == np.unique(column)).astype(float) for column in cells.T])
    freedom = N - int(np.linalg.matrix_rank(design))
    if freedom < 1:
        raise ValueError(
            f"{N} photos leave no degree of freedom for {len(cells)} cells of class and background"
        )
    order = np.argsort(where, kind="stable")
    totals = np.add.reduceat(y[order], np.cumsum(n) - n, axis=0, dtype=float)
    gram = design.T @ (n.astype(float)[:, None] * design)
    means = design @ np.linalg.pinv(gram, hermitian=True) @ design.T @ totals
    covariance = (
        ledoit_wolf(y - means.astype(y.dtype)[where], assume_centered=True)[0] * N / freedom
    )
    shares = np.zeros((2, len(cells), label.max() + 1))
    np.add.at(shares, (np.where(common, 0, 1), where, label), 1)
    return Law(cells, means, covariance, shares / np.maximum(shares.sum(axis=1, keepdims=True), 1))


def bayes_rules(
    law: Law, lambdas: Float[np.ndarray, " L"]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The function from rows (n, D) and labels (n) to the answers (n, L) of the Bayes rules at
    these group weights.

    An answer is 1 where a rule decides for the label, 1/k where k labels tie, else 0. Raises
    ValueError unless the covariance is positive definite.
    """
    if not np.linalg.eigvalsh(law.covariance)[0] > SMALLEST:
        raise ValueError(
            "the embeddings do not vary in every direction within their class and background"
        )
    centre = law.means.mean(axis=0)
    means = law.means - centre
    weights = np.linalg.solve(law.covariance, means.T)
    bias = -(weights * (means.T / 2 + centre[:, None])).sum(axis=0)

    def right(
        rows: Float[np.ndarray, "n D"], label: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n L"]:
        log_density = rows @ weights + bias  # of cells, up to what all of them share
        density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        common, counter = (density @ share for share in law.shares)
        return np.stack([won(lam * common + (1 - lam) * counter, label) for lam in lambdas], axis=1)

    return right


def halves(
    cell: Int[np.ndarray, "N 2"], common: Bool[np.ndarray, " N"], rng: np.random.Generator
) -> Bool[np.ndarray, " N"]:
    """A random half of the photos, which holds half of each class, group and cell, to within one
    photo.
    """
    group = 2 * cell[:, 0] + common
    background = cell[:, 1]
    return _ranks(group, np.lexsort((rng.random(len(cell)), background))) % 2 == 0


def sample(
    cell: Int[np.ndarray, "N 2"], most: int, least: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Indices of at most so many photos, in order: at least so many of each cell if it has them,
    others at random.
    """
    if len(cell) <= most:
        return np.arange(len(cell))
    order = rng.permutation(len(cell))
    first = _ranks(np.unique(cell, axis=0, return_inverse=True)[1], order) < least
    return np.sort(order[np.argsort(~first[order], kind="stable")[:most]])


def _ranks(stratum: Int[np.ndarray, " N"], order: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """The place of each photo among those of its stratum, in this order."""
    ranks = np.empty(len(stratum), dtype=int)
    ranks[order] = pd.Series(order).groupby(stratum[order]).cumcount()
    return ranks
