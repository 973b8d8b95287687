"""Where two learners are equally accurate: exact lines where theory knows both learners, else interpolated ones.

A grid at least as fine as the study's gives the signs of A - B. On every edge of the grid whose ends have opposite
signs, Chandrupatla's method finds a root of theory's A - B (all edges at once). Marching squares joins the roots.
Where A - B vanishes over whole cells, there is a plateau and no line. Accuracies that theory samples scatter, so they
are treated as measurements.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from contourpy import contour_generator
from jaxtyping import Float
from scipy.optimize.elementwise import find_root

from experiments.errors import RequestError
from experiments.lab.studies import Study, read
from experiments.page.plot.scales import PlotAxis, Scale
from experiments.page.plot.series import DIFFERENCE, Series, Who
from simulator.accuracy import in_words
from simulator.world import World, Worlds
from theory.learners.base import UNDEFINED, Learner, attempt

FINE = 24  # at least so many steps of the grid along an axis
LEVEL = 2e-6  # |A - B| that may be error: two quadratures, each good to 1e-6
PROBES = 8  # values of an axis, at most, at which a learner is tested for sampling


class Boundary(NamedTuple):
    """Lines of points (columns: the axes along the paper) on which A = B."""

    exact: tuple[np.ndarray, ...]  # by theory
    interpolated: tuple[np.ndarray, ...]  # between the values that are drawn
    known: bool  # whether theory knows both learners exactly


class Gap(NamedTuple):
    """A - B at n = infinity as a function of the axes, fields of World."""

    first: Learner
    second: Learner
    fields: dict[str, Any]  # of the worlds, without the axes
    names: tuple[str, ...]

    def __call__(self, *places: np.ndarray) -> np.ndarray:
        """A - B at these places; nan where either learner has no answer."""
        places = np.broadcast_arrays(*(np.asarray(x, float) for x in places))
        worlds = Worlds(**{**self.fields, **dict(zip(self.names, places, strict=True))})

        def difference(part: Worlds) -> np.ndarray:
            one, two = (in_words(DIFFERENCE, learner.accuracy(part)) for learner in (self.first, self.second))
            return one - two

        return attempt(difference, worlds)[0]


def boundary_of(dataset: xr.Dataset, series: Series, at: dict[str, Any], axes: list[PlotAxis]) -> Boundary:
    """Where a panel's difference vanishes."""
    gap = gap_of(dataset, series.who, series.against, at, axes)
    if gap is None or not axes:
        return Boundary((), _interpolated(series.data.value.values, axes) if axes else (), gap is not None)
    return Boundary((crossings if len(axes) == 1 else lines)(gap, *axes), (), True)


