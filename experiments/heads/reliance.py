"""How much a model's heads rely on the background, from its embeddings: what is, what would be possible, what helps.

Every number is of heads that have not seen the rows that they answer (`cross_fitting`). The curve of what is possible
is a smooth one through the best of all these heads, of logistic regression at several group weights, and of the Bayes
rules of the fitted Gaussian law at many. `tradeoff` gives every head's p' and r against it. The law's own ideal curve
gives another p', under its own name.

Each fix is predicted by the Gaussian law of its scores on one half of the answered rows of the first fold, and measured
on the other half. Intervals are for the photos of these classes; with 10 classes or more there are others for classes
drawn from a population.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import eigh
from scipy.special import stdtrit

from experiments.errors import RequestError, checked_seed
from experiments.heads.bundle import Bundle, checked, read
from experiments.heads.caption_detail import caption_detail
from experiments.heads.cross_fitting import FIT_ROWS, Fold, answers, fit_folds
from experiments.heads.gaussian_law import Photos, cell_shares, fit, halves, ideal_curve
from experiments.heads.intervals import counted, drop_interval, intervals, worst_cell
from experiments.heads.law_verdict import assess, errors_of, prediction_variance
from experiments.heads.tradeoff import (
    DRAWN,
    NORMAL,
    RESOLVED,
    WEIGHTS,
    Accuracies,
    Trade,
    accuracies,
    best_answers,
    ranked,
    replicates,
    smooth,
    trade,
    worth,
)
from experiments.inference import binomial_bounds
from experiments.provenance import provenance
from experiments.results import FEWEST, GROUPS, QUANTITIES
from simulator.accuracy import LEVEL, PLACE
from simulator.extras import installed
from simulator.streams import numpy_stream

LAW_ROWS = 50_000  # the law is tested on at most so many
TOLERANCE = 0.03  # the law holds if no accuracy errs by more
MANY = 10  # classes: from here on the law's probabilities take long and are refitted less often
REFITS, FEWER_REFITS = 40, 15
CLASS_REPLICATES = 4_000  # of the bootstrap over classes
ASSUMPTIONS = (
    "Rows are independent photos. Intervals have level 95 % and hold for these classes; intervals over classes treat "
    "the classes as drawn from a population.",
    "The curve is a smooth one through the best of all heads on these embeddings, measured on rows that they have not "
    "seen. It is a lower bound of what is possible. So the shortfall r is a lower bound, too, within its interval.",
    "p′ is the share of common photos at which the best head found has the same drop: on the curve p′/(1 - p′) points "
    "of counter accuracy pay for one point of common accuracy. Where the drop is 0, p′ is the share at which the "
    "background says nothing about the class: 1/2 of two backgrounds, 1/K of K, in even use.",
    "p′ is relative to these embeddings. A better head may move it either way. It says nothing about the data that the "
    "model was trained on: test embeddings do not identify them.",
    "The ideal curve of the Gaussian law has fitted means, which scatter: with few rows per class it lies too high. "
    "The law's p′ is where that curve has the head's drop.",
)


def embeddings(
    *,
    image: Any,
    label: Any,
    text: Any = None,
    group: Any = None,
    background: Any = None,
    text_background: Any = None,
    caption: Any = None,
    split: Any = None,
    names: Any = None,
    seed: int = 0,
) -> dict[str, Any]:
    """How much zero-shot and supervised heads rely on the background, and what each fix would give.

    Parameters
    ----------
    image : array or tensor, N x D
        Image embeddings. Rows that are not unit vectors are normalised.
    label : N integers from 0
        Class of each row.
    text : array or tensor, K x D or K x T x D, optional
        Prompt embeddings, class means, or a classifier's weights. Rows are normalised; T rows of a class are averaged.
        Without them supervised heads alone are measured.
    group : N words, "common" or "counter", optional
        Or 0 and 1. By default a class's most frequent backgrounds are common, and pairs of class and background that
        no training row shows are "unseen".
    background : N integers or words, optional
        Background of each row; `group` or `background` is needed.
    text_background : array or tensor, A x D, optional
        Embeddings of captions that show a background alone. One fix projects out their directions.
    caption : array or tensor, N x E, optional
        Embeddings of each row's own caption. They tell the detail of the captions.
    split : N words, "train" or "test", optional
        Or 0 and 1. Heads are fitted on train and measured on test. By default two halves serve each other.
    names : K words, optional
        Names of the classes.
    seed : int, at least 0
        Root of every random stream.

    Returns
    -------
    dict
        Plain numbers; accuracies are fractions. experiments/counteranimal/README.md lists the keys.

    Raises
    ------
    RequestError
        For arrays that contradict each other, in one sentence.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> label, background = rng.integers(2, size=(2, 400))
    >>> image = rng.normal(size=(400, 8)) / 2
    >>> image[:, 0] += 2 * label - 1
    >>> image[:, 1] += 2 * background - 1
    >>> text = np.array([[-1.0, -1, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]])
    >>> group = np.where(label == background, "common", "counter")
    >>> result = embeddings(image=image, label=label, text=text, group=group, background=background)
    >>> result["heads"][0]["head"], result["heads"][0]["drop"] > 0.3
    ('zero-shot', True)
    """
    arrays = {"image": image, "label": label, "text": text, "group": group, "background": background}
    arrays |= {"text_background": text_background, "caption": caption, "split": split, "names": names}
    return answer(checked(arrays), checked_seed(seed))


def answer_files(
    files: Sequence[Path], seed: int, note: Callable[[str], None] = lambda sentence: None
) -> dict[str, Any]:
    """The documents of several files, one per model, and the order of their zero-shot heads by p' and by r."""
    if not files:
        raise RequestError("no file is given; name a file of embeddings: .npz or .safetensors")
    checked_seed(seed)
    stems = [file.resolve().stem for file in files]
    names = [stem if stems.count(stem) == 1 else str(file) for stem, file in zip(stems, files, strict=True)]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise RequestError(f"{repeated!r} is given twice")
    models: list[dict[str, Any]] = []
    lacks: list[dict[str, str]] = []
    for name, file in zip(names, files, strict=True):
        bundle = checked(read(file), repr(str(file)))
        try:
            models.append({"model": name, "file": str(file), **answer(bundle, seed)})
        except RequestError as error:
            lacks.append({"model": name, "file": str(file), "equivalent_lacks": str(error)})
            continue
        for sentence in models[-1]["notes"]:
            note(f"{name}: {sentence}")
    if not models:
        raise RequestError(f"{lacks[0]['file']!r}: {lacks[0]['equivalent_lacks']}")
    heads = {model["model"]: model["heads"][0] for model in models}
    places = ranked(heads)
    by_r = sorted(heads, key=lambda name: heads[name]["shortfall"])
    document = {"verb": "embeddings", "models": models, "equivalent_lacks": lacks}
    document |= {"ranking": dict(zip(PLACE, (places.pop("ranking"), by_r), strict=True)), **places}
    return document | {"provenance": provenance()}


