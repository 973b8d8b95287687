"""Population losses of scores G on a law of pairs P, whose images and captions have probabilities a and c; E = e^G.

    InfoNCE, infinitely many negatives   -<P, G> + [a'log(E c) + c'log(E'a)]/2
    SigLIP, B images per batch, bias b   -<P, log sigma(G + b)> - (B - 1) a'log sigma(-G - b) c
    SigLIP, a learned bias, B = infinity -<P, G> + log a'E c
All are convex in the scores, and least at the PMI plus a constant.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Slopes = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of e^score and the law, in rows of images, maybe further ones
Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray, Slopes]]


class Objective(NamedTuple):
    """A loss of scores and a law, and the constant between the PMI and its optimum without limits; None if it is free.

    A loss has a value in nats, and its derivative in the scores: a table, and a function for images without weight.
    """

    loss: Loss
    constant: float | None = None


def infonce(
    scores: Float[np.ndarray, "I T"], law: Float[np.ndarray, "I T"]
) -> tuple[float, Float[np.ndarray, "I T"], Slopes]:
    """InfoNCE's loss at infinitely many negatives."""
    a, c, E = law.sum(axis=1), law.sum(axis=0), np.exp(scores)
    R, C = E @ c, a @ E

    def slopes(E: np.ndarray, law: np.ndarray) -> np.ndarray:
        E = E * c
        return law.sum(axis=1, keepdims=True) * E * (1 / E.sum(axis=1, keepdims=True) + 1 / C) / 2 - law

    value = -np.vdot(law, scores) + (a @ np.log(R) + c @ np.log(C)) / 2
    return float(value), slopes(E, law), slopes


INFONCE = Objective(infonce)


@lru_cache  # one bias and batch size have one loss, by which solutions are cached
def siglip(bias: float | None = None, batch_size: int | None = None) -> Objective:
    """SigLIP's objective. A bias of None is learned, a batch of None has infinitely many images and a learned bias."""

    def unlimited(scores: np.ndarray, law: np.ndarray) -> tuple[float, np.ndarray, Slopes]:
        a, c, E = law.sum(axis=1), law.sum(axis=0), np.exp(scores)
        Z = a @ E @ c

        def slopes(E: np.ndarray, law: np.ndarray) -> np.ndarray:
            return law.sum(axis=1, keepdims=True) * E * c / Z - law

        return float(np.log(Z) - np.vdot(law, scores)), slopes(E, law), slopes

    if batch_size is None:
        return Objective(unlimited)
    others = batch_size - 1

    def of_batch(scores: np.ndarray, law: np.ndarray) -> tuple[float, np.ndarray, Slopes]:
        a, c, E = law.sum(axis=1), law.sum(axis=0), np.exp(scores)
        b = bias if bias is not None else _least_bias(E, law, others)

        def slopes(E: np.ndarray, law: np.ndarray) -> np.ndarray:
            sigma = 1 / (1 + np.exp(-b) / E)
            return others * law.sum(axis=1, keepdims=True) * c * sigma - law * (1 - sigma)

        softplus = np.log1p(np.exp(b) * E)
        value = np.vdot(law, softplus - scores) - b + others * (a @ softplus @ c)
        return float(value), slopes(E, law), slopes

    return Objective(of_batch, None if bias is None else -np.log(others) - bias)


def _least_bias(E: Float[np.ndarray, "I T"], law: Float[np.ndarray, "I T"], others: int) -> float:
    """The bias at which SigLIP's loss is least, for given scores."""
    from scipy.optimize import brentq  # start-up time

    weight = others * law.sum(axis=1, keepdims=True) * law.sum(axis=0) + law

    def slope(b: float) -> float:
        return float((weight / (1 + np.exp(-b) / E)).sum()) - 1

    low, high = -np.log(np.vdot(weight, E)), -np.log(others * E.min())  # from sigma(z) <= e^z, and with the least score
    return brentq(slope, low - 1e-6, high + 1e-6, xtol=1e-10)
