"""Accuracies on common and counter photos, means over classes or photos, with intervals over photos
and over classes.

macro: the mean of class accuracies. Every class has the same weight, however few photos it has.
micro: the fraction of all photos. Classes with many photos dominate, and they differ between the
groups, so micro mixes the background effect with a change of classes. Classes without photos in one
group are left out of both means, so that the drop compares the same classes. Letters: N photos, C
units (classes or objects), R bootstrap replicates, M heads; an axis of 2 holds (common, counter).
The `group` of a photo of class y is 2 y if it is common, else 2 y + 1. Counts are a table with a
row per unit, and the columns common and counter of `photos` and of `correct` answers.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Real, Shaped
from scipy.special import ndtri, stdtrit

from experiments.inference import (
    binomial_bounds,
    bootstrap_interval,
    combined,
    hull,
    resamples,
    sign_test,
)
from experiments.results import FEWEST, GROUPS, QUANTITIES, Interval, Mean, too_few
from simulator.accuracy import LEVEL, rounded
from simulator.streams import numpy_stream

MEANS: tuple[Mean, ...] = ("macro", "micro")
REPLICATES = 10_000
DRAWS = 400  # of the accuracies of many heads at once
BLOCK = 8_192  # photos whose weights are drawn together

COUNTED = pd.MultiIndex.from_product([("photos", "correct"), GROUPS])


def counted(
    index: Int[np.ndarray, " C"], photos: Int[np.ndarray, "C 2"], correct: Real[np.ndarray, "C 2"]
) -> pd.DataFrame:
    """Counts of classes. An answer of k labels that tie is right for 1/k."""
    return pd.DataFrame(np.hstack([photos, correct]), index, COUNTED)


def complete(counts: pd.DataFrame) -> pd.DataFrame:
    """The units with photos in both groups; all means are over these."""
    return counts[(counts.photos.to_numpy() > 0).all(axis=1)]


def accuracy(counts: pd.DataFrame) -> Float[np.ndarray, "C 2"]:
    """Shares of correct answers; nan for an empty group."""
    with np.errstate(invalid="ignore"):
        return counts.correct.to_numpy() / counts.photos.to_numpy()


def group_accuracies(
    counts: pd.DataFrame, mean: Mean, weights: Float[np.ndarray, "*r C"] | None = None
) -> Float[np.ndarray, "*r 2"]:
    """(common, counter) accuracy of the complete units; `weights` counts how often each is
    drawn.
    """
    counts = complete(counts)
    if not len(counts):
        raise ValueError("no class has photos in both groups")
    w = np.ones(len(counts)) if weights is None else weights
    if mean == "macro":
        return (w @ accuracy(counts)) / w.sum(axis=-1)[..., None]
    return (w @ counts.correct.to_numpy()) / (w @ counts.photos.to_numpy())


def drawn_accuracies(
    counts: pd.DataFrame,
    mean: Mean,
    seed: int,
    replicates: int = REPLICATES,
    stream: str = "cluster bootstrap",
) -> Float[np.ndarray, "R 2"]:
    """(common, counter) in each replicate of a bootstrap over the complete classes; equal streams
    draw equal ones.
    """
    return group_accuracies(
        counts, mean, resamples(len(complete(counts)), replicates, numpy_stream(seed, stream))
    )


def with_drop(groups: Float[np.ndarray, "*s 2"]) -> Float[np.ndarray, "*s 3"]:
    """(common, counter, common - counter)."""
    return np.concatenate([groups, groups[..., :1] - groups[..., 1:]], axis=-1)


def worth(photos: Real[np.ndarray, "C 2"], mean: Mean = "macro") -> Float[np.ndarray, " 2"]:
    """The effective number of photos: of one class, they would give an accuracy as certain as the
    mean over classes.

    With class weights w_c and n_c photos it is 1/sum(w_c^2/n_c).
    """
    weights = (
        np.full(photos.shape, 1 / len(photos)) if mean == "macro" else photos / photos.sum(axis=0)
    )
    return 1 / (weights**2 / photos).sum(axis=0)


def over_photos(counts: pd.DataFrame, mean: Mean, population: bool = True) -> list[Interval]:
    """Intervals of common and counter accuracy and their drop: Clopper-Pearson's on the effective
    number of photos.

    With `population`, FEWEST or more classes C are those of a population, and the number is
    multiplied by (t_{n-1}/t_{C-1})^2 (Korn and Graubard, Survey Methodology 24, 1998). Unlike a
    bootstrap's, they never shrink to a point.
    """
    photos = complete(counts).photos.to_numpy()
    C = len(photos)
    n = photos.sum(axis=0)
    effective = worth(photos, mean)
    if population and C >= FEWEST:
        effective *= (stdtrit(n - 1, (1 + LEVEL) / 2) / stdtrit(C - 1, (1 + LEVEL) / 2)) ** 2
    value = group_accuracies(counts, mean)
    right = value * effective
    # Less than one right or wrong answer counts as none; 1e-9 is far above rounding.
    tail = (1 - LEVEL) / 2
    one = 1 - 1e-9
    low = binomial_bounds(np.where(right < one, 0, right), effective, tail).low
    high = binomial_bounds(
        np.where(effective - right < one, effective, right), effective, tail
    ).high
    ends: list[Interval] = list(zip(low.tolist(), high.tolist(), strict=True))
    return [*ends, drop_interval(*value.tolist(), *ends)]


def over_classes(
    counts: pd.DataFrame, mean: Mean, seed: int = 0, replicates: int = REPLICATES
) -> dict[str, Interval]:
    """Cluster bootstrap intervals over classes, widened where `over_photos` is wider; for few
    classes over photos.
    """
    classes = len(complete(counts))
    floors = over_photos(counts, mean)
    if classes < FEWEST:
        return dict(zip(QUANTITIES, floors, strict=True))
    samples = with_drop(drawn_accuracies(counts, mean, seed, replicates)).T
    each = zip(QUANTITIES, samples, floors, strict=True)
    return {name: hull(bootstrap_interval(sample, classes), floor) for name, sample, floor in each}


def by_class(
    values: Shaped[np.ndarray, "N M"], group: Int[np.ndarray, " N"]
) -> tuple[Int[np.ndarray, "C 2"], Float[np.ndarray, "C 2 M"]]:
    """(photos, sum of each column) of every class and group, each of which has photos."""
    photos = np.bincount(group)
    order = np.argsort(group, kind="stable")
    sums = np.add.reduceat(values[order], np.cumsum(photos) - photos, axis=0, dtype=float)
    return photos.reshape(-1, 2), sums.reshape(len(photos) // 2, 2, -1)


def drawn_over_photos(
    values: Shaped[np.ndarray, "N M"], group: Int[np.ndarray, " N"], rng: np.random.Generator
) -> Float[np.ndarray, "R 2 M"]:
    """Means over classes in a bootstrap over photos, in which every photo has a normal weight.

    Equal photos in the same order have the same weights, whatever their values: so models can be
    compared.
    """
    photos, sums = by_class(values, group)
    means = sums / photos[..., None]
    n = photos.ravel()
    mean = means.reshape(photos.size, -1)
    scale = 1 / len(photos) / np.sqrt(n * (n - 1))  # of a photo's answer, in a mean over classes
    out = np.zeros((2, DRAWS, values.shape[1]))
    for start in range(0, len(values), BLOCK):
        own = group[start : start + BLOCK]
        weights = rng.standard_normal((DRAWS, len(own)), dtype=np.float32)
        off = ((values[start : start + BLOCK] - mean[own]) * scale[own][:, None]).astype(np.float32)
        for g in (0, 1):
            out[g] += weights[:, own % 2 == g] @ off[own % 2 == g]
    return means.mean(axis=0) + np.moveaxis(out, 0, 1)


def drawn_over_classes(
    means: Float[np.ndarray, "C 2 M"], rng: np.random.Generator
) -> Float[np.ndarray, "R 2 M"]:
    """Means over classes that are drawn from a population: normal, and wider as Student's quantiles
    are.
    """
    C = len(means)
    tail = (1 + LEVEL) / 2
    wider = stdtrit(C - 1, tail) / ndtri(tail) / np.sqrt(C * (C - 1))
    weights = wider * rng.standard_normal((DRAWS, C))
    return means.mean(axis=0) + np.tensordot(weights, means - means.mean(axis=0), axes=1)


def drop_interval(common: float, counter: float, first: Interval, second: Interval) -> Interval:
    """The interval of common - counter from the intervals of both, whose photos are independent."""
    of_common = (first[0] - counter, first[1] - counter)
    of_counter = (
        common - second[1],
        common - second[0],
    )
    return combined(common - counter, of_common, of_counter)


def worst_cell(
    correct: Real[np.ndarray, " c"], photos: Int[np.ndarray, " c"]
) -> tuple[int, list[float]]:
    """The cell of lowest accuracy, and an interval of the least true accuracy, which holds for all
    cells at once.
    """
    # The same photos select the cell, so its own interval would lie too low.
    low, high = binomial_bounds(correct, photos, (1 - LEVEL) / 2 / len(photos))
    return int((correct / photos).argmin()), [float(low.min()), float(high.min())]


def interval_method(classes: int) -> str:
    """How intervals of accuracies are found."""
    exact = "Clopper-Pearson on the effective number of photos"
    if classes < FEWEST:
        return f"{exact}, level {LEVEL}: {too_few(classes)}"
    return (
        f"cluster bootstrap over classes, {REPLICATES} replicates, level {LEVEL}, nowhere narrower"
        f" than {exact}"
    )


def class_accuracies(counts: pd.DataFrame) -> pd.DataFrame:
    """Common and counter accuracy and the drop of each unit; nan for an empty group."""
    return pd.DataFrame(with_drop(accuracy(counts)), counts.index, QUANTITIES)


def summary(counts: pd.DataFrame, seed: int = 0, grouped: bool = True) -> dict[str, Any]:
    """Both means with intervals, and counts. Without groups one `accuracy` replaces the three
    numbers.
    """
    used = complete(counts)
    n_common, n_counter = used.photos.sum().tolist()
    number = {"common": n_common, "counter": n_counter} if grouped else {"photos": n_common}
    left_out = counts.index.difference(used.index).tolist()
    return {
        "intervals": {
            mean: _named(map(list, over_classes(counts, mean, seed).values()), grouped)
            for mean in MEANS
        },
        **means(counts, grouped),
        "interval_method": interval_method(len(used)),
        "level": LEVEL,
        "counts": (
            {"classes": len(used), **number} | ({"left_out_classes": left_out} if grouped else {})
        ),
    }


def means(counts: pd.DataFrame, grouped: bool) -> dict[Mean, dict[str, float]]:
    return {
        mean: _named(with_drop(group_accuracies(counts, mean)).tolist(), grouped) for mean in MEANS
    }


def _named(values: Iterable[Any], grouped: bool) -> dict[str, Any]:
    """The three numbers by name; without groups the first is the accuracy."""
    return dict(zip(QUANTITIES if grouped else ("accuracy",), values, strict=False))


def paired(
    first: pd.DataFrame, second: pd.DataFrame, seed: int = 0, mean: Mean = "macro"
) -> dict[str, Any] | None:
    """Second model minus first on classes complete for both: differences of means with intervals,
    and sign tests.

    With fewer than FEWEST classes the intervals are over photos, as if each model had photos of its
    own. They are then too wide where models err on the same photos.
    """
    a = complete(first)
    b = complete(second)
    shared = a.index.intersection(b.index).sort_values()
    if not len(shared):
        return None
    a, b = a.loc[shared], b.loc[shared]
    # ratios of counts: equal ones give 0
    differences = rounded(with_drop(accuracy(b) - accuracy(a)), 1.0).T
    value = with_drop(group_accuracies(b, mean) - group_accuracies(a, mean))
    result: dict[str, Any] = {"classes": len(shared), "mean": mean}
    if len(shared) < FEWEST:
        numbers = (with_drop(group_accuracies(one, mean)).tolist() for one in (b, a))
        spans: list[Any] = list(
            map(drop_interval, *numbers, over_photos(b, mean), over_photos(a, mean))
        )
    else:
        of_b = drawn_accuracies(b, mean, seed, stream="paired bootstrap")
        of_a = drawn_accuracies(a, mean, seed, stream="paired bootstrap")
        spans = [bootstrap_interval(sample, len(shared)) for sample in with_drop(of_b - of_a).T]
    for name, each, total, span in zip(QUANTITIES, differences, value.tolist(), spans, strict=True):
        up = int((each > 0).sum())
        down = int((each < 0).sum())
        sign = {"classes_up": up, "classes_down": down, "sign_test_p": sign_test(up, down)}
        result[name] = {"difference": total, "interval": span and list(span), **sign}
    return result
