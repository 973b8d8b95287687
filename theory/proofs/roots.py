"""All roots of a formula along one axis, each enclosed; what lies between them proved free of roots.

f is looked at along [low, high] at many values of its other variables, a line each, all lines at once, in
outward-rounded intervals. A piece [a, b] of a line
    is free of roots   if 0 lies outside f([a, b]) or outside the mean-value form f(c) + f'([a, b]) ([a, b] - c),
                       or if f is monotone there and has one sign at a and b
    holds one root     if f is monotone there and has opposite signs at a and b; it is then narrowed by interval Newton
                       (Moore 1966), [a, b] and c - f(c)/f'([a, b])
    is cut in two      otherwise, until it is narrow
Narrow pieces are joined where they touch, and widened a little: a root at which two pieces meet lies inside then. What
is left is undecided: double roots, lines on which f vanishes altogether, and roots at the very ends of the axis.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from theory.proofs.expression import Expression, derivative, evaluate
from theory.proofs.intervals import RULES, Interval, add, divide, multiply, subtract

WIDTH = 1e-6
CUT = 0.4871  # not the middle: roots often lie at round numbers, and a root at a cut belongs to neither piece
MOST_PIECES = 1000  # of a line at one time; a line with more vanishes over a stretch
NARROWINGS = 60


class Pieces(NamedTuple):
    """Stretches of lines: arrays of equal length, in the order of lines and places."""

    line: np.ndarray  # which value of the other variables
    low: np.ndarray
    high: np.ndarray

    def __getitem__(self, rows) -> "Pieces":
        return Pieces(*(part[rows] for part in (self.line, self.low, self.high)))

    def __len__(self) -> int:
        return len(self.line)

    @property
    def middle(self) -> np.ndarray:
        """Between both ends."""
        return self.low + 0.5 * (self.high - self.low)


class Roots(NamedTuple):
    """Enclosures that hold exactly one root each; stretches that may hold some. All else holds none."""

    enclosed: Pieces
    undecided: Pieces


def roots(
    f: Expression,
    along: str,
    low: float,
    high: float,
    others: Mapping[str, np.ndarray],
    width: float = WIDTH,
) -> Roots:
    """Every root of f in [low, high], at each value of the other variables."""
    lines = _Lines(f, along, dict(others))
    count = len(next(iter(others.values()))) if others else 1
    everything = Pieces(np.arange(count), np.full(count, float(low)), np.full(count, float(high)))
    brackets, left = _sorted_out(lines, everything, width)
    again, undecided = _sorted_out(lines, _widened(left, brackets, width, low, high), width, cut=False)
    narrow = _narrowed(lines, _joined([brackets, again]), width)
    wide = narrow.high - narrow.low > width
    return Roots(_in_order(narrow[~wide]), _in_order(_joined([undecided, narrow[wide]])))


def single(found: Roots, lines: int) -> np.ndarray:
    """The middle of each line's one enclosure; nan for lines with none, with several, or with undecided stretches."""
    counts = np.bincount(found.enclosed.line, minlength=lines) + 2 * np.bincount(found.undecided.line, minlength=lines)
    middles = np.full(lines, np.nan)
    middles[found.enclosed.line] = found.enclosed.middle
    return np.where(counts == 1, middles, np.nan)


class _Lines:
    """f and its derivative along the axis, in intervals, on pieces of lines."""

    def __init__(self, f: Expression, along: str, others: dict[str, np.ndarray]):
        self.f, self.slope = f, derivative(f, along)
        self.along, self.others = along, others

    def __call__(self, outputs: list[Expression], line: np.ndarray, x: Interval) -> list[Interval]:
        values = {name: Interval(v[line], v[line]) for name, v in self.others.items()}
        with np.errstate(all="ignore"):
            found = evaluate(outputs, RULES, {**values, self.along: x})
        return [Interval(*(np.broadcast_to(end, line.shape) for end in r)) for r in found]

    def at(self, line: np.ndarray, x: np.ndarray) -> Interval:
        """f at points."""
        return self([self.f], line, Interval(x, x))[0]


