"""From predictions to group accuracies: two means, intervals, paired comparison. Arrays in, numbers out.

macro: the mean of class accuracies. Every class has the same weight, however few photos it has.
micro: the fraction of all photos. Classes with many photos dominate, and they differ between the groups, so micro
mixes the background effect with a change of classes.
Classes without photos in one group are left out of both means, so that the drop compares the same classes.
Letters: N photos, C classes, R bootstrap replicates; columns of the last axis are (common, counter).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import stdtrit

from experiments.inference import (
    LEVEL,
    binomial_bounds,
    bootstrap_interval,
    combined,
    hull,
    resamples,
    sign_test,
)
from simulator.streams import numpy_stream

Mean = Literal["macro", "micro"]
MEANS: tuple[Mean, ...] = ("macro", "micro")
REPLICATES = 10_000


@dataclass(frozen=True)
class Predictions:
    """A model's answer for each photo."""

    path: tuple[str, ...]
    class_index: Int[np.ndarray, " N"]
    common: Bool[np.ndarray, " N"]
    background: tuple[str, ...]
    predicted: Int[np.ndarray, " N"]
    rank: Int[np.ndarray, " N"] | None = None  # of the true label, 1 = best; a tie goes to the lower index
    margin: Float[np.ndarray, " N"] | None = None  # true score minus best other score
    object: tuple[str, ...] | None = None  # of composites; "" if it is unknown
    grouped: bool = True  # whether photos have groups; otherwise `common` means nothing

    @property
    def groups(self) -> list[str]:
        """common or counter; "" for photos without groups."""
        return np.where(self.common, "common", "counter").tolist() if self.grouped else [""] * len(self.path)

    @property
    def correct(self) -> Bool[np.ndarray, " N"]:
        return self.predicted == self.class_index


@dataclass(frozen=True)
class ClassCounts:
    """Photos and correct answers per class and group; classes in ascending order of their index."""

    index: Int[np.ndarray, " C"]
    photos: Int[np.ndarray, "C 2"]
    correct: Int[np.ndarray, "C 2"]

    @property
    def complete(self) -> "ClassCounts":
        """The classes with photos in both groups; all means are over these."""
        both = (self.photos > 0).all(axis=1)
        return ClassCounts(self.index[both], self.photos[both], self.correct[both])

    @property
    def accuracy(self) -> Float[np.ndarray, "C 2"]:
        """Class accuracies; nan for an empty group."""
        with np.errstate(invalid="ignore"):
            return self.correct / self.photos


def class_counts(predictions: Predictions, within: int = 1) -> ClassCounts:
    """Count photos, and those whose label is among the first `within` answers.

    Without groups each photo counts in both columns, so either column describes the whole class.
    """
    index, where = np.unique(predictions.class_index, return_inverse=True)
    photos = np.zeros((len(index), 2), dtype=np.int64)
    correct = np.zeros_like(photos)
    right = (predictions.correct if within == 1 else predictions.rank <= within).astype(np.int64)
    columns = [np.where(predictions.common, 0, 1)] if predictions.grouped else [0, 1]
    for column in columns:
        np.add.at(photos, (where, column), 1)
        np.add.at(correct, (where, column), right)
    return ClassCounts(index, photos, correct)


def group_accuracies(
    counts: ClassCounts, mean: Mean, weights: Float[np.ndarray, "*r C"] | None = None
) -> Float[np.ndarray, "*r 2"]:
    """(common, counter) of the complete classes; `weights` is how often each of them is drawn.

    Raises ValueError if no class has photos in both groups.
    """
    counts = counts.complete
    if len(counts.index) == 0:
        raise ValueError("no class has photos in both groups")
    w = np.ones(len(counts.index)) if weights is None else weights
    if mean == "macro":
        return (w @ counts.accuracy) / w.sum(axis=-1)[..., None]
    return (w @ counts.correct) / (w @ counts.photos)


def drawn_accuracies(
    counts: ClassCounts, mean: Mean, rng: np.random.Generator, replicates: int = REPLICATES
) -> Float[np.ndarray, "R 2"]:
    """(common, counter) in each replicate of a bootstrap over the complete classes; their photos stay together."""
    return group_accuracies(counts, mean, resamples(len(counts.complete.index), replicates, rng))


def photo_bounds(counts: ClassCounts, mean: Mean, level: float = LEVEL) -> tuple[tuple[float, float], ...]:
    """Intervals of common and counter from the number of photos: Clopper-Pearson on an effective sample.

    Korn and Graubard (Survey Methodology 24, 1998): the effective sample of a mean of C classes with weights w_c and
    n_c photos is 1/sum(w_c^2/n_c) photos, times (t_{n-1}/t_{C-1})^2 for the small number of classes. Unlike a bootstrap
    interval it does not shrink to a point if every photo is right. Needs two complete classes.
    """
    counts = counts.complete
    C, n = len(counts.index), counts.photos.sum(axis=0)
    weights = np.full(counts.photos.shape, 1 / C) if mean == "macro" else counts.photos / n
    few = stdtrit(n - 1, (1 + level) / 2) / stdtrit(C - 1, (1 + level) / 2)
    effective = few**2 / (weights**2 / counts.photos).sum(axis=0)
    right = group_accuracies(counts, mean) * effective
    # Less than one right or wrong answer counts as none; rounding is far below a billionth of one.
    tail, one = (1 - level) / 2, 1 - 1e-9
    low = binomial_bounds(np.where(right < one, 0, right), effective, tail).low
    high = binomial_bounds(np.where(effective - right < one, effective, right), effective, tail).high
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))


