"""Accuracy at a decision boundary that is one monotone curve: full captions, or captions with one possible mask.

If one mask pattern explains the prompts, the preference g(x) = L(x) - L(-x) rises (or falls) in each coordinate. With
h = u +- v linear in x,
    g = kappa'x + F(u + v) - F(u - v),   F(h) = log(P cosh(h_0 + h_1) + (1 - P) cosh(h_0 - h_1)),
    dF/dh_0 = tanh(h_0 + artanh((2P - 1) tanh h_1)).
Where both blocks of the prompts stand for the same label (`agrees`: q_0 mu_0 q_1 mu_1 (2P - 1) >= 0), as in the prompts
(mu_inv, 0) and pi mu D, the signs of kappa_b, v_b and the change of the artanh agree. x is in standard deviations. Turn
it so that g rises in both coordinates, and by 45 degrees:
    v = (x_0 + x_1)/sqrt 2,   w = (x_0 - x_1)/sqrt 2.
The boundary is v = eta(w) with |eta'| <= 1 and eta(-w) = -eta(w), in every world. So it has no step and no vertical
tangent, and |eta(w)| <= |w| brackets every root. As v and w are independent and normal given the group,
    accuracy = E Phi(m_v - eta(w)),   w ~ N(m_w, 1),
an analytic integrand, for which the trapezoid rule converges exponentially. Nodes w >= 0 serve both groups and signs.
Means of many standard deviations make corners, and turning the coordinates would round them away: those worlds are
left to `theory.learners.contour`.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr

from theory.learners.pmi import Preference

FIRST = 16  # intervals of the first trapezoid, doubled until two rules agree
LONG = 0.35  # standard deviations of an interval, beyond which rules may agree by chance
LAST = 512
FAR = 20.0  # standard deviations of a mean
CHUNK = 256  # worlds at a time: their arrays stay in cache


Nodes = Float[np.ndarray, "A n"]
# (numbers of the worlds, nodes w, guesses of eta(w), bounds of their errors) -> eta(w)
Boundary = Callable[[Int[np.ndarray, " A"], Nodes, Nodes, Nodes], Nodes]


def curve_accuracy(preference: Preference, tolerance: float) -> tuple[Float[np.ndarray, "W 2"], Bool[np.ndarray, " W"]]:
    """(common, counter) of worlds with one pattern, and whether the quadrature settled."""
    W = preference.mean.shape[-1]
    result, sound = np.empty((W, 2)), np.empty(W, bool)
    for start in range(0, W, CHUNK):
        rows = np.arange(start, min(start + CHUNK, W))
        own, origin = preference.of(rows), np.zeros(len(rows))
        _, *slope = own(origin, origin)
        rising = own.turned(np.where(np.stack(slope) < 0, -1.0, 1.0))
        result[rows], sound[rows] = accuracy_along(partial(boundary, rising), rising.mean, tolerance)
    return result, sound


def accuracy_along(
    eta: Boundary, mean: Float[np.ndarray, "2 W"], tolerance: float
) -> tuple[Float[np.ndarray, "W 2"], Bool[np.ndarray, " W"]]:
    """(common, counter) where + is decided for v > eta(w), an odd curve with |eta'| <= 1, and whether it settled."""
    plus, minus = (mean[0] + mean[1]) / np.sqrt(2), (mean[0] - mean[1]) / np.sqrt(2)
    m_v, m_w = np.stack([plus, minus])[..., None], np.stack([minus, plus])[..., None]  # of common, counter
    reach = np.sqrt(2 * np.log(4 / tolerance))  # leaves out less than a quarter of the tolerance
    near, far = np.sort(np.abs(m_w[..., 0]), axis=0)

    sound = np.abs(mean).max(axis=0, initial=0) < FAR
    result, rows = np.where(sound, np.inf, np.full((2, len(sound)), 0.5)), np.flatnonzero(sound)
    w = np.linspace(np.maximum(near - reach, 0), far + reach, FIRST + 1, axis=-1)[rows]
    points = np.stack([w, eta(rows, w, np.zeros(w.shape), w)])
    while len(rows):
        (w, on), step, weight = points, np.diff(points[0, :, :2])[:, 0], np.ones(points.shape[-1])
        weight[0] = 0.5  # w = 0 is a node of both halves; elsewhere the ends have no mass
        v, u = m_v[:, rows], m_w[:, rows]
        # The half w < 0 follows by the symmetry of eta.
        right, left = (np.exp(-((u - sign * w) ** 2) / 2) * ndtr(v - sign * on) for sign in (1, -1))
        rule = (right + left) @ weight * step / np.sqrt(2 * np.pi)  # E Phi(m_v - eta(w))
        going = (np.abs(rule - result[:, rows]).max(axis=0) > tolerance) | (step > LONG)
        result[:, rows] = rule
        points, rows = points[:, going], rows[going]
        if not len(rows) or points.shape[-1] > LAST:
            break
        half = np.diff(points[0]) / 2
        w, guess = (points[..., 1:] + points[..., :-1]) / 2  # eta is within half a step of its neighbours' mean
        points = np.insert(points, np.arange(1, points.shape[-1]), [w, eta(rows, w, guess, half)], axis=-1)
    sound[rows] = False
    return result.T, sound


def boundary(
    rising: Preference, rows: Int[np.ndarray, " A"], w: np.ndarray, guess: np.ndarray, slack: np.ndarray
) -> np.ndarray:
    """eta(w) of some worlds, the root v of a rising preference near a guess.

    By Newton steps, and halvings where they leave the bracket.
    """
    preference = rising.of((rows, None))
    slack = slack * (1 + 1e-9)  # so that a step to an end stays inside
    low, high, v = guess - slack, guess + slack, guess
    for _ in range(60):  # where rounding forbids 1e-9, halvings end in its noise
        g, along_x, along_y = preference((v + w) / np.sqrt(2), (v - w) / np.sqrt(2))
        low, high = np.where(g < 0, v, low), np.where(g < 0, high, v)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = v - g * np.sqrt(2) / (along_x + along_y)
        step = np.where((step >= low) & (step <= high), step, (low + high) / 2)
        if np.abs(step - v).max(initial=0) < 1e-9:
            return step
        v = step
    return v
