"""Optima for towers as people train them: scores s u(x).v(t) of unit embeddings of width D, with a
logit scale s.

Towers are tables, one unit row per image and caption, so the loss of scores G on a law of pairs P
is an exact finite sum. Images and captions have probabilities a and c, and E = e^G:
    InfoNCE, infinitely many negatives   -<P, G> + [a'log(E c) + c'log(E'a)]/2
    SigLIP, B images per batch, bias b   -<P, log sigma(G + b)> - (B - 1) a'log sigma(-G - b) c
    SigLIP, a learned bias, B = infinity -<P, G> + log a'E c
All are convex in the scores, and least at the PMI plus a constant. L-BFGS minimises the loss over
rows scaled by the root of their weight, which makes all rows equally stiff. Where it has not
settled at its last step, the rows at half of the steps tell the error.

The scores s u.v of any width are {G: gamma_2(G) <= s} (gamma_2: the least product of the largest
norms of rows over all factorisations), which is convex, as the losses are. So for wide towers every
local minimum is global. Certificate: let T = dL/dG, alpha_i = -u_i.(T V)_i and beta_j =
-v_j.(T'U)_j. For all unit rows, <T, U'V''> >= -(sum alpha + sum beta)/2
- delta if [[alpha, T], [T', beta]], with rows and columns over the roots of weights, has no
  eigenvalue below -delta. So
the loss exceeds its minimum by at most s delta. And where gamma_2 of the optimum without limits is
at most s, it is the optimum here, too.

A small excess is no small error: the loss hardly sees the pairs that decide prompts which few
captions resemble. So two starts lie at opposite ends: scores near 0, and the optimum without
limits, cut where it is out of reach.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from theory.theorems import pmi

LAW = -1  # the start at the optimum without limits; the others are seeds of random rows
AROUND = 0.3  # the root of random scores at the start, in nats,
APART = 0.01  # and the length of random rows beside the optimum
NARROW = 8  # below this width minima differ, and rows keep no coordinate for themselves
ROUNDS, TILT = 8, 0.7  # of reweighted decompositions; weights grow by this power of squared norms
# steps, and their number times pairs of nodes times width: 40 CPU seconds
MOST, WORK, OVERHEAD = 3000, 2.5e10, 6
FEWEST = 300  # steps that most minima take
# more corrections cost a third more time, and lead no further
OPTIONS = {"ftol": 1e-13, "gtol": 1e-8, "maxcor": 8}

# of e^score and the law, in rows of images, maybe further ones
Slopes = Callable[[np.ndarray, np.ndarray], np.ndarray]
Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray, Slopes]]


class Objective(NamedTuple):
    """A loss of scores and a law, and the constant between the PMI and its optimum without limits;
    None if it is free.

    A loss has a value in nats, and its derivative in the scores: a table, and a function for images
    without weight.
    """

    loss: Loss
    constant: float | None = None


def infonce(scores: np.ndarray, law: np.ndarray) -> tuple[float, np.ndarray, Slopes]:
    """InfoNCE's loss at infinitely many negatives."""
    a = law.sum(axis=1)
    c = law.sum(axis=0)
    E = np.exp(scores)
    R = E @ c
    C = a @ E

    def slopes(E: np.ndarray, law: np.ndarray) -> np.ndarray:
        E = E * c
        return (
            law.sum(axis=1, keepdims=True) * E * (1 / E.sum(axis=1, keepdims=True) + 1 / C) / 2
            - law
        )

    value = -np.vdot(law, scores) + (a @ np.log(R) + c @ np.log(C)) / 2
    return float(value), slopes(E, law), slopes


INFONCE = Objective(infonce)


@lru_cache  # one bias and batch size have one loss, by which solutions are cached
def siglip(bias: float | None = None, batch_size: int | None = None) -> Objective:
    """SigLIP's objective. A bias of None is learned, a batch of None has infinitely many images and
    a learned bias.
    """

    def unlimited(scores: np.ndarray, law: np.ndarray) -> tuple[float, np.ndarray, Slopes]:
        a = law.sum(axis=1)
        c = law.sum(axis=0)
        E = np.exp(scores)
        Z = a @ E @ c

        def slopes(E: np.ndarray, law: np.ndarray) -> np.ndarray:
            return law.sum(axis=1, keepdims=True) * E * c / Z - law

        return float(np.log(Z) - np.vdot(law, scores)), slopes(E, law), slopes

    if batch_size is None:
        return Objective(unlimited)
    others = batch_size - 1

    def of_batch(scores: np.ndarray, law: np.ndarray) -> tuple[float, np.ndarray, Slopes]:
        a = law.sum(axis=1)
        c = law.sum(axis=0)
        E = np.exp(scores)
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

    # from sigma(z) <= e^z, and with the least score
    low = -np.log(np.vdot(weight, E))
    high = -np.log(others * E.min())
    return brentq(slope, low - 1e-6, high + 1e-6, xtol=1e-10)


class Towers(NamedTuple):
    """Unit rows of images and captions with weight, the loss in nats, and its derivative in the
    scores.
    """

    images: Float[np.ndarray, "I D"]
    captions: Float[np.ndarray, "T D"]
    loss: float
    slope: Float[np.ndarray, "I T"]


