"""The figures of compare and law, as SVG, PDF and PNG.

A model with an accuracy of 0 or 1 is at infinity on the stretched axes. It is drawn hollow on their edge.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullLocator
from scipy.special import ndtri

from experiments.counteranimal.robustness import REPLICATES, Result, lines_of, numbers
from experiments.effective_robustness import AXES, Axis, band, fit_line, stretch, unstretch
from experiments.files import write_atomically
from experiments.inference import LEVEL
from experiments.style import styled
from simulator.streams import numpy_stream

UNDATED: dict[str, dict[str, Any]] = {  # without dates, so that equal figures give equal files
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}
STRETCHED = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99, 0.997, 0.999)
TICKS = {"plain": np.linspace(0, 1, 11), "logit": STRETCHED, "probit": STRETCHED}
WIDTH, HEIGHT = 13.0, 5.2  # inches of a comparison without its key
LETTERS = 7.0  # points, for numbers and key
SIDE = 3.3  # inches of a panel of law_figure
LONGEST = 38  # letters per line of a title
MARKS = {"common": ("C0", "o"), "counter": ("C1", "s")}


@styled
def write_figure(stem: Path, figure: Figure) -> None:
    """Write a figure as stem.svg, stem.pdf and stem.png, without dates."""
    for suffix, metadata in UNDATED.items():
        write_atomically(
            stem.with_name(f"{stem.name}.{suffix}"),
            lambda name, kind=suffix, words=metadata: figure.savefig(name, format=kind, metadata=words),
        )


@styled
def comparison_figure(results: Sequence[Result], seed: int = 0) -> Figure:
    """Counter against common accuracy on plain, logit and probit axes, with lines, bands, y = x and a key below."""
    families = list(dict.fromkeys(result.row.family for result in results))
    colours = {family: f"C{i % 7}" for i, family in enumerate(families)}
    called = sorted(zip(numbers(results), results, strict=True), key=lambda pair: pair[0])
    entries = [f"{n}  {r.row.model}{'' if r.comparable else ' ≁'}" for n, r in called]
    columns = max(1, int(WIDTH * 72 / (0.62 * LETTERS * (max(map(len, entries)) + 7))))
    figure = Figure(figsize=(WIDTH, HEIGHT + 1.5 * LETTERS / 72 * -(-len(entries) // columns)))
    for panel, axis in zip(figure.subplots(1, len(AXES)), AXES, strict=True):
        limits = _scaled(panel, results, axis)
        for family, accuracies in lines_of(results).items():
            _line(panel, *accuracies, axis, limits[0], colours[family], numpy_stream(seed, f"band {family} {axis}"))
        for number, result in called:
            _point(panel, result, number, limits, colours[result.row.family])
    first = figure.axes[0]
    first.set_ylabel("accuracy on the counter group [%]")
    handles = [_mark(colours[family], label=family) for family in families]
    first.legend(handles=[*first.get_legend_handles_labels()[0], *handles], loc="upper left")
    figure.suptitle(_caption(results), fontsize=8, x=0.01, ha="left")
    marks = [_mark(colours[result.row.family], markersize=4) for _, result in called]
    key = figure.legend(marks, entries, loc="outside lower left", ncols=columns, fontsize=LETTERS, handlelength=0.5)
    for text in key.get_texts():
        text.set_parse_math(False)
    return figure


def _mark(colour: str, **more: Any) -> Line2D:
    return Line2D([], [], color=colour, marker="o", linestyle="none", **more)


def _caption(results: Sequence[Result]) -> str:
    words = (
        f"Lines: least squares for each family, dashed where extrapolated. Bands: {LEVEL:.0%} intervals of the line, "
        f"{REPLICATES} bootstrap replicates over models. Bars: {LEVEL:.0%} intervals of each model's accuracies. "
        "Squares: your results."
    )
    if any(result.at_edge for result in results):
        words += "\nHollow, on an edge: accuracy 0 or 100 %, at infinity on stretched axes; not used for lines."
    if not all(result.comparable for result in results):
        words += "\n≁ not comparable: another protocol; not used for lines."
    return words


def _scaled(panel: Axes, results: Sequence[Result], axis: Axis) -> np.ndarray:
    """Scale both sides and draw y = x; returns the limits, (common, counter) x (low, high)."""
    accuracies = np.array([(result.row.common, result.row.counter) for result in results])
    limits = np.array([_limits(column, axis) for column in accuracies.T])
    for side, ends in zip((panel.xaxis, panel.yaxis), limits, strict=True):
        getattr(panel, f"set_{side.axis_name}scale")(
            "function", functions=(lambda v: stretch(_inside(v, axis), axis), lambda v: unstretch(v, axis))
        )
        side.set_major_locator(FixedLocator([tick for tick in TICKS[axis] if ends[0] <= tick <= ends[1]]))
        side.set_minor_locator(NullLocator())
        side.set_major_formatter(lambda value, _: f"{100 * value:g}")
    panel.set(xlim=limits[0], ylim=limits[1], title=f"{axis} axes", xlabel="accuracy on the common group [%]")
    low, high = limits[:, 0].max(), limits[:, 1].min()
    if low < high:
        panel.plot([low, high], [low, high], color="#888888", linewidth=1, linestyle=":", label="no drop, y = x")
    return limits


def _limits(accuracies: np.ndarray, axis: Axis) -> np.ndarray:
    """Ends of an axis with these accuracies and a margin; a stretched axis ignores 0 and 1."""
    inside = accuracies if axis == "plain" else accuracies[(accuracies > 0) & (accuracies < 1)]
    positions = stretch(inside if len(inside) else np.array([0.1, 0.9]), axis)
    room = 0.09 * max(float(np.ptp(positions)), 0.3 if axis == "plain" else 1.0)
    ends = np.array([positions.min() - room, positions.max() + room])
    return np.clip(ends, -0.04, 1.04) if axis == "plain" else unstretch(ends, axis)


def _inside(accuracies: np.ndarray, axis: Axis) -> np.ndarray:
    return accuracies if axis == "plain" else np.clip(accuracies, 1e-6, 1 - 1e-6)


def _line(
    panel: Axes, x: np.ndarray, y: np.ndarray, axis: Axis, ends: np.ndarray, colour: str, rng: np.random.Generator
) -> None:
    """A family's line, with its band over the range of its models and dashed outside."""
    grid = np.linspace(x.min(), x.max(), 60)
    panel.fill_between(grid, *band(x, y, axis, grid, rng, REPLICATES, LEVEL), color=colour, alpha=0.15, linewidth=0)
    line = fit_line(x, y, axis)
    panel.plot(grid, line.at(grid), color=colour, linewidth=1.4)
    for beyond in (np.linspace(ends[0], x.min(), 30), np.linspace(x.max(), ends[1], 30)):
        panel.plot(beyond, line.at(beyond), color=colour, linewidth=1, linestyle=(0, (4, 4)))


