"""The effect of the background at a fixed object, from composites of each object on common and counter backgrounds.

Photos of two groups differ by more than their backgrounds: other animals, poses, cameras. Composites of one object do
not. Letters: O objects, each with some photos in either group, columns (common, counter). The drop of an object is
    d = share right on common - share right on counter
Every object has the same weight. The sample is of objects; the background photos are fixed and shared by all objects.
With few background photos per group, their difficulty alone can reject the hypothesis of no effect.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from experiments.counteranimal.metrics import REPLICATES, Predictions, settled
from experiments.inference import LEVEL, bootstrap_interval, holm, mcnemar, resampled_means
from simulator.streams import numpy_stream

FEWEST = 10  # with fewer objects the bootstrap interval is too narrow
METHODS = {
    "interval_method": f"cluster bootstrap over {FEWEST} objects or more, {REPLICATES} replicates, level {LEVEL}",
    "test": "McNemar, exact, of no effect of the background on any object; several photos a group as strata",
}


@dataclass(frozen=True)
class Objects:
    """Number of composites of each object, and of right answers."""

    name: np.ndarray  # O strings; within a class they differ
    class_index: Int[np.ndarray, " O"]
    photos: Int[np.ndarray, "O 2"]
    right: Int[np.ndarray, "O 2"]

    def __getitem__(self, chosen: np.ndarray) -> "Objects":
        return Objects(self.name[chosen], self.class_index[chosen], self.photos[chosen], self.right[chosen])

    @property
    def complete(self) -> "Objects":
        """The objects with photos in both groups."""
        return self[(self.photos > 0).all(axis=1)]

    @property
    def accuracy(self) -> Float[np.ndarray, "O 2"]:
        """Shares of right answers, for objects in both groups."""
        return self.right / self.photos


def objects_of(predictions: Predictions) -> Objects:
    """Count composites and right answers; photos without an object are left out."""
    names: dict[tuple[int, str], int] = {}
    known = [(i, name) for i, name in enumerate(predictions.object or ()) if name]
    photos = np.array([i for i, _ in known], dtype=np.int64)
    where = [names.setdefault((int(predictions.class_index[i]), name), len(names)) for i, name in known]
    place = (np.array(where, dtype=np.int64), np.where(predictions.common[photos], 0, 1))
    composites = np.zeros((len(names), 2), dtype=np.int64)
    right = np.zeros_like(composites)
    np.add.at(composites, place, 1)
    np.add.at(right, place, predictions.correct[photos].astype(np.int64))
    labels = np.array([name for _, name in names], dtype=object)
    return Objects(labels, np.array([index for index, _ in names], dtype=np.int64), composites, right)


def paired_effect(predictions: Predictions, seed: int = 0) -> dict[str, Any] | None:
    """The effect over all objects and within each class, plain JSON; None if no object is in both groups.

    p_holm corrects the classes' tests for their number.
    """
    every = objects_of(predictions)
    objects = every.complete
    if not len(objects.class_index):
        return None
    classes = [
        {"class_index": int(index), **_effect(objects[objects.class_index == index], seed, int(index))}
        for index in np.unique(objects.class_index)
    ]
    adjusted = holm(np.array([c["mcnemar_p"] for c in classes]))
    return {
        **_effect(objects, seed),
        "classes": [c | {"p_holm": float(p)} for c, p in zip(classes, adjusted, strict=True)],
        "left_out_objects": len(every.class_index) - len(objects.class_index),
        "left_out_photos": sum(not name for name in predictions.object),
        "level": LEVEL,
        **METHODS,
    }


def _effect(objects: Objects, seed: int, index: int = -1) -> dict[str, Any]:
    common, counter = (float(a) for a in objects.accuracy.mean(axis=0))
    drops = settled(objects.accuracy[:, 0] - objects.accuracy[:, 1])
    return {
        "objects": len(drops),
        "common": common,
        "counter": counter,
        "difference": float(drops.mean()),
        "interval": _interval(drops, numpy_stream(seed, "object bootstrap", index + 1)),
        "better_on_common": int((drops > 0).sum()),
        "better_on_counter": int((drops < 0).sum()),
        "mcnemar_p": mcnemar(objects.right, objects.photos),
    }


def _interval(drops: Float[np.ndarray, " O"], rng: np.random.Generator) -> list[float] | None:
    """The interval of the mean; None for too few or all equal objects."""
    if len(drops) < FEWEST:
        return None
    interval = bootstrap_interval(resampled_means(drops, REPLICATES, rng), len(drops))
    return None if interval is None else list(interval)
