"""What was drawn, as one JSON document: axes, panels with their series, boundaries; nan is null."""

from typing import Any

import numpy as np

from experiments.page.plot.asked import Series, Who
from experiments.page.plot.composed import Panel, Picture
from experiments.page.plot.plane import GROUPS, Plane
from experiments.page.plot.scales import PlotAxis

PAIR = ("common", "counter")
NUMBERS = ("value", "low", "high", "predicted")


def document_of(picture: Picture | Plane) -> dict[str, Any]:
    """A picture as data. Arrays of maps have the first axis outside, the second inside."""
    if isinstance(picture, Plane):
        return _plane(picture)
    done, whole = picture.computed
    return {
        "what": picture.what,
        "kind": "lines" if picture.y is None else "map",
        "axes": [_axis(axis) for axis in (picture.x, picture.y) if axis is not None],
        "panels": [_panel(panel) for panel in picture.panels],
        "undefined": [f"{route}: {reason}" if route else reason for route, reason in picture.undefined],
        "computed": done,
        "cells": whole,
    }


def _plane(picture: Plane) -> dict[str, Any]:
    """Both groups of every learner, a panel each."""
    whole = document_of(picture.counter)
    panels = [
        {
            "at": _panel(panel)["at"],
            "series": [{"group": g, **_series(s)} for g, s in zip(PAIR, panel.series, strict=True)],
        }
        for panel in picture.panels
    ]
    return {**whole, "what": GROUPS, "kind": "plane", "panels": panels}


def _axis(axis: PlotAxis) -> dict[str, Any]:
    return {"name": axis.name, "scale": axis.scale.name, "values": plain(axis.values)}


def _panel(panel: Panel) -> dict[str, Any]:
    found = {"at": {name: plain(np.asarray(value)) for name, value in panel.at.items()}}
    found["series"] = [_series(series) for series in panel.series]
    if panel.boundary is not None:
        found["boundary"] = {
            "exact": [plain(line) for line in panel.boundary.exact],
            "interpolated": [plain(line) for line in panel.boundary.guessed],
        }
    return found


def _series(series: Series) -> dict[str, Any]:
    against = None if series.against is None else _who(series.against)
    numbers = {name: plain(series.data[name].values) for name in NUMBERS if name in series.data}
    counts = {"replicates": series.replicates, "level": series.level}
    return {**_who(series.who), **({"against": against} if against else {}), **counts, **numbers}


def _who(who: Who) -> dict[str, Any]:
    return {"learner": who.learner, "prompt": who.prompt, **({"route": who.route} if who.route else {})}


def plain(array: np.ndarray) -> Any:
    """Nested lists of numbers (or words), null where there is none or it is infinite."""
    if array.dtype.kind != "f":
        return array.tolist()
    return np.where(np.isfinite(array), array, None).tolist()
