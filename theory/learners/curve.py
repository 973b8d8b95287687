"""Accuracy at a decision boundary that is one monotone curve: full captions, or captions with one possible mask.

If one mask pattern explains the prompts, the preference g(x) = L(x) - L(-x) rises (or falls) in each coordinate. With
h = u +- v linear in x,
    g = kappa'x + F(u + v) - F(u - v),   F(h) = log(P cosh(h_0 + h_1) + (1 - P) cosh(h_0 - h_1)),
    dF/dh_0 = tanh(h_0 + artanh((2P - 1) tanh h_1)).
Where both blocks of the prompts stand for the same label (`agree`: q_0 mu_0 q_1 mu_1 (2P - 1) >= 0), as in the prompts
(mu_inv, 0) and pi mu D, the signs of kappa_b, v_b and the change of the artanh agree. x is in standard deviations. Turn
it so that g rises in both coordinates, and by 45 degrees:
    v = (x_0 + x_1)/sqrt 2,   w = (x_0 - x_1)/sqrt 2.
The boundary is v = eta(w) with |eta'| <= 1 and eta(-w) = -eta(w), in every world. So it has no step and no vertical
tangent, and |eta(w)| <= |w| brackets every root. As v and w are independent and normal given the group,
    accuracy = E Phi(m_v - eta(w)),   w ~ N(m_w, 1),
an analytic integrand, for which the trapezoid rule converges exponentially. Corners (means of many standard
deviations) slow it down; those worlds are left to bisected panels.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr

from simulator.prompts import Prompt
from simulator.worlds import Worlds
from theory.learners.pmi import Preference, PromptMixture, PromptPreference
from theory.quadrature import RANGE, gaussian_average

FIRST = 16  # intervals of the first trapezoid, doubled until two rules agree
LAST = 512
FAR = 1e7  # standard deviations
SLACK = 1e-6  # a root so near the end of its bracket is none
CHUNK = 256  # worlds at a time: their arrays stay in cache


# (numbers of the worlds, nodes w, least and largest value there) -> eta(w)
Boundary = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def one_pattern(mixture: PromptMixture) -> Bool[np.ndarray, " W"]:
    """Worlds in which a single mask pattern explains the prompts."""
    return np.isfinite(mixture.log_weight).sum(axis=(0, 1)) == 1


def agree(worlds: Worlds, prompt: Prompt) -> Bool[np.ndarray, " W"]:
    """Worlds in which both blocks of a prompt stand for the same label."""
    return (worlds.prompt(prompt) * worlds.mean * worlds.correlation).prod(axis=-1) >= 0


def curve_accuracy(mixture: PromptMixture, tolerance: float) -> Float[np.ndarray, "W 2"]:
    """(common, counter) of worlds with one pattern (`one_pattern`)."""
    result, far = np.empty((mixture.mean.shape[-1], 2)), mixture.mean.max(axis=0, initial=0) > FAR
    for rule, chosen in ((partial(_accuracy, tolerance=tolerance), ~far), (_straight_accuracy, far)):
        rows = np.flatnonzero(chosen)
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            result[some] = rule(_turned(mixture.of(some)))
    return result


def _straight_accuracy(mixture: PromptMixture) -> Float[np.ndarray, "W 2"]:
    """(common, counter) where a mean is FAR: the boundary is straight across the group's mass.

    It is found along the nearer mean's block at the other block's mean; turning by 45 degrees would round it away.
    """
    near = np.abs(mixture.mean).argmin(axis=0)
    preference, result = PromptPreference(mixture), np.empty((len(near), 2))
    for group, sign in enumerate((1, -1)):
        mean = mixture.mean * np.array([[1], [sign]])

        def point(t, mean=mean):
            return mean + np.where(near == np.array([[0], [1]]), t, 0.0)

        def along(t, point=point):
            g, *slopes = preference(*point(t))
            return g, np.where(near == 0, *slopes)

        t = _root(along, np.full(len(near), -RANGE), np.full(len(near), RANGE))
        _, x, y = preference(*point(t))
        own, other = np.where(near == 0, (x, y), (y, x))
        tilt = np.divide(other, own, out=np.zeros_like(own), where=(own > 0) & (np.abs(t) < RANGE - SLACK))
        result[:, group] = ndtr(-t / np.hypot(1, tilt))
    return result


def _accuracy(mixture: PromptMixture, tolerance: float) -> Float[np.ndarray, "W 2"]:
    preference = PromptPreference(mixture.of(np.s_[:, None]))

    def eta(rows, w, low, high):
        return boundary(preference.of((rows, slice(None))), w, low, high)

    return accuracy_along(eta, mixture.mean, tolerance)


def accuracy_along(eta: Boundary, mean: Float[np.ndarray, "2 W"], tolerance: float) -> Float[np.ndarray, "W 2"]:
    """(common, counter) where + is decided on the side v > eta(w) of a curve with |eta'| <= 1, eta(-w) = -eta(w)."""
    plus, minus = (mean[0] + mean[1]) / np.sqrt(2), (mean[0] - mean[1]) / np.sqrt(2)
    m_v, m_w = np.stack([plus, minus], axis=-1), np.stack([minus, plus], axis=-1)  # (W, 2) by group
    reach = np.sqrt(2 * np.log(4 / tolerance))  # leaves out less than a quarter of the tolerance
    low, high = np.maximum(np.abs(m_w).min(axis=-1) - reach, 0), np.abs(m_w).max(axis=-1) + reach

    active = np.arange(len(low))
    w = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, FIRST + 1)
    on = eta(active, w, -w, w)
    rule = _trapezoid(w, on, m_v, m_w)
    result = rule.copy()
    while len(active) and w.shape[1] <= LAST:
        w, on = _between(eta, active, w, on)
        finer = _trapezoid(w, on, m_v[active], m_w[active])
        open_ = np.abs(finer - rule).max(axis=-1) > tolerance
        result[active] = finer
        w, on, rule, active = w[open_], on[open_], finer[open_], active[open_]
    if len(active):
        result[active] = _panels(eta, m_v, m_w, active, tolerance)
    return result


