"""Quantities of claims that place a classifier of two classes on a curve of others, as functions of its accuracies.

equivalent-correlation, shortfall     p' and r, on the world's ideal curve (`theory.ideal_curve`)
effective-robustness                  k - f(c), over the frontier f of a family (`theory.frontier`)
"""

import numpy as np

from simulator.accuracy import Accuracy, Numbers
from simulator.world import World
from theory.frontier import frontier
from theory.ideal_curve import equivalent
from theory.learners.base import Learner


def standing(
    quantity: str, family: Learner | None, worlds: World, accuracy: Accuracy
) -> tuple[Numbers, np.ndarray | np.bool_]:
    """(value of the quantity, whether it is defined), world by world.

    Where a family does not reach the common accuracy, the value is that of the nearest common accuracy that it reaches.
    """
    if quantity == "effective-robustness":
        assert family is not None  # checked when the claim was made
        f, reached = frontier(worlds, np.asarray(accuracy.common), family)
        return accuracy.counter - f, reached
    found = equivalent(worlds, Accuracy(*accuracy))  # an interval of the accuracies is not used
    value = found.shortfall if quantity == "shortfall" else found.correlation
    return value, np.isfinite(value)
