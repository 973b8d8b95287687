"""Lines of counter accuracy on common accuracy across models, effective robustness, bootstrap
bands.

Taori et al. 2020 (arXiv 2007.00644) and Miller et al. 2021 (arXiv 2107.04649): for models of one
family, the accuracy under shift is close to a straight line in the accuracy without shift, on logit
axes. A model's effective robustness is its counter accuracy minus the line at its common accuracy,
on the plain scale.

Letters: x, y transformed common and counter accuracies; R replicates of a bootstrap over models.
"""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from experiments.inference import resamples
from simulator.accuracy import LEVEL

Axis = Literal["plain", "logit"]
AXES: tuple[Axis, ...] = ("plain", "logit")
SMALLEST_FAMILY = 3  # a line through two models has no residual


def stretch(accuracy: Float[np.ndarray, "*s"], axis: Axis) -> Float[np.ndarray, "*s"]:
    """Fraction -> position on the axis; 0 and 1 are at infinity on the logit axis."""
    position = np.asarray(accuracy, dtype=float)
    return logit(position) if axis == "logit" else position


class Line(NamedTuple):
    """y = intercept + slope x on the axis; fields may carry a leading axis of replicates."""

    axis: Axis
    slope: Float[np.ndarray, "*r"]
    intercept: Float[np.ndarray, "*r"]

    def at(self, common: Float[np.ndarray, " m"]) -> Float[np.ndarray, "*r m"]:
        """Counter accuracy that the line predicts at these common accuracies, as fractions."""
        y = self.intercept[..., None] + self.slope[..., None] * stretch(common, self.axis)
        return expit(y) if self.axis == "logit" else y


def fit_line(
    common: Float[np.ndarray, " m"],
    counter: Float[np.ndarray, " m"],
    axis: Axis,
    weights: Float[np.ndarray, "*r m"] | None = None,
) -> Line:
    """Least squares of counter on common accuracy; `weights` (how often each model is drawn) give
    replicates.
    """
    x = stretch(common, axis)
    y = stretch(counter, axis)
    if len(x) < SMALLEST_FAMILY or np.ptp(x) == 0 or not np.isfinite([x, y]).all():
        raise ValueError(
            f"a line needs {SMALLEST_FAMILY} models, different and finite on the {axis} axis, got"
            f" {common}"
        )
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=float)
    w = w / w.sum(axis=-1, keepdims=True)
    mean_x = w @ x
    mean_y = w @ y
    # centred first: a difference of squares would cancel for similar models
    apart = x - mean_x[..., None]
    slope = (w * apart * (y - mean_y[..., None])).sum(axis=-1) / (w * apart**2).sum(axis=-1)
    return Line(axis, np.asarray(slope), np.asarray(mean_y - slope * mean_x))


def resampled(
    common: Float[np.ndarray, " m"], replicates: int, rng: np.random.Generator
) -> Float[np.ndarray, "R m"]:
    """How often each model is drawn in each bootstrap replicate.

    A replicate whose models share one common accuracy is drawn again. Raises ValueError if all
    models share one.
    """
    if np.ptp(common) == 0:
        raise ValueError("all models have the same common accuracy; no line is determined")
    kinds = common[:, None] == np.unique(common)  # (m, distinct accuracies)
    drawn = resamples(len(common), replicates, rng)
    while (single := (drawn @ kinds > 0).sum(axis=1) < 2).any():
        drawn[single] = resamples(len(common), int(single.sum()), rng)
    return drawn


def band(
    common: Float[np.ndarray, " m"],
    counter: Float[np.ndarray, " m"],
    axis: Axis,
    grid: Float[np.ndarray, " g"],
    rng: np.random.Generator,
    replicates: int = 2000,
    level: float = LEVEL,
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Pointwise bootstrap band of the line over a grid of common accuracies (percentiles over
    models).
    """
    line = fit_line(common, counter, axis, resampled(common, replicates, rng))
    tail = (1 - level) / 2
    return tuple(np.quantile(line.at(grid), [tail, 1 - tail], axis=0))


def offset(
    family: tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]],
    others: tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]],
    axis: Axis,
    rng: np.random.Generator,
    replicates: int = 10_000,
    level: float = 0.99,
) -> tuple[float, tuple[float, float], int]:
    """(mean effective robustness of `others` over the line of `family`, interval, number of
    others).

    Others outside the family's range of common accuracy are left out: the line is an extrapolation
    there. The interval resamples models of both groups as if they were independent draws. Models
    share architectures and data, so it is too narrow for very different models. Raises ValueError
    if no other model is in range.
    """
    inside = (others[0] >= family[0].min()) & (others[0] <= family[0].max())
    if not inside.any():
        raise ValueError("no model lies within the family's range of common accuracy")
    x, y = others[0][inside], others[1][inside]
    point = float((y - fit_line(*family, axis).at(x)).mean())
    lines = fit_line(*family, axis, resampled(family[0], replicates, rng))
    chosen = rng.integers(len(x), size=(replicates, len(x)))
    residual = np.take_along_axis(y - lines.at(x), chosen, axis=1).mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(residual, [tail, 1 - tail])
    return point, (float(low), float(high)), len(x)
