"""The theory's law for embeddings of real photos: a class mean plus a background effect plus Gaussian noise.

In the paper's world a view is D (z_inv, z_spu) plus noise: an object's mean, a background's mean, and noise that is
independent of both. Embeddings have the same form there, and so have scores, which are linear in them:

    x = m_y + a_b + N(0, Sigma),        P(right | y, b) = P(s_y > s_k for all k != y) for scores s

m_y is the mean of class y, a_b the effect of background b in every class, Sigma is shared. For two labels P is Phi of
a scaled gap. For more it is an orthant probability, estimated with scrambled Sobol points. The Bayes rule at group
weight lambda compares lambda p(x | y, common) + (1 - lambda) p(x | y, counter), with the densities of this law.

Letters: N photos, K labels, k = K - 1, G cells (class, background) with photos, R scrambles of M points, L group
weights.
"""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.linalg import helmert
from scipy.special import ndtr

from simulator.accuracy import rounded, won
from simulator.gaussian.critic import gaussian_points, standardise

SCRAMBLES, POWER = 8, 9
POINTS = 2**POWER
MOST_DENSITIES = 2**22  # per group weight, where the law's Bayes rules are evaluated on points
SMALLEST = float(np.finfo(np.float32).eps) ** 2  # the variance of a unit vector's rounding
NEVER = 5.5  # standard deviations; a label this far behind is first with probability 2e-8


