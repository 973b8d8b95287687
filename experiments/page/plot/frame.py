"""The frame of a picture: panels with shared axes, title, legend and caption, readable on a phone.

A phone shows a figure about PHONE pixels wide. On a figure of `width` inches letters of s points are then
s PHONE/(72 width) pixels high: 8 points are 11 pixels on one or two panels, and 7 pixels on three.
"""

import re
import textwrap
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.page.plot.layout import Picture
from experiments.page.plot.scales import quantity_label, style_axis
from experiments.page.plot.series import DIFFERENCE
from simulator.quantities import MEASURED

PHONE = 360  # pixels
SMALLEST = 8.0  # points
WIDTHS = {1: 3.75, 2: 3.75, 3: 5.6}  # inches of a figure, by panels per row; 3.75 inches are PHONE CSS pixels
HEIGHTS = {1: 2.8, 2: 1.9, 3: 1.4}  # inches of a panel, by panels per row
TICKS_ACROSS = 4
WORDS_ACROSS, WORDS_UPWARD = 45, 40  # letters per line of an axis label
LETTER = 0.56  # mean width of a letter, in font sizes
FORMULA = re.compile(r"\$[^$]*\$")


class Frame(NamedTuple):
    """A figure with one pair of axes per panel."""

    figure: Figure
    axes: tuple[Axes, ...]
    columns: int


def framed(picture: Picture, title: str) -> Frame:
    """An empty figure with titled, labelled, shared axes."""
    count = len(picture.panels)
    columns = 3 if picture.columns == 3 else min(count, 2)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTHS[columns], rows * HEIGHTS[columns] + 1))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    axes = tuple(grid.flat[:count])
    for spare in grid.flat[count:]:
        spare.remove()
    figure.suptitle(fold(title, int(letters(figure, 10))), x=0.01, ha="left", fontsize=10)
    for i, (ax, panel) in enumerate(zip(axes, picture.panels, strict=True)):
        bottom, left = i + columns >= count, i % columns == 0
        ax.set_title("\n".join(panel.title), fontsize=9)
        ax.tick_params(labelsize=9 if columns < 3 else SMALLEST, labelbottom=bottom, labelleft=left)
        if picture.kind != "plane":
            _label(ax, picture, count == 1, bottom, left)
    return Frame(figure, axes, columns)


def _label(ax: Axes, picture: Picture, alone: bool, bottom: bool, left: bool) -> None:
    """Scales and labels of both axes: words if there is one panel, else symbols, which the caption explains."""
    if picture.x is not None:
        style_axis(ax.xaxis, picture.x, WORDS_ACROSS if alone else None, TICKS_ACROSS)
        ax.xaxis.label.set(visible=bottom, fontsize=9)
    if picture.y is not None:
        style_axis(ax.yaxis, picture.y, WORDS_UPWARD if alone else None)
        ax.yaxis.label.set(visible=left, fontsize=9)


def letters(figure: Figure, size: float) -> float:
    """How many letters of this size fit into a line."""
    return figure.get_figwidth() * 72 / size / LETTER


