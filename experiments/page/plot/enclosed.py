"""Where two learners are equally accurate, proved: all such points on a grid's lines, by interval Newton.

It stands on `theory.proofs.roots` and is there where both learners' weights are formulas of the fields; elsewhere the
points come from root finding in floats.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.page.plot.scales import PlotAxis, readable
from theory.learners.base import Learner
from theory.proofs.boundaries import lead
from theory.proofs.counterexample import FLOATS
from theory.proofs.expression import Expression, NotExpressible, evaluate, variable
from theory.proofs.roots import Roots, roots

WIDTH = 1e-9  # of an enclosure, so that its middle is as good as a root in floats
FINER = 1e-3  # part of a grid's smallest step that an enclosure may fill at most
SAMPLE = 64  # places at which the formula is held to the accuracies
LEVEL = 2e-6  # |A - B| that two quadratures, each good to 1e-6, cannot tell from none


class Summary(NamedTuple):
    """What is proved of the boundary that is drawn."""

    width: float  # no enclosure is wider
    points: int  # middles of enclosures that each hold exactly one point of equal accuracy
    found: int  # points found in floats alone
    left_out: int  # enclosures through which no line is drawn
    undecided: tuple[str, ...]  # grid lines with a stretch that is not decided, ends of axes apart


class Enclosures:
    """All roots of A - B on the lines of a grid: along each axis, at the other's values."""

    def __init__(self, formula: Expression, axes: list[PlotAxis], grids: list[np.ndarray]):
        self.formula, self.axes, self.grids = formula, axes, grids
        self.widths = [min(WIDTH, FINER * np.diff(grid).min()) for grid in grids]
        self.found: list[Roots] = []
        for side, (axis, grid) in enumerate(zip(axes, grids, strict=True)):
            others = {axes[1 - side].name: grids[1 - side]} if len(axes) == 2 else {}
            self.found.append(roots(formula, axis.name, grid[0], grid[-1], others, self.widths[side]))

    def __call__(self, *places: np.ndarray) -> np.ndarray:
        """A - B as a difference of z-scores, in floats: it keeps its sign where both accuracies saturate."""
        values = {axis.name: x for axis, x in zip(self.axes, places, strict=True)}
        with np.errstate(all="ignore"):
            (lead,) = evaluate([self.formula], FLOATS, values)
        return np.broadcast_to(lead, np.broadcast_shapes(*(np.shape(x) for x in places)))

    def between(self, side: int, low: np.ndarray, high: np.ndarray, line: np.ndarray) -> np.ndarray:
        """The one root on each edge from low to high of a grid line; nan where there is not exactly one enclosure."""
        there = self.found[side].enclosed
        inside = (there.line == line[:, None]) & (low[:, None] <= there.middle) & (there.middle <= high[:, None])
        result = np.full(len(line), np.nan)
        one = inside.sum(axis=1) == 1
        result[one] = there.middle[inside[one].argmax(axis=1)]
        return result

    def summary(self, drawn: tuple[np.ndarray, ...]) -> Summary:
        """How much of the drawn lines is enclosed, and whether that is all."""
        every = {point for side in range(len(self.axes)) for point in self._points(side)}
        shown = [tuple(point) for line in drawn for point in line.tolist()]
        proved = sum(point in every for point in shown)
        undecided = [words for side in range(len(self.axes)) for words in self._undecided(side)]
        return Summary(
            max(self.widths), proved, len(shown) - proved, len(every - set(shown)), tuple(dict.fromkeys(undecided))
        )

    def _points(self, side: int) -> list[tuple[float, ...]]:
        there = self.found[side].enclosed
        columns = [there.middle]
        if len(self.axes) == 2:
            columns.insert(1 - side, self.grids[1 - side][there.line])
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _undecided(self, side: int) -> list[str]:
        """Grid lines in words. Where all learners agree at an axis's end (p_spu = 1/2), they do on every line."""
        left, grid = self.found[side].undecided, self.grids[side]
        at_an_end = (left.high <= grid[0] + 2 * self.widths[side]) | (left.low >= grid[-1] - 2 * self.widths[side])
        if len(self.axes) == 1:
            return [f"near ${self.axes[0].symbol}$ = {readable(x)}" for x in left.middle[~at_an_end]]
        other = self.axes[1 - side]
        return [f"at ${other.symbol}$ = {readable(self.grids[1 - side][i])}" for i in np.unique(left.line[~at_an_end])]


def enclosures(
    first: Learner, second: Learner, fields: dict, gap: Callable, axes: list[PlotAxis], grids: list[np.ndarray]
) -> Enclosures | None:
    """Enclosures of A - B on a grid; None where it is no formula of the axes, or not that of the accuracies.

    `gap` is A - B by the learners' accuracies, which a user's own learner may compute by other means than its weights.
    """
    try:
        formula = lead(first, second, {**fields, **{axis.name: variable(axis.name) for axis in axes}})
    except NotExpressible:
        return None
    found = Enclosures(formula, axes, grids)
    draw = np.random.default_rng(0)
    places = [draw.uniform(grid[0], grid[-1], SAMPLE) for grid in grids]
    value = gap(*places)
    clear = np.abs(value) > LEVEL  # not nan either
    return found if np.array_equal(np.sign(found(*places))[clear], np.sign(value[clear])) else None
