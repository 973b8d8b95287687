"""Where two learners are equally accurate: the exact line where theory knows both, else a guess between cells.

A map is cut into cells (finer than the study's where that is coarse). On every edge between two cells' corners at which
A - B has opposite signs, a root of A - B is found by theory's own accuracy functions (Chandrupatla's method, all edges
at once). Which roots belong to one line is read off the signs, as marching squares does.
Where A - B vanishes over whole cells (both learners always right, say) there is a plateau and no line through it.
Sampled accuracies scatter, so their roots mean nothing: they count as measurements, whose line is interpolated.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import xarray as xr
from contourpy import contour_generator
from jaxtyping import Float
from scipy.optimize.elementwise import find_root

from experiments.errors import RequestError
from experiments.lab.request import read
from experiments.lab.studies import Study
from experiments.page.plot.asked import DIFFERENCE, Series, Who
from experiments.page.plot.scales import PlotAxis, Scale, readable
from simulator.accuracy import in_words
from simulator.quantities import quantity_of
from simulator.world import SCALARS, World, Worlds
from theory.learners.base import UNDEFINED, Learner, attempt

FINE = 24  # steps along an axis, at least, on which changes of sign are looked for
LEVEL = 2e-6  # |A - B| that two quadratures, each good to 1e-6, cannot tell from none
PROBES = 8  # values of an axis, at most, at which a learner is asked whether it is sampled


class Boundary(NamedTuple):
    """Lines of points (columns: the axes along the paper) on which A = B."""

    exact: tuple[np.ndarray, ...]  # by theory; empty if it is not known exactly, or if there is none
    guessed: tuple[np.ndarray, ...]  # interpolated between the values that are drawn
    known: bool  # whether theory knows both learners exactly there


class Gap(NamedTuple):
    """A - B at n = infinity as a function of the axes, fields of World."""

    first: Learner
    second: Learner
    fields: dict[str, Any]  # of the worlds, but for the axes
    names: tuple[str, ...]

    def __call__(self, *places: np.ndarray) -> np.ndarray:
        """A - B at these places, nan where either has no answer."""
        places = np.broadcast_arrays(*(np.asarray(x, float) for x in places))
        return self._of(Worlds(**{**self.fields, **dict(zip(self.names, places, strict=True))}))

    def _of(self, worlds: Worlds) -> np.ndarray:
        def ask(part: Worlds) -> np.ndarray:
            one, two = (in_words(DIFFERENCE, learner.accuracy(part)) for learner in (self.first, self.second))
            return one - two

        return attempt(ask, worlds)[0]


def boundary_of(dataset: xr.Dataset, series: Series, at: dict[str, Any], axes: list[PlotAxis]) -> Boundary:
    """Where a panel's difference vanishes: by theory where it is exact, else between the values that are drawn."""
    gap = gap_of(dataset, series.who, series.against, at, axes)
    if gap is None or not axes:
        return Boundary((), _interpolated(series.data.value.values, axes) if axes else (), gap is not None)
    return Boundary((crossings if len(axes) == 1 else lines)(gap, *axes), (), True)