def objects_averaged(accuracy: Float[np.ndarray, "... 2"], p_inv) -> Float[np.ndarray, "... 2"]:
    """(common, counter) of all images, from those of images that show the label's object, of an odd preference.

    Where the object is the other class's, and the background not, a decision is right exactly where its mirror image,
    object right and background wrong, is decided wrongly.
    """
    return np.clip(p_inv * accuracy + (1 - p_inv) * (1 - accuracy[..., ::-1]), 0, 1)  # weights sum to 1 to rounding


def _turned(mixture: PromptMixture) -> PromptMixture:
    """x turned so that the preference rises in both coordinates; its means then bear signs."""
    origin = np.zeros(mixture.mean.shape[-1])
    _, *slope = PromptPreference(mixture)(origin, origin)
    turn = np.where(np.stack(slope) < 0, -1.0, 1.0)
    return mixture._replace(
        lift=mixture.lift * turn[:, None], pull=mixture.pull * turn[:, None], mean=mixture.mean * turn
    )


def boundary(preference: Preference, w: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """eta(w), the root v of the preference in [low, high]."""

    def along(v):
        g, g_x, g_y = preference((v + w) / np.sqrt(2), (v - w) / np.sqrt(2))
        return g, (g_x + g_y) / np.sqrt(2)

    return _root(along, low, high)


def _root(along: Callable, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Roots of rising functions, given with their slopes: Newton steps, halvings where they leave the bracket."""
    t = (low + high) / 2
    for _ in range(60):  # where rounding forbids 1e-9, halvings end in its noise
        g, slope = along(t)
        low, high = np.where(g < 0, t, low), np.where(g < 0, high, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = t - g / slope
        step = np.where((step >= low) & (step <= high), step, (low + high) / 2)
        if np.abs(step - t).max(initial=0) < 1e-9:
            return step
        t = step
    return t


def _between(eta: Boundary, rows: Int[np.ndarray, " A"], w: np.ndarray, on: np.ndarray):
    """Nodes and curve with the midpoints added; |eta'| <= 1 brackets the new roots."""
    step = (w[:, 1:] - w[:, :-1]) / 2
    low = np.maximum(on[:, 1:], on[:, :-1]) - step - 1e-9
    high = np.minimum(on[:, 1:], on[:, :-1]) + step + 1e-9
    nodes, values = np.empty((len(w), 2 * w.shape[1] - 1)), np.empty((len(w), 2 * w.shape[1] - 1))
    nodes[:, ::2], nodes[:, 1::2] = w, w[:, :-1] + step
    values[:, ::2], values[:, 1::2] = on, eta(rows, nodes[:, 1::2], low, high)
    return nodes, values


def _trapezoid(w: np.ndarray, eta: np.ndarray, m_v: np.ndarray, m_w: np.ndarray) -> Float[np.ndarray, "W 2"]:
    """E Phi(m_v - eta(w)), the half w < 0 by the symmetry of eta."""
    weight = np.full(w.shape[1], 1.0)
    weight[0] = 0.5  # w = 0 is a node of both halves; elsewhere the ends have no mass
    step = (w[:, 1] - w[:, 0])[:, None] / np.sqrt(2 * np.pi)
    total = 0.0
    for sign in (1, -1):
        density = np.exp(-((sign * w[..., None] - m_w[:, None]) ** 2) / 2)
        total = total + np.einsum("wng,n->wg", density * ndtr(m_v[:, None] - sign * eta[..., None]), weight)
    return total * step


def _panels(eta: Boundary, m_v, m_w, active: Int[np.ndarray, " A"], tolerance: float):
    """The same averages by bisected panels."""
    m_v, m_w, rows = m_v[active].ravel(), m_w[active].ravel(), np.repeat(active, 2)

    def values(index, t):
        w = m_w[index, None] + t
        on = eta(rows[index], w, -np.abs(w), np.abs(w))
        return ndtr(m_v[index, None] - on)[..., None]

    return gaussian_average(values, np.arange(len(rows)), 1, tolerance).reshape(len(active), 2)
