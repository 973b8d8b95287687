"""Accuracy of the PMI's decision between two prompts: roots of the preference along lines, one outer average.

Coordinates are in standard deviations of an image, so that in a group images are N((m_0, +-m_1), I). The preference is
g(x) = L(x) - L(-x) of `theory.learners.pmi`; roots along a line turn its inner average into a sum of Phi.

A monotone boundary. If one mask pattern explains the prompts, g rises (or falls) in each coordinate: with h = u +- v
linear in x,
    g = kappa'x + F(u + v) - F(u - v),   F(h) = log(P cosh(h_0 + h_1) + (1 - P) cosh(h_0 - h_1)),
    dF/dh_0 = tanh(h_0 + artanh((2P - 1) tanh h_1)).
Where both blocks of the prompts speak for the same label, q_0 mu_0 q_1 mu_1 (2P - 1) >= 0, as in the prompts
(mu_inv, 0) and pi mu D, the signs of kappa_b, v_b and the change of the artanh agree. Turn x so that g rises in both
coordinates, and by 45 degrees:
    v = (x_0 + x_1)/sqrt 2,   w = (x_0 - x_1)/sqrt 2.
The boundary is v = eta(w) with |eta'| <= 1 and eta(-w) = -eta(w), in every world. So it has no step and no vertical
tangent, and |eta(w)| <= |w| brackets every root. As v and w are independent and normal given the group,
    accuracy = E Phi(m_v - eta(w)),   w ~ N(m_w, 1),
an analytic integrand, for which the trapezoid rule converges exponentially. Corners (means of many standard
deviations) slow it down; those worlds are left to bisected panels.

Any boundary. With captions that may be silent the decision region can have islands. Then every change of sign along
lines y = const is sought, from nodes that follow the mixture's own centres and widths, and the average over y runs over
panels. Where lines gain or lose roots, the inner average has a square-root end; panels are cut there.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr

from simulator.prompts import Prompt
from simulator.world import Worlds
from theory.learners.pmi import Lines, PromptMixture, log_sum, prompt_mixture
from theory.quadrature import average_over_panels, gaussian_average

FIRST = 16  # intervals of the first trapezoid, doubled until two rules agree
LAST = 512
CHUNK = 256  # worlds at a time: their arrays stay in cache
CELLS = 2**21  # numbers held in one array at a time, 16 MB
ROOT = 1e-9  # precision of roots, in standard deviations
REACH = 6.5  # standard deviations of a group: 1e-10 of it lies beyond
ACROSS = 22  # evenly spaced nodes across half of the plane
NEAR = np.array([-6, -2, -0.7, 0, 0.7, 2, 6])  # further nodes around each centre, in its standard deviations

# (indices of worlds, nodes w, least and largest value there) -> eta(w)
Boundary = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def two_prompt_accuracy(worlds: Worlds, prompt: Prompt, tolerance: float) -> Float[np.ndarray, "W 2"]:
    """(common, counter) of a row of worlds; a tie counts 1/2."""
    mixture = prompt_mixture(worlds, prompt)
    tie = ~np.isfinite(mixture.log_weight).any(axis=(0, 1))
    agree = (worlds.prompt(prompt) * worlds.mean * worlds.correlation).prod(axis=-1) >= 0
    monotone = one_pattern(mixture) & agree
    accuracy = np.full((worlds.size, 2), 0.5)
    for method, part in ((_monotone, monotone), (any_boundary, ~tie & ~monotone)):
        rows = np.flatnonzero(part)
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            accuracy[some] = method(mixture.of(some), tolerance)
    return objects_averaged(accuracy, worlds.agreement[:, :1])


def one_pattern(mixture: PromptMixture) -> Bool[np.ndarray, " W"]:
    """Worlds in which a single mask pattern explains the prompts."""
    present = np.isfinite(mixture.log_weight).reshape(2, 2, 2, 2, -1).any(axis=(1, 3))
    return present.sum(axis=(0, 1)) == 1


def objects_averaged(accuracy: Float[np.ndarray, "... 2"], p_inv) -> Float[np.ndarray, "... 2"]:
    """(common, counter) of all images, from those of images that show the label's object.

    The preference is odd. So an image with the other class's object is decided rightly if and only if its mirror image,
    with the label's object, is decided wrongly.
    """
    return p_inv * accuracy + (1 - p_inv) * (1 - accuracy[..., ::-1])


def root(lines, low, high, rises) -> np.ndarray:
    """One root per bracket, by Newton steps, or halving if they leave it. `lines(index, t)` has value and slope."""
    low, high, active = low.copy(), high.copy(), np.arange(len(low))
    t = (low + high) / 2
    for _ in range(60):  # the limit ends halvings within rounding noise, if the precision ROOT is out of reach
        if not len(active):
            break
        before = t[active]
        value, slope = lines(active, before)
        below = (value < 0) == rises[active]
        low[active], high[active] = np.where(below, before, low[active]), np.where(below, high[active], before)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = before - value / slope
        within = (step >= low[active]) & (step <= high[active])
        t[active] = np.where(within, step, (low[active] + high[active]) / 2)
        active = active[np.abs(t[active] - before) > ROOT]
    return t


# A monotone boundary


def _monotone(mixture: PromptMixture, tolerance: float) -> Float[np.ndarray, "W 2"]:
    turn = np.where(mixture.slope() < 0, -1.0, 1.0)
    mixture = mixture._replace(centre=mixture.centre * turn[:, None], mean=mixture.mean * turn)
    i, j = np.nonzero(np.isfinite(mixture.log_weight).any(axis=2))
    log_weight, sides = mixture.log_weight[i, j], np.array([1.0, -1.0])[:, None, None]
    (k_x, c_x), (k_y, c_y) = (
        (0.5 / mixture.variance[b, n], np.sqrt(2) * mixture.centre[b, n]) for b, n in ((0, i), (1, j))
    )

    def eta(rows, w, low, high):
        index = np.repeat(rows, w.shape[1])
        k, l = k_x[:, index] / 2, k_y[:, index] / 2
        x, y = w.ravel() - sides * c_x[:, index], w.ravel() + sides * c_y[:, index]  # at v = 0, from the centres
        lines = Lines(log_weight[:, index] - k * x**2 - l * y**2, 2 * (l * y - k * x), k + l)
        return root(lambda at, t: lines.of(at)(t), low.ravel(), high.ravel(), np.ones(w.size, bool)).reshape(w.shape)

    return accuracy_along(eta, mixture.mean, tolerance)


def accuracy_along(eta: Boundary, mean: Float[np.ndarray, "2 W"], tolerance: float) -> Float[np.ndarray, "W 2"]:
    """(common, counter) where + is decided on the side v > eta(w) of a curve with |eta'| <= 1, eta(-w) = -eta(w)."""
    plus, minus = (mean[0] + mean[1]) / np.sqrt(2), (mean[0] - mean[1]) / np.sqrt(2)
    m_v, m_w = np.stack([plus, minus], axis=-1), np.stack([minus, plus], axis=-1)  # (W, 2) by group
    reach = _reach(tolerance)
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


