"""Accuracy of any rule on two classes and one background, from its score gap f(x_inv, x_spu) = s_+
- s_-.

The rule decides + where f > 0; a tie counts 1/2. In standard deviations, the images of a group are
N(m, I). The plane is turned by 45 degrees, such that f rises along u at the origin:
    x = m_x +- (u + w)/sqrt 2,   y = m_y +- (u - w)/sqrt 2,   u, w independent N(0, 1).
On a line of constant w the region of + ends where f changes its sign. Phi at the sign changes is
the exact average over u, with islands and steps. Adaptive panels average over w. A line that
touches the boundary gives the integrand a square root, and panels are halved there. A region
narrower than the nodes of a line can be missed.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr

from simulator.accuracy import objects_averaged
from simulator.gaussian.critic import standardise
from simulator.world import World
from theory.quadrature import gaussian_average

REACH = 6.5  # standard deviations of a group; 8e-11 lie beyond
LINE = np.linspace(-REACH, REACH, 27)  # where signs are compared
DEPTH, FINER = 3, 4  # rounds of a search for a pair of sign changes, and parts of a cell in each

# of coordinates in standard deviations of an image in its group
Gap = Callable[[np.ndarray, np.ndarray], np.ndarray]


def gap_accuracy(gap: Gap, world: World) -> Float[np.ndarray, "groups=2"]:
    """(common, counter) under the test law of a rule in one world, from its score gap, which need
    not be odd.

    The error is 1e-6 if LINE resolves the boundary. Raises ArithmeticError if the boundary is so
    jagged that the average over w does not settle.
    """
    mean = standardise(world.mean, np.sqrt(world.image_variance))
    # of both blocks in the four groups; + is right in the first two
    signs = np.array([[1, 1, -1, -1], [1, -1, -1, 1]])
    plus = plane_shares(gap, mean[:, None] * signs)
    return objects_averaged(
        np.array([plus[0] + 1 - plus[2], plus[1] + 1 - plus[3]]) / 2, world.p_inv
    )


def plane_shares(gap: Gap, centre: Float[np.ndarray, "2 R"]) -> Float[np.ndarray, " R"]:
    """P(f > 0) + P(f = 0)/2 for (x, y) ~ N(centre, I) at every centre, f the gap."""
    slope = np.array([gap(*e) - gap(*-e) for e in 1e-3 * np.eye(2)[..., None]])[:, 0]
    turn = np.where(slope < 0, -1.0, 1.0) / np.sqrt(2)

    def shares(row: Int[np.ndarray, " P"], w: Float[np.ndarray, "P n"]) -> Float[np.ndarray, "P n"]:
        own = np.repeat(row, w.shape[1])
        along = w.ravel()

        def on_lines(k: np.ndarray, u: np.ndarray) -> np.ndarray:
            x, y = (centre[b, own[k]] + turn[b] * (u + s * along[k]) for b, s in ((0, 1), (1, -1)))
            return gap(x, y)

        return line_shares(on_lines, np.broadcast_to(LINE, (len(own), len(LINE)))).reshape(w.shape)

    return gaussian_average(shares, centre.shape[1])


def line_shares(f, nodes: Float[np.ndarray, "R m"]) -> Float[np.ndarray, " R"]:
    """P(f > 0) + P(f = 0)/2 over u ~ N(0, 1) on every line, for f(numbers of lines, u).

    It is (P(f > 0) + P(f >= 0))/2: where f is 0, a region may end on both sides.
    """
    values = f(np.arange(len(nodes))[:, None], nodes)
    sign = np.sign(values)
    n, c = np.nonzero(sign[:, 1:] != sign[:, :-1])
    ends = [
        (n, nodes[n, c], nodes[n, c + 1], sign[n, c], sign[n, c + 1]),
        *_pairs(f, nodes, values),
    ]
    n, low, high, before, after = (np.concatenate(each) for each in zip(*ends, strict=True))
    root = roots(lambda k, u: f(n[k], u), low, high)
    tie = (before * after == 0) | (f(n, root) == 0)
    total = (1 + sign[:, 0]) / 2 + np.bincount(
        n[~tie], ((after - before) / 2 * ndtr(-root))[~tie], len(nodes)
    )
    for t in (1.0, -1.0):  # ties as one side and as the other
        first = np.where(before == 0, t, before)
        last = np.where(after == 0, t, after)
        k = np.flatnonzero(tie & (first != last))

        def untied(j, u, k=k, t=t):
            value = f(n[k[j]], u)
            return np.where(value == 0, t, value)

        edge = roots(untied, low[k], high[k])
        total += np.bincount(n[k], (last - first)[k] / 4 * ndtr(-edge), len(nodes))
    return total


def _pairs(f, nodes: np.ndarray, values: np.ndarray):
    """Brackets of pairs of sign changes between nodes of one sign: |f| is sampled ever more finely
    where it dips.
    """
    size = np.abs(values)
    sign = np.sign(values)
    before, here, after = (slice(k, k + nodes.shape[1] - 2) for k in range(3))
    # of two equal nodes the second
    dips = (size[:, here] <= size[:, before]) & (size[:, here] < size[:, after])
    # more than rounding errors
    dips &= np.maximum(size[:, before], size[:, after]) > 1.01 * size[:, here]
    n, c = np.nonzero(dips & (sign[:, before] == sign[:, here]) & (sign[:, after] == sign[:, here]))
    side = sign[n, c + 1]
    dip = np.arange(len(n))
    x = nodes[n, np.add.outer(range(3), c)]
    low, high = x[0], x[2]
    for _ in range(DEPTH):
        x = np.concatenate(
            [np.linspace(x[0], x[1], FINER + 1)[:-1], np.linspace(x[1], x[2], FINER + 1)]
        )
        k = np.clip((side * f(n[None], x)).argmin(axis=0), 1, len(x) - 2)
        x = x[np.add.outer((-1, 0, 1), k), dip]
    there = f(n, x[1])
    crossed = side * there < 0
    n, there, middle, low, high = (each[crossed] for each in (n, there, x[1], low, high))
    side = np.sign(there)
    return (n, low, middle, -side, side), (n, middle, high, side, -side)


def roots(
    function, low: Float[np.ndarray, " R"], high: Float[np.ndarray, " R"]
) -> Float[np.ndarray, " R"]:
    """A root of function(numbers of brackets, points) in every bracket, to 1e-9."""
    from scipy.optimize.elementwise import find_root  # start-up time

    numbers = np.arange(len(low), dtype=float)
    return find_root(
        lambda t, n: function(n.astype(int), t),
        (low, high),
        args=(numbers,),
        tolerances={"xatol": 1e-9},
    ).x