def unit(rows: Float[np.ndarray, "*n D"]) -> Float[np.ndarray, "*n D"]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def trained(
    law: Float[np.ndarray, "I T"],
    scale: float,
    width: int,
    start: int,
    objective: Objective = INFONCE,
) -> list[Towers]:
    """The towers at a minimum of the loss last; if it has not settled, those at half of its steps
    before.

    Raises ArithmeticError beyond the budget of WORK.
    """
    from scipy.optimize import minimize  # start-up time

    I, T = law.shape
    root = np.sqrt(np.concatenate([law.sum(axis=1), law.sum(axis=0)]))[:, None]

    def towers_of(flat: np.ndarray) -> Towers:
        W = unit(flat.reshape(I + T, width))
        return Towers(W[:I], W[I:], *objective.loss(scale * W[:I] @ W[I:].T, law)[:2])

    def of_flat(flat: np.ndarray) -> tuple[float, np.ndarray]:
        U, V, value, slope = towers_of(flat)
        W = np.concatenate([U, V])
        length = np.linalg.norm(flat.reshape(I + T, width), axis=1, keepdims=True)
        gradient = np.concatenate([slope @ V, slope.T @ U])
        gradient -= W * (W * gradient).sum(axis=1, keepdims=True)
        return value / scale, (gradient / length).ravel()

    if (steps := int(min(MOST, WORK / (I * T * (width + OVERHEAD))))) < FEWEST:
        raise ArithmeticError(
            f"the loss of unit embeddings at scale {scale:g} does not settle in two CPU minutes on"
            f" {I} x {T} nodes with embed_dim = {width}; a smaller embed_dim does, or more view"
            " noise"
        )
    flat = (root * _start(law, scale, width, start, objective.constant)).ravel()
    ends = list[Towers]()
    for _ in range(2):
        options = {**OPTIONS, "maxiter": steps // 2, "maxfun": steps}
        end = minimize(of_flat, flat, jac=True, method="L-BFGS-B", options=options)
        flat = end.x
        ends = [*ends, towers_of(end.x)]
        if end.success:
            return ends[-1:]
    return ends


def _start(
    law: Float[np.ndarray, "I T"], scale: float, width: int, start: int, constant: float | None
) -> Float[np.ndarray, "I+T D"]:
    """Unit rows at which a minimisation starts. Wide rows have two coordinates on which no score
    depends.
    """
    I, T = law.shape
    rows = unit(np.random.default_rng(max(start, 0)).standard_normal((I + T, width)))
    own = np.zeros_like(rows)
    kept = width
    if width >= NARROW:
        own[:I, -1] = own[I:, -2] = 1
        kept -= 2
    if start != LAW:
        part = min(1.0, AROUND / np.sqrt(scale)) if width >= NARROW else 1.0
        return unit(np.sqrt(1 - part**2) * own + part * rows)
    scores = pmi(law)
    # the middle of the range, or where it is too wide the largest scores within reach
    if constant is None:
        constant = -max((scores.max() + scores.min()) / 2, scores.max() - scale)
    inner = np.concatenate(factors(np.clip(scores + constant, -scale, scale), 3))[
        :, :kept
    ] / np.sqrt(scale)
    length = np.linalg.norm(inner, axis=1, keepdims=True)
    own *= np.sqrt(1 - np.minimum(length, 1) ** 2)
    own[:, : inner.shape[1]] += inner / np.maximum(length, 1)
    return unit(own + APART * rows)


def factors(
    scores: Float[np.ndarray, "I T"], rounds: int = ROUNDS
) -> tuple[Float[np.ndarray, "I D"], Float[np.ndarray, "T D"]]:
    """U and V with U V' = scores and nearly the least product of the largest norms of their rows,
    equal for both.
    """
    I, T = scores.shape
    a = np.full(I, 1 / I)
    c = np.full(T, 1 / T)
    least = np.inf
    for _ in range(rounds):  # longest rows get more weight, so that they get shorter
        P, values, Q = np.linalg.svd(np.sqrt(a)[:, None] * scores * np.sqrt(c), full_matrices=False)
        U = P * np.sqrt(values) / np.sqrt(a)[:, None]
        V = Q.T * np.sqrt(values) / np.sqrt(c)[:, None]
        of_U = (U**2).sum(axis=1)
        of_V = (V**2).sum(axis=1)
        if (product := of_U.max() * of_V.max()) < least:
            least = product
            even = (of_V.max() / of_U.max()) ** 0.25
            best = even * U, V / even
        a = a * (of_U / of_U.max()) ** TILT + 1e-9
        c = c * (of_V / of_V.max()) ** TILT + 1e-9
        a = a / a.sum()
        c = c / c.sum()
    return best


def excess(towers: Towers, law: Float[np.ndarray, "I T"], scale: float) -> float:
    """The most by which the loss exceeds that of any tables of any width, in nats."""
    from scipy.linalg import eigh  # start-up time

    U, V, T = towers.images, towers.captions, towers.slope
    ends = np.concatenate([-(U * (T @ V)).sum(axis=1), -(V * (T.T @ U)).sum(axis=1)])
    root = np.sqrt(np.concatenate([law.sum(axis=1), law.sum(axis=0)]))
    matrix = np.diag(ends)
    matrix[: len(U), len(U) :], matrix[len(U) :, : len(U)] = T, T.T
    least = eigh(matrix / np.outer(root, root), eigvals_only=True, subset_by_index=[0, 0])[0]
    return scale * max(0.0, -float(least))


def needed_scale(values: int, error: float) -> float:
    """The scale that unit embeddings of any width need for one further attribute alone, which
    captions tell.

    The attribute has so many equally likely values, and a caption names a random one of them with
    probability `error`. The least gamma_2 of its PMI + const is (1 - 1/m) log((1 - c)(m - 1)/c), c
    = error (1 - 1/m): two levels, on and off the diagonal, and 1 - 1/m is gamma_2 of I - 1/m.
    Scales of independent attributes add at most.

    >>> round(needed_scale(1000, 0.05), 1), round(needed_scale(10**6, 0.05), 1)
    (9.8, 16.8)
    """
    m = values
    c = error * (1 - 1 / m)
    return float((1 - 1 / m) * np.log((1 - c) * (m - 1) / c))