def _reach(tolerance: float) -> float:
    """Number of standard deviations; the mass beyond is less than a quarter of the tolerance."""
    return np.sqrt(2 * np.log(4 / tolerance))


def _between(eta: Boundary, rows: Int[np.ndarray, " A"], w: np.ndarray, on: np.ndarray):
    """Nodes and curve with the midpoints added; |eta'| <= 1 brackets the new roots."""
    step = (w[:, 1:] - w[:, :-1]) / 2
    low = np.maximum(on[:, 1:], on[:, :-1]) - step - ROOT
    high = np.minimum(on[:, 1:], on[:, :-1]) + step + ROOT
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

    return gaussian_average(values, len(rows), 1, tolerance).reshape(len(active), 2)


# Any boundary


class Crossings(NamedTuple):
    """Where g changes its sign along lines, by +2, -2 or (from or to a tie) +-1, and its sign before the first node."""

    line: Int[np.ndarray, " R"]
    point: Float[np.ndarray, " R"]
    change: Float[np.ndarray, " R"]
    first: Float[np.ndarray, " N"]

    def mass(self, mean) -> Float[np.ndarray, " N"]:
        """P(g > 0) + P(g = 0)/2 over t ~ N(mean, 1), one mean per line."""
        above = ndtr(np.broadcast_to(mean, self.first.shape)[self.line] - self.point)
        return (1 + self.first + np.bincount(self.line, self.change * above, len(self.first))) / 2


def crossings(lines: Lines, nodes: Float[np.ndarray, "N c"]) -> Crossings:
    """Every change of sign between sorted nodes, and pairs of them between neighbouring nodes of one sign."""
    value, slope = lines(nodes)
    sign = np.sign(value)
    n, c = np.nonzero(sign[:, 1:] != sign[:, :-1])
    low, high, before, after = nodes[n, c], nodes[n, c + 1], sign[n, c], sign[n, c + 1]
    falls = sign * slope < 0
    m, k = np.nonzero((sign[:, 1:] == sign[:, :-1]) & falls[:, :-1] & ~falls[:, 1:] & (sign[:, 1:] != 0))
    if len(m):
        ends = np.stack([np.stack([x[m, k], x[m, k + 1]]) for x in (nodes, value, slope)])
        dip = _dip(lines.of(m), *ends)
        found = ~np.isnan(dip)
        m, k, dip, side = m[found], k[found], dip[found], sign[m, k][found]
        n = np.concatenate([n, m, m])
        low, high = np.concatenate([low, nodes[m, k], dip]), np.concatenate([high, dip, nodes[m, k + 1]])
        before, after = np.concatenate([before, side, -side]), np.concatenate([after, -side, side])
    crossed = lines.of(n)
    point = root(lambda index, t: crossed.of(index)(t), low, high, after > before)
    return Crossings(n, point, after - before, sign[:, 0])


