"""A test of the law for one model: fitted on half of the photos, compared with the answers on the other half.

Three numbers are tested. Two are the biases of the predicted common and counter accuracy (means over classes). The
third is the root mean square (RMS) of errors over classes and groups, in excess of sampling error. Classes and
backgrounds are fixed; photos are sampled, or objects if several photos show the same object.

contradicted  one of the three exceeds the tolerance; under the law, with probability alpha at most
supported     all three are below it, each with an error rate of alpha/3
undecided     neither: more photos are needed
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import helmert
from scipy.optimize import brentq
from scipy.special import chdtr, stdtrit

from experiments.counteranimal.gaussian_law import Law, Scores, fit, halves, normals, probabilities, redrawn
from experiments.counteranimal.metrics import REPLICATES
from experiments.counteranimal.photos import GROUPS
from experiments.inference import LEVEL, binomial_bounds, bootstrap_interval, combined, resamples
from simulator.streams import numpy_stream

ALPHA = 0.01
REDRAWN = 60  # bootstrap fits; their spread is the error of a prediction


class Errors(NamedTuple):
    """Predicted and measured accuracies of each class and group, and their errors."""

    truth: Int[np.ndarray, " C"]  # label of each class
    photos: Float[np.ndarray, "C 2"]
    predicted: Float[np.ndarray, "C 2"]
    measured: Float[np.ndarray, "C 2"]
    fit_error: Float[np.ndarray, "B C 2"]  # predictions of bootstrap fits, minus their mean
    photo_error: Float[np.ndarray, "C 2"]  # variance of the measured accuracy
    fourth: Float[np.ndarray, "C 2"]  # its fourth cumulant: squares have long tails if nearly all answers are right
    design_effect: float
    simulation: Float[np.ndarray, "R C 2"]  # predictions of each scramble

    @property
    def variance(self) -> Float[np.ndarray, "C 2"]:
        """The variance of predicted - measured under the law."""
        simulated = self.simulation.var(axis=0, ddof=1) / len(self.simulation)
        return self.fit_error.var(axis=0, ddof=1) + self.photo_error + simulated


def assess(photos: Scores, tolerance: float, seed: int = 0, redraws: int = REDRAWN) -> dict[str, Any]:
    """The verdict and its numbers, plain JSON; a class is the column of its label."""
    first, second = halves(photos, numpy_stream(seed, "law split"))
    points = normals(photos.scores.shape[1] - 1, numpy_stream(seed, "law points"))
    laws = {name: fit(photos[first], own) for name, own in (("law", False), ("own_effects", True))}
    errors = {
        name: _measure(law, photos[first], photos[second], points, numpy_stream(seed, f"law {name}"), redraws)
        for name, law in laws.items()
    }
    verdicts = {name: _verdict(error, tolerance) for name, error in errors.items()}
    law, measured = laws["law"], int(errors["law"].photos.sum())
    separable = law.design.shape[1] - 1 < len(law.cells)
    return {
        "photos_fitted": int(first.sum()),
        "photos_measured": measured,
        "photos_without_cell": int(second.sum()) - measured,
        "shrinkage": law.shrinkage,
        **verdicts,
        "reliance": reliance(law, photos[first], errors["law"].truth, seed),
        "verdict": verdicts["law"]["verdict"],
        "reason": _reason(**verdicts, separable=separable),
        "classes": _classes(errors["law"]),
    }


def _measure(
    law: Law, fitted: Scores, others: Scores, points: np.ndarray, rng: np.random.Generator, redraws: int
) -> Errors:
    """Errors of each class with photos in both groups; photos of cells without a fit are left out."""
    index = {tuple(cell): g for g, cell in enumerate(law.cells.tolist())}
    where = np.array([index.get(tuple(cell), -1) for cell in others.cell.tolist()], dtype=np.int64)
    known = where >= 0
    truth = np.intersect1d(others.truth[known & others.common], others.truth[known & ~others.common])
    if not len(truth):
        raise ValueError("no class has photos left to measure in both groups")
    known &= np.isin(others.truth, truth)
    others, where = others[known], where[known]
    row, column = np.searchsorted(truth, others.truth), np.where(others.common, 0, 1)
    n = np.zeros((len(truth), 2))
    np.add.at(n, (row, column), 1)
    share = np.zeros((*n.shape, len(law.cells)))  # fraction of each class and group's photos per cell
    np.add.at(share, (row, column, where), 1)
    share /= n[..., None]
    each = probabilities(law, points)
    chance = each.mean(axis=0)
    single = chance * (1 - chance)
    effect = _design_effect(others, chance[where])
    right = np.zeros(n.shape)
    np.add.at(right, (row, column), others.right.astype(float))
    few = points[:2]  # enough for a spread, since all fits share them
    again = np.array([probabilities(redrawn(law, fitted.cluster, rng), few).mean(axis=0) for _ in range(redraws)])
    grouped = np.einsum("bj,cgj->bcg", again, share)
    return Errors(
        truth,
        n,
        share @ chance,
        right / n,
        grouped - grouped.mean(axis=0),
        effect * (share @ single) / n,
        effect**2 * (share @ (single * (1 - 6 * single))) / n**3,
        effect,
        np.einsum("rj,cgj->rcg", each, share),
    )


def _design_effect(photos: Scores, chance: Float[np.ndarray, " N"]) -> float:
    """Variance of answers that share object and group, relative to independent answers; at least 1."""
    _, where = np.unique(np.column_stack([photos.cluster, photos.common]), axis=0, return_inverse=True)
    together = np.bincount(where, photos.right - chance)
    alone = (chance * (1 - chance)).sum()
    return 1.0 if len(together) == len(where) or alone == 0 else max(1.0, float((together**2).sum() / alone))


def _verdict(errors: Errors, tolerance: float) -> dict[str, Any]:
    """The three numbers with their bounds, and the verdict."""
    off, tail = errors.predicted - errors.measured, ALPHA / 3
    numbers: dict[str, Any] = {
        name: {"bias": float(off[:, g].mean()), "bounds": list(_bias_bounds(errors, g, tail / 2))}
        for g, name in enumerate(GROUPS)
    }
    low, high = square_bounds(off, errors.variance, tail, float(errors.fourth.sum()), _floor(errors))
    beyond = float((off**2 - errors.variance).mean())
    numbers["rms"] = {"value": float(np.sqrt(max(beyond, 0))), "bounds": [low, high]}
    ends = [numbers[name]["bounds"] for name in (*GROUPS, "rms")]
    least = [max(0.0, low, -high) for low, high in ends]
    most = [max(-low, high) for low, high in ends]
    verdict = "contradicted" if max(least) > tolerance else "supported" if max(most) < tolerance else "undecided"
    means = {"predicted": errors.predicted.mean(axis=0).tolist(), "measured": errors.measured.mean(axis=0).tolist()}
    groups = {name: {key: mean[g] for key, mean in means.items()} for g, name in enumerate(GROUPS)}
    return {"verdict": verdict, "tolerance": tolerance, "alpha": ALPHA, **numbers, "groups": groups}


def _bias_bounds(errors: Errors, g: int, tail: float) -> tuple[float, float]:
    """Bounds of the mean over classes of predicted - measured in a group.

    Clopper-Pearson on the effective number of photos, and Student's t for the fit, whose error is estimated from the
    bootstrap fits.
    """
    repeats, C = len(errors.fit_error), len(errors.predicted)
    simulated = errors.simulation[:, :, g].mean(axis=1).var(ddof=1) / len(errors.simulation)
    fit_error = np.sqrt(errors.fit_error[:, :, g].mean(axis=1).var(ddof=1) + simulated)
    worth = C**2 / (1 / errors.photos[:, g]).sum() / errors.design_effect
    predicted, measured = float(errors.predicted[:, g].mean()), float(errors.measured[:, g].mean())
    low, high = (float(end) for end in binomial_bounds(measured * worth, worth, tail))
    value, reach = predicted - measured, float(-stdtrit(repeats - 1, tail) * fit_error)
    return combined(value, (value - reach, value + reach), (predicted - high, predicted - low))


def _floor(errors: Errors) -> Float[np.ndarray, "C 2"]:
    """Variances with one more right and one more wrong answer, so that they are positive if all are right."""
    p = (errors.predicted * errors.photos + 1) / (errors.photos + 2)
    return errors.variance + errors.design_effect * p * (1 - p) / errors.photos - errors.photo_error


def square_bounds(
    off: Float[np.ndarray, "C 2"],
    variance: Float[np.ndarray, "C 2"],
    tail: float,
    fourth: float = 0.0,
    floor: Float[np.ndarray, "C 2"] | None = None,
) -> tuple[float, float]:
    """Bounds of the RMS of true errors, each at level `tail`, from errors with noise of known variance.

    The sum of squares follows approximately a multiple of a chi-square distribution with its mean and variance
    (Satterthwaite). At each bound's true sum, the observed sum is at quantile `tail` or 1 - `tail`.
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