@dataclass(frozen=True)
class Photos:
    """Embeddings or scores of independent photos, with their classes, backgrounds and groups."""

    values: Float[np.ndarray, "N k"]
    label: Int[np.ndarray, " N"]
    background: Int[np.ndarray, " N"]
    common: Bool[np.ndarray, " N"]

    def __getitem__(self, chosen: np.ndarray) -> "Photos":
        return Photos(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @property
    def cell(self) -> Int[np.ndarray, "N 2"]:
        """(class, background) of each photo."""
        return np.column_stack([self.label, self.background])

    @property
    def right(self) -> Float[np.ndarray, " N"]:
        """1 where the true label has the highest score, 1/k where k labels share it, else 0."""
        return won(self.values, self.label)


@dataclass(frozen=True)
class Law:
    """A fitted law of embeddings or of `rotated` scores, with k coordinates."""

    cells: Int[np.ndarray, "G 2"]  # (truth, background)
    where: Int[np.ndarray, " N"]  # cell of each photo that was fitted
    hat: Float[np.ndarray, "G G"]  # sums of the cells' photos -> means
    means: Float[np.ndarray, "G k"]
    covariance: Float[np.ndarray, "k k"]
    residuals: Float[np.ndarray, "N k"]
    freedom: int  # degrees of freedom of the residuals

    @property
    def error(self) -> Float[np.ndarray, " G"]:
        """The variance of each cell's mean in units of Sigma."""
        return np.clip(np.diag(self.hat), 0, 1)


def rotated(scores: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N k"]:
    """Scores minus their mean over labels, in an orthonormal basis: a shared offset changes no prediction."""
    return scores @ helmert(scores.shape[1]).T


def fit(cell: Int[np.ndarray, "N 2"], y: Float[np.ndarray, "N k"]) -> Law:
    """Least squares of class and background effects, and the Ledoit-Wolf covariance of the residuals."""
    cells, where = np.unique(cell, axis=0, return_inverse=True)
    design = np.hstack([(column[:, None] == np.unique(column)).astype(float) for column in cells.T])
    freedom = len(y) - int(np.linalg.matrix_rank(design))
    if freedom < 1:
        raise ValueError(f"{len(y)} photos leave no degree of freedom for {len(cells)} cells of class and background")
    gram = design.T @ (np.bincount(where).astype(float)[:, None] * design)
    return _fitted(cells, where, design @ np.linalg.pinv(gram, hermitian=True) @ design.T, freedom, y)


def redrawn(law: Law, rng: np.random.Generator) -> Law:
    """A bootstrap fit: every residual is replaced by that of a random photo."""
    left = law.residuals * np.sqrt(len(law.residuals) / law.freedom)
    y = law.means[law.where] + left[rng.integers(len(left), size=len(left))]
    return _fitted(law.cells, law.where, law.hat, law.freedom, y)


def _fitted(cells: np.ndarray, where: np.ndarray, hat: np.ndarray, freedom: int, y: np.ndarray) -> Law:
    from sklearn.covariance import ledoit_wolf  # an optional extra

    order = np.argsort(where, kind="stable")
    totals = np.add.reduceat(y[order], np.searchsorted(where[order], np.arange(len(cells))), axis=0, dtype=float)
    means = hat @ totals
    residuals = y - means.astype(y.dtype)[where]
    if residuals.shape[1] == 1:  # nothing to shrink, and scikit-learn's checks would take most of the time
        covariance = residuals.T @ residuals / len(residuals)
    else:
        covariance = ledoit_wolf(residuals, assume_centered=True)[0]
    return Law(cells, where, hat, means, covariance * len(residuals) / freedom, residuals, freedom)


def normals(dimensions: int, rng: np.random.Generator) -> Float[np.ndarray, "R M k"]:
    """Standard normal points: R independent scrambles of a Sobol sequence."""
    return np.array([gaussian_points(dimensions, POWER, child) for child in rng.spawn(SCRAMBLES)])


def probabilities(law: Law, points: Float[np.ndarray, "R M k"]) -> Float[np.ndarray, "R G"]:
    """P(right) in each cell, estimated with each scramble; exact for two labels.

    A cell's mean errs by N(0, error Sigma), so the covariance (1 - error) Sigma makes the expected result right.
    """
    k = law.means.shape[1]
    back = helmert(k + 1)  # (k, K)
    means, spread = law.means @ back, np.sqrt(1 - law.error)
    truth = law.cells[:, 0]
    if k == 1:
        gap = means[np.arange(len(truth)), truth] - means[np.arange(len(truth)), 1 - truth]
        return np.tile(ndtr(standardise(gap, spread * np.sqrt(2 * law.covariance[0, 0]))), (len(points), 1))
    values, vectors = np.linalg.eigh(law.covariance)
    root = np.sqrt(np.maximum(values[:, None], 0)) * vectors.T @ back  # root' root is the covariance of scores
    scale = np.abs(means).max() + np.abs(root).max()
    chances = np.empty((len(points), len(truth)))
    for label in np.unique(truth):
        mine = np.flatnonzero(truth == label)
        apart = rounded(root - root[:, [label]], scale)
        gaps = rounded(means[mine][:, [label]] - means[mine], scale)
        tied = ((gaps == 0) & ~apart.any(axis=0)).sum(axis=1)
        rivals = np.flatnonzero((gaps < NEVER * np.sqrt((apart**2).sum(axis=0))).any(axis=0))
        rivals = rivals[rivals != label]
        axes = _axes(apart[:, rivals].T @ apart[:, rivals])
        noise = points[:, :, : len(axes)] @ axes  # (R, M, rivals)
        for g, gap, among in zip(mine, gaps[:, rivals], tied, strict=True):
            chances[:, g] = (spread[g] * noise < gap).all(axis=2).mean(axis=1) / among
    return chances


def _axes(covariance: Float[np.ndarray, "r r"]) -> Float[np.ndarray, "q r"]:
    """Rows A with A' A = covariance, without zero rows; the widest first, since Sobol's first coordinates are best."""
    values, vectors = np.linalg.eigh(covariance)
    kept = np.flatnonzero(values > 1e-12 * values.max(initial=0))[::-1]
    return np.sqrt(values[kept, None]) * vectors[:, kept].T


@dataclass(frozen=True)
class BayesRules:
    """The Bayes rules of a law at all group weights."""

    weights: Float[np.ndarray, "D G"]  # log densities of cells are x.weights + bias, up to what all cells share
    bias: Float[np.ndarray, " G"]
    shares: Float[np.ndarray, "2 G K"]  # of a group and class in each cell; 0 for the cells of others

    def right(
        self, rows: Float[np.ndarray, "n D"], lambdas: np.ndarray, label: np.integer | Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n L"]:
        """1 where a rule decides for the label, 1/k where k labels tie, else 0."""
        log_density = rows @ self.weights + self.bias
        density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        common, counter = (density @ share for share in self.shares)
        return np.stack([won(lam * common + (1 - lam) * counter, label) for lam in lambdas], axis=1)


def bayes_rules(law: Law, shares: Float[np.ndarray, "2 G K"]) -> BayesRules:
    """The rules of a fitted law, whose covariance must be positive definite; ValueError if it is not."""
    if not np.linalg.eigvalsh(law.covariance)[0] > SMALLEST:
        raise ValueError("the embeddings do not vary in every direction within their class and background")
    centre = law.means.mean(axis=0)
    means = law.means - centre
    weights = np.linalg.solve(law.covariance, means.T)
    return BayesRules(weights, -(weights * (means.T / 2 + centre[:, None])).sum(axis=0), shares)


def cell_shares(law: Law, common: Bool[np.ndarray, " N"], classes: int) -> Float[np.ndarray, "2 G K"]:
    """The share of each group and class's fitted photos in each cell, whose photos are of one group."""
    G = len(law.cells)
    group = np.where(np.bincount(law.where, common, G) > 0, 0, 1)
    share = np.zeros((2, G, classes))
    share[group, np.arange(G), law.cells[:, 0]] = np.bincount(law.where, minlength=G)
    return share / np.maximum(share.sum(axis=1, keepdims=True), 1)


def ideal_curve(
    law: Law, shares: Float[np.ndarray, "2 G K"], lambdas: Float[np.ndarray, " L"], rng: np.random.Generator
) -> Float[np.ndarray, "L 2"]:
    """(common, counter) of the Bayes rules of a law, on points drawn from it."""
    G, k = law.means.shape
    points = normals(k, rng)[0][: max(16, min(POINTS, MOST_DENSITIES // G**2))] @ np.linalg.cholesky(law.covariance).T
    rules = bayes_rules(law, shares)
    right = np.array(
        [
            rules.right(mean + points, lambdas, y).mean(axis=0)
            for mean, y in zip(law.means, law.cells[:, 0], strict=True)
        ]
    )  # (G, L)
    present = shares.sum(axis=1) > 0  # (2, K)
    return np.stack(
        [(share.sum(axis=1) @ right) / known.sum() for share, known in zip(shares, present, strict=True)], axis=1
    )


def halves(
    cell: Int[np.ndarray, "N 2"], common: Bool[np.ndarray, " N"], rng: np.random.Generator
) -> Bool[np.ndarray, " N"]:
    """A random half of the photos, which holds half of each class, group and cell, to within one photo."""
    group, background = 2 * cell[:, 0] + common, cell[:, 1]
    return _ranks(group, np.lexsort((rng.random(len(cell)), background))) % 2 == 0


def sample(cell: Int[np.ndarray, "N 2"], most: int, least: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """Indices of at most so many photos, in order: at least so many of each cell if it has them, others at random."""
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
