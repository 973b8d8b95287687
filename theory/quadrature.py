"""Averages over Gaussians: adaptive panels for many worlds, moments of the logistic function,
replicated estimates.

The trapezoid rule on the whole line converges exponentially for analytic integrands. With step h,
and no singularity within distance c of the real axis, its error falls like exp(-2 pi c/h)
(Trefethen and Weideman, SIAM Review 56(3), 2014). Indicator functions are never averaged here: Phi
integrates their last variable first.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.polynomial.legendre import legvander
from scipy.special import log_ndtr

from simulator.accuracy import LEVEL, Accuracy, mean_interval

RANGE = 8.5  # standard deviations of a Gaussian in an integral: 2 Phi(-8.5) < 2e-17
REPLICATES = 16  # randomisations behind an interval


def estimate(replicates: Float[np.ndarray, "R groups *w"]) -> Accuracy:
    """Mean of independent replicates of all groups, with its Student t interval of level LEVEL,
    within [0, 1].
    """
    mean, _, low, high = map(np.asarray, mean_interval(np.moveaxis(replicates, 0, -1)))
    return Accuracy.of([*map(np.asarray, mean)], LEVEL, zip(low, high, strict=True))


def nested_rule(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes (1 - cos(pi j/n))/2 on [0, 1], n even, and weights of all of them, and of every other
    one alone.

    Each rule integrates the polynomial through its nodes (Clenshaw and Curtis 1960). Their
    difference estimates errors.
    """
    x = -np.cos(np.pi * np.arange(n + 1) / n)
    rough = np.zeros(n + 1)

    # of Legendre polynomials only the first has an average
    def weights(x: np.ndarray) -> np.ndarray:
        return np.linalg.solve(legvander(x, len(x) - 1).T, np.eye(len(x))[0])

    rough[::2] = weights(x[::2])
    return (1 + x) / 2, weights(x), rough


_NODES, _FINE, _ROUGH = nested_rule(16)
TOLERANCE = 1e-6  # of an average
FIRST, PANELS = 6, 2000  # panels per function, at first and at most; a step needs about seventy
_SMALLEST_PANEL = 1e-10  # at a jump the bisection stops here; the mass left in doubt is below 1e-10


def gaussian_average(
    values: Callable[[np.ndarray, np.ndarray], np.ndarray], count: int
) -> Float[np.ndarray, " F"]:
    """E f(t), t ~ N(0, 1), of many functions at once: adaptive Clenshaw-Curtis on bisected panels.

    `values` are those of the functions of some numbers (P,) at t (P, n). A panel is bisected until
    its 17- and 9-node rules agree to TOLERANCE/32, so kinks, steps and square-root ends cost depth,
    not accuracy. The error of the finer rule lies well below TOLERANCE where f is smooth. Raises
    ArithmeticError beyond PANELS panels of one function.
    """
    edges = np.linspace(-RANGE, RANGE, FIRST + 1)
    low = np.tile(edges[:-1], count)
    high = np.tile(edges[1:], count)
    index = np.repeat(np.arange(count), FIRST)
    result = np.zeros(count)
    spent = np.zeros(count, int)
    while len(index):
        spent += np.bincount(index, minlength=count)
        if spent.max(initial=0) > PANELS:
            raise ArithmeticError(
                f"an average over images did not settle to {TOLERANCE:g} within {PANELS} panels; a"
                " boundary so jagged is mostly rounding, and a world less close to the edge of the"
                " domain has an answer"
            )
        width = (high - low)[:, None]
        t = low[:, None] + width * _NODES
        weighted = values(index, t) * (width * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi))
        fine = np.einsum("pn,n->p", weighted, _FINE)
        rough = np.einsum("pn,n->p", weighted, _ROUGH)
        split = (np.abs(fine - rough) > TOLERANCE / 32) & (width[:, 0] > 2 * _SMALLEST_PANEL)
        np.add.at(result, index[~split], fine[~split])
        low, high, middle = low[split], high[split], (low + high)[split] / 2
        low = np.append(low, middle)
        high = np.append(middle, high)
        index = np.tile(index[split], 2)
    return result


