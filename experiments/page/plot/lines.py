"""Lines over one axis, or one point per learner without an axis: theory as lines, measurements as points."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator

from experiments.page.plot.boundary import Boundary
from experiments.page.plot.frame import (
    SMALLEST,
    both_labels,
    caption,
    explain,
    fitted,
    framed,
    in_percent,
    percent,
    title_of,
)
from experiments.page.plot.layout import Picture
from experiments.page.plot.scales import PlotAxis, readable
from experiments.page.plot.series import Series, Who
from experiments.style import styled

STYLES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")  # one per route
HEADROOM = 0.04  # share of the range of values, above and below


@styled
def draw_lines(picture: Picture) -> Figure:
    """The figure of a picture with at most one axis."""
    frame = framed(picture, title_of(picture))
    people = list(dict.fromkeys(s.who.anywhere for p in picture.panels for s in p.series))
    routes = list(dict.fromkeys(s.who.route for p in picture.panels for s in p.series))
    colours = {who: (f"C{i % 7}", STYLES[i % len(STYLES)]) for i, who in enumerate(people)}
    marks = {route: MARKERS[i % len(MARKERS)] for i, route in enumerate(routes)}
    for ax, panel in zip(frame.axes, picture.panels, strict=True):
        if picture.x is None:
            _points_of_learners(ax, panel.series, colours, marks)
            continue
        for series in panel.series:
            _line(ax, picture.x, series, *colours[series.who.anywhere], marks[series.who.route])
        if panel.boundary is not None:
            _crossings(ax, panel.boundary)
    _limits(frame.axes, picture)
    for ax, panel in zip(frame.axes, picture.panels, strict=True):
        _undefined(ax, picture, panel.series, colours)
        if not any(
            np.isfinite(s.data[name]).any() for s in panel.series for name in ("value", "predicted") if name in s.data
        ):
            ax.text(0.5, 0.5, "no value here", transform=ax.transAxes, ha="center", fontsize=SMALLEST)
    explain(frame, _entries(picture, people, routes, colours, marks), caption(picture))
    return fitted(frame)


def _line(ax: Axes, x: PlotAxis, series: Series, colour: str, style: str, mark: str) -> None:
    data, place = series.data, x.positions
    if series.replicates:
        if "predicted" in data:
            _joined(ax, x, data.predicted.values, colour, style)
        _with_intervals(ax, place, series, colour, mark)
        return
    if "low" in data:
        ax.fill_between(place, data.low, data.high, color=colour, alpha=0.2, linewidth=0)
    _joined(ax, x, data.value.values, colour, style)


def _joined(ax: Axes, x: PlotAxis, values: np.ndarray, colour: str, style: str) -> None:
    """A line; dashes at words, and dots at values without a neighbour."""
    values = np.where(np.isfinite(values), values, np.nan)
    there = np.concatenate([[False], np.isfinite(values), [False]])
    lonely = there[1:-1] & ~there[:-2] & ~there[2:]
    ax.plot(
        x.positions,
        values,
        linestyle="none" if x.words else style,
        color=colour,
        marker="_" if x.words else ".",
        markersize=14 if x.words else 5,
        markevery=np.ones(len(values), bool) if x.words else lonely,
    )


def _with_intervals(ax: Axes, place: np.ndarray, series: Series, colour: str, mark: str) -> None:
    value = series.data.value.values
    spread = None
    if "low" in series.data:
        ends = np.stack([value - series.data.low.values, series.data.high.values - value])
        spread = np.maximum(np.where(np.isfinite(ends), ends, 0.0), 0.0)
    ax.errorbar(place, value, spread, fmt=mark, color=colour, capsize=2, elinewidth=1.2, markersize=4.5)


def _points_of_learners(ax: Axes, series: tuple[Series, ...], colours: dict, marks: dict) -> None:
    """One place per learner."""
    people = list(dict.fromkeys(s.who.anywhere for s in series))
    for s in series:
        place, (colour, _) = people.index(s.who.anywhere), colours[s.who.anywhere]
        if s.replicates and "predicted" in s.data:
            ax.plot([place], [float(s.data.predicted)], "_", color=colour, markersize=18)
        row = s._replace(data=s.data.expand_dims("place"))
        _with_intervals(ax, np.array([place]), row, colour, marks[s.who.route])
    ax.xaxis.set_major_locator(FixedLocator(range(len(people))))
    ax.xaxis.set_major_formatter(FixedFormatter([who.label.replace(", ", "\n") for who in people]))
    ax.set_xlim(-0.5, len(people) - 0.5)


def _crossings(ax: Axes, boundary: Boundary) -> None:
    for points, face in ((boundary.exact, "black"), (boundary.interpolated, "white")):
        for line in points:
            ax.plot(line[:, 0], [0.0], "o", color="black", markerfacecolor=face, markersize=6, zorder=5)


def _limits(axes: tuple[Axes, ...], picture: Picture) -> None:
    """The same limits in all panels: all values with headroom, and zero in a difference."""
    ax = axes[0]
    if picture.x is not None:
        t = picture.x.scale.forward(picture.x.positions.astype(float))
        margin = 0.02 * (t[-1] - t[0]) if not picture.x.words else 0.5
        ends = picture.x.scale.backward(np.array([t[0] - margin, t[-1] + margin]))
    names = ("value", "low", "high", "predicted")
    values = [s.data[name].values.ravel() for p in picture.panels for s in p.series for name in names if name in s.data]
    everything = np.concatenate(values)
    everything = everything[np.isfinite(everything)]
    if in_percent(picture.what):  # intervals of few replicates may be wider than this
        everything = np.clip(everything, -1 if picture.difference or picture.what == "drop" else 0, 1)
    if picture.difference:
        everything = np.append(everything, 0.0)
    low, high = (everything.min(), everything.max()) if len(everything) else (0.0, 1.0)
    room = max(HEADROOM * (high - low), 0.005)
    for ax in axes:
        if picture.x is not None:
            ax.set_xlim(*ends)
        ax.set_ylim(low - room, high + room)
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        if in_percent(picture.what):
            ax.yaxis.set_major_formatter(FuncFormatter(percent))
        if picture.difference:
            ax.axhline(0.0, color="0.4", linewidth=0.8)


def _undefined(ax: Axes, picture: Picture, series: tuple[Series, ...], colours: dict) -> None:
    """A cross at the bottom of the panel where a learner has no answer."""
    foot = ax.get_ylim()[0]
    for i, s in enumerate(series):
        place = np.atleast_1d(np.arange(len(series))[i] if picture.x is None else picture.x.positions)
        none = np.atleast_1d(s.data.undefined.values) != 0
        if none.any():
            colour = colours[s.who.anywhere][0]
            ax.plot(place[none], np.full(none.sum(), foot), "x", color=colour, markersize=5, clip_on=False, zorder=6)


def _entries(picture: Picture, people: list[Who], routes: list, colours: dict, marks: dict) -> list:
    every = [s for p in picture.panels for s in p.series]
    measured = {s.who.anywhere for s in every if s.replicates and s.data.value.notnull().any()}
    entries = []
    for who in people:
        colour, style = colours[who]
        label = " minus ".join(both_labels(picture)) if picture.difference else who.label
        mark = marks[routes[0]] if who in measured and len(routes) == 1 else None
        entries.append((Line2D([], [], color=colour, linestyle=style, marker=mark), label))
    if len(routes) > 1:
        entries += [(Line2D([], [], color="0.3", linestyle="none", marker=marks[r]), str(r)) for r in routes]
    if not measured and any("low" in s.data for s in every):
        level = next(s.level for s in every if s.level is not None)
        entries.append((Patch(color="0.5", alpha=0.3, linewidth=0), f"{level:.0%} interval of a sampled value"))
    entries += _boundary_entries(picture)
    if any((s.data.undefined != 0).any() for s in every):
        cross = Line2D([], [], color="0.3", linestyle="none", marker="x")
        entries.append((cross, "undefined"))
    return entries


def _boundary_entries(picture: Picture) -> list:
    entries = []
    for kind, face, words in (
        ("exact", "black", "exact, by theory"),
        ("interpolated", "white", "interpolated between the values drawn"),
    ):
        found = [line for p in picture.panels if p.boundary is not None for line in getattr(p.boundary, kind)]
        if not found:
            continue
        where = ""
        if len(picture.panels) == 1 and len(found) <= 3:
            where = f" at ${picture.x.symbol}$ = " + ", ".join(readable(line[0, 0]) for line in found)
        dot = Line2D([], [], color="black", linestyle="none", marker="o", markerfacecolor=face)
        entries.append((dot, f"equally accurate{where} ({words})"))
    return entries
