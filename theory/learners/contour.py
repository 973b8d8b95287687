"""Accuracy at a decision boundary of any shape: masked captions, whose decision region has islands
and saddles.

Green's theorem turns the normal mass of a region into an integral along its boundary, region on the
left:
    P(g > 0) = int Phi(x - m_x) phi(y - m_y) dy,   (x, y) ~ N((m_x, m_y), I).
One boundary serves both groups. By g(-x) = -g(x) its half x >= 0 is enough: a boundary piece and
its mirror image both have g > 0 on their left. The integrand is smooth along the boundary. Folds
and vertical tangents give P(g > 0 | x) kinks and square roots, but they do not disturb this
integral.

A grid, whose lines come from the mixture's own centres and deviations, cuts the boundary into one
piece per cell (marching squares; Lorensen and Cline, SIGGRAPH 1987). A piece is a graph over its
chord. Newton steps along the chord's normal find it, from the cubic with the right tangents. It is
cut in two, where the tangents of its ends meet, until two quadratures agree. So cuts lie at
corners, which little view noise hardly rounds.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr

from theory.learners.pmi import Preference
from theory.quadrature import nested_rule

CHUNK = 128  # worlds at a time
SAFETY = 32  # pieces of one boundary add up
MOST = 150  # open pieces of one world; a boundary with more is rounding, and is not followed
EDGE = 2.0**-6  # of a chord: a cut is no nearer to its ends
NEAREST = 2.0**-6  # of a chord: no further from it a boundary is sought first,
FAR = 16.0  # and no further than this in the end, or two branches have been taken for one
# lines on each side of a narrow centre, from its own deviation up to the spacing in geometric steps
GRADES = 4
NODES, WEIGHTS, ROUGH = nested_rule(8)  # along a piece


def contour_accuracy(
    preference: Preference, tolerance: float, spacing: float
) -> tuple[Float[np.ndarray, "W 2"], Bool[np.ndarray, " W"]]:
    """(common, counter) of images that show the label's object, and whether each boundary could be
    followed.

    Near the origin the boundary must cross x = 0, the edge of the grid. Otherwise the blocks are
    exchanged; the counter group, seen as (m_y, -m_x), is then the mirror image of (-m_y, m_x).
    """
    # less than tolerance/4 lies beyond
    W = preference.mean.shape[-1]
    reach = np.sqrt(2 * np.log(4 / tolerance))
    _, slope_x, slope_y = preference(np.zeros(W), np.zeros(W))
    exchanged = np.abs(slope_x) > np.abs(slope_y)
    preference = preference.exchanged(exchanged)
    result = np.empty((W, 2))
    sound = np.empty(W, bool)
    for start in range(0, W, CHUNK):
        rows = np.arange(start, min(start + CHUNK, W))
        part = preference.of(rows)
        x = _lines(part, 0, reach, spacing)
        y = _lines(part, 1, reach, spacing)
        y = np.concatenate([-y[:, ::-1], y], axis=-1)
        positive = part.of(np.s_[:, None, None]).positive(x[:, :, None], y[:, None, :])
        roots, horizontal, vertical = _crossings(part, x, y, positive)
        # (2, W, group)
        means = np.stack([part.mean, part.mean * np.array([[1.0], [-1.0]])], axis=-1)
        first, last = _pieces(part, roots[1], positive, horizontal, vertical)
        result[rows], sound[rows] = _along(part, roots, first, last, means, tolerance)
        result[rows] += _far_side(roots[1], positive, vertical, means[1])
    result[exchanged, 1] = 1 - result[exchanged, 1]
    return result, sound


def _lines(
    preference: Preference, b: int, reach: float, spacing: float
) -> Float[np.ndarray, "W n"]:
    """Sorted grid lines across block b, from 0 or the edge of the group's mass to its other edge.

    If one pattern explains the prompts, the boundary is monotone along both blocks, and even lines
    are enough.
    """
    mean = preference.mean[b]
    low = np.maximum(mean - reach, 0)
    high = mean + reach
    even = np.minimum(
        low[:, None] + spacing * np.arange(int(2 * reach / spacing) + 2), high[:, None]
    )
    if preference.plain.all():
        return even
    lines = [even]
    for state in range(preference.lift.shape[1] - 1):  # silence, the last, has its centres at 0
        deviation = preference.deviation[b, state]
        lift = preference.lift[b, state]
        pull = preference.pull[b, state]
        narrow = deviation < spacing
        ratio = np.where(narrow, spacing / deviation, 1.0)[:, None]
        step = deviation[:, None] * ratio ** (np.arange(GRADES + 1) / GRADES)
        offsets = np.concatenate([-step[:, ::-1], np.zeros((len(mean), 1)), step], axis=-1)
        # centres of the exponentials
        first, second = np.abs(np.stack([lift + pull, lift - pull])) * deviation**2
        # the same lines again
        second = np.where(np.abs(first - second) < deviation / 2, np.inf, second)
        near = np.where(narrow, np.stack([first, second]), np.inf)[..., None] + offsets
        lines += [*np.clip(near, low[:, None], high[:, None])]
    return np.sort(np.concatenate(lines, axis=-1), axis=-1)


def _crossings(
    preference: Preference, x: np.ndarray, y: np.ndarray, positive: Bool[np.ndarray, "W n m"]
):
    """World, point (2, R) and gradient of g (2, R) where the boundary crosses a grid line.

    And the numbers of these roots on the edges between neighbours along x (W, n-1, m) and along y
    (W, n, m-1).
    """
    w, i, j = np.nonzero(positive[:, 1:] != positive[:, :-1])
    v, k, l = np.nonzero(positive[:, :, 1:] != positive[:, :, :-1])
    horizontal = np.full(positive[:, 1:].shape, -1)
    vertical = np.full(positive[:, :, 1:].shape, -1)
    horizontal[w, i, j], vertical[v, k, l] = np.arange(len(w)), len(w) + np.arange(len(v))

    world = np.concatenate([w, v])
    low = np.stack([np.append(x[w, i], x[v, k]), np.append(y[w, j], y[v, l])])
    high = np.stack([np.append(x[w, i + 1], x[v, k]), np.append(y[w, j], y[v, l + 1])])
    rises = np.append(positive[w, i + 1, j], positive[v, k, l + 1])
    point = _bracketed(preference.of(world), np.where(rises, low, high), np.where(rises, high, low))
    _, *gradient = preference.of(world)(*point)
    return (world, point, np.stack(gradient)), horizontal, vertical


def _bracketed(
    preference: Preference, low: Float[np.ndarray, "2 R"], high: Float[np.ndarray, "2 R"]
):
    """Roots between points where g is not positive and points where it is: Newton, halvings outside
    the bracket.
    """
    a = np.zeros(low.shape[1])
    b = np.ones(low.shape[1])
    t = np.full(low.shape[1], 0.5)
    along = high - low
    result = np.empty_like(low)
    active = np.arange(low.shape[1])
    for _ in range(100):
        point = low[:, active] + t * along[:, active]
        g, *gradient = preference(*point)
        a = np.where(g > 0, a, t)
        b = np.where(g > 0, t, b)
        step = t - _ratio(g, (np.stack(gradient) * along[:, active]).sum(axis=0))
        step = np.where((step >= a) & (step <= b), step, (a + b) / 2)
        result[:, active] = low[:, active] + step * along[:, active]
        moving = np.abs((step - t) * along[:, active]).max(axis=0) > 1e-10
        if not moving.any():
            break
        preference = preference.of(moving)
        active = active[moving]
        a = a[moving]
        b = b[moving]
        t = step[moving]
    return result


def _pieces(
    preference: Preference, point: Float[np.ndarray, "2 R"], positive, horizontal, vertical
):
    """Numbers of the roots where every piece starts and ends, g > 0 on its left."""
    corner = np.stack(
        [positive[:, :-1, :-1], positive[:, 1:, :-1], positive[:, 1:, 1:], positive[:, :-1, 1:]]
    )
    cut = (corner != corner[0]).any(axis=0)
    cut[:, :, cut.shape[2] // 2] = False  # between the two groups' mass in y, or empty
    w, i, j = np.nonzero(cut)
    edge = np.stack(
        [horizontal[w, i, j], vertical[w, i + 1, j], horizontal[w, i, j + 1], vertical[w, i, j]]
    )
    corner = corner[:, w, i, j]
    leaves = corner & ~np.roll(corner, -1, axis=0)
    enters = ~corner & np.roll(corner, -1, axis=0)
    at = np.arange(len(w))
    first = leaves.argmax(axis=0)
    last = enters.argmax(axis=0)
    saddle = leaves.sum(axis=0) == 2
    # Of a saddle's two pieces each cuts off one corner: those that differ from the middle.
    middle = _meeting(point[:, edge[:, saddle]])
    turn = np.where(preference.of(w[saddle])(*middle)[0] > 0, 1, -1)
    last[saddle] = (first[saddle] + turn) % 4
    start = [edge[first, at]]
    end = [edge[last, at]]
    start.append(edge[(first[saddle] + 2) % 4, at[saddle]])
    end.append(edge[(last[saddle] + 2) % 4, at[saddle]])
    return np.concatenate(start), np.concatenate(end)


def _meeting(point: Float[np.ndarray, "2 4 S"]) -> Float[np.ndarray, "2 S"]:
    """Where the line from the bottom to the top root meets the line from the left to the right
    one.
    """
    bottom, right, top, left = point.swapaxes(0, 1)
    up = top - bottom
    across = right - left
    gap = left - bottom
    area = up[0] * across[1] - up[1] * across[0]
    return bottom + up * (gap[0] * across[1] - gap[1] * across[0]) / area


def _far_side(
    point: Float[np.ndarray, "2 R"], positive, vertical, mean_y: Float[np.ndarray, "W 2"]
) -> Float[np.ndarray, "W 2"]:
    """Mass of g > 0 over y along the last line in x, where Phi(x - m_x) is 1."""
    amount = np.repeat(positive[:, -1, -1, None], 2, axis=1).astype(float)
    w, j = np.nonzero(vertical[:, -1] >= 0)
    below = ndtr(point[1, vertical[w, -1, j], None] - mean_y[w])
    np.add.at(amount, w, np.where(positive[w, -1, j], 1.0, -1.0)[:, None] * below)
    return amount


def _along(preference: Preference, roots, start, end, means, tolerance: float):
    """Green's integral along the pieces, by world and group; and whether every piece could be
    followed.
    """
    world = roots[0][start]
    # (2 ends, 2, P)
    ends, slopes = (np.stack([each[:, start], each[:, end]]) for each in roots[1:])
    amount = np.zeros(means.shape[1:])
    sound = np.ones(means.shape[1], bool)
    long = np.hypot(*(ends[1] - ends[0])) > 1e-9  # between lines that coincide there is nothing
    world = world[long]
    ends = ends[..., long]
    slopes = slopes[..., long]
    for _ in range(30):
        if not len(world):
            break
        point, good, dy = _follow(preference.of((None, world)), ends, slopes, tolerance / SAFETY)
        values = _green(point, means[:, world]) * dy[..., None]  # (9, P, 2)
        fine = np.einsum("npg,n->pg", values, WEIGHTS)
        rough = np.einsum("npg,n->pg", values, ROUGH)
        done = good & (np.abs(fine - rough).max(axis=-1) < tolerance / SAFETY)
        np.add.at(amount, world[done], fine[done])

        world = world[~done]
        ends = ends[..., ~done]
        slopes = slopes[..., ~done]
        middle, steep, crosses = _cut(preference.of(world), ends, slopes)
        sound[world[~crosses]] = False
        ends = np.stack([np.append(ends[0], middle, 1), np.append(middle, ends[1], 1)])
        slopes = np.stack([np.append(slopes[0], steep, 1), np.append(steep, slopes[1], 1)])
        world = np.append(world, world)
        sound &= np.bincount(world, minlength=len(sound)) <= MOST
        whole = sound[world]
        world = world[whole]
        ends = ends[..., whole]
        slopes = slopes[..., whole]
    sound[world] = False
    return amount, sound


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a/b, which need not be finite: the callers halve or clip instead."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return a / b


def _left_of(chord: np.ndarray) -> np.ndarray:
    """The normal to the left of chords (2, P), as long as they are."""
    return np.stack([-chord[1], chord[0]])


def _corner(
    ends: Float[np.ndarray, "2 2 P"], slopes: Float[np.ndarray, "2 2 P"]
) -> Float[np.ndarray, " P"]:
    """Where along each chord the tangents of its ends meet; 1/2 if not between them."""
    chord = ends[1] - ends[0]
    tilt = _tilt((slopes * chord).sum(axis=1), (slopes * _left_of(chord)).sum(axis=1))
    along = np.nan_to_num(_ratio(tilt[1], tilt[1] - tilt[0]))
    return np.where((along > 0) & (along < 1), np.clip(along, EDGE, 1 - EDGE), 0.5)


def _cut(preference: Preference, ends, slopes):
    """A point of the boundary between the ends of each piece, the gradient there, and whether one
    is near.

    Every line across the chord between its ends must meet the boundary that joins them.
    """
    chord = ends[1] - ends[0]
    base = ends[0] + _corner(ends, slopes) * chord
    g, *gradient = preference(*base)
    # towards the other sign: g > 0 on the left of the boundary
    up = np.where(g > 0, -1.0, 1.0) * _left_of(chord)
    newton = np.abs(_ratio(g, (np.stack(gradient) * up).sum(axis=0)))
    # Twice the Newton step is usually beyond it. A strip of the other sign can be narrow.
    height = np.clip(2 * np.nan_to_num(newton), 1e-9, NEAREST)
    crosses = np.zeros(len(g), bool)
    while True:
        rest = np.flatnonzero(~crosses)
        crosses[rest] = (preference.of(rest)(*(base + height * up)[:, rest])[0] > 0) != (
            g[rest] > 0
        )
        if crosses.all() or height[~crosses].min() == FAR:
            break
        height[~crosses] = np.minimum(2 * height[~crosses], FAR)
    tip = base + height * up
    middle = _bracketed(preference, np.where(g > 0, tip, base), np.where(g > 0, base, tip))
    _, *gradient = preference(*middle)
    return middle, np.stack(gradient), crosses


def _follow(preference: Preference, ends, slopes, tolerance: float):
    """Points of the boundary over NODES of each chord (2, 9, P), success (P,), and dy/ds (9, P)."""
    chord = ends[1] - ends[0]
    normal = _left_of(chord)
    tilt = np.empty((len(NODES), chord.shape[1]))  # slope of the boundary over its chord
    steep = (slopes * normal).sum(axis=1)
    tilt[[0, -1]] = _tilt((slopes * chord).sum(axis=1), steep)
    s = NODES[1:-1, None]
    first, last = np.clip(tilt[[0, -1]], -2, 2)
    height = (first * (1 - s) - last * s) * s * (1 - s)
    line = ends[0][:, None] + NODES[:, None] * chord[:, None]
    across = normal[:, None]
    for _ in range(3):
        inner = line[:, 1:-1] + height * across
        g, along_x, along_y = preference(*inner)
        gradient = np.stack([along_x, along_y])
        rise = (gradient * across).sum(axis=0)
        step = np.clip(np.nan_to_num(_ratio(g, rise)), -1, 1)
        height = height - step
    size = np.hypot(*chord)
    good = ((np.abs(step) * size < 1e-7) & (rise > 0)).all(axis=0) & (steep > 0).all(axis=0)
    tilt[1:-1] = _tilt((gradient * chord[:, None]).sum(axis=0), rise)
    # The heights at both ends are 0, so the slopes must average to 0, or the piece leapt from one
    # branch to another.
    good &= np.abs(WEIGHTS @ tilt) * size < tolerance
    # around a short chord there is next to nothing: it may cut off a corner
    flat = size**2 / (2 * np.pi) < tolerance
    tilt[:, flat] = 0.0
    point = line.copy()
    point[:, 1:-1] = np.where(flat, point[:, 1:-1], inner)
    return point, good | flat, chord[1] + tilt * normal[1]


def _tilt(along: np.ndarray, rise: np.ndarray) -> np.ndarray:
    """Slope of the boundary over its chord, from the components of the gradient along the chord and
    its normal.
    """
    return np.clip(np.nan_to_num(_ratio(-along, rise)), -1e3, 1e3)


def _green(
    point: Float[np.ndarray, "2 n P"], means: Float[np.ndarray, "2 P G"]
) -> Float[np.ndarray, "n P G"]:
    """Phi(x - m_x) phi(y - m_y), at the point and at its mirror image."""
    total = 0.0
    for sign in (1, -1):
        x, y = sign * point[..., None] - means[:, None]
        total = total + ndtr(x) * np.exp(-(y**2) / 2)
    return total / np.sqrt(2 * np.pi)
