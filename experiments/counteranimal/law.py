"""Tests whether the theory's law holds for models' scores on photos.

The law is fitted to a CLIP's cosines (unit embeddings with prompts) or to a classifier's logits on half of the photos,
and compared with the answers on the other half. Three numbers are tested. Two are the biases of the predicted common
and counter accuracy (means over classes). The third is the root mean square (RMS) of errors over classes and groups,
in excess of sampling error. Classes and backgrounds are fixed; photos are sampled.

contradicted  one of the three exceeds the tolerance; under the law, with probability alpha at most
supported     all three are below it, each with an error rate of alpha/3
undecided     neither: more photos are needed
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq
from scipy.special import chdtr, stdtrit

from experiments.counteranimal.evaluation import ModelConfig
from experiments.counteranimal.gaussian_law import Law, Scores, fit, halves, normals, probabilities, redrawn
from experiments.counteranimal.labels import LabelSpace, own_classes
from experiments.counteranimal.photos import GROUPS, PREFIX, PhotoSet, read_photos
from experiments.counteranimal.scoring import Scored
from experiments.errors import RequestError, checked_seed
from experiments.files import output_folder, write_json, write_table
from experiments.inference import binomial_bounds, combined
from experiments.provenance import provenance
from simulator.streams import numpy_stream

STATEMENT = "scores are class plus background plus one Gaussian: the theory's law holds for these embeddings"
ALPHA = 0.01
REDRAWN = 60  # bootstrap fits; their spread is the error of a prediction
MANY, FEWER = 200, 20  # above MANY labels a fit takes seconds; then there are FEWER bootstrap fits
COLUMNS = ("model", "class_index", "class", "group", "photos", "predicted", "measured", "standard_error")


def run(
    *,
    data: Path,
    models: ModelConfig,
    groups: str = PREFIX,
    labels: Literal["data", "all"] = "data",
    tolerance: float = 0.03,
    seed: int = 0,
    output: Path,
    note: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """The verdict for each model, also written below `output`."""
    checked_seed(seed)
    if not 0 < tolerance < 1:
        raise RequestError(f"tolerance {tolerance:g} of an accuracy lies outside 0 < tolerance < 1")
    if find_spec("sklearn") is None:
        raise RequestError(
            "the law's covariance needs scikit-learn, which is not installed; in the checkout run: python -m pip "
            "install -e '.[pixels]'"
        )
    photo_set = read_photos(data, groups, models.vocabulary)
    if not photo_set.grouped:
        raise RequestError(f"the law needs common and counter photos, and {str(data)!r} has no groups")
    if any(photo.object for photo in photo_set.photos):
        raise RequestError(f"the law needs independent photos, and the composites in {str(data)!r} share their objects")
    space = own_classes(list(photo_set.classes)) if labels == "data" else models.vocabulary.every_label
    output_folder(output)
    tested = []
    for k, spec in enumerate(models.specs):
        model = models.load(k)
        verdict = judge(photo_set, models.run(photo_set, model, space), space, tolerance, seed)
        kind = "cosines of unit vectors with prompts" if model.family == "CLIP" else "logits"
        known = {"model": spec, "family": model.family, "scores": kind}
        tested.append(known | verdict | {"settings": models.settings(model)})
        if verdict["unanswered"]:
            note(f"{spec} has no finite score for {verdict['unanswered']} photos; they are left out")
    document = {
        "statement": STATEMENT,
        "data": str(data),
        "labels": labels,
        "tolerance": tolerance,
        "alpha": ALPHA,
        "seed": seed,
        "models": tested,
        "provenance": provenance(),
    }
    rows = ({"model": model["model"], **entry} for model in tested for entry in model["classes"])
    write_table(output / "law.csv", COLUMNS, ([row[c] for c in COLUMNS] for row in rows))
    write_json(output / "law.json", document)
    return document


def judge(photo_set: PhotoSet, scored: Scored, space: LabelSpace, tolerance: float, seed: int) -> dict[str, Any]:
    """The result of `assess` for one model, with class indices and names."""
    photos, labels, unanswered = _scores(photo_set, scored, space)
    try:
        document = assess(photos, tolerance, seed, REDRAWN if len(labels) <= MANY else FEWER)
    except ValueError as error:
        raise RequestError(f"the law cannot be tested on {str(photo_set.root)!r}: {error}") from error
    for entry in document["classes"]:
        index = labels[entry.pop("label")]
        entry |= {"class_index": index, "class": photo_set.classes[index]}
    return {**document, "labels": len(labels), "unanswered": unanswered}


def _scores(photo_set: PhotoSet, scored: Scored, space: LabelSpace) -> tuple[Scores, list[int], int]:
    """(finite scores of photos, the label of each column, number of photos without finite scores)."""
    columns = np.array(space.union(scored.scores.shape[1]))
    if len(columns) < 2:
        raise RequestError(f"the law needs at least two labels; {str(photo_set.root)!r} has {len(columns)} class")
    values = scored.scores[:, columns].astype(np.float64)
    finite = np.isfinite(values).all(axis=1)
    kept = [photo for photo, good in zip(scored.photos, finite, strict=True) if good]
    # An unnamed background occurs in one class and group only.
    backgrounds = [photo.background or f"\0{photo.class_index} {photo.group}" for photo in kept]
    table = Scores(
        values[finite],
        np.searchsorted(columns, [photo.class_index for photo in kept]),
        np.unique(np.array(backgrounds, dtype=object), return_inverse=True)[1],
        np.array([photo.group == "common" for photo in kept]),
    )
    return table, columns.tolist(), int((~finite).sum())


class Errors(NamedTuple):
    """Predicted and measured accuracies of each class and group, and their errors."""

    truth: Int[np.ndarray, " C"]  # label of each class
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


def assess(photos: Scores, tolerance: float, seed: int = 0, redraws: int = REDRAWN) -> dict[str, Any]:
    """The verdict and its numbers, plain JSON; a class is the column of its label."""
    first = halves(photos, numpy_stream(seed, "law split"))
    points = normals(photos.scores.shape[1] - 1, numpy_stream(seed, "law points"))
    law = fit(photos[first])
    errors = _measure(law, photos[~first], points, numpy_stream(seed, "law law"), redraws)
    found, measured = _verdict(errors, tolerance), int(errors.photos.sum())
    columns = {
        "photos": errors.photos.astype(int),
        "predicted": errors.predicted,
        "measured": errors.measured,
        "standard_error": np.sqrt(errors.variance),
    }
    return {
        "photos_fitted": int(first.sum()),
        "photos_measured": measured,
        "photos_without_cell": int((~first).sum()) - measured,
        "shrinkage": law.shrinkage,
        "law": found,
        "verdict": found["verdict"],
        "reason": _reason(found),
        "classes": [
            {"label": label, "group": name, **{key: column[c, g].item() for key, column in columns.items()}}
            for c, label in enumerate(errors.truth.tolist())
            for g, name in enumerate(GROUPS)
        ],
    }


def _measure(law: Law, others: Scores, points: np.ndarray, rng: np.random.Generator, redraws: int) -> Errors:
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
    n, right = np.zeros((2, len(truth), 2))
    np.add.at(n, (row, column), 1)
    np.add.at(right, (row, column), others.right.astype(float))
    share = np.zeros((*n.shape, len(law.cells)))  # fraction of each class and group's photos per cell
    np.add.at(share, (row, column, where), 1)
    share /= n[..., None]
    each = probabilities(law, points)
    chance = each.mean(axis=0)
    single = chance * (1 - chance)
    few = points[:2]  # enough for a spread, since all fits share them
    again = np.array([probabilities(redrawn(law, rng), few).mean(axis=0) for _ in range(redraws)])
    grouped = np.einsum("bj,cgj->bcg", again, share)
    return Errors(
        truth,
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
    low, high = square_bounds(off, errors.variance, tail, float(errors.fourth.sum()), _floor(errors))
    beyond = float((off**2 - errors.variance).mean())
    numbers["rms"] = {"value": float(np.sqrt(max(beyond, 0))), "bounds": [low, high]}
    ends = [number["bounds"] for number in numbers.values()]
    least = max(max(0.0, low, -high) for low, high in ends)
    most = max(max(-low, high) for low, high in ends)
    verdict = "contradicted" if least > tolerance else "supported" if most < tolerance else "undecided"
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
    worth = C**2 / (1 / errors.photos[:, g]).sum()
    predicted, measured = float(errors.predicted[:, g].mean()), float(errors.measured[:, g].mean())
    low, high = (float(end) for end in binomial_bounds(measured * worth, worth, tail))
    value, reach = predicted - measured, float(-stdtrit(repeats - 1, tail) * fit_error)
    return combined(value, (value - reach, value + reach), (predicted - high, predicted - low))


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


def _reason(law: dict[str, Any]) -> str:
    tolerance, points = law["tolerance"], f"{100 * law['tolerance']:g} points"
    names = {"common": "common accuracy", "counter": "counter accuracy", "rms": "accuracy of a class and group"}
    ends = {words: law[name]["bounds"] for name, words in names.items()}
    if law["verdict"] == "supported":
        return f"all three errors are below {points}"
    if law["verdict"] == "undecided":
        wide = next(words for words, (low, high) in ends.items() if max(-low, high) >= tolerance)
        return f"too few photos to decide whether the {wide} is off by {points}"
    off = next(words for words, (low, high) in ends.items() if max(low, -high) > tolerance)
    return f"the predicted {off} is off by more than {points}"
