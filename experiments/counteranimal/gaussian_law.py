"""The theory's law for scores of real photos: a class mean plus a background effect plus Gaussian noise.

In the paper's world a view is D (z_inv, z_spu) plus noise: an object's mean, a background's mean, and noise that is
independent of both. Scores that are linear in features have the same form, so the law is fitted to scores:

    s = m_y + a_b + N(0, Sigma),        P(right | y, b) = P(s_y > s_k for all k != y)

m_y is the mean of class y, a_b the effect of background b in every class, Sigma is shared. For two labels P is Phi of
a scaled gap. For more it is an orthant probability, estimated with scrambled Sobol points.
With `own_effects` each class has its own background effects, so only the Gaussian noise is tested.

Letters: N photos, K labels, k = K - 1, G cells (class, background) with photos, p parameters per score, R scrambles
of M points.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import helmert
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

SCRAMBLES, POINTS = 8, 512
NEVER = 5.5  # standard deviations; a label this far behind is first with probability 2e-8


@dataclass(frozen=True)
class Scores:
    """Scores of photos. Photos of one object share a `cluster` and are not independent."""

    scores: Float[np.ndarray, "N K"]
    truth: Int[np.ndarray, " N"]
    background: Int[np.ndarray, " N"]
    common: Bool[np.ndarray, " N"]
    cluster: Int[np.ndarray, " N"]

    def __getitem__(self, chosen: np.ndarray) -> "Scores":
        return Scores(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @property
    def cell(self) -> Int[np.ndarray, "N 2"]:
        return np.column_stack([self.truth, self.background])

    @property
    def objects(self) -> bool:
        """Whether several photos show the same object."""
        return len(np.unique(self.cluster)) < len(self.cluster)

    @property
    def right(self) -> Bool[np.ndarray, " N"]:
        """Whether the true label has the highest score; a tie goes to the first."""
        return self.scores.argmax(axis=1) == self.truth


@dataclass(frozen=True)
class Law:
    """A fitted law. Means and covariance are those of `rotated` scores."""

    cells: Int[np.ndarray, "G 2"]  # (truth, background)
    where: Int[np.ndarray, " N"]  # cell of each photo that was fitted
    design: Float[np.ndarray, "G p"]
    means: Float[np.ndarray, "G k"]
    error: Float[np.ndarray, " G"]  # variance of a cell's mean in units of Sigma
    covariance: Float[np.ndarray, "k k"]
    residuals: Float[np.ndarray, "N k"]
    freedom: int  # degrees of freedom of the residuals
    shrinkage: float


def rotated(scores: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N k"]:
    """Scores minus their mean over labels, in an orthonormal basis: a shared offset changes no prediction."""
    return scores @ helmert(scores.shape[1]).T


def fit(photos: Scores, own_effects: bool = False) -> Law:
    """Least squares of class and background effects, and the Ledoit-Wolf covariance of the residuals."""
    cells, where = np.unique(photos.cell, axis=0, return_inverse=True)
    dummies = [(column[:, None] == np.unique(column)).astype(float) for column in cells.T]
    design = np.eye(len(cells)) if own_effects else np.hstack(dummies)
    return _least_squares(cells, where, design, _least_error(where, photos.cluster), rotated(photos.scores))


def _least_error(where: Int[np.ndarray, " N"], cluster: Int[np.ndarray, " N"]) -> Float[np.ndarray, " G"]:
    """Lower bound of the variance of a cell's mean, in units of Sigma.

    Photos of one object share their error, so only the number of objects counts.
    """
    if len(np.unique(cluster)) == len(cluster):
        return np.zeros(where.max() + 1)
    pairs = np.unique(np.column_stack([where, cluster]), axis=0)
    return 1 / np.bincount(pairs[:, 0])


def _least_squares(
    cells: np.ndarray, where: np.ndarray, design: np.ndarray, least: Float[np.ndarray, " G"], y: np.ndarray
) -> Law:
    from sklearn.covariance import ledoit_wolf  # an optional extra

    counts = np.bincount(where).astype(float)
    totals = np.zeros((len(cells), y.shape[1]))
    np.add.at(totals, where, y)
    inverse = np.linalg.pinv(design.T @ (counts[:, None] * design), hermitian=True)
    means = design @ inverse @ design.T @ totals
    leverage = ((design @ inverse) * design).sum(axis=1)
    freedom = len(y) - int(np.linalg.matrix_rank(design))
    if freedom < 1:
        raise ValueError(f"{len(y)} photos leave no degree of freedom for {len(cells)} cells of class and background")
    residuals = y - means[where]
    covariance, shrinkage = ledoit_wolf(residuals, assume_centered=True)
    covariance = covariance * len(residuals) / freedom
    return Law(cells, where, design, means, np.clip(leverage, least, 1), covariance, residuals, freedom, shrinkage)


def normals(dimensions: int, rng: np.random.Generator) -> Float[np.ndarray, "R M k"]:
    """Standard normal points: R independent scrambles of a Sobol sequence."""
    draws = [qmc.Sobol(dimensions, rng=child).random(POINTS) for child in rng.spawn(SCRAMBLES)]
    return ndtri(np.clip(np.array(draws), 1e-12, 1 - 1e-12))


def probabilities(law: Law, points: Float[np.ndarray, "R M k"]) -> Float[np.ndarray, "R G"]:
    """P(right) in each cell, estimated with each scramble; exact for two labels.

    A cell's mean has an error of N(0, error Sigma). With covariance (1 - error) Sigma for a photo, the expected result
    is the probability at the true mean.
    """
    k = law.means.shape[1]
    back = helmert(k + 1)  # (k, K)
    means, spread = law.means @ back, np.sqrt(1 - law.error)
    truth = law.cells[:, 0]
    if k == 1:
        gap = means[np.arange(len(truth)), truth] - means[np.arange(len(truth)), 1 - truth]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = gap / (spread * np.sqrt(2 * law.covariance[0, 0]))
        return np.tile(ndtr(np.where(np.isnan(ratio), 0.0, ratio)), (len(points), 1))
    values, vectors = np.linalg.eigh(law.covariance)
    root = np.sqrt(np.maximum(values[:, None], 0)) * vectors.T @ back  # root' root is the covariance of scores
    chances = np.empty((len(points), len(truth)))
    for label in np.unique(truth):
        mine = np.flatnonzero(truth == label)
        apart = root - root[:, [label]]
        gaps = means[mine][:, [label]] - means[mine]
        rivals = np.flatnonzero((gaps < NEVER * np.sqrt((apart**2).sum(axis=0))).any(axis=0))
        rivals = rivals[rivals != label]
        axes = _axes(apart[:, rivals].T @ apart[:, rivals])
        noise = points[:, :, : len(axes)] @ axes  # (R, M, rivals)
        for g, gap in zip(mine, gaps[:, rivals], strict=True):
            chances[:, g] = (spread[g] * noise < gap).all(axis=2).mean(axis=1)
    return chances


def _axes(covariance: Float[np.ndarray, "r r"]) -> Float[np.ndarray, "q r"]:
    """Rows A with A' A = covariance, without zero rows; the widest first, since Sobol's first coordinates are best."""
    values, vectors = np.linalg.eigh(covariance)
    kept = np.flatnonzero(values > 1e-12 * values.max(initial=0))[::-1]
    return np.sqrt(values[kept, None]) * vectors[:, kept].T


def redrawn(law: Law, cluster: Int[np.ndarray, " N"], rng: np.random.Generator) -> Law:
    """A bootstrap fit: the residuals of each cluster are replaced by those of a random cluster."""
    left = law.residuals * np.sqrt(len(law.residuals) / law.freedom)
    members, sizes = np.unique(cluster, return_inverse=True, return_counts=True)[1:]
    chosen = rng.integers(len(sizes), size=len(sizes))
    if len(sizes) < len(cluster):
        clusters = np.split(np.argsort(members, kind="stable"), np.cumsum(sizes)[:-1])
        donors, chosen = chosen, np.empty(len(left), dtype=np.int64)
        for own, donor in zip(clusters, donors, strict=True):
            chosen[own] = np.resize(clusters[donor], len(own))
    least = _least_error(law.where, cluster)
    return _least_squares(law.cells, law.where, law.design, least, law.means[law.where] + left[chosen])


def halves(photos: Scores, rng: np.random.Generator) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """(photos to fit, photos to measure): half of each cell of class and background; each object is in one half only.

    A cell's odd photo goes to the fit, since a cell without a fit cannot be compared.
    """
    fitted = np.zeros(len(photos.truth), dtype=bool)
    strata = photos.truth if photos.objects else np.unique(photos.cell, axis=0, return_inverse=True)[1]
    for stratum in np.unique(strata):
        names = np.unique(photos.cluster[strata == stratum])
        first = rng.permutation(names)[: -(-len(names) // 2)]
        fitted |= (strata == stratum) & np.isin(photos.cluster, first)
    return fitted, ~fitted