def answer(bundle: Bundle, seed: int) -> dict[str, Any]:
    """The document of one model. Raises RequestError where no head has a place."""
    installed("sklearn", "scikit-learn", "embeddings", "a measurement of embeddings", RequestError)
    folds = fit_folds(bundle, seed)
    right, rows = answers(bundle, folds)
    seen = ~bundle.unseen[rows]
    label, common = bundle.label[rows[seen]], bundle.common[rows[seen]]
    plain, fixes, known = list(folds[0].plain), list(folds[0].fixes), len(folds[0].plain | folds[0].fixes)
    best = best_answers(right[seen], label, common, numpy_stream(seed, "embeddings parts"))
    measured = accuracies(np.hstack([right[seen, :known], *best]), label, common)
    answered = folds[0].answered[~bundle.unseen[folds[0].answered]]
    first = bundle.photos(bundle.some(answered, LAW_ROWS, seed, "embeddings law"))
    every = bundle.photos(bundle.some(rows[seen], LAW_ROWS, seed, "embeddings law"))
    refits = REFITS if bundle.classes < MANY else FEWER_REFITS
    ideal = _gaussian_curve(first, folds[0], bundle.classes, seed)
    found = trade(measured.mean, measured.covariance, measured.worth, numpy_stream(seed, "embeddings places"))
    described = _described(bundle, measured, found, ideal, seed)
    stream, first_and_best = numpy_stream(seed, "embeddings replicates"), np.hstack([right[seen, :1], *best])
    described[0]["replicates"] = replicates(first_and_best, label, common, found.width, stream).round(4).tolist()
    for entry, apart in zip(described, right[~seen].T, strict=False):
        entry["unseen"] = _unseen(bundle.label[rows[~seen]], apart)
    predictions = _predictions(first, folds[0], refits, seed) if fixes else {}
    inside = [p[group]["inside"] for p in predictions.values() for group in GROUPS]
    return {
        "rows": len(bundle.label),
        "dimensions": int(bundle.image.shape[1]),
        "classes": bundle.classes,
        "prompts_per_class": 0 if bundle.text is None else bundle.text.shape[1],
        "rows_measured": _by_group(measured.photos.sum(axis=0)) | {"unseen": int((~seen).sum())},
        "correlation_of_train_rows": bundle.train_correlation,
        "level": LEVEL,
        "heads": [{"head": name, **entry} for name, entry in zip(plain, described, strict=False)],
        "curve": _curve(found),
        "gaussian_curve": [{"weight": w, **_by_group(at)} for w, at in zip(WEIGHTS.tolist(), ideal.T, strict=True)],
        "gaussian_law": assess(folds[0].plain[plain[0]].scored(every), TOLERANCE, seed, refits),
        "fixes": [
            {"fix": name, **described[i], **_gain(measured, i), "prediction": predictions[name]}
            for i, name in enumerate(fixes, start=len(plain))
        ],
        "predictions_inside": {"inside": sum(inside), "of": len(inside)},
        "detail": _detail(bundle, seed),
        "assumptions": list(ASSUMPTIONS),
        "notes": [*bundle.notes, *_limits(bundle, rows)],
        "seed": seed,
    }