def reliance(law: Law, photos: Scores, classes: Int[np.ndarray, " C"], seed: int) -> dict[str, Any]:
    """t, the background effect divided by the class effect, both on each class's margin.

    A photo's margin is its class's score minus the mean of the others. Class effect: half the difference of the margin
    between photos of the class and of the others, over both groups. Background effect: half the difference between
    common and counter photos of the class. In the paper's world with two classes this is
    (u_spu mu_spu)/(u_inv mu_inv), T1's t if both means are 1. Means over classes; the interval resamples classes.
    """
    K, fitted = photos.scores.shape[1], (law.means @ helmert(photos.scores.shape[1]))[law.where]
    group = np.array(
        [[fitted[(photos.common == c) & (photos.truth == y)].mean(axis=0) for c in (True, False)] for y in classes]
    )  # (C, 2, K): fitted scores of each class and group
    margin = (K * group - group.sum(axis=2, keepdims=True)) / (K - 1)  # a label's score minus the mean of the others
    C = len(classes)
    own, centre = margin[np.arange(C), :, classes], margin.mean(axis=1)[:, classes]  # (C, 2), (C, C)
    if C > 1:
        others = (centre.sum(axis=0) - centre.diagonal()) / (C - 1)
        effects = np.column_stack([(own[:, 0] - own[:, 1]) / 2, (own.mean(axis=1) - others) / 2])
    if C < 2 or effects[:, 1].mean() <= 0:
        return {"t": None, "interval": None, "level": LEVEL}
    drawn = resamples(C, REPLICATES, numpy_stream(seed, "reliance")) @ effects
    drawn = drawn[drawn[:, 1] > 0]
    interval = bootstrap_interval(drawn[:, 0] / drawn[:, 1], C)
    t = float(effects[:, 0].mean() / effects[:, 1].mean())
    return {"t": t, "interval": interval and list(interval), "level": LEVEL}