def fitted(frame: Frame) -> Figure:
    """The figure with a height that gives its panels the height they should have."""
    figure, columns = frame.figure, frame.columns
    rows = -(-len(frame.axes) // columns)
    figure.draw_without_rendering()
    panel = frame.axes[0].get_window_extent().height / figure.dpi
    figure.set_figheight(figure.get_figheight() + rows * (HEIGHTS[columns] - panel))
    return figure


def explain(frame: Frame, entries: list[tuple[Artist, str]], sentences: list[str]) -> None:
    """Add legend and caption below the panels, wrapped to the figure's width."""
    width = letters(frame.figure, SMALLEST)
    caption = "\n".join(fold(sentence, int(width)) for sentence in sentences)
    labels = [fold(label, int(width) - 8) for _, label in entries]
    longest = max((seen_length(line) for label in labels for line in label.split("\n")), default=0)
    columns = int(np.clip(width // (longest + 8), 1, max(len(labels), 1)))
    legend = frame.figure.legend(
        [handle for handle, _ in entries],
        labels,
        loc="outside lower left",
        ncols=columns,
        fontsize=SMALLEST,
        title=caption or None,
        title_fontsize=SMALLEST,
        alignment="left",
        borderpad=0.2,
    )
    legend.get_title().set_multialignment("left")


def title_of(picture: Picture) -> str:
    """The quantity with symbol and unit, or both learners of a difference."""
    if not picture.difference:
        return quantity_label(MEASURED[picture.what], ", ")
    first, second = both_labels(picture)
    return f"{DIFFERENCE} accuracy: ({first}) − ({second}) [points]"


def both_labels(picture: Picture) -> tuple[str, str]:
    """The two learners of a difference, for a legend."""
    series = picture.panels[0].series[0]
    return series.who.anywhere.label, series.against.anywhere.label


def caption(picture: Picture) -> list[str]:
    """Sentences: where the numbers come from, in which world, and what is missing."""
    sentences = [_source(picture)]
    if len(picture.panels) > 1 and picture.kind != "plane":
        axes = [axis for axis in (picture.x, picture.y) if axis is not None and axis.meaning]
        sentences.append("; ".join(f"{axis.label()}: {axis.explained}" for axis in axes) + ".")
    if picture.world is not None:
        words = [*picture.fixed, *picture.world]
        sentences.append(f"World: {', '.join(words)}, all else by default." if words else "World: the default one.")
    elif picture.fixed:
        sentences.append(f"At {', '.join(picture.fixed)}.")
    if picture.kind == "plane" and picture.undefined:
        sentences.append("A mark is missing where the learner is undefined, an open one where no law is known.")
    elif picture.undefined:
        sentences += [f"Undefined{f' ({route})' if route else ''}: {why}." for route, why in picture.undefined]
    done, whole = picture.computed
    if done < whole:
        sentences.append(f"{done} of {whole} cells are computed.")
    return sentences


def _source(picture: Picture) -> str:
    measured = [s for panel in picture.panels for s in panel.series if s.replicates]
    theory = "theory, at infinitely many training pairs"
    if not measured:
        return f"Open marks: {theory}." if picture.kind == "plane" else f"{theory.capitalize()}."
    number = max(s.replicates for s in measured)
    mean = f"mean of {number} replicates" if number > 1 else "a single replicate"
    predicted = any("predicted" in s.data and s.data.predicted.notnull().any() for s in measured)
    if picture.kind == "map":
        return f"Colour: {mean}." + (f" Contours: {theory}." if predicted and not picture.difference else "")
    levels = {s.level for s in measured if s.level is not None}
    bars = f" with {min(levels):.0%} intervals" if levels else ""
    if picture.kind == "plane":
        return f"Filled marks: {mean}{bars}. Open marks: {theory}. Dashes: equal accuracy on both groups."
    drawn = "Dashes" if picture.x is None or picture.x.words else "Lines"
    return f"Points: {mean}{bars}." + (f" {drawn}: {theory}." if predicted else "")


def in_percent(what: str) -> bool:
    """Whether the quantity is a fraction or a difference of two."""
    return what not in MEASURED or MEASURED[what].unit == "fraction"


def percent(value: float, _=None) -> str:
    """A tick: a fraction in percent."""
    return f"{100 * value:.6g}".replace("-", "−")


def seen_length(text: str) -> int:
    """Letters of a text as drawn, formulas included."""
    return len(FORMULA.sub(lambda match: "x" * _formula_length(match[0]), text))


def _formula_length(formula: str) -> int:
    symbols = re.sub(r"\\[a-z]*(?<!mathrm)(?![a-z])", "x", formula)
    return len(re.sub(r"\\mathrm|[${}_^ ]|\\(?=[a-z])", "", symbols))


def fold(text: str, width: int) -> str:
    """A text in lines of `width` letters; formulas are never broken."""
    formulas: list[str] = []

    def placeholder(match: re.Match) -> str:
        formulas.append(match[0])
        return chr(0xE000 + len(formulas) - 1) * max(_formula_length(match[0]), 1)  # a private letter per formula

    folded = textwrap.fill(FORMULA.sub(placeholder, text), width, break_long_words=False, break_on_hyphens=False)
    for i, formula in enumerate(formulas):
        folded = re.sub(f"{chr(0xE000 + i)}+", lambda _, f=formula: f, folded)
    return folded
