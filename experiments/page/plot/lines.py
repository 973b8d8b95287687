"""Pictures of lines and points: over one axis, one point per learner, or one group of images
against the other.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.page.plot.axes import PlotAxis, literal, readable
from experiments.page.plot.frame import SMALLEST, both_labels, finished, framed, percent
from experiments.page.plot.layout import Picture
from experiments.page.plot.series import MINUS, Series, Who
from experiments.style import styled

# from full to thin: thinner lines lie on top, so that all lines of one place show
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # when the seven colours repeat, the marks change
HALF = {"color": "0.5", "linewidth": 0.9, "linestyle": ":"}
DIAGONAL = {"color": "0.5", "linewidth": 0.9}
HEADROOM, LEAST_ROOM = 0.06, 0.005  # above and below the values: share of their range, and at least


@styled
def draw_lines(picture: Picture, scaled: Sequence[Picture]) -> Figure:
    figure = framed(picture)
    learners = list(dict.fromkeys(s.who.anywhere for s in picture.series))
    routes = list(dict.fromkeys(s.who.route for s in picture.series))
    for ax, panel in zip(figure.axes, picture.panels, strict=True):
        for series in panel.series:
            i = learners.index(series.who.anywhere)
            mark = MARKERS[routes.index(series.who.route)]
            _draw(ax, picture.x, series, i, mark)
        for line in panel.boundary or ():
            ax.plot(
                picture.x.scale.place(line[0, 0]), 0.0, "o", color="black", markersize=6, zorder=5
            )
        for time in panel.half_times:
            ax.axvline(picture.x.scale.place(time), **HALF)
        if picture.difference:
            ax.axhline(0.0, color="0.4", linewidth=0.8)
        if _has_diagonal(picture):
            ax.plot(picture.x.places, picture.x.values, **DIAGONAL)
        if not any(
            np.isfinite(s.numbers(name)).any()
            for s in panel.series
            for name in ("value", "predicted")
        ):
            ax.text(
                0.5, 0.5, "no value here", transform=ax.transAxes, ha="center", fontsize=SMALLEST
            )
    _limit(figure.axes[0], "y", picture, [series for each in scaled for series in each.series])
    places = range(len(learners)) if picture.x is None else picture.x.places
    if picture.x is None:
        figure.axes[0].set_xticks(
            places, labels=[who.label.replace(", ", "\n") for who in learners]
        )
    margin = 0.5 if picture.x is None or picture.x.words else 0.02 * np.ptp(places)
    figure.axes[0].set_xlim(places[0] - margin, places[-1] + margin)
    return finished(figure, picture, _entries(picture, learners, routes))


def _draw(ax: Axes, x: PlotAxis | None, series: Series, i: int, mark: str) -> None:
    """Theory as a line (for words and learners a dash), measurements as points, undefined values as
    crosses.
    """
    places = np.array([float(i)]) if x is None else x.places
    value = np.atleast_1d(series.numbers("value"))
    predicted = np.atleast_1d(series.numbers("predicted"))
    low = np.atleast_1d(series.numbers("low"))
    high = np.atleast_1d(series.numbers("high"))
    colour = f"C{i % 7}"
    theory = predicted if series.replicates else value
    if x is None or x.words:
        ax.plot(places, theory, "_", color=colour, markersize=16)
    else:
        there = np.pad(np.isfinite(theory), 1)
        lonely = there[1:-1] & ~there[:-2] & ~there[2:]
        line = np.where(there[1:-1], theory, np.nan)
        thin = i % len(STYLES)
        ax.plot(
            places,
            line,
            STYLES[thin],
            color=colour,
            marker=".",
            markevery=lonely,
            zorder=2 + thin / 8,
        )
    # of one training, so a line, and a band over models
    if series.replicates and x is not None and x.name == "step":
        ax.plot(places, value, mark, color=colour, linestyle="-", markersize=3)
        ax.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
    elif series.replicates:
        ax.errorbar(
            places,
            value,
            _arms(value, low, high),
            fmt=mark,
            color=colour,
            capsize=2,
            elinewidth=1.2,
        )
    elif x is not None:
        ax.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
    else:
        ax.errorbar(places, value, _arms(value, low, high), fmt="none", color=colour, capsize=2)
    none = np.atleast_1d(series.data.undefined.values) != 0
    if none.any():
        foot = {"transform": ax.get_xaxis_transform(), "clip_on": False, "zorder": 6}
        ax.plot(places[none], np.zeros(none.sum()), "x", color=colour, **foot)


def _arms(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Both arms of intervals; 0 where there is no finite interval."""
    whole = np.isfinite([value, low, high]).all(axis=0)
    return np.maximum(np.where(whole, [value, high], 0.0) - np.where(whole, [low, value], 0.0), 0.0)


