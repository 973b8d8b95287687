"""Where two learners are equally accurate: exact lines, if theory knows both learners and samples
neither.

A grid at least as fine as the study's gives the signs of A - B. Where the ends of an edge have
opposite signs, Chandrupatla's method finds a root of theory's A - B; marching squares joins the
roots. Where A - B vanishes over whole cells, there is a plateau and no line.
"""

import json
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from contourpy import contour_generator
from jaxtyping import Float
from scipy.ndimage import binary_opening, convolve, generate_binary_structure
from scipy.optimize.elementwise import find_root

from experiments.errors import RequestError, unknown
from experiments.lab.grid import Setting
from experiments.lab.studies import Study, read
from experiments.page.plot.axes import SCALES, PlotAxis
from experiments.page.plot.series import Series, Who
from simulator.accuracy import Accuracy
from simulator.world import World
from theory.learners.base import UNDEFINED, Learner, attempt
from theory.population import START, half_times, latent_cross_covariance

FINE = 12  # at least so many steps of the grid along an axis
LEVEL = 2e-6  # |A - B| that may be error: two quadratures, each good to 1e-6
SMALL = 1e-9  # |A - B| at a root: far below that error
PROBES = 8  # most values per axis at which a learner is tested for sampling
# the second axis of a single one
SPARE = PlotAxis("", np.array([0.0, 1.0]), SCALES["linear"], "", "", "")

Line = Float[np.ndarray, "_ _"]  # points by axes


def boundary_of(
    study: Study | None, series: Series, at: dict[str, Any], axes: list[PlotAxis]
) -> tuple[Line, ...]:
    """Lines on which a panel's difference vanishes, in values of the axes; with one axis a line is
    one point.
    """
    gap = (
        gap_of(study, series.who, series.against, at, axes) if study is not None and axes else None
    )
    if gap is None:
        return ()
    if len(axes) == 1:
        return crossings(gap, *axes)
    theory = series.numbers("predicted" if "predicted" in series.data else "value")
    return lines(gap, *axes, values=None if series.data.pending.any() else theory)


