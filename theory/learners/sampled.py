"""Accuracies that are sampled world by world, over a whole grid of worlds."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from simulator.accuracy import Accuracy
from simulator.world import Worlds
from theory.quadrature import estimate

LARGEST_CLASSES = 50  # beyond it, randomised quasi-Monte Carlo over B K normals is slow and rough


def over_worlds(replicates: Callable[[Worlds], Float[np.ndarray, "R 2"]], worlds: Worlds) -> Accuracy:
    """Estimates over a grid of worlds, with an interval, from independent replicates of each."""
    shape = worlds.shape
    rows = [np.asarray(replicates(worlds[w])) for w in np.ndindex(shape)]
    if not rows:
        return Accuracy(np.empty(shape), np.empty(shape), None)
    return estimate(np.stack(rows, axis=-1).reshape(*rows[0].shape, *shape))