def _reason(law: dict[str, Any], own_effects: dict[str, Any], separable: bool) -> str:
    """The reason for the verdict: the number that decides, and the part of the law that fails."""
    tolerance = law["tolerance"]
    names = {"common": "common accuracy", "counter": "counter accuracy", "rms": "accuracy of a class and group"}
    ends = {words: law[name]["bounds"] for name, words in names.items()}
    points = f"{100 * tolerance:g} points"
    if law["verdict"] == "supported":
        return f"all three errors are below {points}"
    if law["verdict"] == "undecided":
        wide = next(words for words, (low, high) in ends.items() if max(-low, high) >= tolerance)
        return f"too few photos to decide whether the {wide} is off by {points}"
    off = next(words for words, (low, high) in ends.items() if max(low, -high) > tolerance)
    if not separable:
        why = "scores are not Gaussian with one covariance (no background is shared by classes)"
    elif own_effects["rms"]["bounds"][1] < law["rms"]["bounds"][0]:
        why = "backgrounds act on classes differently; effects per class fit better"
    elif own_effects["verdict"] == "contradicted":
        why = "scores are not Gaussian with one covariance, whatever backgrounds do"
    else:
        why = "too few photos to decide whether backgrounds act on classes differently or scores are not Gaussian"
    return f"the predicted {off} is off by more than {points}: {why}"


def _classes(errors: Errors) -> list[dict[str, Any]]:
    columns = {
        "photos": errors.photos.astype(int),
        "predicted": errors.predicted,
        "measured": errors.measured,
        "standard_error": np.sqrt(errors.variance),
    }
    return [
        {"label": label, "group": name, **{key: column[c, g].item() for key, column in columns.items()}}
        for c, label in enumerate(errors.truth.tolist())
        for g, name in enumerate(GROUPS)
    ]
