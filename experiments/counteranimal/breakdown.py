"""Accuracies by class, by group and by background, and the worst of them.

Intervals are Clopper-Pearson's, which hold for any number of photos. The worst cell is selected by the same photos, so
its interval covers all cells at once (Bonferroni): it contains the true minimum with the stated level.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from experiments.counteranimal.metrics import MEANS, Predictions, class_counts, group_accuracies
from experiments.inference import LEVEL, binomial_bounds

TOP = 5
CELL_COLUMNS = ("class_index", "group", "background", "photos", "correct", "accuracy", "low", "high")


def accuracy_breakdown(predictions: Predictions) -> dict[str, Any]:
    """Plain JSON: backgrounds over all classes, the worst class and the worst group, and answers among the first 5.

    A group is a class's common or counter photos or, without groups, its photos of one background.
    """
    groups = predictions.groups
    within = groups if predictions.grouped else predictions.background
    keys = list(zip(predictions.class_index.tolist(), within, strict=True))
    part = "group" if predictions.grouped else "background"
    return {
        "backgrounds": [
            {"group": group, "background": background, **counted}
            for (group, background), counted in _cells(zip(groups, predictions.background, strict=True), predictions)
        ],
        "worst_class": _worst(predictions.class_index.tolist(), predictions, lambda key: {"class_index": key}),
        "worst_group": _worst(keys, predictions, lambda key: {"class_index": key[0], part: key[1]}),
        "top5": _top(predictions),
    }


def cells(predictions: Predictions) -> list[tuple[Any, ...]]:
    """A row for each class, group and background, with the columns CELL_COLUMNS."""
    keys = zip(predictions.class_index.tolist(), predictions.groups, predictions.background, strict=True)
    return [(*key, *_flat(counted)) for key, counted in _cells(keys, predictions)]


def _flat(counted: dict[str, Any]) -> tuple[Any, ...]:
    return counted["photos"], counted["correct"], counted["accuracy"], *counted["interval"]


def _cells(keys: Iterable[Any], predictions: Predictions) -> list[tuple[Any, dict[str, Any]]]:
    """Each distinct key, sorted, with its number of photos and of right answers."""
    names, n, k = _counted(keys, predictions.correct)
    bounds = binomial_bounds(k, n, (1 - LEVEL) / 2)
    return [(name, _cell(n[i], k[i], (bounds.low[i], bounds.high[i]))) for i, name in enumerate(names)]


def _worst(keys: Iterable[Any], predictions: Predictions, named) -> dict[str, Any]:
    """The first key of lowest accuracy, and the interval of the least true accuracy."""
    names, n, k = _counted(keys, predictions.correct)
    bounds = binomial_bounds(k, n, (1 - LEVEL) / 2 / len(names))
    i = int((k / n).argmin())
    return {**named(names[i]), **_cell(n[i], k[i], (bounds.low.min(), bounds.high.min())), "of": len(names)}


def _counted(
    keys: Iterable[Any], correct: Bool[np.ndarray, " N"]
) -> tuple[list[Any], Int[np.ndarray, " C"], Int[np.ndarray, " C"]]:
    listed = list(keys)
    names = sorted(set(listed))
    place = {name: i for i, name in enumerate(names)}
    where = np.array([place[key] for key in listed])
    n = np.bincount(where, minlength=len(names))
    return names, n, np.bincount(where, correct, minlength=len(names)).astype(np.int64)


def _cell(n: np.int64, k: np.int64, interval: tuple[np.float64, np.float64]) -> dict[str, Any]:
    return {
        "photos": int(n),
        "correct": int(k),
        "accuracy": float(k / n),
        "interval": [float(end) for end in interval],
    }


def _top(predictions: Predictions) -> dict[str, Any] | None:
    """Shares of photos whose label is among the first 5; None if ranks are unknown or never above 5."""
    if predictions.rank is None or not (predictions.rank > TOP).any():
        return None
    counts = class_counts(predictions, within=TOP)
    if not len(counts.complete.index):
        return None
    if not predictions.grouped:
        return {mean: {"accuracy": float(group_accuracies(counts, mean)[0])} for mean in MEANS}
    found = {}
    for mean in MEANS:
        common, counter = (float(a) for a in group_accuracies(counts, mean))
        found[mean] = {"common": common, "counter": counter, "drop": common - counter}
    return found