def _curve(found: Trade) -> list[dict[str, float]]:
    """The smooth curve of the best heads; `low` and `high` bound the mean of common and counter at the same drop."""
    points = zip(DRAWN.tolist(), found.curve.points(DRAWN).T, *found.band.tolist(), strict=True)
    return [{"weight": weight, **_by_group(at), "low": low, "high": high} for weight, at, low, high in points]


def _unseen(label: Int[np.ndarray, " n"], right: Float[np.ndarray, " n"]) -> dict[str, Any] | None:
    """Accuracy on unseen pairs of class and background, mean over the classes that have some."""
    n = np.bincount(label)
    if not n.size:
        return None
    k, n = np.bincount(label, right)[n > 0], n[n > 0]
    mean, photos = float((k / n).mean()), float(worth(n))
    return {"accuracy": mean, "interval": list(map(float, binomial_bounds(mean * photos, photos, (1 - LEVEL) / 2)))}


def _detail(bundle: Bundle, seed: int) -> dict[str, Any] | None:
    """The detail of the captions, within class and background."""
    if bundle.caption is None:
        return None
    chosen = bundle.some(np.arange(len(bundle.label)), FIT_ROWS, seed, "embeddings captions")
    views = (bundle.rows(chosen, view).astype(float) for view in ("image", "caption"))
    return caption_detail(*views, bundle.cell[chosen], numpy_stream(seed, "embeddings detail"))


def _described(
    bundle: Bundle, measured: Accuracies, found: Trade, ideal: Float[np.ndarray, "2 L"], seed: int
) -> list[dict[str, Any]]:
    """Accuracies, p' and r of each head that has a place, with intervals over photos and classes."""
    law, _ = smooth(WEIGHTS * ideal[0] + (1 - WEIGHTS) * ideal[1])
    if bundle.classes >= FEWEST:
        drawn = trade(
            measured.mean, measured.over_classes, measured.worth, numpy_stream(seed, "embeddings classes")
        ).places
    entries = []
    for i, at in enumerate(found.places):
        common, counter = measured.mean[:, i].tolist()
        low, high = at["interval"]["equivalent_correlation"]
        entry = {
            "common": common,
            "counter": counter,
            "drop": common - counter,
            "worst_group": _worst(bundle, measured, i),
            "equivalent_correlation": at["equivalent_correlation"],
            "photos_needed": ((high - low) / RESOLVED) ** 2 if at["equivalent_correlation"] is None else None,
            "gaussian_correlation": float(law.weight(common - counter)),
            "shortfall": at["shortfall"],
            "interval": dict(zip(QUANTITIES, _over_photos(measured, i), strict=True)) | at["interval"],
            "interval_over_classes": None,
        }
        if bundle.classes >= FEWEST:
            counts = counted(np.arange(bundle.classes), measured.photos, measured.correct(i))
            ends = intervals(counts, "macro", seed, CLASS_REPLICATES)
            entry["interval_over_classes"] = {name: list(ends[name]) for name in QUANTITIES} | drawn[i]["interval"]
        entries.append(entry)
    return entries


