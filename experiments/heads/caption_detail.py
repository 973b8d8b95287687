"""How much captions tell of the way their own image differs from others of its class on its background.

In the theory's world image and caption share a part g of what varies within class and background: g is the correlation
of their latents there. Canonical correlations estimate it from embeddings. With x and y the residuals of image and
caption from the means of their class and background, they are the correlations of a'x and b'y for the directions a, b
that the singular vectors of Sigma_x^-1/2 Sigma_xy Sigma_y^-1/2 give.

Directions are fitted to one half of the pairs and measured on the other half, so that noise alone gives 0. Noise of a
view lowers the correlation. If its variance per coordinate is known, the correlation is divided by the root of the
share of the variance that is not noise, per view. Otherwise the correlation is a lower bound of g.

Letters: n pairs, D and E coordinates of image and caption, q correlations.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.linalg import eigh
from scipy.special import ndtri

from experiments.errors import RequestError
from experiments.heads.gaussian_law import halves
from simulator.accuracy import LEVEL

MOST = 3  # correlations that are reported
PER_COORDINATE = 2  # degrees of freedom that known noise needs
NOTHING = 1e-9  # of the largest variance: rounding


def caption_detail(
    image: Float[np.ndarray, "n D"],
    caption: Float[np.ndarray, "n E"],
    cell: Int[np.ndarray, "n 2"],
    rng: np.random.Generator,
    noise: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """The largest canonical correlations within cells of (class, background), with intervals of level 95 %.

    `noise` holds the variances of a coordinate of both views' noise, where they are known. Raises RequestError for too
    few pairs, and where nothing varies more than the noise.
    """
    first = halves(cell, np.ones(len(cell), bool), rng)
    least = 1 if noise is None else PER_COORDINATE * max(image.shape[1], caption.shape[1])
    if (freedom := min(map(_freedom, (cell[first], cell[~first])))) < least:
        raise RequestError(
            f"{len(cell)} pairs in {len(np.unique(cell, axis=0))} cells of class and background leave {freedom} "
            f"degrees of freedom in a half; expected {least} or more, so give more pairs per cell"
        )
    parts = [_measured(image, caption, cell, fitted, noise) for fitted in (first, ~first)]
    most = min(len(part[0]) for part in parts)
    rho, error = (np.mean([part[i][:most] for part in parts], axis=0) for i in (0, 1))
    reach = float(ndtri((1 + LEVEL) / 2)) * error  # of one half: halves agree by chance where directions are noise
    ends = np.clip([rho - reach, rho + reach], -1, 1).T.tolist()
    listed = [{"value": value, "interval": end} for value, end in zip(rho.tolist(), ends, strict=True)]
    return {"pairs": len(cell), "lower_bound": noise is None, "correlations": listed}


def _measured(
    image: Float[np.ndarray, "n D"],
    caption: Float[np.ndarray, "n E"],
    cell: Int[np.ndarray, "n 2"],
    fitted: Bool[np.ndarray, " n"],
    noise: tuple[float, float] | None,
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Correlations and their standard errors, on the pairs that are not fitted."""
    views, variances = (image, caption), noise or (0.0, 0.0)
    x, y = (_within(view[fitted], cell[fitted]) for view in views)
    whiten = [_whitener(rows, _freedom(cell[fitted]), noise) for rows, noise in zip((x, y), variances, strict=True)]
    left, _, right = np.linalg.svd((x @ whiten[0]).T @ (y @ whiten[1]), full_matrices=False)
    if noise is not None and not (whiten[0].size and whiten[1].size):
        raise RequestError(f"no direction of image or caption varies more than noise of variances {variances} would")
    directions = whiten[0] @ left[:, :MOST], whiten[1] @ right[:MOST].T
    u, v = (_within(view[~fitted] @ a, cell[~fitted]) for view, a in zip(views, directions, strict=True))
    spreads = [np.sqrt((part**2).mean(axis=0)) for part in (u, v)]
    u, v = u / spreads[0], v / spreads[1]
    rho = (u * v).mean(axis=0)
    influence = u * v - rho * (u**2 + v**2) / 2  # of a pair on the correlation, whatever the law
    freedom = _freedom(cell[~fitted])
    error = influence.std(axis=0) / np.sqrt(freedom)
    for variance, a, spread in zip(variances, directions, spreads, strict=True):
        share = 1 - variance * (a**2).sum(axis=0) / spread**2 * freedom / len(u)
        if not (share > 0).all():
            raise RequestError(f"a direction varies less than noise of variance {variance:g} would; give more pairs")
        signal = np.sqrt(share)
        rho, error = rho / signal, error / signal
    return rho, error


def _freedom(cell: Int[np.ndarray, "n 2"]) -> int:
    """Degrees of freedom of residuals: pairs less cells."""
    return len(cell) - len(np.unique(cell, axis=0))


def _within(rows: Float[np.ndarray, "n D"], cell: Int[np.ndarray, "n 2"]) -> Float[np.ndarray, "n D"]:
    """Rows minus the mean of their cell."""
    return rows - pd.DataFrame(rows.astype(float)).groupby(list(cell.T)).transform("mean").to_numpy()


def _whitener(rows: Float[np.ndarray, "n D"], freedom: int, noise: float) -> Float[np.ndarray, "D q"]:
    """A with A' Sigma A = 1 for the Ledoit-Wolf covariance of centred rows, without directions of noise alone."""
    from sklearn.covariance import ledoit_wolf_shrinkage  # an optional extra

    n, D = rows.shape
    values, vectors = eigh(rows.T @ rows / n)
    share = ledoit_wolf_shrinkage(rows, assume_centered=True)
    # The largest eigenvalue of noise alone (Marchenko and Pastur).
    edge = noise * freedom / n * (1 + np.sqrt(D / freedom)) ** 2
    kept = values > edge + NOTHING * values.max()
    return vectors[:, kept] / np.sqrt((1 - share) * values[kept] + share * values.mean())