def _point(panel: Axes, result: Result, number: int, limits: np.ndarray, colour: str) -> None:
    """Draw a model with its intervals and number; at infinity it is hollow, on the edge."""
    row = result.row
    at = np.clip((row.common, row.counter), *limits.T)
    spans = np.array([row.interval_common or (at[0], at[0]), row.interval_counter or (at[1], at[1])])
    spans = np.clip(spans, limits[:, :1], limits[:, 1:])
    arms = np.abs(spans.T - at)[..., None]  # (end, group, 1)
    panel.errorbar(
        *at,
        xerr=arms[:, 0],
        yerr=arms[:, 1],
        color=colour,
        ecolor=(colour, 0.45),
        elinewidth=0.8,
        marker="o" if row.source.startswith("[W]") or not result.comparable else "s",
        markersize=4.5,
        markerfacecolor="white" if result.at_edge else colour,
        clip_on=not result.at_edge,
    )
    look = {"color": colour, "fontsize": LETTERS, "path_effects": [withStroke(linewidth=1.2, foreground="white")]}
    panel.annotate(str(number), at, (2.5, -2), textcoords="offset points", va="top", annotation_clip=False, **look)


@styled
def law_figure(document: dict[str, Any]) -> Figure:
    """Measured against predicted accuracy: a panel per model, with its verdict; a point per class and group."""
    models = document["models"]
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    figure = Figure(figsize=(max(2, columns) * SIDE, rows * (SIDE + 0.5) + 0.7))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for panel, model in zip(panels, models, strict=False):
        _law_panel(panel, model)
    for panel in panels[len(models) :]:
        panel.set_axis_off()
    panels[0].legend(loc="upper left")
    figure.supxlabel("predicted by the law [%]", fontsize="medium")
    figure.supylabel("measured on the other half [%]", fontsize="medium")
    words = f"One point per class and group. Bars: {LEVEL:.0%}, from photos and fit. "
    words += f"Tolerance {100 * document['tolerance']:g} points."
    figure.suptitle(words, fontsize=8, x=0.01, ha="left")
    return figure


def _law_panel(panel: Axes, model: dict[str, Any]) -> None:
    panel.plot([0, 100], [0, 100], color="#888888", linewidth=1, linestyle=":")
    z = float(ndtri((1 + LEVEL) / 2))
    for group, (colour, marker) in MARKS.items():
        part = [c for c in model["classes"] if c["group"] == group]
        x, y, error = (100 * np.array([c[k] for c in part]) for k in ("predicted", "measured", "standard_error"))
        bars = np.minimum(z * error, [y, 100 - y])
        panel.errorbar(
            x, y, yerr=bars, fmt=marker, color=colour, ecolor=(colour, 0.4), elinewidth=0.9, markersize=4, label=group
        )
    name = model["model"]
    lines = [name[i : i + LONGEST] for i in range(0, len(name), LONGEST)]
    panel.set_title("\n".join([*lines, model["verdict"]]), fontsize=8, parse_math=False)
    panel.set(xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
