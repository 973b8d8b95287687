"""How much captions tell of the way their own image differs from others of its class on its
background.

In the theory's world image and caption share a part g of what varies within class and background.
With x and y the residuals of image and caption from the means there, canonical correlations
estimate g: those of a'x and b'y for the directions a, b that the singular vectors of Sigma_x^-1/2
Sigma_xy Sigma_y^-1/2 give. Directions are fitted to one half of the pairs and measured on the other
half, so noise alone gives 0. Noise of a view makes them lower bounds.

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
NOTHING = 1e-9  # of the largest variance: rounding


def caption_detail(
    views: tuple[np.ndarray, np.ndarray], cell: Int[np.ndarray, "n 2"], rng: np.random.Generator
) -> dict[str, Any]:
    """The largest canonical correlations of image and caption within (class, background), with 95 %
    intervals.
    """
    first = halves(cell, np.ones(len(cell), bool), rng)
    if (freedom := min(map(_freedom, (cell[first], cell[~first])))) < 1:
        pairs = f"{len(cell)} pairs in {len(np.unique(cell, axis=0))} cells of class and background"
        few = (
            f"leave {freedom} degrees of freedom in a half; expected 1 or more, so give more pairs"
            " per cell"
        )
        raise RequestError(f"{pairs} {few}")
    parts = [_measured(views, cell, fitted) for fitted in (first, ~first)]
    most = min(len(part[0]) for part in parts)
    rho, error = (np.mean([part[i][:most] for part in parts], axis=0) for i in (0, 1))
    # of one half: halves agree by chance where directions are noise
    reach = float(ndtri((1 + LEVEL) / 2)) * error
    ends = np.clip([rho - reach, rho + reach], -1, 1).T.tolist()
    return {
        "correlations": [
            {"value": value, "interval": end} for value, end in zip(rho.tolist(), ends, strict=True)
        ]
    }


def _measured(
    views: tuple[np.ndarray, np.ndarray],
    cell: Int[np.ndarray, "n 2"],
    fitted: Bool[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Correlations and their standard errors, on the pairs that are not fitted."""
    x, y = (_within(view[fitted], cell[fitted]) for view in views)
    whiten = [_whitener(rows) for rows in (x, y)]
    left, _, right = np.linalg.svd((x @ whiten[0]).T @ (y @ whiten[1]), full_matrices=False)
    directions = whiten[0] @ left[:, :MOST], whiten[1] @ right[:MOST].T
    u, v = (
        _within(view[~fitted] @ a, cell[~fitted]) for view, a in zip(views, directions, strict=True)
    )
    u = u / np.sqrt((u**2).mean(axis=0))
    v = v / np.sqrt((v**2).mean(axis=0))
    rho = (u * v).mean(axis=0)
    influence = u * v - rho * (u**2 + v**2) / 2  # of a pair on the correlation, whatever the law
    return rho, influence.std(axis=0) / np.sqrt(_freedom(cell[~fitted]))


def _freedom(cell: Int[np.ndarray, "n 2"]) -> int:
    """Degrees of freedom of residuals: pairs less cells."""
    return len(cell) - len(np.unique(cell, axis=0))


def _within(
    rows: Float[np.ndarray, "n D"], cell: Int[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n D"]:
    """Rows minus the mean of their cell."""
    return (
        rows - pd.DataFrame(rows.astype(float)).groupby(list(cell.T)).transform("mean").to_numpy()
    )


def _whitener(rows: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "D q"]:
    """A with A' Sigma A = 1 for the Ledoit-Wolf covariance of centred rows."""
    from sklearn.covariance import ledoit_wolf_shrinkage  # an optional extra

    values, vectors = eigh(rows.T @ rows / len(rows))
    share = ledoit_wolf_shrinkage(rows, assume_centered=True)
    large = values > NOTHING * values.max()
    return vectors[:, large] / np.sqrt((1 - share) * values[large] + share * values.mean())