def gap_of(dataset: xr.Dataset, first: Who, second: Who, at: dict[str, Any], axes: list[PlotAxis]) -> Gap | None:
    """A - B as a function, None where theory does not know both exactly or the Dataset does not say which world it is.

    An axis along the paper must be a field of the world: of n and of a recipe theory says nothing. Whole numbers
    (classes, dimensions) have nothing between them, so no root either.
    """
    asked = _study(dataset)
    if asked is None or not {first.learner, second.learner} <= set(asked.labels):
        return None
    own = {name: getattr(asked.world, name) for name in World.model_fields}
    fields = {**own, **{name: np.asarray(value).item() for name, value in at.items() if name in own}}
    if any(axis.name not in fields or axis.values.dtype.kind != "f" for axis in axes):
        return None
    embed_dim = at.get("embed_dim", dict(asked.recipe).get("embed_dim"))
    pair = [asked.learner(asked.labels.index(who.learner), who.prompt, embed_dim) for who in (first, second)]
    if None in pair:  # an objective of which theory knows no optimum
        return None
    some = np.ix_(*(axis.values[:: -(-len(axis.values) // PROBES)] for axis in axes))
    worlds = Worlds(**{**fields, **{axis.name: values for axis, values in zip(axes, some, strict=True)}})
    if any(_sampled(learner, worlds) for learner in pair):
        return None
    return Gap(*pair, fields, tuple(axis.name for axis in axes))


def _sampled(learner: Learner, worlds: Worlds) -> bool:
    for index in np.ndindex(worlds.shape):  # the first world with an answer tells
        try:
            return learner.accuracy(worlds[index]).interval is not None
        except UNDEFINED:
            continue
    return True


def crossings(gap: Callable, axis: PlotAxis) -> tuple[np.ndarray, ...]:
    """Roots along one axis, each a line of one point."""
    x = _finer(axis)
    value = gap(x)
    level = np.abs(value) <= LEVEL
    plateau = np.convolve(level, [1, 1, 1], "same") == 3
    sign = np.where(np.isfinite(value) & ~plateau, _signs(value[:, None])[:, 0], 0)
    at = np.flatnonzero(sign[:-1] * sign[1:] < 0)
    if not len(at):
        return ()
    roots = _roots(lambda t: gap(t), axis.scale, x[at], x[at + 1])
    return tuple(np.array([[root]]) for root in np.unique(roots[np.isfinite(roots)]))


def lines(gap: Callable, first: PlotAxis, second: PlotAxis) -> tuple[Float[np.ndarray, "P 2"], ...]:
    """Lines on which A = B, on two axes."""
    x, y = _finer(first), _finer(second)
    value = gap(x[:, None], y[None, :])
    hidden = ~np.isfinite(value) | _plateau(value)
    sign = _signs(value)
    found = contour_generator(z=np.ma.array(sign.T, mask=hidden.T)).lines(0.0)  # every corner at the middle of an edge
    if not found:
        return ()
    corners = np.concatenate(found)
    along_x = corners[:, 0] % 1 != 0
    i, j = np.floor(corners).astype(int).T
    points = np.column_stack([x[i], y[j]])
    level = np.abs(value) <= LEVEL
    ends = np.stack([level[i, j], level[i + along_x, j + ~along_x]])
    for side, (axis, grid, k) in enumerate(((first, x, i), (second, y, j))):
        mine = along_x if side == 0 else ~along_x
        if not mine.any():
            continue
        low, high, other = grid[k[mine]], grid[k[mine] + 1], points[mine, 1 - side]
        ask = (lambda t, o: gap(t, o)) if side == 0 else (lambda t, o: gap(o, t))
        points[mine, side] = _roots(ask, axis.scale, low, high, other)
    # Along an edge on which A - B is nothing but rounding a root could lie anywhere: the line goes straight past it.
    keep = ~(ends.all(axis=0) | (ends.any(axis=0) & np.isnan(points).any(axis=1)))
    parts = np.cumsum([len(f) for f in found])[:-1]
    split = zip(np.split(points, parts), np.split(keep, parts), strict=True)
    return tuple(piece for line, own in split for piece in _pieces(line[own]))


def _pieces(line: np.ndarray) -> list[np.ndarray]:
    """A line without the points at which no root was found, cut there."""
    if not len(line):
        return []
    good = np.isfinite(line).all(axis=1)
    cuts = np.flatnonzero(np.diff(good.astype(int))) + 1
    return [
        part for part, ok in zip(np.split(line, cuts), np.split(good, cuts), strict=True) if ok[0] and len(part) > 1
    ]


def _roots(ask: Callable, scale: Scale, low: np.ndarray, high: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Roots between low and high, elementwise; nan where the search met no answer."""

    def at(t, low, high, *others):
        return ask(np.clip(scale.backward(t), low, high), *others)

    ends = scale.forward(low), scale.forward(high)
    result = find_root(at, ends, args=(low, high, *others))
    root = np.clip(scale.backward(result.x), low, high)
    return np.where(result.success, root, np.nan)


def _signs(value: np.ndarray) -> np.ndarray:
    """+-1 of every corner. One at which A - B is nothing but rounding goes with most of its four neighbours.

    So no line follows an edge of the map on which A = B without A - B changing its sign there.
    """
    sign = np.where(value >= 0, 1.0, -1.0)
    level = ~(np.abs(value) > LEVEL)
    sure = np.pad(np.where(level, 0.0, sign), 1)
    around = sure[:-2, 1:-1] + sure[2:, 1:-1] + sure[1:-1, :-2] + sure[1:-1, 2:]
    return np.where(level & (around != 0), np.sign(around), sign)


def _plateau(value: np.ndarray) -> np.ndarray:
    """Corners of cells on which A - B is nothing but rounding."""
    level = np.abs(value) <= LEVEL
    whole = level[:-1, :-1] & level[1:, :-1] & level[:-1, 1:] & level[1:, 1:]
    corners = np.zeros_like(level)
    for shift_x in (slice(None, -1), slice(1, None)):
        for shift_y in (slice(None, -1), slice(1, None)):
            corners[shift_x, shift_y] |= whole
    return corners


def _finer(axis: PlotAxis) -> np.ndarray:
    """The values of an axis and, where they are few, more between them at equal steps of its scale."""
    values = axis.values.astype(float)
    steps = int(np.ceil(FINE / (len(values) - 1)))
    t = axis.scale.forward(values)
    fine = np.interp(np.arange((len(values) - 1) * steps + 1) / steps, np.arange(len(values)), t)
    x = np.clip(axis.scale.backward(fine), values[0], values[-1])
    x[::steps] = values
    return x


def _interpolated(value: np.ndarray, axes: list[PlotAxis]) -> tuple[np.ndarray, ...]:
    """Where the line between neighbouring values passes zero, on the axes' scales."""
    t = [axis.scale.forward(axis.positions.astype(float)) for axis in axes]
    if len(axes) == 1:
        i = np.flatnonzero(value[:-1] * value[1:] < 0)
        part = value[i] / (value[i] - value[i + 1])
        return tuple(np.array([[axes[0].scale.backward(u)]]) for u in t[0][i] + part * (t[0][i + 1] - t[0][i]))
    found = contour_generator(*t, np.ma.masked_invalid(value.T)).lines(0.0)
    return tuple(
        np.column_stack([axis.scale.backward(u) for axis, u in zip(axes, line.T, strict=True)]) for line in found
    )


def _study(dataset: xr.Dataset) -> Study | None:
    """The request behind a Dataset; None if it does not carry one, or one with learners that have no name here."""
    return _read(dataset.attrs["study"]) if "study" in dataset.attrs else None


@lru_cache(maxsize=4)  # every panel asks
def _read(text: str) -> Study | None:
    try:
        return read(text)
    except RequestError:
        return None


def world_words(dataset: xr.Dataset, axes: Collection[str]) -> tuple[str, ...] | None:
    """ "symbol = value" of what the base world has other than the default, axes apart; None if it is not known."""
    asked = _study(dataset)
    if asked is None:
        return None
    world = asked.world
    hints = get_type_hints(World, include_extras=True)
    changed = [n for n in SCALARS if n not in axes and getattr(world, n) != World.model_fields[n].default]
    words = [f"${quantity_of(hints[n]).symbol}$ = {readable(getattr(world, n))}" for n in changed]
    further = [f"{len(world.attribute)} further attributes"] if world.attribute else []
    return (*words, *further, *([] if world.views is None else [world.views.words]))
