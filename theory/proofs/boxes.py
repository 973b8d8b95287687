"""Branch and bound over the unit cube: is f at most its limit everywhere?

A box is bounded by the least of two upper bounds, both of outward-rounded intervals (`theory.proofs.intervals`):
    plain         f(box)
    mean value    f(c) + sum_i grad_i f(box) (box_i - c_i), with c where the sum is least (Baumann): the worst end
                  along an axis on which f rises, or falls, throughout the box
A box whose bound is too large is halved along the axis on which |grad_i f| times the width is largest. Boxes are given
by whole numbers: along axis i from k_i 2^-l_i to (k_i + 1) 2^-l_i. So halves meet exactly, and ends are exact in
float64 for l_i <= 50. Open boxes are a stack of blocks: memory stays small while thousands are bounded at once.
"""

from time import perf_counter
from typing import NamedTuple

import numpy as np

from theory.proofs.expression import Expression, evaluate, gradient, in_order
from theory.proofs.intervals import FUNCTIONS, RULES, Interval, constant, down, up
from theory.proofs.obligations import Inequality, Obligation

DEEPEST = 50  # halvings of one axis
MOST_HALVINGS = 128  # of a box, so that its path fits into two words
BLOCK = 4096  # boxes at a time: their intervals fit into the second-level cache
STATED = 0.9  # share of the slack that the stated bound of a box uses


