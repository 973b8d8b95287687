"""A second route to the InfoNCE optimum: sign changes of the preference along one block, averaged over the other.

It shares densities with `theory.learners.contour`, and nothing else.
"""

from functools import partial
from itertools import product

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.prompts import Prompt
from simulator.world import World
from theory.density import Parts, distinct_together, prompt_parts
from theory.learners.linear import LinearCLIP
from theory.quadrature import RANGE, gaussian_average

CELLS = 2**21  # numbers held in one array at a time, 16 MB; smaller chunks lose more to overhead than cache gains
GRID = np.linspace(-RANGE, RANGE, 49)  # where sign changes are sought, in standard deviations,
# and, in those of an image given a caption, around where it would lie: a mask's islands are no wider than these.
NEAR = np.array([-16, -8, -5, -3, -2, -1.4, -1, -0.6, -0.3, 0, 0.3, 0.6, 1, 1.4, 2, 3, 5, 8, 16])

PANELS = 400  # per world, four seconds
STEP = 1e-6  # standard deviations, of differences that stand for slopes


def searched_accuracy(worlds: World, prompt: Prompt, tolerance: float) -> Float[np.ndarray, "W 2"]:
    """(common, counter) of images that show the label's object: panels over one block, the other one exact.

    The exact block is the one with more weight in linear CLIP, so that the outer integrand is no step.
    """
    q = worlds.prompt(prompt)
    S = worlds.image_variance
    influence = np.abs(LinearCLIP(prompt).direction(worlds)) * np.sqrt(S)
    accuracy = np.empty((len(q), 2))
    for inner, outer, part in ((0, 1, influence[:, 0] >= influence[:, 1]), (1, 0, influence[:, 0] < influence[:, 1])):
        chosen = np.flatnonzero(part)

        def values(rows, t, inner=inner, outer=outer):
            result = np.empty((*t.shape, 2))
            per_chunk = max(1, CELLS // (4 * t.shape[1] * (len(GRID) + 4 * len(NEAR))))
            for start, (group, sign) in product(range(0, len(rows), per_chunk), enumerate((1, -1))):
                part = slice(start, start + per_chunk)
                some, own = worlds[rows[part]], q[rows[part]]
                means = some.mean * np.array([1, sign])  # the group y = +1, a = sign
                x = means[:, outer, None] + np.sqrt(S[rows[part], outer, None]) * t[part]
                rest = prompt_terms(x, some[np.s_[:, None]], np.broadcast_to(own[:, outer, None], x.shape), outer)
                result[part, :, group] = line_accuracy(some, own[:, inner], inner, means[:, inner], rest)
            return result

        accuracy[chosen] = gaussian_average(values, chosen, 2, tolerance, budget=PANELS)
    return accuracy


def prompt_terms(x: Float[np.ndarray, "*s"], worlds: World, q: Float[np.ndarray, "*s"], b: int) -> Parts:
    """Parts (*s, 2, 2) of block b, by prompt (+, -) and class (+1, -1)."""
    text = np.stack([q, -q], axis=-1)[..., None]
    return prompt_parts(x[..., None, None], text, worlds[np.s_[..., None]], b, q[..., None] != 0)


def _preference(first: Parts, second: Parts) -> Float[np.ndarray, "..."]:
    """Positive where log p(x_I, p_+) > log p(x_I, p_-): the difference of the two prompts' distinct parts."""
    distinct = distinct_together(first, second)
    joint = np.logaddexp(distinct[..., 0], distinct[..., 1])
    # Prompts that say the same, or captions that say nothing, leave no part that differs, -inf - (-inf): a tie.
    with np.errstate(invalid="ignore"):
        gap = np.asarray(joint[..., 0] - joint[..., 1])
    gap[np.isnan(gap)] = 0.0
    return gap


def line_accuracy(
    worlds: World, q: Float[np.ndarray, " W"], b: int, centre: Float[np.ndarray, " W"], rest: Parts
) -> Float[np.ndarray, "W n"]:
    """P(preference > 0) + P(preference = 0)/2 over x_b ~ N(centre, S_b), exactly, given the other blocks.

    The set where the preference is positive is found by its sign changes, each refined to 1e-9 standard deviations.
    Normally there is one. With caption masks there can be several, near the images that captions predict; the search
    has more nodes there, and also looks for two sign changes between neighbouring nodes.
    """
    scale = np.sqrt(worlds.image_variance[:, b])
    nodes = _nodes(worlds, q, b, centre, scale, islands=bool(np.isfinite(rest.distinct).any()))

    def preference(w, n, part, t):  # at x_b = centre + scale t, in the worlds w[part] and at the outer nodes n[part]
        at = w[part]
        inner = prompt_terms(centre[at] + scale[at] * t, worlds[at], q[at], b)
        return _preference(inner, Parts(*(each[at, n[part]] for each in rest)))

    def on(nodes):
        mesh = centre[:, None] + scale[:, None] * nodes
        inner = prompt_terms(mesh, worlds[np.s_[:, None]], np.broadcast_to(q[:, None], mesh.shape), b)
        return _preference(Parts(*(f[:, None] for f in inner)), Parts(*(f[:, :, None] for f in rest)))  # (W, n, c)

    values = on(nodes)
    signs = np.sign(values)
    accuracy = (1 + signs[..., 0]) / 2
    w, n, c = np.nonzero(signs[..., 1:] != signs[..., :-1])
    low, high, at_low, at_high = nodes[w, c], nodes[w, c + 1], values[w, n, c], values[w, n, c + 1]
    if nodes.shape[1] > len(GRID):  # several changes of sign are possible, two of them between neighbours
        (v, m, k), between, there = _between(preference, nodes, values, on(nodes + STEP) - values)
        w, n = np.concatenate([w, v, v]), np.concatenate([n, m, m])
        low, high = np.concatenate([low, nodes[v, k], between]), np.concatenate([high, between, nodes[v, k + 1]])
        at_low = np.concatenate([at_low, values[v, m, k], there])
        at_high = np.concatenate([at_high, there, values[v, m, k + 1]])

    root = roots(partial(preference, w, n), low, high)
    np.add.at(accuracy, (w, n), (np.sign(at_high) - np.sign(at_low)) / 2 * ndtr(-root))
    return accuracy


def _between(preference, nodes: Float[np.ndarray, "W c"], values, rises: Float[np.ndarray, "W n c"]):
    """Cells (w, n, c) without a change of sign from node to node but with two within, a point between these, and the
    preference there.

    Where |preference| falls from both ends into a cell, the search for its least value goes to the point where the two
    tangents meet. The search ends there if the value is the least, or if the tangents meet on the values' side of 0:
    a convex function lies above its tangents, so it has no root.
    """
    sign, slope = np.sign(values), rises / STEP
    same = (sign[..., 1:] == sign[..., :-1]) & (sign[..., 1:] != 0)
    w, n, c = np.nonzero(same & (sign[..., :-1] * slope[..., :-1] < 0) & (sign[..., 1:] * slope[..., 1:] > 0))
    side, active, found = sign[w, n, c], np.arange(len(w)), np.full(len(w), np.nan)
    there = np.empty(len(w))
    ends = np.stack([nodes[w, c], nodes[w, c + 1]])
    value = side * np.stack([values[w, n, c], values[w, n, c + 1]])
    slope = side * np.stack([slope[w, n, c], slope[w, n, c + 1]])
    for _ in range(60):
        meet = (value[1] - value[0] + slope[0] * ends[0] - slope[1] * ends[1]) / (slope[0] - slope[1])
        width = ends[1] - ends[0]
        open_ = (value[0] + slope[0] * (meet - ends[0]) < 0) & (width > 1e-9)
        active, ends, value, slope = active[open_], ends[:, open_], value[:, open_], slope[:, open_]
        if not len(active):
            break
        margin = 0.05 * width[open_]
        t = np.clip(meet[open_], ends[0] + margin, ends[1] - margin)
        at = partial(preference, w, n, active)
        g = side[active] * at(t)
        rise = (side[active] * at(t + STEP) - g) / STEP
        crossed = g < 0
        found[active[crossed]], there[active[crossed]] = t[crossed], (side[active] * g)[crossed]
        left = rise < 0
        for array, new in ((ends, t), (value, g), (slope, rise)):
            array[0], array[1] = np.where(left, new, array[0]), np.where(left, array[1], new)
        active, ends, value, slope = active[~crossed], ends[:, ~crossed], value[:, ~crossed], slope[:, ~crossed]
    crossed = ~np.isnan(found)
    return (w[crossed], n[crossed], c[crossed]), found[crossed], there[crossed]


def _nodes(worlds: World, q, b: int, centre, scale, islands: bool) -> Float[np.ndarray, "W c"]:
    """Where sign changes are sought, in standard deviations from `centre`: GRID and, with masks, NEAR each prompt.

    Let a caption show r times the block of class a, and let t be the caption divided by r. Given t and a, x_b has mean
    a mu + h (t - a mu) and variance n_I + h n_T, h = v/(v + n_T): v is the variance that both views share, n_I and n_T
    what each has alone. This can be far narrower than GRID's step. Where no other block tells the prompts apart the
    preference rises (or falls) all along this one, and there are no `islands`.
    """
    grid = np.broadcast_to(GRID, (len(q), len(GRID)))
    if not islands or worlds.caption_kinds.always_told.all():
        return grid
    mu, lines = worlds.mean[:, b], [grid]
    for r in (kind.multiple for kind in worlds.caption_kinds.every if kind.multiple):
        v, n_I, n_T = (each[:, b] for each in worlds.variances(r))
        h = np.divide(v, v + n_T, out=np.zeros_like(v), where=v > 0)
        deviation = np.sqrt(n_I + h * n_T)
        mean = np.stack([a * mu + h * (t - a * mu) for a in (1, -1) for t in (q / r, -q / r)], axis=-1)
        near = mean[:, :, None] + deviation[:, None, None] * NEAR
        lines.append(np.clip((near.reshape(len(q), -1) - centre[:, None]) / scale[:, None], -RANGE, RANGE))
    return np.sort(np.concatenate(lines, axis=-1), axis=-1)


def roots(function, low: Float[np.ndarray, " R"], high: Float[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
    """A root of function(numbers of brackets, points) in every bracket, to 1e-9."""
    from scipy.optimize.elementwise import find_root  # start-up time

    numbers = np.arange(len(low), dtype=float)
    return find_root(
        lambda t, n: function(n.astype(int), t), (low, high), args=(numbers,), tolerances={"xatol": 1e-9}
    ).x
