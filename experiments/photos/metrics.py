"""From the table of predictions (`summaries`) to counts, accuracies, pairs of models, and the worst class and group.

`experiments.heads.intervals` has the means and intervals of counts. Letters: N photos.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from experiments.heads.intervals import (
    COUNTED,
    MEANS,
    REPLICATES,
    accuracy,
    complete,
    drawn_accuracies,
    drop_interval,
    group_accuracies,
    interval_method,
    over_classes,
    over_photos,
    with_drop,
    worst_cell,
)
from experiments.inference import binomial_bounds, bootstrap_interval, holm, mcnemar, resampled_means, sign_test
from experiments.photos.photos import has_groups
from experiments.results import FEWEST, GROUPS, QUANTITIES, Mean
from simulator.accuracy import LEVEL, rounded
from simulator.streams import numpy_stream

TOP = 5  # answers


def right(predictions: pd.DataFrame) -> Bool[np.ndarray, " N"]:
    """Whether the predicted label is the true one."""
    return (predictions.predicted_index == predictions.class_index).to_numpy()


def class_counts(predictions: pd.DataFrame, within: int = 1) -> pd.DataFrame:
    """Photos per class, and those whose label is in the first `within` answers. Without groups, columns are equal."""
    correct = right(predictions) if within == 1 else (predictions["rank"] <= within).to_numpy()
    return _counts(predictions, ["class_index"], correct)


def _counts(predictions: pd.DataFrame, by: list[str], correct: Bool[np.ndarray, " N"]) -> pd.DataFrame:
    answered = predictions.assign(correct=correct)
    if not has_groups(predictions):
        answered = pd.concat([answered.assign(group=group) for group in GROUPS])
    table = answered.groupby([*by, "group"]).correct.agg(photos="size", correct="sum").unstack(fill_value=0)
    return table.reindex(columns=COUNTED, fill_value=0).astype(int)


def class_accuracies(counts: pd.DataFrame) -> pd.DataFrame:
    """Common and counter accuracy and the drop of each unit; nan for an empty group."""
    return pd.DataFrame(with_drop(accuracy(counts)), counts.index, QUANTITIES)


def summary(counts: pd.DataFrame, seed: int = 0, grouped: bool = True) -> dict[str, Any]:
    """Both means with intervals, and counts. Without groups one `accuracy` replaces the three numbers."""
    used = complete(counts)
    n_common, n_counter = used.photos.sum().tolist()
    number = {"common": n_common, "counter": n_counter} if grouped else {"photos": n_common}
    left_out = counts.index.difference(used.index).tolist()
    return {
        "intervals": {mean: _named(map(list, over_classes(counts, mean, seed).values()), grouped) for mean in MEANS},
        **_means(counts, grouped),
        "interval_method": interval_method(len(used)),
        "level": LEVEL,
        "counts": {"classes": len(used), **number} | ({"left_out_classes": left_out} if grouped else {}),
    }


def _means(counts: pd.DataFrame, grouped: bool) -> dict[Mean, dict[str, float]]:
    return {mean: _named(with_drop(group_accuracies(counts, mean)).tolist(), grouped) for mean in MEANS}


def _named(values: Iterable[Any], grouped: bool) -> dict[str, Any]:
    """The three numbers by name; without groups the first is the accuracy."""
    return dict(zip(QUANTITIES if grouped else ("accuracy",), values, strict=False))


def paired(first: pd.DataFrame, second: pd.DataFrame, seed: int = 0, mean: Mean = "macro") -> dict[str, Any] | None:
    """Second model minus first on classes complete for both: differences of means with intervals, and sign tests.

    With fewer than FEWEST classes the intervals are over photos, as if each model had photos of its own. They are then
    too wide where models err on the same photos.
    """
    a, b = complete(first), complete(second)
    shared = a.index.intersection(b.index).sort_values()
    if not len(shared):
        return None
    a, b = a.loc[shared], b.loc[shared]
    differences = rounded(with_drop(accuracy(b) - accuracy(a)), 1.0).T  # ratios of counts: equal ones give 0
    value = with_drop(group_accuracies(b, mean) - group_accuracies(a, mean))
    result: dict[str, Any] = {"classes": len(shared), "mean": mean}
    if len(shared) < FEWEST:
        numbers = (with_drop(group_accuracies(one, mean)).tolist() for one in (b, a))
        spans: list[Any] = list(map(drop_interval, *numbers, over_photos(b, mean), over_photos(a, mean)))
    else:
        of_b, of_a = (drawn_accuracies(one, mean, seed, stream="paired bootstrap") for one in (b, a))
        spans = [bootstrap_interval(sample, len(shared)) for sample in with_drop(of_b - of_a).T]
    for name, each, total, span in zip(QUANTITIES, differences, value.tolist(), spans, strict=True):
        up, down = int((each > 0).sum()), int((each < 0).sum())
        sign = {"classes_up": up, "classes_down": down, "sign_test_p": sign_test(up, down)}
        result[name] = {"difference": total, "interval": span and list(span), **sign}
    return result


def object_effect(predictions: pd.DataFrame, seed: int = 0) -> dict[str, Any] | None:
    """The effect of these background photos at a fixed object, over all objects and by class; None without objects."""
    composites = predictions[predictions.object != ""]
    every = _counts(composites, ["class_index", "object"], right(composites))
    objects = complete(every)
    if not len(objects):
        return None
    classes = [{"class_index": int(c), **_effect(part, seed, c)} for c, part in objects.groupby(level="class_index")]
    adjusted = holm(np.array([c["mcnemar_p"] for c in classes])).tolist()
    return {
        **_effect(objects, seed),
        "classes": [c | {"p_holm": p} for c, p in zip(classes, adjusted, strict=True)],
        "left_out_objects": len(every) - len(objects),
        "left_out_photos": int((predictions.object == "").sum()),
        "level": LEVEL,
        "interval_method": f"cluster bootstrap over {FEWEST} objects or more, {REPLICATES} replicates, level {LEVEL}",
        "test": "exact McNemar test of no background effect on any object; several photos per group form strata",
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
    """Accuracy per background, of the worst class and worst group (without groups: background), and top-5 accuracy."""
    backgrounds = cells(predictions, "group", "background")
    ends = backgrounds[["low", "high"]].to_numpy().tolist()
    # Unknown if ranks are, or are never above 5.
    top = class_counts(predictions, within=TOP) if (predictions["rank"] > TOP).any() else None
    return {
        "backgrounds": backgrounds.drop(columns=["low", "high"]).assign(interval=ends).to_dict("records"),
        "worst_class": _worst(predictions, "class_index"),
        "worst_group": _worst(predictions, "class_index", "group" if has_groups(predictions) else "background"),
        "top5": None if top is None or not len(complete(top)) else _means(top, has_groups(predictions)),
    }


def _worst(predictions: pd.DataFrame, *by: str) -> dict[str, Any]:
    table = cells(predictions, *by).drop(columns=["low", "high"])
    at, interval = worst_cell(table.correct.to_numpy(), table.photos.to_numpy())
    return {**table.loc[[at]].to_dict("records")[0], "interval": interval, "of": len(table)}
