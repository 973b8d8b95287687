"""Quantities of claims that place a classifier of two classes on a curve of others, as functions of its accuracies.

equivalent-correlation, shortfall     p' and r, on the world's ideal curve (`theory.ideal_curve`)
effective-robustness                  k - f(c), over the frontier f of a family (`theory.frontier`)
"""

import numpy as np

from simulator.accuracy import Accuracy, Numbers
from simulator.world import Worlds
from theory.claims.claim import Claim
from theory.frontier import frontier
from theory.ideal_curve import equivalent


def standing(claim: Claim, worlds: Worlds, accuracy: Accuracy) -> tuple[Numbers, Numbers]:
    """(value of the claim's quantity, whether it is defined), world by world.

    Where a family does not reach the common accuracy, the value is that of the nearest common accuracy that it reaches.
    """
    if claim.quantity == "effective-robustness":
        f, reached = frontier(worlds, np.asarray(accuracy.common), claim.against)
        return accuracy.counter - f, reached
    found = equivalent(worlds, Accuracy(*accuracy))  # an interval of the accuracies is not used
    value = found.shortfall if claim.quantity == "shortfall" else found.correlation
    return value, np.isfinite(value)