def gap_of(
    study: Study, first: Who, second: Who, at: dict[str, Any], axes: list[PlotAxis]
) -> Callable | None:
    """A - B at n = infinity as a function of the axes, nan where either learner has no answer.

    None if theory does not know both learners exactly, for towers, whose optimum depends on their
    recipe, and for an axis that is no field of the world (theory does not depend on n) or has whole
    numbers, between which lies no root.
    """
    if study.trained or not {first.learner, second.learner} <= set(study.labels):
        return None
    if any(axis.name not in World.model_fields or axis.values.dtype.kind != "f" for axis in axes):
        return None
    held = {name: np.asarray(value).item() for name, value in at.items()}

    def settings(places: Iterable[np.ndarray]) -> list[Setting]:
        values = held | {axis.name: x for axis, x in zip(axes, places, strict=True)}
        return [
            study.setting(study.labels.index(who.learner), who.prompt, values)
            for who in (first, second)
        ]

    def accuracies(pair: list[Setting], worlds: World) -> list[Accuracy]:
        laws = [replace(one, worlds=worlds).law() for one in pair]
        if None in laws:
            raise ValueError("no closed form is known")
        return [learner.accuracy(own) for own, learner in laws]

    def gap(*places: np.ndarray) -> np.ndarray:
        pair = settings(np.broadcast_arrays(*places))
        return attempt(
            lambda worlds: np.subtract(*(a.counter for a in accuracies(pair, worlds))),
            pair[0].worlds,
        )[0]

    some = settings(np.ix_(*(axis.values[:: -(-len(axis.values) // PROBES)] for axis in axes)))
    # the first answer of both shows whether they are exact
    for index in np.ndindex(some[0].worlds.shape):
        with suppress(RequestError, *UNDEFINED):
            exact = all(a.interval is None for a in accuracies(some, some[0].worlds[index]))
            return gap if exact else None
    return None


def half_times_at(base: World | None, at: dict[str, Any]) -> tuple[float, ...]:
    """When the modes of linear towers reach half of their end, in the world at these values of
    axes.
    """
    if base is None or base.table is not None or {"table", "mitigation"} & {*at}:
        return ()
    fields = {
        name: np.asarray(value).item() for name, value in at.items() if name in World.model_fields
    }
    values = np.linalg.svd(latent_cross_covariance(base.replace(**fields)), compute_uv=False)
    return tuple(half_times(values, at.get("start", START)).tolist())


def crossings(gap: Callable, axis: PlotAxis) -> tuple[Line, ...]:
    points = lines(lambda x, _: gap(x), axis, SPARE, steps=1)
    return tuple(np.array([[x]]) for x in sorted({line[0, 0] for line in points}))


def lines(
    gap: Callable,
    first: PlotAxis,
    second: PlotAxis,
    steps: int = FINE,
    values: np.ndarray | None = None,
) -> tuple[Line, ...]:
    """Lines on which A = B, from A - B on the axes, if it is known there; `steps` at least along
    the second axis.
    """
    grids = _finer(first, FINE), _finer(second, steps)
    shape = len(grids[0]), len(grids[1])
    value = (
        values
        if np.shape(values) == shape
        else np.broadcast_to(gap(grids[0][:, None], grids[1][None, :]), shape)
    )
    level = np.abs(value) <= LEVEL
    # the latter: corners of level cells
    hidden = ~np.isfinite(value) | binary_opening(level, np.ones((2, 2)))
    corners = contour_generator(z=np.ma.array(_signs(value).T, mask=hidden.T)).lines(0.0)
    if not corners:
        return ()
    points = _roots(gap, np.concatenate(corners), grids, (first, second), level)
    ends = np.cumsum([len(line) for line in corners])
    pieces = []
    for line in np.split(points, ends[:-1]):
        # without the edges that are skipped, and cut where no root was found
        line = line[~np.isinf(line).any(axis=1)]
        runs = np.ma.clump_unmasked(np.ma.masked_invalid(line.sum(axis=1)))
        pieces += [line[run] for run in runs if run.stop - run.start > 1]
    return tuple(pieces)


def _roots(
    gap: Callable, corners: Line, grids: tuple, axes: tuple[PlotAxis, PlotAxis], level: np.ndarray
) -> Line:
    """The roots on the edges whose middles are `corners` (grid indices); nan where the search
    failed.

    If A - B may be rounding error on a whole edge, a root could lie anywhere, and inf says to skip
    the edge.
    """
    sides = np.floor(corners).astype(int).T, np.ceil(corners).astype(int).T
    ends = [grid[k] for side in sides for grid, k in zip(grids, side, strict=True)]

    def between(share, *ends):
        """Points at a share of the way along their edges, as the axes scale it."""
        for axis, low, high in zip(axes, ends[:2], ends[2:], strict=True):
            scale = axis.scale
            with np.errstate(invalid="ignore"):
                value = scale.value(
                    scale.place(low) + share * (scale.place(high) - scale.place(low))
                )
            yield np.where(low == high, low, np.clip(value, low, high))

    difference = lambda share, *ends: gap(*between(share, *ends))  # noqa: E731
    result = find_root(difference, (0.0, 1.0), args=tuple(ends), tolerances={"fatol": SMALL})
    points = np.column_stack([*between(np.where(result.success, result.x, np.nan), *ends)])
    small = np.stack([level[tuple(side)] for side in sides])
    points[small.all(axis=0) | (small.any(axis=0) & ~result.success)] = np.inf
    return points


def _signs(value: np.ndarray) -> np.ndarray:
    """+-1 per corner; where A - B may be rounding error, the sign of most neighbours: no line
    follows an edge.
    """
    sign = np.where(value >= 0, 1.0, -1.0)
    level = ~(np.abs(value) > LEVEL)
    around = convolve(np.where(level, 0.0, sign), generate_binary_structure(2, 1), mode="constant")
    return np.where(level & (around != 0), np.sign(around), sign)


def _finer(axis: PlotAxis, least: int) -> np.ndarray:
    """The values of an axis; if they are few, with further values at equal steps of its scale."""
    values = axis.values.astype(float)
    steps = int(np.ceil(least / (len(values) - 1)))
    t = np.interp(
        np.arange((len(values) - 1) * steps + 1) / steps, np.arange(len(values)), axis.places
    )
    x = np.clip(axis.scale.value(t), values[0], values[-1])
    x[::steps] = values
    return x


def study_of(dataset: xr.Dataset, own: Collection[Learner] = ()) -> Study | None:
    """The request in a Dataset; None if it has none, or learners that neither ship with the package
    nor are `own`.

    Raises RequestError for a learner of `own` that the Dataset does not have, or has with other
    options or code.
    """
    labels = [str(label) for label in dataset.learner.values] if own else []
    for learner in own:
        if learner.name not in labels:
            raise unknown("learner", learner.name, labels)
    if "study" not in dataset.attrs:
        return None
    try:
        study = read(dataset.attrs["study"], own)
    except RequestError:
        return None
    if own:
        options = f"the options of {', '.join(learner.name for learner in own)}"
        there = {options: dataset.attrs["hash"], **json.loads(dataset.attrs.get("sources", "{}"))}
        for what, number in {options: study.hash, **study.sources()}.items():
            if there.get(what, number) != number:
                raise RequestError(
                    f"{what} changed since the study was computed; give the learner as it was then"
                )
    return study
