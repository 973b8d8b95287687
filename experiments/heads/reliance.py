"""How much a model's heads rely on the background, from its embeddings: what is, what would be
possible, what helps.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.special import ndtri

from experiments.errors import RequestError, checked_seed
from experiments.heads import intervals
from experiments.heads.bundle import Bundle, checked, read
from experiments.heads.caption_detail import caption_detail
from experiments.heads.fitting import FIT_ROWS, answers, fit_folds
from experiments.heads.least_regret import DRAWN, best_answers, ranked, trade
from experiments.inference import binomial_bounds
from experiments.provenance import provenance
from experiments.results import FEWEST, GROUPS, QUANTITIES
from simulator.accuracy import LEVEL, PLACE
from simulator.extras import installed
from simulator.streams import numpy_stream

CLASS_REPLICATES = 4_000  # of the bootstrap over classes
COMPARED = 200  # draws of p' that a result keeps, for comparisons on the same photos
NORMAL = float(ndtri((1 + LEVEL) / 2))  # the quantile of a two-sided interval
ASSUMPTIONS = (
    (
        "Rows are independent photos. Intervals have level 95 % and hold for these classes;"
        " intervals over classes treat the classes as drawn from a population."
    ),
    (
        "The curve is a smooth one through the best of all heads on these embeddings, measured on"
        " rows that they have not seen. It is a lower bound of what is possible. So the shortfall r"
        " is a lower bound, too, within its interval."
    ),
    (
        "p′ is the share of common photos at which the best head found has the same drop: on the"
        " curve p′/(1 - p′) points of counter accuracy pay for one point of common accuracy. Where"
        " the drop is 0, p′ is the share at which the background says nothing about the class: 1/2"
        " of two backgrounds, 1/K of K, in even use."
    ),
    (
        "p′ is relative to these embeddings. A better head may move it either way. It says nothing"
        " about the data that the model was trained on: test embeddings do not identify them."
    ),
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
        Prompt embeddings, class means, or a classifier's weights. Rows are normalised; T rows of a
        class are averaged. Without them supervised heads alone are measured.
    group : N words, "common" or "counter" (or 0 and 1), optional
        By default a class's most frequent backgrounds are common, and pairs of class and background
        that no training row shows are "unseen".
    background : N integers or words, optional
        Background of each row; `group` or `background` is needed.
    text_background : array or tensor, A x D, optional
        Embeddings of captions that show a background alone. One fix projects out their directions.
    caption : array or tensor, N x E, optional
        Embeddings of each row's own caption. They tell the detail of the captions.
    split : N words, "train" or "test" (or 0 and 1), optional
        Heads are fitted on train and measured on test. By default two halves serve each other.
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
    arrays = {
        "image": image,
        "label": label,
        "text": text,
        "group": group,
        "background": background,
    }
    arrays |= {
        "text_background": text_background,
        "caption": caption,
        "split": split,
        "names": names,
    }
    return answer(checked(arrays), checked_seed(seed))


def answer_files(
    files: Sequence[Path], seed: int, note: Callable[[str], None] = lambda sentence: None
) -> dict[str, Any]:
    """The documents of several files, one per model, and the order of their zero-shot heads by p'
    and by r.
    """
    if not files:
        raise RequestError("no file is given; name a file of embeddings: .npz or .safetensors")
    checked_seed(seed)
    stems = [file.resolve().stem for file in files]
    names = [
        stem if stems.count(stem) == 1 else str(file)
        for stem, file in zip(stems, files, strict=True)
    ]
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
    notes = list(bundle.notes)
    right = answers(bundle, folds)
    listed = [*folds[0].plain, *folds[0].fixes]
    unseen = right[bundle.unseen[right.index]]
    right = right[~bundle.unseen[right.index]]
    group = 2 * bundle.label[right.index] + ~bundle.common[right.index]
    best = best_answers(right.to_numpy(), group, numpy_stream(seed, "embeddings parts"))
    every = np.hstack([right[listed].to_numpy(), *best])
    photos, correct = intervals.by_class(every, group)
    replicates = intervals.drawn_over_photos(
        every, group, numpy_stream(seed, "embeddings replicates")
    )
    means = (correct / photos[..., None]).mean(axis=0)
    stream = numpy_stream(seed, "embeddings places")
    curve, band, places, draws = trade(means, replicates, intervals.worth(photos), stream)
    traced = np.vstack([DRAWN, curve.points(DRAWN), band])
    described = _described(bundle, listed, photos, correct, places, seed)
    described[listed[0]]["replicates"] = draws[:COMPARED, 0].round(4).tolist()
    for name in listed:
        described[name]["unseen"] = _unseen(bundle.label[unseen.index], unseen[name].to_numpy())
    fitted = (len(right) + len(unseen)) // 2 if bundle.train is None else int(bundle.train.sum())
    if fitted > FIT_ROWS:
        notes.append(f"heads are fitted on {FIT_ROWS:,} of {fitted:,} rows, drawn with the seed")
    return {
        "rows": len(bundle.label),
        "dimensions": int(bundle.image.shape[1]),
        "classes": bundle.classes,
        "prompts_per_class": 0 if bundle.text is None else bundle.text.shape[1],
        "rows_measured": _by_group(photos.sum(axis=0)) | {"unseen": len(unseen)},
        "correlation_of_train_rows": bundle.train_correlation,
        "level": LEVEL,
        "heads": [{"head": name, **described[name]} for name in folds[0].plain],
        "curve": [
            dict(zip(("weight", *GROUPS, "low", "high"), at, strict=True))
            for at in traced.T.tolist()
        ],
        "fixes": [
            {"fix": name, **described[name], **_gain(right[name] - right[listed[0]], group)}
            for name in folds[0].fixes
        ],
        "detail": _detail(bundle, seed),
        "assumptions": list(ASSUMPTIONS),
        "notes": notes,
        "seed": seed,
    }


def _unseen(label: Int[np.ndarray, " n"], right: Float[np.ndarray, " n"]) -> dict[str, Any] | None:
    """Accuracy on unseen pairs of class and background, mean over the classes that have some."""
    if not len(label):
        return None
    n = np.bincount(label)
    k = np.bincount(label, right)[n > 0]
    n = n[n > 0]
    mean = float((k / n).mean())
    photos = float(intervals.worth(n[:, None])[0])
    return {
        "accuracy": mean,
        "interval": list(map(float, binomial_bounds(mean * photos, photos, (1 - LEVEL) / 2))),
    }


def _detail(bundle: Bundle, seed: int) -> dict[str, Any] | None:
    """The detail of the captions, within class and background."""
    if bundle.caption is None:
        return None
    chosen = bundle.some(np.arange(len(bundle.label)), FIT_ROWS, seed, "embeddings captions")
    image = bundle.rows(chosen, "image").astype(float)
    caption = bundle.rows(chosen, "caption").astype(float)
    return caption_detail(
        (image, caption), bundle.cell[chosen], numpy_stream(seed, "embeddings detail")
    )


def _described(
    bundle: Bundle,
    listed: list[str],
    photos: Int[np.ndarray, "C 2"],
    correct: Float[np.ndarray, "C 2 M"],
    places: list[dict[str, Any]],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Accuracies, p' and r of each listed head, with intervals over photos and classes."""
    means = correct / photos[..., None]
    over = None
    if bundle.classes >= FEWEST:
        replicates = intervals.drawn_over_classes(means, numpy_stream(seed, "embeddings classes"))
        stream = numpy_stream(seed, "embeddings class places")
        _, _, over, _ = trade(means.mean(axis=0), replicates, intervals.worth(photos), stream)
    entries = {}
    for i, (name, place) in enumerate(zip(listed, places, strict=True)):
        right = correct[:, :, i]
        counts = intervals.counted(np.arange(bundle.classes), photos, right)
        numbers = dict(
            zip(QUANTITIES, intervals.with_drop(means[:, :, i].mean(axis=0)).tolist(), strict=True)
        )
        ends = dict(
            zip(
                QUANTITIES,
                map(list, intervals.over_photos(counts, "macro", population=False)),
                strict=True,
            )
        )
        worst, least = intervals.worst_cell(right.ravel(), photos.ravel())
        y, g = divmod(worst, 2)
        cell = {
            "class": y,
            "name": bundle.names[y],
            "group": GROUPS[g],
            "photos": int(photos[y, g]),
        }
        cell |= {"accuracy": float(right[y, g] / photos[y, g]), "interval": least}
        wider = None
        if over is not None:
            of_classes = intervals.over_classes(counts, "macro", seed, CLASS_REPLICATES)
            wider = {name: list(pair) for name, pair in of_classes.items()} | over[i]["interval"]
        beside = {"interval": ends | place["interval"], "interval_over_classes": wider}
        entries[name] = {**numbers, "worst_group": cell, **place, **beside}
    return entries


def _gain(lead: pd.Series, group: Int[np.ndarray, " n"]) -> dict[str, Any]:
    """Accuracy of a fix minus that of zero-shot on the same photos, from the lead on every
    photo.
    """
    each = lead.to_numpy()[:, None]
    photos, sums = intervals.by_class(np.hstack([each, each**2]), group)
    mean, square = np.moveaxis(sums, 2, 0) / photos  # each C x 2
    gain = mean.mean(axis=0)
    variance = ((square - mean**2) / (photos - 1)).sum(axis=0) / len(photos) ** 2
    # With one more lead and one more lag, or heads that never differ here would be known to be
    # equal (Agresti, Coull).
    half = NORMAL * np.sqrt(np.maximum(variance, 0) + 2 / intervals.worth(photos) ** 2)
    return {
        "gain": _by_group(gain),
        "gain_interval": _by_group(np.stack([gain - half, gain + half], axis=1)),
    }


def _by_group(values: np.ndarray) -> dict[str, Any]:
    return dict(zip(GROUPS, values.tolist(), strict=True))
