"""A picture as data, before it is drawn: the axes along the paper, the panels, and the series in
each.

    no axis         one point per learner
    one axis        lines, one colour per learner; measured points with intervals beside the
                    theory's line
    two axes        one map per learner, with contours
    further axes    one panel per value
    "groups"        the counter group against the common group, one mark per value of one axis, one
                    panel per learner
An axis with fewer than MAP_VALUES values makes panels of lines, not a map.
"""

from collections.abc import Collection, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from experiments.errors import RequestError
from experiments.lab.axes import QUANTITIES
from experiments.lab.studies import world_in
from experiments.page.plot.axes import PlotAxis, axis_of, readable
from experiments.page.plot.boundary import Line, boundary_of, half_times_at, study_of
from experiments.page.plot.places import PLACES, placed
from experiments.page.plot.series import (
    DIFFERENCE,
    MINUS,
    NOT_AXES,
    Series,
    Who,
    load,
    select,
    series_of,
)
from experiments.results import GROUPS as PAIR
from simulator.quantities import MEASURED
from simulator.world import SCALARS, World
from theory.learners import Learner

GROUPS = "groups"  # a value of --what
MAP_VALUES = 5  # fewer rows of cells would make stripes
MOST_PANELS = 24
MOST_LINES = 7  # distinguishable colours
MOST_MARKS = 49  # seven colours times seven marks
STATED = ("p_spu", "mu_spu", "sigma_xi")  # fields of Gaussian worlds that a caption always states


class Panel(NamedTuple):
    """One pair of axes: the lines of its title, the values held fixed, and one series (a map) or
    several.
    """

    title: tuple[str, ...]
    at: dict[str, Any]
    series: tuple[Series, ...]
    boundary: tuple[Line, ...] | None = None
    half_times: tuple[float, ...] = ()  # of the modes of linear towers, along an axis of time


class Picture(NamedTuple):
    what: str
    kind: str  # lines, map or plane
    x: PlotAxis | None  # of a plane: the axis with one mark per value
    y: PlotAxis | None  # of a map
    facets: tuple[PlotAxis, ...]  # axes with one panel per value
    panels: tuple[Panel, ...]
    fixed: tuple[str, ...]  # "symbol = value" of the axes that do not vary
    # "symbol = value" of STATED fields and of those away from their defaults, or None
    world: tuple[str, ...] | None
    # (route, reason); no route if the study has only one
    undefined: tuple[tuple[str | None, str], ...]
    computed: tuple[int, int]  # computed cells, all cells
    captioned: bool = True  # a page has the caption beside the drawing

    @property
    def difference(self) -> bool:
        return MINUS in self.what

    @property
    def signed(self) -> bool:
        """Whether the sign of the numbers matters."""
        return self.difference or self.what in ("drop", "reliance")

    @property
    def unit(self) -> str:
        """Of the numbers; a difference of two learners and both groups are fractions."""
        return MEASURED[self.what].unit if self.what in MEASURED else "fraction"

    @property
    def scale(self) -> tuple[str, bool, str]:
        """Pictures with one value show the same kind of numbers in the same way, so that one scale
        fits them.
        """
        return self.kind, self.signed, self.unit

    @property
    def columns(self) -> int:
        """Two panels stand side by side; an odd number of them in one column, since a grid would
        have a hole.
        """
        return 2 - len(self.panels) % 2

    @property
    def axes(self) -> list[PlotAxis]:
        return [axis for axis in (self.x, self.y) if axis is not None]

    @property
    def series(self) -> list[Series]:
        return [series for panel in self.panels for series in panel.series]

    def as_json(self) -> dict[str, Any]:
        """The picture as one document. Arrays of maps have the first axis outside, the second
        inside.
        """
        done, whole = self.computed
        axes = [
            {"name": axis.name, "scale": axis.scale.name, "values": plain(axis.values)}
            for axis in self.axes
        ]
        panels = [_panel_as_json(panel, self.kind) for panel in self.panels]
        reasons = [f"{route}: {reason}" if route else reason for route, reason in self.undefined]
        document = {"what": self.what, "kind": self.kind, "axes": axes, "panels": panels}
        return {**document, "undefined": reasons, "computed": done, "cells": whole}