def _over_photos(measured: Accuracies, i: int) -> list[list[float]]:
    """Clopper-Pearson intervals of common and counter on the effective number of photos, and of their difference."""
    mean = measured.mean[:, i]
    bounds = np.array(binomial_bounds(mean * measured.worth, measured.worth, (1 - LEVEL) / 2))
    ends = [tuple(end) for end in bounds.T.tolist()]
    return [list(end) for end in (*ends, drop_interval(*mean.tolist(), *ends))]


def _worst(bundle: Bundle, measured: Accuracies, i: int) -> dict[str, Any]:
    """The class and group of lowest accuracy."""
    at, interval = worst_cell(measured.correct(i).ravel(), measured.photos.ravel())
    y, g = divmod(at, 2)
    return {
        "class": y,
        "name": bundle.names[y],
        "group": GROUPS[g],
        "photos": int(measured.photos[y, g]),
        "accuracy": float(measured.by_class[y, g, i]),
        "interval": interval,
    }


def _gain(measured: Accuracies, i: int) -> dict[str, Any]:
    """Accuracy of a fix minus that of zero-shot on the same photos."""
    gain, half = measured.mean[:, i] - measured.mean[:, 0], NORMAL * measured.lead_error(i, 0)
    return {"gain": _by_group(gain), "gain_interval": _by_group(np.stack([gain - half, gain + half], axis=1))}


def _by_group(values: np.ndarray) -> dict[str, Any]:
    return dict(zip(GROUPS, values.tolist(), strict=True))


def _predictions(photos: Photos, fold: Fold, refits: int, seed: int) -> dict[str, Any]:
    """The gain of each fix that the law predicts from half of some answered photos, and the gain on the others."""
    first = halves(photos.cell, photos.common, numpy_stream(seed, "embeddings law split"))
    zero = fold.plain["zero-shot"].scored(photos)
    base, quantile = errors_of(zero, first, seed, refits), -stdtrit(refits - 1, (1 - LEVEL) / 2)
    result: dict[str, Any] = {}
    for name, head in fold.fixes.items():
        scores = head.scored(photos)
        errors = errors_of(scores, first, seed, refits)
        right = np.column_stack([zero.right, scores.right])[~first]
        pair = accuracies(right, photos.label[~first], photos.common[~first])
        refitted, simulated = errors.fit_error - base.fit_error, errors.simulation - base.simulation
        result[name] = {"photos_fitted": int(first.sum()), "photos_measured": int((~first).sum())}
        for g, group in enumerate(GROUPS):
            predicted = float((errors.predicted - base.predicted)[:, g].mean())
            found = float(pair.mean[g, 1] - pair.mean[g, 0])
            variance = prediction_variance(refitted[:, :, g], simulated[:, :, g]) + pair.lead_error(1, 0)[g] ** 2
            low, high = (predicted + side * float(quantile * np.sqrt(variance)) for side in (-1, 1))
            inside = bool(low <= found <= high)
            result[name][group] = {"predicted": predicted, "interval": [low, high], "found": found, "inside": inside}
    return result


def _gaussian_curve(photos: Photos, fold: Fold, classes: int, seed: int) -> Float[np.ndarray, "2 L"]:
    """(common, counter) on the ideal curve of the law of some answered rows, in the span of the means of other rows.

    In all D dimensions the fitted means would lie too far apart, by D/n in squared deviations.
    """
    means = fold.law.means - fold.law.means.mean(axis=0)
    values, vectors = eigh(means @ fold.rules.weights)
    kept = values > 1e-9 * values.max()
    basis = fold.rules.weights @ (vectors[:, kept] / np.sqrt(values[kept]))
    try:
        law = fit(photos.cell, photos.values @ basis)
        shares = cell_shares(law, photos.common, classes)
        return ideal_curve(law, shares, WEIGHTS, numpy_stream(seed, "embeddings curve")).T
    except ValueError as error:
        raise RequestError(f"the Gaussian law has no curve: {error}") from error


def _limits(bundle: Bundle, rows: np.ndarray) -> list[str]:
    fitted = int(bundle.train.sum()) if bundle.train is not None else len(rows) // 2
    limits = (("heads are fitted on", FIT_ROWS, fitted), ("the Gaussian law is tested on", LAW_ROWS, len(rows)))
    return [f"{words} {most:,} of {n:,} rows, drawn with the seed" for words, most, n in limits if n > most]