def gap_of(dataset: xr.Dataset, first: Who, second: Who, at: dict[str, Any], axes: list[PlotAxis]) -> Gap | None:
    """A - B as a function; None if theory does not know both learners exactly, or if the world is unknown.

    Every axis along the paper must be a field of the world with real values. Theory does not depend on n or on a
    recipe, and whole numbers have no root between them.
    """
    study = study_of(dataset)
    if study is None or not {first.learner, second.learner} <= set(study.labels):
        return None
    own = {name: getattr(study.world, name) for name in World.model_fields}
    fields = {**own, **{name: np.asarray(value).item() for name, value in at.items() if name in own}}
    if any(axis.name not in fields or axis.values.dtype.kind != "f" for axis in axes):
        return None
    embed_dim = at.get("embed_dim", dict(study.recipe).get("embed_dim"))
    pair = [study.learner(study.labels.index(who.learner), who.prompt, embed_dim) for who in (first, second)]
    if None in pair:  # an objective without a known optimum
        return None
    some = np.ix_(*(axis.values[:: -(-len(axis.values) // PROBES)] for axis in axes))
    worlds = Worlds(**{**fields, **{axis.name: values for axis, values in zip(axes, some, strict=True)}})
    if any(_sampled(learner, worlds) for learner in pair):
        return None
    return Gap(*pair, fields, tuple(axis.name for axis in axes))


def _sampled(learner: Learner, worlds: Worlds) -> bool:
    """Whether theory samples this learner, by the first world with an answer."""
    for index in np.ndindex(worlds.shape):
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
    found = contour_generator(z=np.ma.array(sign.T, mask=hidden.T)).lines(0.0)  # every corner is the middle of an edge
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
        along = gap if side == 0 else (lambda t, other: gap(other, t))
        points[mine, side] = _roots(along, axis.scale, low, high, other)
    # On an edge where A - B is all rounding error, a root could lie anywhere: the line skips it.
    keep = ~(ends.all(axis=0) | (ends.any(axis=0) & np.isnan(points).any(axis=1)))
    parts = np.cumsum([len(f) for f in found])[:-1]
    split = zip(np.split(points, parts), np.split(keep, parts), strict=True)
    return tuple(piece for line, own in split for piece in _pieces(line[own]))


def _pieces(line: np.ndarray) -> list[np.ndarray]:
    """A line, cut where no root was found."""
    if not len(line):
        return []
    good = np.isfinite(line).all(axis=1)
    cuts = np.flatnonzero(np.diff(good.astype(int))) + 1
    return [
        part for part, ok in zip(np.split(line, cuts), np.split(good, cuts), strict=True) if ok[0] and len(part) > 1
    ]


def _roots(function: Callable, scale: Scale, low: np.ndarray, high: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Elementwise roots between low and high; nan where the search failed."""

    def at(t, low, high, *others):
        return function(np.clip(scale.backward(t), low, high), *others)

    ends = scale.forward(low), scale.forward(high)
    result = find_root(at, ends, args=(low, high, *others))
    root = np.clip(scale.backward(result.x), low, high)
    return np.where(result.success, root, np.nan)


def _signs(value: np.ndarray) -> np.ndarray:
    """+-1 per corner. Where A - B may be rounding error, the corner takes the sign of most of its neighbours.

    So no line follows an edge of the map where A = B without a change of sign.
    """
    sign = np.where(value >= 0, 1.0, -1.0)
    level = ~(np.abs(value) > LEVEL)
    sure = np.pad(np.where(level, 0.0, sign), 1)
    around = sure[:-2, 1:-1] + sure[2:, 1:-1] + sure[1:-1, :-2] + sure[1:-1, 2:]
    return np.where(level & (around != 0), np.sign(around), sign)


def _plateau(value: np.ndarray) -> np.ndarray:
    """Corners of cells on which A - B may be rounding error."""
    level = np.abs(value) <= LEVEL
    whole = level[:-1, :-1] & level[1:, :-1] & level[:-1, 1:] & level[1:, 1:]
    corners = np.zeros_like(level)
    for shift_x in (slice(None, -1), slice(1, None)):
        for shift_y in (slice(None, -1), slice(1, None)):
            corners[shift_x, shift_y] |= whole
    return corners


def _finer(axis: PlotAxis) -> np.ndarray:
    """The values of an axis; if they are few, with further values at equal steps of its scale."""
    values = axis.values.astype(float)
    steps = int(np.ceil(FINE / (len(values) - 1)))
    t = axis.scale.forward(values)
    fine = np.interp(np.arange((len(values) - 1) * steps + 1) / steps, np.arange(len(values)), t)
    x = np.clip(axis.scale.backward(fine), values[0], values[-1])
    x[::steps] = values
    return x


def _interpolated(value: np.ndarray, axes: list[PlotAxis]) -> tuple[np.ndarray, ...]:
    """Where linear interpolation between neighbouring values is zero, on the axes' scales."""
    t = [axis.scale.forward(axis.positions.astype(float)) for axis in axes]
    if len(axes) == 1:
        i = np.flatnonzero(value[:-1] * value[1:] < 0)
        part = value[i] / (value[i] - value[i + 1])
        return tuple(np.array([[axes[0].scale.backward(u)]]) for u in t[0][i] + part * (t[0][i + 1] - t[0][i]))
    found = contour_generator(*t, np.ma.masked_invalid(value.T)).lines(0.0)
    return tuple(
        np.column_stack([axis.scale.backward(u) for axis, u in zip(axes, line.T, strict=True)]) for line in found
    )


def study_of(dataset: xr.Dataset) -> Study | None:
    """The request in a Dataset; None if it has none, or if it uses learners that are not registered here."""
    return _read(dataset.attrs["study"]) if "study" in dataset.attrs else None


@lru_cache(maxsize=4)  # read once, not once per panel
def _read(text: str) -> Study | None:
    try:
        return read(text)
    except RequestError:
        return None
