"""Logistic regression on labelled images."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.accuracy import Accuracy
from simulator.world import World, Worlds
from theory.accuracy import linear_accuracy
from theory.learners.base import Learner, each_class_count
from theory.learners.supervised import logistic_direction, logistic_replicates
from theory.quadrature import estimate


@dataclass(frozen=True)
class Logistic(Learner):
    """Logistic regression (softmax regression for K >= 3 classes) on labelled images, at n = infinity."""

    name: ClassVar[str] = "logistic"
    words: ClassVar[str] = "logistic regression"

    @each_class_count
    def direction(self, worlds: World | Worlds):
        """Weight on each block of the minimiser; ValueError for a separable law."""
        return logistic_direction(worlds)

    @each_class_count
    def accuracy(self, worlds: World | Worlds) -> Accuracy:
        """Exact for two classes; for K >= 3 the accuracies of sampled minimisers, with their interval."""
        if worlds.classes == 2:
            return linear_accuracy(logistic_direction(worlds), worlds)
        row = worlds.ravel()
        each = []
        for i in range(row.size):
            u = logistic_replicates(row[i])
            each.append(estimate(np.stack(list(linear_accuracy(u, row[i])), axis=-1)))
        return stacked(each, worlds.shape)


def stacked(each: list[Accuracy], shape: tuple[int, ...]) -> Accuracy:
    """Estimates of single worlds as one grid."""
    from simulator.accuracy import Interval

    over = lambda values: np.array(values, float).reshape(shape)  # noqa: E731
    groups = [over([list(a)[g] for a in each]) for g in (0, 1)]
    ends = [tuple(over([a.interval[g][e] for a in each]) for e in (0, 1)) for g in (0, 1)]
    return Accuracy(*groups, Interval(*ends, each[0].interval.level))
