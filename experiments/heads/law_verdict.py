"""Tests whether the theory's law holds for a head's scores on photos.

The law is fitted to scores on half of the photos, and compared with the answers on the other half. Three numbers are
tested. Two are the biases of the predicted common and counter accuracy (means over classes). The third is the root mean
square (RMS) of errors over classes and groups, in excess of sampling error. Classes and backgrounds are fixed; photos
are sampled.

contradicted  one of the three exceeds the tolerance; under the law, with probability alpha at most
supported     all three are below it, each with an error rate of alpha/3
undecided     neither: more photos are needed
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq
from scipy.special import chdtr, stdtrit

from experiments.heads.gaussian_law import Photos, fit, halves, normals, probabilities, redrawn, rotated
from experiments.heads.tradeoff import worth
from experiments.inference import binomial_bounds, combined
from experiments.results import GROUPS
from simulator.streams import numpy_stream

ALPHA = 0.01


class Errors(NamedTuple):
    """Predicted and measured accuracies of each class and group, and their errors."""

    photos: Float[np.ndarray, "C 2"]
    predicted: Float[np.ndarray, "C 2"]
    measured: Float[np.ndarray, "C 2"]
    fit_error: Float[np.ndarray, "B C 2"]  # predictions of bootstrap fits, minus their mean
    photo_error: Float[np.ndarray, "C 2"]  # variance of the measured accuracy
    fourth: Float[np.ndarray, "C 2"]  # its fourth cumulant: squares have long tails if nearly all answers are right
    simulation: Float[np.ndarray, "R C 2"]  # predictions of each scramble

    @property
    def variance(self) -> Float[np.ndarray, "C 2"]:
        """The variance of predicted - measured under the law."""
        simulated = self.simulation.var(axis=0, ddof=1) / len(self.simulation)
        return self.fit_error.var(axis=0, ddof=1) + self.photo_error + simulated


def assess(photos: Photos, tolerance: float, seed: int, redraws: int) -> dict[str, Any]:
    """The verdict and its numbers, plain JSON; one half of the photos is fitted `redraws` times, the other measured."""
    first = halves(photos.cell, photos.common, numpy_stream(seed, "law split"))
    errors = errors_of(photos, first, seed, redraws)
    measured = int(errors.photos.sum())
    return {
        "photos_fitted": int(first.sum()),
        "photos_measured": measured,
        "photos_without_cell": int((~first).sum()) - measured,
        **_verdict(errors, tolerance),
    }


def errors_of(photos: Photos, first: Bool[np.ndarray, " N"], seed: int, redraws: int) -> Errors:
    """Errors on the other photos of the law that is fitted to the first, by classes with photos in both groups.

    Equal photos, seeds and redraws give the same points and paired fits, so errors of two heads can be subtracted.
    """
    law, others = fit(photos.cell[first], rotated(photos.values[first])), photos[~first]
    rng, points = numpy_stream(seed, "law law"), normals(law.means.shape[1], numpy_stream(seed, "law points"))
    index = {tuple(cell): g for g, cell in enumerate(law.cells.tolist())}
    where = np.array([index.get(tuple(cell), -1) for cell in others.cell.tolist()], dtype=np.int64)
    known = where >= 0
    truth = np.intersect1d(others.label[known & others.common], others.label[known & ~others.common])
    if not len(truth):
        raise ValueError("no class has photos left to measure in both groups")
    known &= np.isin(others.label, truth)
    others, where = others[known], where[known]
    row, column = np.searchsorted(truth, others.label), np.where(others.common, 0, 1)
    share = np.zeros((len(truth), 2, len(law.cells)))  # of each class and group's photos per cell
    np.add.at(share, (row, column, where), 1)
    n, right = share.sum(axis=2), np.zeros((len(truth), 2))
    np.add.at(right, (row, column), others.right.astype(float))
    share /= n[..., None]
    each = probabilities(law, points)
    chance = each.mean(axis=0)
    single = chance * (1 - chance)
    few = points[:2]  # enough for a spread, since all fits share them
    again = np.array([probabilities(redrawn(law, rng), few).mean(axis=0) for _ in range(redraws)])
    grouped = np.einsum("bj,cgj->bcg", again, share)
    return Errors(
        n,
        share @ chance,
        right / n,
        grouped - grouped.mean(axis=0),
        (share @ single) / n,
        (share @ (single * (1 - 6 * single))) / n**3,
        np.einsum("rj,cgj->rcg", each, share),
    )


def _verdict(errors: Errors, tolerance: float) -> dict[str, Any]:
    """The three numbers with their bounds, and the verdict."""
    off, tail = errors.predicted - errors.measured, ALPHA / 3
    numbers: dict[str, Any] = {
        name: {"bias": float(off[:, g].mean()), "bounds": list(_bias_bounds(errors, g, tail / 2))}
        for g, name in enumerate(GROUPS)
    }
    bounds = square_bounds(off, errors.variance, tail, float(errors.fourth.sum()), _floor(errors))
    beyond = float((off**2 - errors.variance).mean())
    numbers["rms"] = {"value": float(np.sqrt(max(beyond, 0))), "bounds": list(bounds)}
    words = dict(zip(numbers, ("common accuracy", "counter accuracy", "accuracy of a class and group"), strict=True))
    ends = {words[name]: number["bounds"] for name, number in numbers.items()}
    off_by = [name for name, (low, high) in ends.items() if max(low, -high) > tolerance]
    wide = [name for name, (low, high) in ends.items() if max(-low, high) >= tolerance]
    points = f"{100 * tolerance:g} points"
    if off_by:
        verdict, reason = "contradicted", f"the predicted {off_by[0]} is off by more than {points}"
    elif wide:
        verdict, reason = "undecided", f"too few photos to decide whether the {wide[0]} is off by {points}"
    else:
        verdict, reason = "supported", f"all three errors are below {points}"
    means = {"predicted": errors.predicted.mean(axis=0).tolist(), "measured": errors.measured.mean(axis=0).tolist()}
    groups = {name: {key: mean[g] for key, mean in means.items()} for g, name in enumerate(GROUPS)}
    known = {"verdict": verdict, "tolerance": tolerance, "alpha": ALPHA}
    return {**known, **numbers, "groups": groups, "reason": reason}


def _bias_bounds(errors: Errors, g: int, tail: float) -> tuple[float, float]:
    """Bounds of a group's mean of predicted - measured: Clopper-Pearson for the photos, Student's t for the fit."""
    variance = prediction_variance(errors.fit_error[:, :, g], errors.simulation[:, :, g])
    photos = float(worth(errors.photos[:, g]))
    predicted, measured = float(errors.predicted[:, g].mean()), float(errors.measured[:, g].mean())
    low, high = (float(end) for end in binomial_bounds(measured * photos, photos, tail))
    value, reach = predicted - measured, float(-stdtrit(len(errors.fit_error) - 1, tail) * np.sqrt(variance))
    return combined(value, (value - reach, value + reach), (predicted - high, predicted - low))


def prediction_variance(fit_error: Float[np.ndarray, "B C"], simulation: Float[np.ndarray, "R C"]) -> float:
    """The variance of a predicted mean over classes."""
    return fit_error.mean(axis=1).var(ddof=1) + simulation.mean(axis=1).var(ddof=1) / len(simulation)


def _floor(errors: Errors) -> Float[np.ndarray, "C 2"]:
    """Variances with one more right and one more wrong answer, so that they are positive if all are right."""
    p = (errors.predicted * errors.photos + 1) / (errors.photos + 2)
    return errors.variance + p * (1 - p) / errors.photos - errors.photo_error


def square_bounds(
    off: Float[np.ndarray, "C 2"],
    variance: Float[np.ndarray, "C 2"],
    tail: float,
    fourth: float = 0.0,
    floor: Float[np.ndarray, "C 2"] | None = None,
) -> tuple[float, float]:
    """Bounds of the RMS of true errors, each at level `tail`, from errors with noise of known variance.

    The sum of squares is taken as a multiple of chi-square with its mean and variance (Satterthwaite).
    """
    total, v, n = float((off**2).sum()), variance.ravel(), off.size
    wide = v if floor is None else np.maximum(v, floor.ravel())

    def below(true: float, total: float = total, w: np.ndarray = v) -> float:
        """P(sum of squares <= total) if the true sum is `true` and the variances are w."""
        shared = float((w**2).sum() / w.sum()) if w.sum() > 0 else 0.0
        mean, spread = v.sum() + true, 2 * (w**2).sum() + max(fourth, 0) + 4 * shared * true
        if mean == 0 or spread == 0:  # the sum is not random
            return float(mean <= total)
        return float(chdtr(2 * mean**2 / spread, 2 * mean * total / spread))

    far = total + 100 * (wide.sum() + 1)
    low = 0.0 if below(0.0) <= 1 - tail else brentq(lambda true: below(true) - (1 - tail), 0, far)
    least = max(total, float(wide.sum()))
    high = 0.0 if least == 0 else brentq(lambda true: below(true, least, wide) - tail, 0, far)
    return float(np.sqrt(low / n)), float(np.sqrt(high / n))