def _limit(ax: Axes, side: str, picture: Picture, series: list[Series]) -> None:
    """All values with headroom; intervals of few replicates are cut at the range of the
    quantity.
    """
    every = np.concatenate(
        [s.numbers(n).ravel() for s in series for n in ("value", "predicted", "low", "high")]
    )
    every = every[np.isfinite(every)]
    if picture.difference:
        every = np.append(every, 0.0)
    if picture.unit == "fraction":
        every = np.clip(every, -1 if picture.difference or picture.what == "drop" else 0, 1)
    low, high = (every.min(), every.max()) if len(every) else (0.0, 1.0)
    room = max(
        HEADROOM * (high - low), LEAST_ROOM / 10 if picture.what == "shortfall" else LEAST_ROOM
    )
    axis = getattr(ax, f"{side}axis")  # all panels share it
    getattr(ax, f"set_{side}lim")(low - room, high + room)
    axis.set_major_locator(MaxNLocator(6 if side == "y" else 4, steps=[1, 2, 5, 10]))
    if picture.unit == "fraction":
        axis.set_major_formatter(FuncFormatter(percent))


def _entries(picture: Picture, learners: list[Who], routes: list) -> list:
    measured = {
        s.who.anywhere for s in picture.series if s.replicates and s.data.value.notnull().any()
    }
    entries = []
    for i, who in enumerate(learners):
        label = MINUS.join(both_labels(picture)) if picture.difference else who.label
        mark = MARKERS[0] if who in measured and len(routes) == 1 else None
        entries.append(
            (
                Line2D([], [], color=f"C{i % 7}", linestyle=STYLES[i % len(STYLES)], marker=mark),
                label,
            )
        )
    if len(routes) > 1:
        entries += [
            (_mark(mark, "0.3"), str(route)) for route, mark in zip(routes, MARKERS, strict=False)
        ]
    sampled = [s for s in picture.series if s.level is not None and not s.replicates]
    visible = [
        s.level for s in sampled if (s.numbers("high") - s.numbers("low") > LEAST_ROOM).any()
    ]
    if visible:
        words = f"{100 * visible[0]:.0f} % interval of a sampled value"
        entries.append((Patch(color="0.5", alpha=0.3, linewidth=0), words))
    equal = [line[0, 0] for panel in picture.panels for line in panel.boundary or ()]
    if picture.x is not None and equal:
        few = len(picture.panels) == 1 and len(equal) <= 3
        where = f" at ${picture.x.symbol}$ = {', '.join(map(readable, equal))}" if few else ""
        entries.append((_mark("o", "black"), f"equally accurate{where} (exact, by theory)"))
    if _has_diagonal(picture):
        words = "as in the data; more of the background is learned above, less below"
        entries.append((Line2D([], [], **DIAGONAL), words))
    if any(panel.half_times for panel in picture.panels):
        entries.append((Line2D([], [], **HALF), "a mode reaches half of its end"))
    if any((s.data.undefined != 0).any() for s in picture.series):
        entries.append((_mark("x", "0.3"), "undefined"))
    return entries


def _has_diagonal(picture: Picture) -> bool:
    """Whether p' is drawn against p, so that the data have a line of their own."""
    return (
        picture.what == "equivalent-correlation"
        and picture.x is not None
        and picture.x.name == "p_spu"
    )


def _mark(mark: str, colour: str) -> Line2D:
    return Line2D([], [], color=colour, linestyle="none", marker=mark)


@styled
def draw_plane(picture: Picture, scaled: Sequence[Picture]) -> Figure:
    """The counter group against the common group: one mark per value of an axis."""
    figure = framed(picture)
    looks = [(f"C{i % 7}", MARKERS[(i + i // 7) % 7]) for i in range(len(picture.x.values))]
    for ax, panel in zip(figure.axes, picture.panels, strict=True):
        ax.plot([0, 1], [0, 1], linestyle="--", color="0.7", linewidth=1, zorder=1)
        for i, (colour, mark) in enumerate(looks):
            x, y = (s.numbers("predicted" if s.replicates else "value")[i] for s in panel.series)
            ax.plot(x, y, mark, color=colour, markerfacecolor="none", markersize=8)
            if panel.series[0].replicates:
                (x, across), (y, upward) = (
                    (
                        s.numbers("value")[i],
                        _arms(*(s.numbers(n)[[i]] for n in ("value", "low", "high"))),
                    )
                    for s in panel.series
                )
                ax.errorbar(
                    x,
                    y,
                    upward,
                    across,
                    fmt=mark,
                    color=colour,
                    markersize=5,
                    elinewidth=1.0,
                    zorder=3,
                )
    for side, k in (("x", 0), ("y", 1)):
        _limit(
            figure.axes[0],
            side,
            picture,
            [panel.series[k] for each in scaled for panel in each.panels],
        )
    words = [literal(v) if picture.x.words else picture.x.at(v) for v in picture.x.values]
    return finished(
        figure, picture, [(_mark(m, c), word) for word, (c, m) in zip(words, looks, strict=True)]
    )