def intervals(
    counts: ClassCounts, mean: Mean, seed: int = 0, replicates: int = REPLICATES, level: float = LEVEL
) -> dict[str, tuple[float, float] | None]:
    """Intervals of common, counter and drop: classes are drawn, their photos stay together.

    The target is the mean over the population of classes that these are a sample of. The interval is a cluster
    bootstrap's, and nowhere narrower than the number of photos allows (`photo_bounds`). None for one class.
    """
    classes = len(counts.complete.index)
    if classes < 2:
        return {"common": None, "counter": None, "drop": None}
    drawn = drawn_accuracies(counts, mean, numpy_stream(seed, "cluster bootstrap"), replicates)
    common, counter = (float(a) for a in group_accuracies(counts, mean))
    first, second = photo_bounds(counts, mean, level)
    difference = combined(
        common - counter, (first[0] - counter, first[1] - counter), (common - second[1], common - second[0])
    )
    samples = {"common": drawn[:, 0], "counter": drawn[:, 1], "drop": drawn[:, 0] - drawn[:, 1]}
    floors = {"common": first, "counter": second, "drop": difference}
    return {name: hull(bootstrap_interval(samples[name], classes, level), floors[name]) for name in samples}


def summary(counts: ClassCounts, seed: int = 0) -> dict:
    """Both means with their intervals, counts, and the classes left out; plain JSON."""
    document: dict = {}
    complete = counts.complete
    for mean in MEANS:
        common, counter = (float(a) for a in group_accuracies(counts, mean))
        document[mean] = {"common": common, "counter": counter, "drop": common - counter}
    document["intervals"] = {
        mean: {name: None if i is None else list(i) for name, i in intervals(counts, mean, seed).items()}
        for mean in MEANS
    }
    document["interval_method"] = (
        f"cluster bootstrap over classes, {REPLICATES} replicates, level {LEVEL}, nowhere narrower than "
        "Clopper-Pearson on the effective number of photos"
    )
    document["level"] = LEVEL
    document["counts"] = {
        "classes": len(complete.index),
        "common": int(complete.photos[:, 0].sum()),
        "counter": int(complete.photos[:, 1].sum()),
        "left_out_classes": [int(i) for i in np.setdiff1d(counts.index, complete.index)],
    }
    return document


def paired(
    first: ClassCounts, second: ClassCounts, seed: int = 0, replicates: int = REPLICATES, mean: Mean = "macro"
) -> dict:
    """Second model minus first, class by class, on the classes that are complete for both.

    For common, counter and drop: the difference of the means, its cluster-bootstrap interval (the same drawn classes
    for both models; None if all differences are equal), and the exact two-sided sign test over the classes that differ.
    Raises ValueError for no common class.
    """
    a, b = first.complete, second.complete
    shared, *chosen = np.intersect1d(a.index, b.index, return_indices=True)
    C = len(shared)
    if C == 0:
        raise ValueError("the two models have no class in common")
    a, b = (ClassCounts(shared, x.photos[i], x.correct[i]) for x, i in zip((a, b), chosen, strict=True))
    weights = resamples(C, replicates, numpy_stream(seed, "paired bootstrap"))
    classes = _with_drop(b.accuracy - a.accuracy)
    value = _with_drop(group_accuracies(b, mean) - group_accuracies(a, mean))
    drawn = _with_drop(group_accuracies(b, mean, weights) - group_accuracies(a, mean, weights))
    result: dict = {"classes": C, "mean": mean}
    for k, name in enumerate(("common", "counter", "drop")):
        d = settled(classes[:, k])
        result[name] = {"difference": float(value[k]), **certainty(d, drawn[:, k])}
    return result


def _with_drop(groups: Float[np.ndarray, "*s 2"]) -> Float[np.ndarray, "*s 3"]:
    return np.concatenate([groups, groups[..., :1] - groups[..., 1:]], axis=-1)


def settled(differences: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """Differences of accuracies with rounding removed: accuracies are ratios of counts, so equal ones give 0."""
    return np.where(np.abs(differences) < 1e-12, 0.0, differences)


def certainty(
    differences: Float[np.ndarray, " C"], drawn: Float[np.ndarray, " R"], of: str = "classes", fewest: int = 0
) -> dict:
    """An interval and a sign test for a mean of differences of classes or of objects.

    The interval is of the `drawn` bootstrap means; None for fewer than `fewest` differences or equal ones.
    """
    up, down = int((differences > 0).sum()), int((differences < 0).sum())
    interval = bootstrap_interval(drawn, len(differences)) if len(differences) >= fewest else None
    return {
        "interval": None if interval is None else list(interval),
        f"{of}_up": up,
        f"{of}_down": down,
        "sign_test_p": sign_test(up, down),
    }