# Moments of s = m + sqrt(V) t, t ~ N(0, 1): log_scale, tail and curvature. The last two are divided
# by exp(log_scale): otherwise e^s would underflow at margins of hundreds of standard deviations.
Moments = tuple[Float[np.ndarray, "*s"], Float[np.ndarray, "*s"], Float[np.ndarray, "k=3 *s"]]


# Narrow rule, sqrt(V) <= 2: trapezoid in t. Its factor sigma shifts the Gaussian by at most sqrt(V)
# deviations. The poles of sigma are at distance pi/sqrt(V) >= pi/2, so the error is below exp(-2 pi
# (pi/2)/(1/4)) = e^-39.
_T = np.arange(-44, 45) / 4
# Wide rule: trapezoid in the logistic variable x, whose density sigma'(x) has poles at distance pi:
# e^-39 again. The Gaussian factor, of width sqrt(V) >= 2, adds an error of exp(-2 pi^2 V/h^2) =
# e^-315.
_X = np.arange(-160, 161) / 2
# At distance x from their peaks both integrands have fallen by exp(-x^2/(2 V)) or more: by e^-40 at
# 40 for these V.
_SHORT_V = 20
_SHORT_X = _X[80:-80]


def logistic_moments(m: Float[np.ndarray, "*s"], V: Float[np.ndarray, "*s"]) -> Moments:
    """tail E sigma(-s) and curvature E sigma'(s) t^k; sigma(x) = 1/(1 + e^-x).

    sqrt(V) <= 2: trapezoid in t. Otherwise, integrated by parts, E sigma(-s) = int sigma'(x)
    Phi((-x - m)/sqrt V) dx, and E sigma'(s) t^k = int sigma'(x) t^k phi(t)/sqrt V dx with t = (x -
    m)/sqrt V. Relative precision 1e-12, unless |m| is within a fifth of V > 150; no minimiser of
    the logistic loss comes near that.
    """
    shape = np.shape(m)
    m = np.ravel(m)
    V = np.ravel(V)
    log_scale = np.empty(m.shape)
    tail = np.empty(m.shape)
    curvature = np.empty((3, *m.shape))
    kind = np.where(V <= 4, 0, np.where(V <= _SHORT_V, 1, 3) + (np.abs(m) > V))
    for k in np.unique(kind):
        part = kind == k
        t, log_tail, log_curve = (_wide if k else _narrow)(m[part, None], V[part, None])
        peak = np.maximum(log_tail.max(axis=-1), log_curve.max(axis=-1))[:, None]
        weight = np.exp(log_curve - peak)
        log_scale[part], tail[part] = peak[:, 0], np.exp(log_tail - peak).sum(axis=-1)
        curvature[:, part] = [weight.sum(-1), (weight * t).sum(-1), (weight * t * t).sum(-1)]
    return log_scale.reshape(shape), tail.reshape(shape), curvature.reshape(3, *shape)


def _narrow(m: np.ndarray, V: np.ndarray):
    s = m + np.sqrt(V) * _T
    log_weight = -(_T**2) / 2 + np.log(1 / 4 / np.sqrt(2 * np.pi))
    return _T, -np.logaddexp(0, s) + log_weight, _log_slope(s) + log_weight


def _wide(m: np.ndarray, V: np.ndarray):
    root = np.sqrt(V)
    # Where the integrand of sigma' e^(...) peaks: 0 if the Gaussian reaches it (|m| < V), else |m|
    # - V.
    peak = np.sign(m) * np.maximum(np.abs(m) - V, 0)
    nodes = _SHORT_X if V.max() <= _SHORT_V else _X
    s, x = (peak + nodes, np.minimum(-peak, 0) + nodes) if peak.any() else (nodes, nodes)
    t = (s - m) / root
    log_step = np.log(1 / 2)
    log_curve = _log_slope(s) - t**2 / 2 - np.log(np.sqrt(2 * np.pi) * root) + log_step
    return t, _log_slope(x) + log_ndtr((-x - m) / root) + log_step, log_curve


def _log_slope(x: np.ndarray) -> np.ndarray:
    """log sigma'(x) without overflow."""
    return -np.abs(x) - 2 * np.log1p(np.exp(-np.abs(x)))
