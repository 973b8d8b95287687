"""The common-versus-counter plot: numbered points with intervals, lines with bands, y = x, and a key.

A model with an accuracy of 0 or 1 is at infinity on the stretched axes. It is drawn hollow on their edge.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.counteranimal.result import Result
from experiments.counteranimal.robustness import REPLICATES, at_edge, family_arrays, numbers
from experiments.effective_robustness import AXES, SMALLEST_FAMILY, Axis, band, fit_line, stretch, unstretch
from experiments.inference import LEVEL
from experiments.results import Row
from experiments.style import styled
from simulator.streams import numpy_stream

STRETCHED = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99, 0.997, 0.999)
TICKS = {"plain": np.linspace(0, 1, 11), "logit": STRETCHED, "probit": STRETCHED}
LETTERS = 7.0  # points, for numbers and key
WIDTH = 13.0  # inches
OWN, PRINTED = 6.0, 4.5  # points, for markers
LINE = 1.5 * LETTERS / 72  # inches per row of the key


@styled
def comparison_figure(results: Sequence[Result], seed: int = 0) -> Figure:
    """Counter against common accuracy on plain, logit and probit axes, with lines, bands, y = x and a key below."""
    called = numbers(results)
    entries = [f"{n}  {r.row.model}{'' if r.comparable else ' ≁'}" for n, r in zip(called, results, strict=True)]
    columns = max(1, int((WIDTH - 0.4) * 72 / (0.62 * LETTERS * (max(map(len, entries)) + 3))))
    key = LINE * -(-len(entries) // columns) + 0.1
    figure = Figure(figsize=(WIDTH, 5.2 + key))
    above, below = figure.subfigures(2, 1, height_ratios=[5.2, key])
    panels = above.subplots(1, len(AXES))
    for panel, axis in zip(panels, AXES, strict=True):
        _panel(panel, results, axis, seed)
    panels[0].set_ylabel("accuracy on the counter group [%]")
    panels[0].legend(loc="upper left")
    above.suptitle(_caption(results), fontsize=8, x=0.01, ha="left")
    _key(below, results, called, entries, columns)
    for panel, axis in zip(panels, AXES, strict=True):
        _number(panel, axis, results, called)
    return figure


def _caption(results: Sequence[Result]) -> str:
    words = (
        f"Lines: least squares for each family, dashed where extrapolated. Bands: {LEVEL:.0%} of the line, "
        f"{REPLICATES} bootstrap replicates over models. Bars: {LEVEL:.0%} of each model's own accuracies."
    )
    if any(at_edge(result.row) for result in results):
        words += "\nHollow, on an edge: an accuracy of 0 or 100 %, at infinity on stretched axes; in no line."
    if not all(result.comparable for result in results):
        words += "\n≁ not comparable: another protocol; in no line."
    return words


def _panel(panel: Axes, results: Sequence[Result], axis: Axis, seed: int) -> None:
    """One plot on one pair of axes, without the numbers."""
    for name in ("x", "y"):
        getattr(panel, f"set_{name}scale")("function", functions=_scale(axis))
    limits = [_limits(np.array([getattr(r.row, group) for r in results]), axis) for group in ("common", "counter")]
    low, high = max(limits[0][0], limits[1][0]), min(limits[0][1], limits[1][1])
    if low < high:
        panel.plot([low, high], [low, high], color="#888888", linewidth=1, linestyle=":", label="no drop, y = x")
    for i, (family, colour) in enumerate(_colours(results).items()):
        _line(panel, [r.row for r in results if r.comparable], family, axis, limits, colour, seed)
        for origin in ("published", "own", "not comparable"):
            part = [r.row for r in results if r.row.family == family and _origin(r) == origin]
            mark = colour, "osD^vPX"[i % 7], OWN if origin == "own" else PRINTED
            _points(panel, part, axis, limits, mark, f"{family}, {origin}")
    for side, ends in zip((panel.xaxis, panel.yaxis), limits, strict=True):
        side.set_major_locator(FixedLocator([t for t in TICKS[axis] if ends[0] <= t <= ends[1]]))
        side.set_minor_locator(NullLocator())
        side.set_major_formatter(lambda value, _: f"{100 * value:g}")
    panel.set_xlim(limits[0])
    panel.set_ylim(limits[1])
    panel.set_title(f"{axis} axes")
    panel.set_xlabel("accuracy on the common group [%]")


def _origin(result: Result) -> str:
    if not result.comparable:
        return "not comparable"
    return "published" if result.row.source.startswith("[W]") else "own"


def _limits(accuracies: np.ndarray, axis: Axis) -> tuple[float, float]:
    """Ends of an axis with these accuracies and a margin; a stretched axis ignores 0 and 1."""
    inside = accuracies if axis == "plain" else accuracies[(accuracies > 0) & (accuracies < 1)]
    positions = stretch(inside if len(inside) else np.array([0.1, 0.9]), axis)
    room = 0.09 * max(float(np.ptp(positions)), 0.3 if axis == "plain" else 1.0)
    ends = np.array([positions.min() - room, positions.max() + room])
    low, high = np.clip(ends, -0.04, 1.04) if axis == "plain" else unstretch(ends, axis)
    return float(low), float(high)


def _colours(results: Sequence[Result]) -> dict[str, str]:
    return {family: f"C{i}" for i, family in enumerate(dict.fromkeys(result.row.family for result in results))}


def _line(
    panel: Axes, rows: Sequence[Row], family: str, axis: Axis, limits: list[tuple[float, float]], colour: str, seed: int
) -> None:
    """A family's line, with its band over the range of its models and dashed outside."""
    x, y = family_arrays(rows, family)
    if len(x) < SMALLEST_FAMILY or np.ptp(x) == 0:
        return
    grid = np.linspace(x.min(), x.max(), 60)
    edges = band(x, y, axis, grid, numpy_stream(seed, f"band {family} {axis}"), REPLICATES, LEVEL)
    panel.fill_between(grid, *edges, color=colour, alpha=0.15, linewidth=0)
    line = fit_line(x, y, axis)
    panel.plot(grid, line.at(grid), color=colour, linewidth=1.4)
    for ends in ((limits[0][0], x.min()), (x.max(), limits[0][1])):
        beyond = np.linspace(*ends, 30)
        panel.plot(beyond, line.at(beyond), color=colour, linewidth=1, linestyle=(0, (4, 4)))


