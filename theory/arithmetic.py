"""What a claim's prediction may be written with, besides +, -, *, / and powers, so that it can be proved.

Each works on numbers, arrays and the formulas that a proof records (`theory.proofs`); numpy's own sqrt and exp and
scipy's ndtr do too. `judge(claim, prove=True)` says why of a prediction that asks for more than that.
"""

import numpy as np
from scipy.special import ndtr

from simulator.accuracy import Numbers


def Phi(x: Numbers) -> Numbers:
    """The standard normal distribution function, scipy's ndtr.

    Parameters
    ----------
    x : number, array or recorded formula

    Examples
    --------
    >>> float(Phi(0.0))
    0.5
    """
    return ndtr(x)


def exp(x: Numbers) -> Numbers:
    """e^x.

    Parameters
    ----------
    x : number, array or recorded formula
    """
    return np.exp(x)


def sqrt(x: Numbers) -> Numbers:
    """The square root.

    Parameters
    ----------
    x : number, array or recorded formula
    """
    return np.sqrt(x)