def _panel_as_json(panel: Panel, kind: str) -> dict[str, Any]:
    series = [_series_as_json(one) for one in panel.series]
    if kind == "plane":
        series = [{"group": group, **one} for group, one in zip(PAIR, series, strict=True)]
    document = {
        "at": {name: plain(np.asarray(value)) for name, value in panel.at.items()},
        "series": series,
    }
    if panel.boundary is not None:
        document["boundary"] = {"exact": [plain(line) for line in panel.boundary]}
    if panel.half_times:
        document["half_times"] = list(panel.half_times)
    return document


def _series_as_json(series: Series) -> dict[str, Any]:
    against = {} if series.against is None else {"against": _who_as_json(series.against)}
    names = [name for name in ("value", "low", "high", "predicted") if name in series.data]
    numbers = {name: plain(series.data[name].values) for name in names}
    return {
        **_who_as_json(series.who),
        **against,
        "replicates": series.replicates,
        "level": series.level,
        **numbers,
    }


def _who_as_json(who: Who) -> dict[str, Any]:
    return {
        "learner": who.learner,
        "prompt": who.prompt,
        **({"route": who.route} if who.route else {}),
    }


def plain(array: np.ndarray) -> Any:
    """Nested lists; null for nan and infinity."""
    return (
        np.where(np.isfinite(array), array, None).tolist()
        if array.dtype.kind == "f"
        else array.tolist()
    )


def arrange(
    dataset: xr.Dataset,
    what: str = DIFFERENCE,
    at: Mapping[str, str | float] | None = None,
    own: Collection[Learner] = (),
) -> Picture:
    """The picture of a study; `own` are its learners that do not ship with the package."""
    if what == GROUPS:
        return _layout_groups(dataset, at, own)
    study = study_of(dataset, own)
    world = world_in(dataset.attrs["study"]) if "study" in dataset.attrs else None
    dataset = load(select(dataset, at or {}))
    if what in PLACES:
        dataset = placed(dataset, world, what)
    series = series_of(dataset, what)
    whole = sum(s.data.pending.size for s in series)
    done = whole - sum(int(s.data.pending.sum()) for s in series)
    if not done:
        raise RequestError(
            f"none of the {whole} cells is computed yet, so there is nothing to draw"
        )
    if not any(s.data.value.notnull().any() or (s.data.undefined != 0).any() for s in series):
        raise RequestError(f"--what = {what!r}: no computed cell of the study has a value")
    axes = {str(d): axis_of(dataset[d]) for d in dataset.dims if d not in NOT_AXES}
    varying = {name: axis for name, axis in axes.items() if len(axis.values) > 1}
    fixed = {name: axis.values[0] for name, axis in axes.items() if name not in varying}
    along = _along(varying)
    facets = [axis for name, axis in varying.items() if name not in along]
    groups = _groups(series, len(along))
    _check_panels(facets, groups)
    has_names = len(groups) > 1 or (len(along) == 2 and MINUS not in what)
    panels = []
    for index, group in product(product(*(range(len(axis.values)) for axis in facets)), groups):
        place = dict.fromkeys(fixed, 0) | {
            axis.name: i for axis, i in zip(facets, index, strict=True)
        }
        held = {name: axes[name].values[i] for name, i in place.items()}
        lines = tuple(
            s._replace(data=s.data.isel(place, drop=True).transpose(*along)) for s in group
        )
        words = [group[0].who.label if len(group) == 1 else group[0].who.words] if has_names else []
        title = (*words, *(axis.at(held[axis.name]) for axis in facets))
        boundary = (
            boundary_of(study, lines[0], held, [varying[name] for name in along])
            if MINUS in what
            else None
        )
        times = half_times_at(world, held) if "time" in along and len(along) == 1 else ()
        panels.append(Panel(title, held, lines, boundary, times))
    x, y = (*(varying[name] for name in along), None, None)[:2]
    return Picture(
        what=what,
        kind="lines" if y is None else "map",
        x=x,
        y=y,
        facets=tuple(facets),
        panels=tuple(panels),
        fixed=tuple(axes[name].at(value) for name, value in fixed.items()),
        world=_world_words(world, axes),
        undefined=_reasons(dataset, [s for p in panels for s in p.series]),
        computed=(done, whole),
    )


