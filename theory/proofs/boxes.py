"""Branch and bound over the unit cube: at every point, is one alternative of an obligation true?

The proof is a tree of boxes whose root is the cube. A box is settled by an alternative that holds
on it, or by its halves. f is within its limit if an upper bound of outward-rounded intervals
(`theory.proofs.intervals`) is:
    plain           f(box)
    first order     f(c) + sum_i f_i(box) (box_i - c_i), with c where the sum is least (Baumann)
    second order    f(c) + sum_i |f_i(c)| r_i + 1/2 sum_ij |f_ij(box)| r_i r_j, with the middle c
                    and the radii r
The second order takes several times longer per box, so it is used where many boxes are not enough.
A box is halved along the axis on which |f_i(box)| r_i is largest. Boxes with the largest bounds
come first, so that a thin region in which f exceeds its limit is reached early.
"""

from collections.abc import Callable
from functools import reduce
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from theory.proofs.certificate import HALVES, SECOND
from theory.proofs.expression import Expression, evaluate, gradient, in_order
from theory.proofs.intervals import FUNCTIONS, RULES, Enclosure, constant, down, up
from theory.proofs.obligations import Inequality, Obligation

BLOCK = 4096  # boxes at a time: their intervals fit into the second-level cache
FIRST = 10_000  # boxes bounded to first order, before the second order is tried
# operations of a formula with all second derivatives; longer ones are bounded to first order
LONGEST = 2000
SPARE = 1e-6  # share of the slack that is left for the checker, whose balls are a little wider


class Open(NamedTuple):
    """Boxes that are not settled."""

    node: np.ndarray  # (N,) place in the tree
    low: np.ndarray  # (d, N)
    high: np.ndarray  # (d, N)
    volume: np.ndarray  # (N,) share of the cube, to rounding
    bound: np.ndarray  # (N,) upper bound of the last f on a box around it

    def at(self, rows) -> "Open":
        return Open(*(part[..., rows] for part in self))


class Cover(NamedTuple):
    """The tree in the order of its levels, None if boxes are open; the open boxes; how many were
    bounded; what `refute` found."""

    tree: np.ndarray | None
    open: Open
    bounded: int
    refuted: Any


def cover(
    obligation: Obligation, budget: int, seconds: float, refute: Callable[[np.ndarray], Any]
) -> Cover:
    """A tree of boxes that shows the obligation.

    `refute` is called now and then with a point where the last f exceeds its limit; what it finds
    ends the search.
    """
    deadline, names = perf_counter() + seconds, obligation.coordinates
    bounds = [_Bound(each, names) for each in obligation.alternatives]
    # exp, log, Phi and its density take a thousand times longer than other operations.
    slow = sum(n.op in FUNCTIONS for bound in bounds for n in in_order(bound.formulas))
    most = max(1, BLOCK // max(1, slow))
    cube = np.zeros((len(names), 1)), np.ones((len(names), 1))
    left, stuck = Open(np.zeros(1, int), *cube, np.ones(1), np.full(1, np.inf)), []
    count, bounded, rounds, refuted = 1, 0, 0, None
    settled: list[tuple[np.ndarray, ...]] = []  # (node, code, first child)
    while left.node.size and bounded < budget and perf_counter() < deadline:
        order = np.argsort(-left.bound, kind="stable")
        block, left = left.at(order[:most]), left.at(order[most:])
        size, rounds = block.node.size, rounds + 1
        bounded += size
        code = np.full(size, -1)
        for number, bound in enumerate(bounds):
            second = bounded > FIRST and bound.has_second
            result = bound(block.low, block.high, second)
            code[(code < 0) & (result.high <= bound.limit)] = number + SECOND * second
        worst = int(np.argmax(np.nan_to_num(result.value, nan=-np.inf)))
        if rounds & (rounds - 1) == 0 and result.value[worst] > bound.limit:
            refuted = refute(result.centre[:, worst])
            if refuted is not None:
                left = _joined([left, block])
                break
        # A constant has one box, which cannot be halved.
        low, high = (
            x[result.axis, np.arange(size)] if names else np.zeros(size)
            for x in (block.low, block.high)
        )
        cut = (low + high) / 2
        halved = (code < 0) & (cut > low) & (cut < high)
        code[halved] = HALVES + result.axis[halved]
        first = count + 2 * (np.cumsum(halved) - halved)
        count += 2 * int(halved.sum())
        settled.append((block.node[code >= 0], code[code >= 0], first[code >= 0]))
        stuck.append(block.at(code < 0))
        block = block._replace(
            node=first, volume=block.volume / 2, bound=np.minimum(result.high, block.bound)
        )
        lower, upper = block.at(halved), block._replace(node=first + 1).at(halved)
        at = (result.axis[halved], np.arange(lower.node.size))
        lower.high[at] = upper.low[at] = cut[halved]
        left = _joined([left, lower, upper])
    left = _joined([left, *stuck])
    tree = (
        None
        if left.node.size
        else _by_level(count, *map(np.concatenate, zip(*settled, strict=True)))
    )
    return Cover(tree, left, bounded, refuted)


def _joined(parts: list[Open]) -> Open:
    return Open(*(np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)))