def _dip(lines: Lines, ends, value, slope) -> Float[np.ndarray, " N"]:
    """Points between two ends of one sign at which g has the other sign; nan where there is none.

    |g| falls from both ends into the interval. The search goes to the point where the tangents meet. It ends at a point
    of the other sign, or if the tangents meet on the same side of 0: where |g| is convex, it lies above them.
    """
    side, active, found = np.sign(value[0]), np.arange(len(lines.curve[0])), np.full(len(lines.curve[0]), np.nan)
    state = np.stack([ends, side * value, side * slope])  # (quantity, end, interval)
    for _ in range(60):
        ends, value, slope = state
        width = ends[1] - ends[0]
        meet = (value[1] - value[0] + slope[0] * ends[0] - slope[1] * ends[1]) / (slope[0] - slope[1])
        open_ = (value[0] + slope[0] * (meet - ends[0]) < 0) & (width > ROOT)
        active, state, width = active[open_], state[..., open_], width[open_]
        if not len(active):
            break
        t = np.clip(meet[open_], state[0, 0] + width / 20, state[0, 1] - width / 20)
        point = np.stack([t, *(side[active] * x for x in lines.of(active)(t))])
        crossed = point[1] < 0
        found[active[crossed]] = t[crossed]
        left = point[2] < 0
        state = np.stack([np.where(left, point, state[:, 0]), np.where(left, state[:, 1], point)], axis=1)
        active, state = active[~crossed], state[..., ~crossed]
    return found


def any_boundary(mixture: PromptMixture, tolerance: float) -> Float[np.ndarray, "W 2"]:
    """(common, counter) where the boundary may have any shape; lines run along the block with more influence."""
    swap = np.abs(mixture.slope()[1]) > np.abs(mixture.slope()[0])
    mixture = mixture.swapped(swap)
    (m_x, m_y), sides = mixture.mean, np.array([1.0, -1.0])[:, None, None]
    nodes = line_nodes(m_x, mixture.centre[0], mixture.variance[0], REACH)

    def values(index, t):
        """By g(-x) = -g(x) the lines y >= 0 are enough: on the line -y the roots are those of y, mirrored."""
        rows, y = np.repeat(index, t.shape[1]), t.ravel()
        masses, count = np.empty((2, len(y))), np.empty(len(y), int)
        each = max(1, CELLS // (8 * nodes.shape[1]))
        for start in range(0, len(y), each):
            part = slice(start, start + each)
            own = mixture.of(rows[part])
            outer = (sides * y[part] - own.centre[1]) ** 2 / (2 * own.variance[1])  # (2, 4, N)
            weights = log_sum(own.log_weight - outer[:, None], axis=2)
            found = crossings(Lines.of_block(weights, own.centre[0], own.variance[0]), nodes[rows[part]])
            masses[:, part] = found.mass(own.mean[0]), 1 - found.mass(-own.mean[0])
            count[part] = np.bincount(found.line, minlength=len(found.first))
        here, mirrored = masses.reshape(2, *t.shape, 1)
        means = m_y[index, None, None] * np.array([1, -1])  # by group
        density, other = (np.exp(-((sign * t[..., None] - means) ** 2) / 2) for sign in (1, -1))
        return (here * density + mirrored * other) / np.sqrt(2 * np.pi), count.reshape(t.shape)

    low, high = np.maximum(m_y - REACH, 0), m_y + REACH
    edges = np.concatenate([np.linspace(low, high, 5), np.clip(np.abs(mixture.centre[1, :2]), low, high)])
    accuracy = average_over_panels(values, np.sort(edges, axis=0).T, 2, tolerance / 32)
    accuracy[swap, 1] = 1 - accuracy[swap, 1]  # the second group was (m_y, -m_x), the mirror image of (-m_y, m_x)
    return accuracy


def line_nodes(mean: Float[np.ndarray, " W"], centre, variance, reach: float) -> Float[np.ndarray, "W c"]:
    """Nodes along a block: evenly spaced across both groups' mass, more near the centres and their mirror images."""
    low, high = np.maximum(np.abs(mean) - reach, 0), np.abs(mean) + reach
    near = np.abs(centre[:2]) + np.sqrt(variance[:2]) * NEAR[:, None, None]
    half = np.concatenate([np.linspace(low, high, ACROSS), np.clip(near, low, high).reshape(-1, len(low))])
    return np.sort(np.concatenate([half, -half]), axis=0).T
