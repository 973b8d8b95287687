"""A picture as data, before anything is drawn: which axes lie along the paper, which panels there are, what each holds.

    no axis         a point a learner
    one axis        lines, a colour a learner; theory as a line beside measured points with intervals
    two axes        a map a learner, with contours
    further axes    a panel a value; so are learners of maps
An axis with fewer than MAP_VALUES values makes no map: it becomes panels of lines.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from experiments.errors import RequestError
from experiments.page.plot.asked import DIFFERENCE, MINUS, Series, computed, sentence, series_of
from experiments.page.plot.boundary import Boundary, boundary_of, world_words
from experiments.page.plot.reading import NOT_AXES, chosen, loaded
from experiments.page.plot.scales import PlotAxis, axis_of

MAP_VALUES = 5  # fewer rows of cells make stripes, not a map
MOST_PANELS = 24
MOST_LINES = 7  # colours that can be told apart


class Panel(NamedTuple):
    """One pair of axes: what is held fixed in it, its title's lines, and one series (a map) or several (lines)."""

    title: tuple[str, ...]
    at: dict[str, Any]
    series: tuple[Series, ...]
    boundary: Boundary | None = None


class Picture(NamedTuple):
    """Everything that is drawn."""

    what: str
    x: PlotAxis | None
    y: PlotAxis | None  # None for lines
    panels: tuple[Panel, ...]
    columns: int | None  # panels in a row where the grid has a meaning; None: as many as fit
    fixed: tuple[str, ...]  # "symbol = value" of everything that does not vary
    world: tuple[str, ...] | None  # likewise, of the base world where it is not the default; None: not known
    undefined: tuple[tuple[str, str], ...]  # (route, or "" of an only one; reason), each once
    computed: tuple[int, int]  # cells there are, of how many

    @property
    def difference(self) -> bool:
        """Whether two learners are compared."""
        return MINUS in self.what


def composed(dataset: xr.Dataset, what: str = DIFFERENCE, at: Mapping[str, str | float] | None = None) -> Picture:
    """The picture of a study.

    Raises RequestError for a request that the study cannot meet, and for more panels than can be read, naming the axis
    to fix.
    """
    dataset = loaded(chosen(dataset, at or {}))
    done, whole = computed(dataset)
    if not done:
        raise RequestError(f"none of the study's {whole} cells is computed yet, so there is nothing to draw")
    series = series_of(dataset, what)
    _refuse_empty(dataset, series, what)
    axes = {str(d): axis_of(dataset[d]) for d in dataset.dims if d not in NOT_AXES}
    varying = {name: axis for name, axis in axes.items() if len(axis.values) > 1}
    fixed = {name: axis.values[0] for name, axis in axes.items() if name not in varying}
    along = _along(varying)
    facets = [name for name in varying if name not in along]
    groups = _groups(series, len(along))
    _refuse_many(varying, facets, groups)
    panels = []
    for index in product(*(range(len(varying[name].values)) for name in facets)):
        place = dict(zip(facets, index, strict=True))
        for group in groups:
            held = {**fixed, **{name: varying[name].values[i] for name, i in place.items()}}
            own = tuple(s._replace(data=_at(s.data, {**dict.fromkeys(fixed, 0), **place}, along)) for s in group)
            named = len(groups) > 1 or (len(along) == 2 and MINUS not in what)
            words = [group[0].who.label if len(group) == 1 else group[0].who.learner] if named else []
            title = (*words, *(varying[name].at(varying[name].values[i]) for name, i in place.items()))
            boundary = boundary_of(dataset, own[0], held, [varying[name] for name in along]) if MINUS in what else None
            panels.append(Panel(title, held, own, boundary))
    x, y = (*(varying[name] for name in along), None, None)[:2]
    return Picture(
        what,
        x,
        y,
        tuple(panels),
        len(groups) if len(groups) > 1 and facets else None,
        tuple(axes[name].at(value) for name, value in fixed.items()),
        world_words(dataset, axes),
        _reasons(dataset, [s for p in panels for s in p.series]),
        (done, whole),
    )


def _reasons(dataset: xr.Dataset, series: list[Series]) -> tuple[tuple[str, str], ...]:
    """Why there is no number, by route; the theory beside measurements is one."""
    found = [(s.who.route or "", s.data.undefined) for s in series]
    found += [("theory", s.data.predicted_undefined) for s in series if "predicted" in s.data]
    told = [(route, sentence(dataset, code)) for route, codes in found for code in np.unique(codes).tolist() if code]
    return tuple(dict.fromkeys(told))


def _refuse_empty(dataset: xr.Dataset, series: list[Series], what: str) -> None:
    if any(s.data.value.notnull().any() or (s.data.undefined != 0).any() for s in series):
        return
    raise RequestError(f"--what = {what!r}: no computed cell of the study has one")


def _along(varying: dict[str, PlotAxis]) -> list[str]:
    """The axes along the paper, in the study's order: two for a map, one for lines; ranges first, then long ones."""
    order = {name: (axis.words, axis.listed, -len(axis.values)) for name, axis in varying.items()}
    longest = sorted(varying, key=order.__getitem__)[:2]
    fit = all(len(varying[name].values) >= MAP_VALUES and not varying[name].words for name in longest)
    number = 2 if len(longest) == 2 and fit else 1
    return [name for name in varying if name in longest[:number]]


def _groups(series: list[Series], along: int) -> list[tuple[Series, ...]]:
    """What shares a panel: nothing on maps; all learners' lines while colours suffice, else each learner's own."""
    if along == 2:
        return [(s,) for s in series]
    if len({s.who._replace(route=None) for s in series}) <= MOST_LINES:
        return [tuple(series)]
    return [tuple(s for s in series if s.who.learner == name) for name in dict.fromkeys(s.who.learner for s in series)]


def _refuse_many(varying: dict[str, PlotAxis], facets: list[str], groups: list) -> None:
    counts = [len(varying[name].values) for name in facets]
    panels = int(np.prod(counts, dtype=int)) * len(groups)
    if panels <= MOST_PANELS:
        return
    parts = [f"{n} values of {name}" for n, name in zip(counts, facets, strict=True)]
    parts += [f"{len(groups)} learners"] if len(groups) > 1 else []
    if not facets:
        raise RequestError(
            f"{' times '.join(parts)} would be {panels} panels, more than {MOST_PANELS}; "
            f"keep one learner, such as --at learner={groups[0][0].who.learner}"
        )
    name = max(facets, key=lambda name: len(varying[name].values))
    values = varying[name].values
    middle = values[len(values) // 2]
    value = middle if varying[name].words else f"{middle:.12g}"
    raise RequestError(
        f"{' times '.join(parts)} would be {panels} panels, more than {MOST_PANELS}; fix an axis, such as "
        f"--at {name}={value}"
    )


def _at(data: xr.Dataset, place: dict[str, int], along: list[str]) -> xr.Dataset:
    return data.isel(place, drop=True).transpose(*along)