def _by_level(size: int, node: np.ndarray, code: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Codes in the order in which the checker reads them: level by level, lower halves before upper
    halves.
    """
    codes, children = np.empty(size, np.uint8), np.empty(size, int)
    codes[node], children[node] = code, first
    level, levels = np.zeros(1, int), []
    while level.size:
        levels.append(codes[level])
        halved = children[level[codes[level] >= HALVES]]
        level = np.concatenate([halved, halved + 1])
    return np.concatenate(levels)


class Found(NamedTuple):
    """Of one f on each box: an upper bound, a lower bound of its value at a point, that point, the
    axis to halve.
    """

    high: np.ndarray
    value: np.ndarray
    centre: np.ndarray  # (d, N)
    axis: np.ndarray


class _Bound:
    """Upper bounds of one f over blocks of boxes."""

    def __init__(self, inequality: Inequality, names: list[str]):
        f, self.names = inequality.left_side(gradient), names
        limit = constant(inequality.limit).low
        self.limit = float(down(limit) if inequality.strict else limit)
        self.formulas = [f, *gradient(f, names)]
        self.pairs = [(i, j) for i in range(len(names)) for j in range(i + 1)]
        self.second = [
            h for i, slope in enumerate(self.formulas[1:]) for h in gradient(slope, names[: i + 1])
        ]
        self.has_second = len(in_order([*self.formulas, *self.second])) <= LONGEST

    def __call__(self, low: np.ndarray, high: np.ndarray, second: bool) -> Found:
        d = len(self.names)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore", under="ignore"):
            whole, *rest = self._over([*self.formulas, *(self.second if second else [])], low, high)
            slope = Enclosure(
                *(np.reshape([s[end] for s in rest[:d]], low.shape) for end in (0, 1))
            )
            centre = (low + high) / 2 if second else _centre(slope, low, high)
            # Differences of dyadics are exact or rounded up, and so are all results from them.
            ahead, behind = up(high - centre), up(centre - low)
            there, *slopes = self._over(self.formulas[: d + 1 if second else 1], centre, centre)
            if second:
                r = np.maximum(ahead, behind)
                parts = [up(_size(exact) * radius) for exact, radius in zip(slopes, r, strict=True)]
                for (i, j), h in zip(self.pairs, rest[d:], strict=True):
                    parts.append(
                        up(up((np.maximum(h.high, 0.0) / 2 if i == j else _size(h)) * r[i]) * r[j])
                    )
            else:
                parts = [
                    np.maximum(up(gain), 0.0)
                    for gain in np.maximum(slope.high * ahead, -slope.low * behind)
                ]
            reach = reduce(lambda total, part: up(total + part), parts, there.high)
            # Where nothing is known of f itself, its slopes bound nothing: it may have no value.
            bound = np.minimum(whole.high, np.where(np.isnan(reach), np.inf, reach))
            bound = np.where(bound < self.limit, bound + SPARE * (self.limit - bound), bound)
            weight = _size(slope) * (high - low)
        axis = (
            np.where(np.isfinite(weight), weight, 1e300).argmax(axis=0)
            if d
            else np.zeros(low.shape[1], int)
        )
        return Found(np.where(np.isnan(bound), np.inf, bound), there.low, centre, axis)

    def _over(
        self, outputs: list[Expression], low: np.ndarray, high: np.ndarray
    ) -> list[Enclosure]:
        ends = map(Enclosure, low, high)
        values = evaluate(outputs, RULES, dict(zip(self.names, ends, strict=True)))
        shape = low.shape[1:]
        return [
            Enclosure(np.broadcast_to(r.low, shape), np.broadcast_to(r.high, shape)) for r in values
        ]


def _size(x: Enclosure) -> np.ndarray:
    """The largest |x|."""
    return np.maximum(-x.low, x.high)


def _centre(slope: Enclosure, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The point from which f gains least on the way to either end (Baumann): the worst end itself
    where f is monotone.

    Any point of [low, high] would do; this one need not be exact.
    """
    rise, fall = np.maximum(slope.high, 0.0), np.maximum(-slope.low, 0.0)
    share = rise / (rise + fall)
    return np.clip(low + np.where(np.isfinite(share), share, 0.5) * (high - low), low, high)
