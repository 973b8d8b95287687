"""The files of a comparison: a figure in three formats, a page, a CSV, and the document. Labels that do not overlap.

A model with an accuracy of 0 or 1 is at infinity on the stretched axes. It is drawn hollow on their edge.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from experiments.counteranimal.robustness import REPLICATES, Result, lines_of, numbers
from experiments.counteranimal.tables import MARKS, comparison_table, in_order, marks, over_photos, pairs_table
from experiments.counteranimal.tradeoff import middle
from experiments.effective_robustness import AXES, Axis, band, fit_line, stretch
from experiments.figure_files import METADATA, save_figure
from experiments.files import output_folder, write_json, write_table, write_text
from experiments.results import GROUPS, QUANTITIES
from experiments.style import SHEET, styled
from experiments.svg import defined_once, figure_svg
from experiments.table import html
from simulator.accuracy import LEVEL, PLACE
from simulator.streams import numpy_stream

STRETCHED = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99, 0.997, 0.999)
TICKS = {"plain": np.linspace(0, 1, 11), "logit": STRETCHED, "probit": STRETCHED}
WIDTH, HEIGHT = 13.0, 5.2  # inches of a comparison without its key
LONGEST = 40  # letters in a line of a model's name
COLUMNS = ("number", "source", "model", "family", "mean", "labels", *QUANTITIES)
OVER = ("effective_robustness", "low", "high", "extrapolated")
SPANS = [f"{name}{end}" for name in PLACE for end in ("", "_low", "_high")]
HEADER = [*COLUMNS, "at_edge", *(f"{name}_{axis}" for axis in AXES for name in OVER), *SPANS]
CAPTION = (
    f"Lines: least squares for each family, dashed where extrapolated. Bands: {LEVEL:.0%} intervals of the line, "
    f"{REPLICATES} bootstrap replicates over models. Bars: {LEVEL:.0%} intervals of each model's accuracies. "
    "Squares: your results."
)
AT_EDGE = "\nHollow, on an edge: accuracy 0 or 100 %, at infinity on stretched axes; not used for lines."
LETTERS = 7.0  # points, for numbers and key


@styled
def write_comparison(folder: Path, results: Sequence[Result], document: dict[str, Any], seed: int = 0) -> Path:
    """Write comparison.svg, .pdf, .png, .html, .csv (a row per model) and .json; returns the path of the SVG."""
    output_folder(folder)
    figure = comparison_figure(results, seed)
    path = folder / "comparison.svg"
    for suffix in METADATA:
        save_figure(figure, path.with_suffix(suffix), "counteranimal compare")
    words = "Counter against common accuracy on plain, logit and probit axes; numbers as in the table."
    text = page(
        "comparison.html.jinja",
        document,
        models=html(comparison_table(document)),
        classwise=html(pairs_table(document, *QUANTITIES)),
        marks={mark: meaning for mark, meaning in MARKS.items() if any(mark in marks(row) for row in document["rows"])},
        drawing=figure_svg(figure, words),
        order=in_order(document["ranking"], document),
        few=over_photos(document),
        ranked=ranking({row["model"]: row["equivalent"] for row in document["rows"] if row["equivalent"]}),
    )
    write_text(folder / "comparison.html", text)
    rows = []
    for row in document["rows"]:
        rows.append([*(row[name] for name in COLUMNS), int(row["at_edge"])])
        for over in (row["effective_robustness"] or {}).values():
            rows[-1] += [over["value"], *over["interval"], int(over["extrapolated"])]
        rows[-1] += [""] * (len(HEADER) - len(SPANS) - len(rows[-1]))
        place = row["equivalent"]
        rows[-1] += [value for name in PLACE for value in (place[name], *place["interval"][name])] if place else []
        rows[-1] += [""] * (len(HEADER) - len(rows[-1]))
    write_table(folder / "comparison.csv", HEADER, rows)
    write_json(folder / "comparison.json", document)
    return path


def page(template: str, document: dict[str, Any], **more: Any) -> str:
    """The text of an HTML page. It needs no network and no other file; all inserted text but drawings is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # start-up time

    environment = Environment(
        loader=PackageLoader("experiments.counteranimal", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["sheet"] = SHEET.read_text(encoding="utf-8")
    return defined_once(environment.get_template(template).render(**document, **more))


def write_labels(
    axes: Axes, points: Float[np.ndarray, "n 2"], words: Sequence[str], colours: Sequence[str], size: float
) -> None:
    """Write a label beside each point, as near as the other labels and points allow; far ones get a line.

    A point whose word is empty has no label.
    """
    axes.figure.draw_without_rendering()  # the layout gives pixels
    at = axes.transData.transform(points) * 72 / axes.figure.dpi  # points of 1/72 inch
    frame = axes.bbox.get_points() * 72 / axes.figure.dpi
    taken = np.stack([at - size / 3, at + size / 3], axis=1)  # boxes, (low, high)
    reach, turn = np.meshgrid(size * np.arange(1, 8, 0.5), np.pi * (np.arange(16) / 8 + 0.25), indexing="ij")
    ways = np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=-1).reshape(-1, 2)  # near ones first
    for place, word, colour in (one for one in zip(at, words, colours, strict=True) if one[1]):
        half = np.array([0.32 * size * len(word), 0.5 * size])
        low, high = place + ways - half, place + ways + half
        clash = ((low[:, None] < taken[:, 1]) & (taken[:, 0] < high[:, None])).all(axis=2).any(axis=1)
        free = (low >= frame[0]).all(axis=1) & (high <= frame[1]).all(axis=1) & ~clash
        away = ways[free.argmax()]  # the nearest place if none is free
        taken = np.append(taken, [place + away + [-half, half]], axis=0)
        line = (
            {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkB": 2}
            if np.hypot(*away) > 1.8 * size
            else None
        )
        axes.annotate(
            word,
            axes.transData.inverted().transform(place * axes.figure.dpi / 72),
            away,
            textcoords="offset points",
            ha="center",
            va="center",
            color=colour,
            fontsize=size,
            arrowprops=line,
            annotation_clip=False,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )


@styled
def ranking_figure(heads: dict[str, dict[str, Any]]) -> Figure:
    """p' and r of a head of each model with intervals, one line per model, from the largest p' up to the least."""
    names = sorted(heads, key=lambda name: -middle(heads[name], PLACE[0]))
    labels = [fill(name, LONGEST) for name in names]
    figure = Figure(figsize=(7.6, 1.0 + 0.16 * sum(1 + label.count("\n") for label in ["", *labels, *labels])))
    panels = figure.subplots(1, 2, sharey=True)
    words = ("p′, reliance on the background", "r, points short on both groups")
    for panel, key, factor, title in zip(panels, PLACE, (1, 100), words, strict=True):
        for line, name in enumerate(names):
            value, span = heads[name][key], heads[name]["interval"][key]
            panel.plot(factor * np.array(span), [line, line], color="C0", linewidth=1.4)
            if value is not None:
                panel.plot(factor * value, line, color="C0", marker="o", clip_on=False)
        panel.set(xlabel=title, ylim=(-0.5, len(names) - 0.5))
    panels[0].set(xlim=(0, 1), yticks=range(len(names)))
    for label in panels[0].set_yticklabels(labels):
        label.set_parse_math(False)
    panels[1].set_xlim(0)
    return figure


def ranking(heads: dict[str, dict[str, Any]]) -> str:
    """The ranking as SVG; "" without heads."""
    return figure_svg(ranking_figure(heads), "p′ and r of each model, numbers as in the table.") if heads else ""


@styled
def comparison_figure(results: Sequence[Result], seed: int = 0) -> Figure:
    """Counter against common accuracy on plain, logit and probit axes, with lines, bands, y = x and a key below."""
    families = list(dict.fromkeys(result.row.family for result in results))
    colours = {family: f"C{i % 7}" for i, family in enumerate(families)}
    called = sorted(zip(numbers(results), results, strict=True), key=lambda pair: pair[0])
    entries = [f"{n}  {r.row.model}" for n, r in called]
    columns = max(1, int(WIDTH * 72 / (0.62 * LETTERS * (max(map(len, entries)) + 7))))
    figure = Figure(figsize=(WIDTH, HEIGHT + 1.5 * LETTERS / 72 * -(-len(entries) // columns)))
    for panel, axis in zip(figure.subplots(1, len(AXES)), AXES, strict=True):
        limits = _scaled(panel, results, axis)
        for family, accuracies in lines_of(results).items():
            _line(panel, *accuracies, axis, limits[0], colours[family], numpy_stream(seed, f"band {family} {axis}"))
        for _, result in called:
            _point(panel, result, axis, limits, colours[result.row.family])
    first = figure.axes[0]
    first.set_ylabel("accuracy on the counter group [%]")
    handles = [_mark(colours[family], label=family) for family in families]
    first.legend(handles=[*first.get_legend_handles_labels()[0], *handles], loc="upper left")
    edge = any(result.at_edge for result in results)
    figure.suptitle(CAPTION + (AT_EDGE if edge else ""), fontsize=8, x=0.01, ha="left")
    marks = [_mark(colours[result.row.family], markersize=4) for _, result in called]
    key = figure.legend(marks, entries, loc="outside lower left", ncols=columns, fontsize=LETTERS, handlelength=0.5)
    for text in key.get_texts():
        text.set_parse_math(False)
    shades = [colours[result.row.family] for _, result in called]
    for panel, axis in zip(figure.axes, AXES, strict=True):
        at = stretch(np.array([[getattr(result.row, name) for name in GROUPS] for _, result in called]), axis)
        ends = np.array([panel.get_xlim(), panel.get_ylim()]).T
        write_labels(panel, np.clip(at, *ends), [str(number) for number, _ in called], shades, LETTERS)
    return figure


def _mark(colour: str, **more: Any) -> Line2D:
    return Line2D([], [], color=colour, marker="o", linestyle="none", **more)


def _scaled(panel: Axes, results: Sequence[Result], axis: Axis) -> np.ndarray:
    """Draw y = x; returns the limits in positions on the axis, (common, counter) x (low, high)."""
    limits = []
    for name in GROUPS:
        at = stretch(np.array([getattr(result.row, name) for result in results]), axis)
        at = at[np.isfinite(at)] if np.isfinite(at).any() else stretch(np.array([0.1, 0.9]), axis)
        room = 0.09 * max(float(np.ptp(at)), 0.3 if axis == "plain" else 1.0)
        limits.append((at.min() - room, at.max() + room))
    limits = np.clip(limits, -0.04, 1.04) if axis == "plain" else np.array(limits)
    ticks = np.array(TICKS[axis])
    for side, (low, high) in zip((panel.xaxis, panel.yaxis), limits, strict=True):
        shown = ticks[(stretch(ticks, axis) >= low) & (stretch(ticks, axis) <= high)]
        side.set_ticks(stretch(shown, axis), [f"{100 * tick:g}" for tick in shown])
    panel.set(xlim=limits[0], ylim=limits[1], title=f"{axis} axes", xlabel="accuracy on the common group [%]")
    low, high = limits[:, 0].max(), limits[:, 1].min()
    if low < high:
        panel.plot([low, high], [low, high], color="#888888", linewidth=1, linestyle=":", label="no drop, y = x")
    return limits


def _line(
    panel: Axes, x: np.ndarray, y: np.ndarray, axis: Axis, ends: np.ndarray, colour: str, rng: np.random.Generator
) -> None:
    grid = np.linspace(x.min(), x.max(), 60)
    low, high = (stretch(end, axis) for end in band(x, y, axis, grid, rng, REPLICATES, LEVEL))
    panel.fill_between(stretch(grid, axis), low, high, color=colour, alpha=0.15, linewidth=0)
    line, inside = fit_line(x, y, axis), stretch(grid[[0, -1]], axis)
    for between, width, style in ((ends, 1, (0, (4, 4))), (inside, 1.4, "-")):
        panel.plot(between, line.intercept + line.slope * between, color=colour, linewidth=width, linestyle=style)


def _point(panel: Axes, result: Result, axis: Axis, limits: np.ndarray, colour: str) -> None:
    """Draw a model with its intervals; at infinity it is hollow, on the edge."""
    row = result.row
    places = [(getattr(row, group), getattr(row, f"interval_{group}")) for group in GROUPS]
    spans = np.array([[ends[0] if ends else at, at, ends[1] if ends else at] for at, ends in places])
    low, at, high = np.clip(stretch(spans, axis), limits[:, :1], limits[:, 1:]).T
    arms = np.stack([at - low, high - at])[..., None]  # (end, group, 1)
    panel.errorbar(
        *at,
        xerr=arms[:, 0],
        yerr=arms[:, 1],
        color=colour,
        ecolor=(colour, 0.45),
        elinewidth=0.8,
        marker="o" if row.source.startswith("[W]") else "s",
        markersize=4.5,
        markerfacecolor="white" if result.at_edge else colour,
        clip_on=not result.at_edge,
    )