class Boxes(NamedTuple):
    """Boxes, each with the alternative that holds on it and a bound of its f; an open box has neither."""

    level: np.ndarray  # (N, d) uint8
    index: np.ndarray  # (N, d) uint64
    alternative: np.ndarray  # (N,) uint8
    bound: np.ndarray  # (N,) float64, inf where none is known
    path: np.ndarray  # (N, 2) uint64: which half was taken at each halving, the first in the highest bit

    @property
    def size(self) -> int:
        return len(self.bound)

    @property
    def volume(self) -> float:
        """Share of the cube, to rounding."""
        return float(np.exp2(-self.level.sum(axis=1, dtype=float)).sum())

    def at(self, rows) -> "Boxes":
        return Boxes(*(part[rows] for part in self))

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """(low, high), (d, N) each, exact."""
        step = np.exp2(-self.level.T.astype(float))
        return self.index.T * step, (self.index.T + np.uint64(1)) * step

    def halves(self, axis: np.ndarray) -> "Boxes":
        """Both halves of each box along its axis, one beside the other."""
        rows = np.repeat(np.arange(self.size), 2)
        level, index, path = self.level[rows], self.index[rows], self.path[rows]
        depth = level.sum(axis=1, dtype=np.uint64)
        side = np.tile(np.array([0, 1], np.uint64), self.size)
        path[np.arange(len(rows)), depth // np.uint64(64)] |= side << (np.uint64(63) - depth % np.uint64(64))
        at = (np.arange(len(rows)), axis[rows])
        level[at] += 1
        index[at] = 2 * index[at] + side
        return Boxes(level, index, self.alternative[rows], self.bound[rows], path)


def _cube(dimension: int) -> Boxes:
    """The whole unit cube as one box."""
    whole = np.zeros((1, dimension), np.uint64)
    return Boxes(whole.astype(np.uint8), whole, np.zeros(1, np.uint8), np.full(1, np.inf), np.zeros((1, 2), np.uint64))


def _joined(parts: list[Boxes], dimension: int) -> Boxes:
    return Boxes(*map(np.concatenate, zip(_cube(dimension).at(slice(0)), *parts, strict=True)))


class Cover(NamedTuple):
    """The result of branch and bound: closed boxes in the order of the tree, open boxes, how many were bounded."""

    done: Boxes
    open: Boxes
    bounded: int


def cover(obligation: Obligation, *, budget: int = 2_000_000, seconds: float = 60.0) -> Cover:
    """Boxes that cover the cube. On each box one alternative stays within its limit."""
    deadline, names = perf_counter() + seconds, obligation.coordinates
    bounds = [_Bound(each, names) for each in obligation.alternatives]
    # exp, log, Phi and its density take a thousand times longer than other operations.
    slow = sum(n.op in FUNCTIONS for bound in bounds for n in in_order([bound.f, *bound.slopes]))
    most = max(1, BLOCK // max(1, slow))
    stack, done, given_up = [_cube(len(names))], [], []
    bounded = 0
    while stack and bounded < budget and perf_counter() < deadline:
        block = stack.pop()
        if block.size > most:
            stack.append(block.at(slice(most, None)))
            block = block.at(slice(most))
        bounded += block.size
        closed, axis = np.zeros(block.size, bool), np.zeros(block.size, int)
        for number, bound in enumerate(bounds):
            high, weight = bound(block)
            new = ~closed & (high <= bound.limit)
            # A share of the slack is left for the checker, whose balls are a little wider.
            stated = np.maximum(high[new], high[new] + STATED * (bound.limit - high[new]))
            block.bound[new] = np.minimum(bound.limit, stated)
            block.alternative[new] = number
            if number == 0:
                axis = weight
            closed |= new
        done.append(block.at(closed))
        left, axis = block.at(~closed), axis[~closed]
        stuck = np.ones(left.size, bool)
        if names:
            deepest = left.level[np.arange(left.size), axis] >= DEEPEST
            stuck = deepest | (left.level.sum(axis=1, dtype=int) >= MOST_HALVINGS)
        given_up.append(left.at(stuck))
        if not stuck.all():
            stack.append(left.at(~stuck).halves(axis[~stuck]))
    boxes = _joined(done, len(names))
    # In the order of the tree halves of one box are neighbours and can be joined again.
    in_order_of_tree = np.lexsort((boxes.path[:, 1], boxes.path[:, 0]))
    return Cover(boxes.at(in_order_of_tree), _joined(given_up + stack, len(names)), bounded)


class _Bound:
    """Upper bounds of one f over blocks of boxes."""

    def __init__(self, inequality: Inequality, names: list[str]):
        self.f, self.names = inequality.left_side(gradient), names
        limit = constant(inequality.limit).low
        self.limit = float(down(limit) if inequality.strict else limit)
        self.slopes = gradient(self.f, names)

    def __call__(self, block: Boxes) -> tuple[np.ndarray, np.ndarray]:
        """(upper bound of f, axis to halve) of each box."""
        low, high = block.ends()
        with np.errstate(invalid="ignore", over="ignore", divide="ignore", under="ignore"):
            whole, *slopes = self._over([self.f, *self.slopes], low, high)
            centre = np.array([_centre(*ends) for ends in zip(slopes, low, high, strict=True)]).reshape(low.shape)
            (there,) = self._over([self.f], centre, centre)
            reach, weight = there.high, np.empty(low.shape)
            for i, slope in enumerate(slopes):
                # Differences of these dyadics are exact or rounded up, and so are all results from them.
                gain = np.maximum(slope.high * up(high[i] - centre[i]), -slope.low * up(centre[i] - low[i]))
                reach = up(reach + np.maximum(up(gain), 0.0))
                weight[i] = np.maximum(-slope.low, slope.high) * (high[i] - low[i])
            weight = np.where(np.isfinite(weight), weight, 1e300)
        axis = weight.argmax(axis=0) if self.names else np.zeros(block.size, int)
        # Where nothing is known of f itself, its slopes bound nothing: it may have no value.
        return np.minimum(whole.high, np.where(np.isnan(reach), np.inf, reach)), axis

    def _over(self, outputs: list[Expression], low: np.ndarray, high: np.ndarray) -> list[Interval]:
        ends = map(Interval, low, high)
        found = evaluate(outputs, RULES, dict(zip(self.names, ends, strict=True)))
        shape = low.shape[1:]
        return [Interval(np.broadcast_to(r.low, shape), np.broadcast_to(r.high, shape)) for r in found]


def _centre(slope: Interval, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The point from which f gains least on the way to either end (Baumann): the worst end itself where f is monotone.

    Any point of [low, high] would do; this one need not be exact.
    """
    rise, fall = np.maximum(slope.high, 0.0), np.maximum(-slope.low, 0.0)
    share = rise / (rise + fall)
    return np.clip(low + np.where(np.isfinite(share), share, 0.5) * (high - low), low, high)
