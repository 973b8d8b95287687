"""The files of a comparison: a figure in three formats, a page, a CSV, and the document."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.effective_robustness import AXES, Axis, band, fit_line, stretch
from experiments.figure_files import METADATA, save_figure
from experiments.files import output_folder, write_json, write_table, write_text
from experiments.heads.pages import WIDTH, page, ranking, spread, write_labels
from experiments.heads.tables import PLACE_WORDS, Record
from experiments.photos import tables
from experiments.photos.deciding import FILE, embedded
from experiments.photos.robustness import REPLICATES
from experiments.results import GROUPS, QUANTITIES
from experiments.style import styled
from experiments.svg import figure_svg
from experiments.table import html
from simulator.accuracy import LEVEL, PLACE
from simulator.streams import numpy_stream

STRETCHED = np.array(
    [
        0.001,
        0.003,
        0.01,
        0.03,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        0.97,
        0.99,
        0.997,
        0.999,
    ]
)
TICKS = {"plain": np.linspace(0, 1, 11), "logit": STRETCHED}
SIDE, HEIGHT = 6.5, 5.2  # inches of a panel
COLUMNS = ("number", "source", "model", "family", "mean", "labels", *QUANTITIES)
OVER = ("effective_robustness", "low", "high", "extrapolated")
SPANS = [f"{name}{end}" for name in PLACE for end in ("", "_low", "_high")]
HEADER = [*COLUMNS, "at_edge", *(f"{name}_{axis}" for axis in AXES for name in OVER), *SPANS]
CAPTION = (
    f"Lines: least squares for each family, dashed where extrapolated. Bands: {100 * LEVEL:.0f} %"
    f" intervals of the line, {REPLICATES} bootstrap replicates over models. "
)
BARS = f"Bars: {100 * LEVEL:.0f} % intervals of each model's accuracies. "
LETTERS, KEY = 7.0, 90  # points, for numbers and key; letters in a line of the key


@styled
def write_comparison(folder: Path, document: dict[str, Any], seed: int = 0) -> Path:
    """Write comparison.svg, .pdf, .png, .html, .csv (a row per model) and .json; returns the path
    of the SVG.
    """
    output_folder(folder)
    rows = document["rows"]
    figure = comparison_figure(document, seed)
    path = folder / "comparison.svg"
    for suffix in METADATA:
        save_figure(figure, path.with_suffix(suffix), "counteranimal compare")
    bars = BARS if any(row["interval_common"] for row in rows) else ""
    axes = AXES if document["lines"] else AXES[:1]
    words = "Counter against common accuracy on {} axes".format
    drawn = [figure_svg(comparison_figure(document, seed, axis), words(axis)) for axis in axes]
    text = page(
        "photos/comparison.html.jinja",
        document,
        drawings="\n".join(drawn),
        explanation=(CAPTION if document["lines"] else "") + bars + "Numbers: those of the table.",
        steady=min(rows, key=lambda row: abs(row["drop"])),
        caption=PLACE_WORDS,
        comparison=document,
        tables=tables,
        html=html,
        pictures=[
            (row["model"], embedded(file))
            for row in rows
            if (file := Path(row["source"]) / FILE).is_file()
        ],
        ranked=ranking({row["model"]: row["equivalent"] for row in rows if row["equivalent"]}),
    )
    write_text(folder / "comparison.html", text)
    write_table(folder / "comparison.csv", HEADER, map(_cells, rows))
    write_json(folder / "comparison.json", document)
    return path


def _cells(row: dict[str, Any]) -> list[Any]:
    """The cells of a model under HEADER."""
    cells = {name: row[name] for name in COLUMNS} | {"at_edge": int(row["at_edge"])}
    for axis, over in (row["effective_robustness"] or {}).items():
        numbers_over = over["value"], *over["interval"], int(over["extrapolated"])
        cells |= zip((f"{name}_{axis}" for name in OVER), numbers_over, strict=True)
    for name in PLACE if row["equivalent"] else ():
        cells |= spread(name, row["equivalent"][name], row["equivalent"]["interval"][name])
    return [cells.get(name, "") for name in HEADER]


@styled
def comparison_figure(document: dict[str, Any], seed: int = 0, axis: Axis | None = None) -> Figure:
    """Counter against common accuracy, on stretched axes, too, if there are lines, with a key
    below.

    On one `axis` the figure is that of a page, which has the key in its table.
    """
    rows, lines = document["rows"], document["lines"]
    ordered = sorted(rows, key=lambda row: row["number"])
    axes = (axis,) if axis else AXES if lines else AXES[:1]
    colours = {
        family: f"C{i % 7}" for i, family in enumerate(dict.fromkeys(row["family"] for row in rows))
    }
    looks = [{"color": colours[row["family"]], "marker": _marker(row)} for row in ordered]
    figure = Figure(figsize=(WIDTH, HEIGHT)) if axis else _keyed(ordered, looks, SIDE * len(axes))
    for panel, each in zip(figure.subplots(1, len(axes), squeeze=False)[0], axes, strict=True):
        limits = _scaled(panel, rows, each, bool(lines))
        for family in lines:
            members = [row for row in rows if row["family"] == family and not row["at_edge"]]
            _line(
                panel,
                members,
                each,
                limits[0],
                colours[family],
                numpy_stream(seed, f"band {family} {each}"),
            )
        for row, look in zip(ordered, looks, strict=True):
            _point(panel, row, each, limits, look, bool(lines) and row["at_edge"])
    first = figure.axes[0]
    first.set_ylabel("accuracy on the counter group [%]")
    kinds = dict.fromkeys((row["family"], _marker(row)) for row in rows)
    handles = [
        Line2D([], [], color=colours[f], marker=m, linestyle="none", label=f) for f, m in kinds
    ]
    first.legend(
        handles=[*first.get_legend_handles_labels()[0], *handles],
        loc="upper left" if lines else "best",
    )
    words = [f"{row['number']}" for row in ordered]
    shades = [look["color"] for look in looks]
    places = np.array([[row[group] for group in GROUPS] for row in ordered])
    for panel, each in zip(figure.axes, axes, strict=True):
        limits = np.array([panel.get_xlim(), panel.get_ylim()]).T
        write_labels(panel, np.clip(stretch(places, each), *limits), words, shades, LETTERS)
    return figure


def _keyed(ordered: Sequence[Record], looks: Sequence[dict[str, str]], width: float) -> Figure:
    """An empty figure with a key of numbers and models below."""
    entries = [fill(f"{row['number']}  {row['model']}", KEY) for row in ordered]
    printed = "\n".join(entries).split("\n")
    columns = max(1, int(width * 72 / (0.62 * LETTERS * (max(map(len, printed)) + 7))))
    figure = Figure(figsize=(width, HEIGHT + 1.5 * LETTERS / 72 * -(-len(printed) // columns)))
    marks = [Line2D([], [], linestyle="none", **look, markersize=4) for look in looks]
    key = figure.legend(
        marks, entries, loc="outside lower left", ncols=columns, fontsize=LETTERS, handlelength=0.5
    )
    for text in key.get_texts():
        text.set_parse_math(False)
    return figure


def _marker(row: Record) -> str:
    return "o" if row["source"].startswith("[W]") else "s"


def _scaled(panel: Axes, rows: Sequence[Record], axis: Axis, lines: bool) -> np.ndarray:
    """Draw y = x; returns the limits in positions on the axis, (common, counter) x (low, high)."""
    limits = []
    for name in GROUPS:
        values = [row[name] for row in rows]
        # Without lines there are few models, whose whole intervals are visible.
        ends = [] if lines else [row[f"interval_{name}"] or () for row in rows]
        at = stretch(np.array([*values, *chain(*ends)]), axis)
        at = at[np.isfinite(at)] if np.isfinite(at).any() else stretch(np.array([0.1, 0.9]), axis)
        extent = float(np.ptp(at))
        room = 0.09 * max(extent, 0.3 if axis == "plain" else 1.0)
        if axis == "plain":
            room = max(room, 0.12 - extent / 2)  # two ticks
        limits.append((at.min() - room, at.max() + room))
    limits = np.clip(limits, -0.04, 1.04) if axis == "plain" else np.array(limits)
    for side in (panel.xaxis, panel.yaxis):
        side.set_ticks(stretch(TICKS[axis], axis), [f"{100 * tick:g}" for tick in TICKS[axis]])
    panel.set(xlim=limits[0], ylim=limits[1], xlabel="accuracy on the common group [%]")
    panel.set_title(f"{axis} axes" if lines else "")
    low = limits[:, 0].max()
    high = limits[:, 1].min()
    if low < high:
        panel.plot(
            [low, high],
            [low, high],
            color="#888888",
            linewidth=1,
            linestyle=":",
            label="no drop, y = x",
        )
    return limits


def _line(
    panel: Axes,
    rows: Sequence[Record],
    axis: Axis,
    ends: np.ndarray,
    colour: str,
    rng: np.random.Generator,
) -> None:
    x, y = (np.array([row[group] for row in rows]) for group in GROUPS)
    grid = np.linspace(x.min(), x.max(), 60)
    low, high = (stretch(end, axis) for end in band(x, y, axis, grid, rng, REPLICATES, LEVEL))
    panel.fill_between(stretch(grid, axis), low, high, color=colour, alpha=0.15, linewidth=0)
    line = fit_line(x, y, axis)
    inside = stretch(grid[[0, -1]], axis)
    for between, width, style in ((ends, 1, (0, (4, 4))), (inside, 1.4, "-")):
        panel.plot(
            between,
            line.intercept + line.slope * between,
            color=colour,
            linewidth=width,
            linestyle=style,
        )


def _point(
    panel: Axes, row: Record, axis: Axis, limits: np.ndarray, look: dict[str, str], hollow: bool
) -> None:
    """Draw a model with its intervals; of accuracy 0 or 1, at infinity on stretched axes, it is
    hollow on the edge.
    """
    places = [(row[group], row[f"interval_{group}"]) for group in GROUPS]
    spans = np.array(
        [[ends[0] if ends else at, at, ends[1] if ends else at] for at, ends in places]
    )
    low, at, high = np.clip(stretch(spans, axis), limits[:, :1], limits[:, 1:]).T
    across, up = np.stack([at - low, high - at], axis=1)[..., None]  # each (low, high) x 1
    marker = {
        "markersize": 4.5,
        "markerfacecolor": "white" if hollow else look["color"],
        "clip_on": not row["at_edge"],
    }
    panel.errorbar(
        *at, xerr=across, yerr=up, ecolor=(look["color"], 0.45), elinewidth=0.8, **marker, **look
    )