def _signs(x: Interval) -> np.ndarray:
    """1, -1 where all of an interval has that sign, 0 where that is not known."""
    return (x.low > 0).astype(int) - (x.high < 0)


def _sorted_out(lines: _Lines, pieces: Pieces, width: float, cut: bool = True) -> tuple[Pieces, Pieces]:
    """(pieces that hold one root, pieces that stay undecided) of what is there; pieces without roots are gone."""
    brackets, left = [], []
    while len(pieces):
        one, none = _judged(lines, pieces)
        brackets.append(pieces[one])
        pieces = pieces[~one & ~none]
        crowded = np.bincount(pieces.line, minlength=1)[pieces.line] > MOST_PIECES
        done = crowded | (pieces.high - pieces.low <= width / 4) | (not cut)
        left.append(pieces[done])
        pieces = _halves(pieces[~done])
    return _joined([pieces, *brackets]), _joined([pieces, *left])


def _judged(lines: _Lines, pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """(whether a piece certainly holds one root, whether it certainly holds none)."""
    line, low, high = pieces
    whole, slope = lines([lines.f, lines.slope], line, Interval(low, high))
    c = pieces.middle
    with np.errstate(all="ignore"):
        reach = add(lines.at(line, c), multiply(slope, subtract(Interval(low, high), Interval(c, c))))
    monotone = (_signs(slope) != 0) & np.isfinite(whole.low) & np.isfinite(whole.high)  # and continuous
    ends = _signs(lines.at(line, low)), _signs(lines.at(line, high))
    free = (_signs(whole) != 0) | (_signs(reach) != 0) | (monotone & (ends[0] * ends[1] > 0))
    return monotone & (ends[0] * ends[1] < 0), free


def _halves(pieces: Pieces) -> Pieces:
    cut = pieces.low + CUT * (pieces.high - pieces.low)
    return Pieces(np.tile(pieces.line, 2), np.concatenate([pieces.low, cut]), np.concatenate([cut, pieces.high]))


def _widened(left: Pieces, brackets: Pieces, width: float, low: float, high: float) -> Pieces:
    """Undecided pieces that touch as one, each widened by `width`/4, but not into what else stands on its line.

    What is added has been shown to be free of roots, so that no root is found by two of them.
    """
    left = _in_order(left)
    first = np.ones(len(left), bool)
    first[1:] = (left.line[1:] != left.line[:-1]) | (left.low[1:] > left.high[:-1])
    whole = Pieces(left.line[first], left.low[first], left.high[np.roll(first, -1)])
    every = _joined([whole, brackets])
    order = np.lexsort((every.low, every.line))
    before, after = np.full(len(every), float(low)), np.full(len(every), float(high))
    beside = np.flatnonzero(every.line[order[1:]] == every.line[order[:-1]])
    before[order[beside + 1]] = every.high[order[beside]]
    after[order[beside]] = every.low[order[beside + 1]]
    mine = slice(len(whole))
    return Pieces(
        whole.line,
        np.maximum(whole.low - width / 4, before[mine]),
        np.minimum(whole.high + width / 4, after[mine]),
    )


def _narrowed(lines: _Lines, brackets: Pieces, width: float) -> Pieces:
    """Brackets of one root by interval Newton, and by the sign in the middle where that gains more."""
    line, low, high = (np.array(part) for part in brackets)
    for _ in range(NARROWINGS):
        open_ = np.flatnonzero(high - low > width)
        if not len(open_):
            break
        which, a, b = line[open_], low[open_], high[open_]
        c = a + 0.5 * (b - a)
        (slope,) = lines([lines.slope], which, Interval(a, b))
        middle = lines.at(which, c)
        with np.errstate(all="ignore"):
            newton = subtract(Interval(c, c), divide(middle, slope))
        side = _signs(middle) * _signs(slope)  # 1: the root lies before c
        low[open_] = np.fmax(np.where(side < 0, c, a), newton.low)
        high[open_] = np.fmin(np.where(side > 0, c, b), newton.high)
    return Pieces(line, low, high)


def _joined(parts: list[Pieces]) -> Pieces:
    return Pieces(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _in_order(pieces: Pieces) -> Pieces:
    return pieces[np.lexsort((pieces.low, pieces.line))]
