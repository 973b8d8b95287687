"""The frame of a picture: size, grid of panels, shared labels, legend and caption, readable on a phone.

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

from experiments.page.plot.composed import Picture
from experiments.page.plot.scales import dress

PHONE = 360  # pixels
SMALLEST = 8.0  # points
WIDTHS = {1: 3.75, 2: 3.75, 3: 5.6}  # inches of a figure, by panels in a row; 3.75 inches are PHONE CSS pixels
HEIGHTS = {1: 2.8, 2: 1.9, 3: 1.4}  # inches of a panel, by panels in a row
TICKS_ACROSS = 4
WORDS_ACROSS, WORDS_UPWARD = 45, 40  # letters of a line of an axis label
LETTER = 0.56  # width of a letter in font sizes, on average

FORMULA = re.compile(r"\$[^$]*\$")


class Frame(NamedTuple):
    """A figure with one pair of axes a panel."""

    figure: Figure
    axes: tuple[Axes, ...]
    columns: int


def framed(picture: Picture, title: str) -> Frame:
    """An empty figure with titled, labelled, shared axes, one a panel."""
    count = len(picture.panels)
    columns = columns_of(picture)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTHS[columns], rows * HEIGHTS[columns] + 1))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    axes = tuple(grid.flat[:count])
    for spare in grid.flat[count:]:
        spare.remove()
    figure.suptitle(fold(title, int(letters(figure, 10))), x=0.01, ha="left", fontsize=10)
    for i, (ax, panel) in enumerate(zip(axes, picture.panels, strict=True)):
        ax.set_title("\n".join(panel.title), fontsize=9)
        outer = {"labelbottom": i + columns >= count, "labelleft": i % columns == 0}
        ax.tick_params(labelsize=9 if columns < 3 else SMALLEST, **outer)
        _name(ax, picture, count == 1, **outer)
    return Frame(figure, axes, columns)


def columns_of(picture: Picture) -> int:
    """Panels in a row: three learners beside each other where a grid has a meaning, else at most two."""
    return 3 if picture.columns == 3 else min(len(picture.panels), 2)


def _name(ax: Axes, picture: Picture, alone: bool, labelbottom: bool, labelleft: bool) -> None:
    """Scales and labels of both sides: in words where there is one panel, else by symbols that the caption explains."""
    if picture.x is not None:
        dress(ax.xaxis, picture.x, WORDS_ACROSS if alone else None, TICKS_ACROSS)
        ax.xaxis.label.set(visible=labelbottom, fontsize=9)
    if picture.y is not None:
        dress(ax.yaxis, picture.y, WORDS_UPWARD if alone else None)
        ax.yaxis.label.set(visible=labelleft, fontsize=9)


def letters(figure: Figure, size: float) -> float:
    """How many letters of a size fit into a line."""
    return figure.get_figwidth() * 72 / size / LETTER


def fitted(frame: Frame) -> Figure:
    """The figure, made so high that its panels have the height they should, whatever stands around them."""
    figure, columns = frame.figure, frame.columns
    rows = -(-len(frame.axes) // columns)
    figure.draw_without_rendering()
    panel = frame.axes[0].get_window_extent().height / figure.dpi
    figure.set_figheight(figure.get_figheight() + rows * (HEIGHTS[columns] - panel))
    return figure


def explain(frame: Frame, entries: list[tuple[Artist, str]], sentences: list[str]) -> None:
    """Legend and caption below the panels, wrapped to the figure's width."""
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


def seen_length(text: str) -> int:
    """Letters of a text as they are seen, formulas included."""
    return len(FORMULA.sub(lambda m: "x" * _formula_length(m[0]), text))


def _formula_length(formula: str) -> int:
    return len(re.sub(r"\\mathrm|[${}_^ ]|\\(?=[a-z])", "", re.sub(r"\\[a-z]*(?<!mathrm)(?![a-z])", "x", formula)))


def fold(text: str, width: int) -> str:
    """A text in lines of `width` letters; a formula counts as what is seen of it, and is never broken."""
    formulas: list[str] = []

    def held(match: re.Match) -> str:
        formulas.append(match[0])
        return chr(0xE000 + len(formulas) - 1) * max(_formula_length(match[0]), 1)  # private letters, one a formula

    folded = textwrap.fill(FORMULA.sub(held, text), width, break_long_words=False, break_on_hyphens=False)
    for i, formula in enumerate(formulas):
        folded = re.sub(f"{chr(0xE000 + i)}+", lambda _, f=formula: f, folded)
    return folded


def smallest_letters(figure: Figure) -> float:
    """Height in pixels of the smallest letters of a figure that is shown PHONE pixels wide."""
    from matplotlib.text import Text

    sizes = [t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    return min(sizes) * PHONE / (72 * figure.get_figwidth())
