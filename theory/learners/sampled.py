"""Accuracies that are sampled world by world, over a whole grid of worlds."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from simulator.accuracy import Accuracy
from simulator.world import Worlds
from theory.quadrature import estimate

LARGEST_CLASSES = 50  # beyond it, randomised quasi-Monte Carlo over B K normals is slow and rough


def over_worlds(replicates: Callable[[Worlds], Float[np.ndarray, "R 2"]], worlds: Worlds) -> Accuracy:
    """Estimates over a grid of worlds, with an interval, from independent replicates of each.

    Parameters
    ----------
    replicates
        Gives independent (common, counter) pairs of one world. If it draws from a seed of its own, every world meets
        the same random numbers, and differences between neighbours scatter less than the values.
    worlds
        Taken one at a time, so memory stays that of one.
    """
    shape = worlds.shape
    rows = [np.asarray(replicates(worlds[w])) for w in np.ndindex(shape)]
    if not rows:
        return Accuracy(np.empty(shape), np.empty(shape), None)
    return estimate(np.stack(rows, axis=-1).reshape(*rows[0].shape, *shape))
