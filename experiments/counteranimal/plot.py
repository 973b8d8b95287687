"""The comparison on disk, and its common-versus-counter plot: points with intervals, lines with bands, y = x."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.counteranimal.comparison import REPLICATES, Result, family_arrays
from experiments.files import output_folder, write_atomically, write_json, write_table
from experiments.inference import LEVEL
from experiments.lines import AXES, SMALLEST_FAMILY, band, fit_line, stretch, unstretch
from experiments.results import Row
from experiments.style import styled
from simulator.streams import numpy_stream


@styled
def comparison_figure(results: Sequence[Result], seed: int = 0):
    """Counter against common accuracy on plain, logit and probit axes, with lines, bands and y = x."""
    figure = Figure(figsize=(13, 5.2))
    panels = figure.subplots(1, len(AXES))
    rows = [result.row for result in results]
    values = np.array([[r.common, r.counter] for r in rows])
    inside = values[((values > 0) & (values < 1)).all(axis=1)]
    low, high = (float(inside.min()), float(inside.max())) if len(inside) else (0.1, 0.9)
    low, high = max(0.002, low - 0.06), min(0.998, high + 0.04 if high < 0.9 else (1 + high) / 2)
    left = min((r.interval_common or (r.common,))[0] for r in rows if r.common > 0) - 0.03 if len(inside) else low
    families = list(dict.fromkeys(row.family for row in rows))
    label_all = len(rows) <= 12  # beyond that labels cover each other; own results keep theirs
    for panel, axis in zip(panels, AXES, strict=True):
        panel.set_xscale("function", functions=_scale(axis))
        panel.set_yscale("function", functions=_scale(axis))
        panel.plot([low, high], [low, high], color="#888888", linewidth=1, linestyle=":", label="no drop, y = x")
        for i, family in enumerate(families):
            colour, marker = f"C{i}", "osD^vPX"[i % 7]
            mine = [row for row in rows if row.family == family]
            x, y = family_arrays(rows, family)
            if len(x) >= SMALLEST_FAMILY and np.ptp(x) > 0:
                grid = np.linspace(x.min(), x.max(), 60)
                edges = band(x, y, axis, grid, numpy_stream(seed, f"band {family} {axis}"), REPLICATES, LEVEL)
                panel.fill_between(grid, *np.clip(edges, low, high), color=colour, alpha=0.15, linewidth=0)
                panel.plot(grid, fit_line(x, y, axis).at(grid), color=colour, linewidth=1.4)
            for own in (False, True):
                part = [r for r in mine if r.source.startswith("[W]") != own and low <= r.counter <= high]
                if not part:
                    continue
                label = f"{family}, {'own' if own else 'published'} ({len(part)})"
                panel.errorbar(
                    [r.common for r in part],
                    [r.counter for r in part],
                    xerr=_bars(part, "common"),
                    yerr=_bars(part, "counter"),
                    fmt=marker,
                    color=colour,
                    markersize=8 if own else 4.5,
                    markeredgecolor="black" if own else "none",
                    elinewidth=1,
                    linestyle="none",
                    label=label,
                )
                for r in part if own or label_all else ():
                    panel.annotate(r.model, (r.common, r.counter), (5, -9), textcoords="offset points", fontsize=6.5)
        ticks = [t for t in (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99) if low <= t <= high]
        for side in (panel.xaxis, panel.yaxis):
            side.set_major_locator(FixedLocator(ticks))
            side.set_minor_locator(NullLocator())
            side.set_major_formatter(lambda value, _: f"{100 * value:g}")
        panel.set_xlim(max(low, left), high)
        panel.set_ylim(low, high)
        panel.set_title(f"{axis} axes")
        panel.set_xlabel("accuracy on the common group [%]")
    panels[0].set_ylabel("accuracy on the counter group [%]")
    panels[0].legend(loc="upper left")
    figure.suptitle(
        f"Lines: least squares for each family. Bands: {LEVEL:.0%} of the line, {REPLICATES} bootstrap replicates over "
        f"models. Bars: {LEVEL:.0%} of each model's own accuracies.",
        fontsize=8,
        x=0.01,
        ha="left",
    )
    return figure


def write_comparison(folder: Path, results: Sequence[Result], document: dict[str, Any], seed: int = 0) -> Path:
    """comparison.svg (its path is returned), .csv with a row a model, .json with the document of `compare`."""
    output_folder(folder)
    figure = comparison_figure(results, seed)
    path = folder / "comparison.svg"
    write_atomically(path, lambda name: figure.savefig(name, format="svg", metadata={"Date": None}))
    columns = ("source", "model", "family", "mean", "labels", "common", "counter", "drop")
    rows = (
        [r[c] for c in columns]
        + [r["effective_robustness"][a]["value"] if r["effective_robustness"] else "" for a in AXES]
        for r in document["rows"]
    )
    write_table(folder / "comparison.csv", (*columns, *(f"effective_robustness_{a}" for a in AXES)), rows)
    write_json(folder / "comparison.json", document)
    return path


def _scale(axis):
    def forward(values):
        return stretch(values if axis == "plain" else np.clip(values, 1e-6, 1 - 1e-6), axis)

    return forward, lambda values: unstretch(values, axis)


def _bars(rows: Sequence[Row], group: str):
    """Distances from the point down to and up to its interval, zero where there is none."""
    ends = [getattr(r, f"interval_{group}") or (getattr(r, group),) * 2 for r in rows]
    return np.array(
        [
            [max(0.0, getattr(r, group) - e[0]), max(0.0, e[1] - getattr(r, group))]
            for r, e in zip(rows, ends, strict=True)
        ]
    ).T