def _points(
    panel: Axes,
    rows: Sequence[Row],
    axis: Axis,
    limits: list[tuple[float, float]],
    mark: tuple[str, str, float],
    label: str,
) -> None:
    """Models of one family and origin with their intervals; those at infinity are hollow, on the edge."""
    label = f"{label} ({len(rows)})"
    colour, marker, size = mark
    for inside in (True, False):
        part = [row for row in rows if at_edge(row) != inside]
        if not part:
            continue
        at = np.array([_position(row, axis, limits) for row in part]).T
        bars = {"xerr": _bars(part, "common", axis, limits[0]), "yerr": _bars(part, "counter", axis, limits[1])}
        panel.errorbar(*at, **bars, elinewidth=0.8, ecolor=(colour, 0.45), fmt="none", zorder=2.5)
        edge, face = (("black" if size == OWN else "none"), colour) if inside else (colour, "white")
        panel.plot(
            *at,
            marker=marker,
            linestyle="none",
            markersize=size,
            markeredgecolor=edge,
            markerfacecolor=face,
            label=label,
            clip_on=inside,
            zorder=3,
        )
        label = "_"  # only once in the legend


def _position(row: Row, axis: Axis, limits: list[tuple[float, float]]) -> tuple[float, float]:
    """The position of a row: its accuracies, or the edge if they are at infinity."""
    if axis == "plain":
        return row.common, row.counter
    return tuple(float(np.clip(value, *ends)) for value, ends in zip((row.common, row.counter), limits, strict=True))


def _bars(rows: Sequence[Row], group: str, axis: Axis, limits: tuple[float, float]) -> np.ndarray:
    """Distances from the drawn point to the ends of its interval; zero without an interval."""
    ends = np.array([getattr(r, f"interval_{group}") or (getattr(r, group),) * 2 for r in rows])
    at = np.array([getattr(r, group) for r in rows])
    at = at if axis == "plain" else np.clip(at, *limits)
    return np.maximum([at - ends[:, 0], ends[:, 1] - at], 0)


def _number(panel: Axes, axis: Axis, results: Sequence[Result], called: Sequence[int]) -> None:
    """The number of each model beside its point: families in turn below to the right and above to the left."""
    limits = [panel.get_xlim(), panel.get_ylim()]
    colours = _colours(results)
    families = list(colours)
    for result, number in zip(results, called, strict=True):
        below = families.index(result.row.family) % 2 == 0
        panel.annotate(
            str(number),
            _position(result.row, axis, limits),
            (2.5, -2) if below else (-2.5, 2),
            textcoords="offset points",
            fontsize=LETTERS,
            color=colours[result.row.family],
            ha="left" if below else "right",
            va="top" if below else "bottom",
            annotation_clip=False,
            path_effects=[withStroke(linewidth=1.2, foreground="white")],
            zorder=4,
        )


def _key(
    paper: SubFigure, results: Sequence[Result], called: Sequence[int], entries: Sequence[str], columns: int
) -> None:
    """Numbers and names in columns, in their families' colours."""
    colours = _colours(results)
    rows = -(-len(entries) // columns)
    height = LINE * rows + 0.1
    for result, number, entry in zip(results, called, entries, strict=True):
        column, row = divmod(number - 1, rows)
        at = 0.015 + 0.985 * column / columns, 1 - (LINE * row + 0.02) / height
        paper.text(*at, entry, fontsize=LETTERS, va="top", color=colours[result.row.family], parse_math=False)


def _scale(axis: Axis):
    def forward(values):
        return stretch(values if axis == "plain" else np.clip(values, 1e-6, 1 - 1e-6), axis)

    return forward, lambda values: unstretch(values, axis)