def _layout_groups(
    dataset: xr.Dataset, at: Mapping[str, str | float] | None, own: Collection[Learner]
) -> Picture:
    """Both groups of a study over one axis, one panel per learner."""
    common, counter = (arrange(dataset, group, at, own) for group in PAIR)
    held = [panel.at for panel in common.panels]
    varying = [axis.name for axis in common.axes]
    varying += [name for name in held[0] if held[0][name] != held[-1][name]]
    if len(varying) != 1:
        numbers = [name for name in varying if dataset[name].dtype.kind in "fiu"]
        examples = [
            f"; fix the others, such as --at {name}={dataset[name].values[0]}"
            for name in numbers + varying
        ]
        raise RequestError(
            f"--what {GROUPS!r} needs exactly one axis, and this study has"
            f" {len(varying)}{''.join(examples[:1])}"
        )
    if len(common.x.values) > MOST_MARKS:
        raise RequestError(
            f"--what {GROUPS!r}: {common.x.name} has {len(common.x.values)} values, more than"
            f" {MOST_MARKS} marks"
        )
    pairs = list(zip(common.series, counter.series, strict=True))
    _check_panels([], pairs)
    panels = tuple(
        Panel((pair[0].who.label,) if len(pairs) > 1 else (), held[0], pair) for pair in pairs
    )
    return counter._replace(what=GROUPS, kind="plane", panels=panels)


def _along(varying: dict[str, PlotAxis]) -> list[str]:
    """The axes along the paper, in the study's order: two for a map, else one. Ranges and long axes
    are preferred.
    """
    longest = sorted(
        varying.values(), key=lambda axis: (axis.words, axis.listed, -len(axis.values))
    )[:2]
    is_map = len(longest) == 2 and all(
        len(axis.values) >= MAP_VALUES and not axis.words for axis in longest
    )
    names = [axis.name for axis in longest[: 2 if is_map else 1]]
    return [name for name in varying if name in names]


def _groups(series: list[Series], along: int) -> list[tuple[Series, ...]]:
    """The series of each panel: one on a map; all lines while the colours suffice, else those of
    one learner.
    """
    if along == 2:
        return [(s,) for s in series]
    if len({s.who.anywhere for s in series}) <= MOST_LINES:
        return [tuple(series)]
    return [
        tuple(s for s in series if s.who.learner == name)
        for name in dict.fromkeys(s.who.learner for s in series)
    ]


def _check_panels(facets: list[PlotAxis], groups: list[tuple[Series, ...]]) -> None:
    panels = int(np.prod([len(axis.values) for axis in facets], dtype=int)) * len(groups)
    if panels > MOST_PANELS:
        example = f"learner={groups[0][0].who.learner}"
        if facets:
            longest = max(facets, key=lambda axis: len(axis.values))
            middle = longest.values[len(longest.values) // 2]
            example = f"{longest.name}={middle if longest.words else f'{middle:.12g}'}"
        raise RequestError(
            f"there are {panels} panels, more than {MOST_PANELS}; fix an axis, such as --at"
            f" {example}"
        )


def _reasons(dataset: xr.Dataset, series: list[Series]) -> tuple[tuple[str | None, str], ...]:
    """Why numbers are missing, by route; the theory beside measurements counts as a route."""
    codes = [(s.who.route, s.data.undefined) for s in series]
    codes += [("theory", s.data.predicted_undefined) for s in series if "predicted" in s.data]
    reasons = [
        (route, str(dataset.legend.values[code]))
        for route, array in codes
        for code in np.unique(array)
        if code
    ]
    return tuple(dict.fromkeys(reasons))


def _world_words(world: World | None, axes: Mapping[str, PlotAxis]) -> tuple[str, ...] | None:
    """ "symbol = value" of the base world's fields that are STATED or differ from their defaults;
    None if unknown.
    """
    if world is None:
        return None
    stated = STATED if world.views is None else ()
    # the table says them
    tabled = ("p_spu", "classes") if world.table is not None or "table" in axes else ()
    values = {n: getattr(world, n) for n in SCALARS if n not in (*axes, *tabled)}
    stated_values = {
        n: value
        for n, value in values.items()
        if n in stated or value != World.model_fields[n].default
    }
    words = [f"${QUANTITIES[n].symbol}$ = {readable(value)}" for n, value in stated_values.items()]
    further = [f"{len(world.attribute)} further attributes"] if world.attribute else []
    further += (
        [] if world.table is None else [f"a {world.classes} x {world.background_count} table"]
    )
    return (*words, *further, *([] if world.views is None else [world.views.words]))
