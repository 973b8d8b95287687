"""From the table of predictions (`summaries`) to counts, backgrounds, and the worst class and
group.

`experiments.heads.intervals` has what follows from counts. Letters: N photos.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from experiments.heads.intervals import COUNTED, REPLICATES, accuracy, complete, means, worst_cell
from experiments.inference import (
    binomial_bounds,
    bootstrap_interval,
    holm,
    mcnemar,
    resampled_means,
)
from experiments.photos.photos import has_groups
from experiments.results import FEWEST, GROUPS
from simulator.accuracy import LEVEL, rounded
from simulator.streams import numpy_stream

TOP = 5  # answers


def right(predictions: pd.DataFrame) -> Bool[np.ndarray, " N"]:
    """Whether the predicted label is the true one."""
    return (predictions.predicted_index == predictions.class_index).to_numpy()


def class_counts(predictions: pd.DataFrame, within: int = 1) -> pd.DataFrame:
    """Photos per class, and those whose label is in the first `within` answers. Without groups,
    columns are equal.
    """
    correct = right(predictions) if within == 1 else (predictions["rank"] <= within).to_numpy()
    return _counts(predictions, ["class_index"], correct)


def _counts(
    predictions: pd.DataFrame, by: list[str], correct: Bool[np.ndarray, " N"]
) -> pd.DataFrame:
    answered = predictions.assign(correct=correct)
    if not has_groups(predictions):
        answered = pd.concat([answered.assign(group=group) for group in GROUPS])
    table = (
        answered.groupby([*by, "group"])
        .correct.agg(photos="size", correct="sum")
        .unstack(fill_value=0)
    )
    return table.reindex(columns=COUNTED, fill_value=0).astype(int)


def object_effect(predictions: pd.DataFrame, seed: int = 0) -> dict[str, Any] | None:
    """The effect of these background photos at a fixed object, over all objects and by class; None
    without objects.
    """
    composites = predictions[predictions.object != ""]
    every = _counts(composites, ["class_index", "object"], right(composites))
    objects = complete(every)
    if not len(objects):
        return None
    classes = [
        {"class_index": int(c), **_effect(part, seed, c)}
        for c, part in objects.groupby(level="class_index")
    ]
    adjusted = holm(np.array([c["mcnemar_p"] for c in classes])).tolist()
    return {
        **_effect(objects, seed),
        "classes": [c | {"p_holm": p} for c, p in zip(classes, adjusted, strict=True)],
        "left_out_objects": len(every) - len(objects),
        "left_out_photos": int((predictions.object == "").sum()),
        "level": LEVEL,
        "interval_method": (
            f"cluster bootstrap over {FEWEST} objects or more, {REPLICATES} replicates, level"
            f" {LEVEL}"
        ),
        "test": (
            "exact McNemar test of no background effect on any object; several photos per group"
            " form strata"
        ),
    }


def _effect(objects: pd.DataFrame, seed: int, index: int = -1) -> dict[str, Any]:
    common, counter = accuracy(objects).mean(axis=0).tolist()
    drops = rounded(-np.diff(accuracy(objects))[:, 0], 1.0)
    interval = None
    if len(drops) >= FEWEST:
        stream = numpy_stream(seed, "object bootstrap", index + 1)
        interval = bootstrap_interval(resampled_means(drops, REPLICATES, stream), len(drops))
    return {
        "objects": len(drops),
        "common": common,
        "counter": counter,
        "difference": float(drops.mean()),
        "interval": interval and list(interval),
        "better_on_common": int((drops > 0).sum()),
        "better_on_counter": int((drops < 0).sum()),
        "mcnemar_p": mcnemar(objects.correct.to_numpy(), objects.photos.to_numpy()),
    }


def cells(predictions: pd.DataFrame, *by: str) -> pd.DataFrame:
    """Counts and accuracy in each cell of the columns `by`, with Clopper-Pearson's bounds."""
    answered = predictions.assign(correct=right(predictions)).groupby(list(by)).correct
    table = answered.agg(photos="size", correct="sum").reset_index()
    low, high = binomial_bounds(table.correct.to_numpy(), table.photos.to_numpy(), (1 - LEVEL) / 2)
    return table.assign(accuracy=table.correct / table.photos, low=low, high=high)


def accuracy_breakdown(predictions: pd.DataFrame) -> dict[str, Any]:
    """Accuracy per background, of the worst class and worst group (without groups: background), and
    top-5 accuracy.
    """
    backgrounds = cells(predictions, "group", "background")
    ends = backgrounds[["low", "high"]].to_numpy().tolist()
    # Unknown if ranks are, or are never above 5.
    top = class_counts(predictions, within=TOP) if (predictions["rank"] > TOP).any() else None
    return {
        "backgrounds": (
            backgrounds.drop(columns=["low", "high"]).assign(interval=ends).to_dict("records")
        ),
        "worst_class": _worst(predictions, "class_index"),
        "worst_group": _worst(
            predictions, "class_index", "group" if has_groups(predictions) else "background"
        ),
        "top5": (
            None if top is None or not len(complete(top)) else means(top, has_groups(predictions))
        ),
    }


def _worst(predictions: pd.DataFrame, *by: str) -> dict[str, Any]:
    table = cells(predictions, *by).drop(columns=["low", "high"])
    at, interval = worst_cell(table.correct.to_numpy(), table.photos.to_numpy())
    return {**table.loc[[at]].to_dict("records")[0], "interval": interval, "of": len(table)}
