"""The frame of a picture: panels with shared axes, title, legend and caption, readable on a phone.

A phone shows a figure of WIDTH inches on its PHONE pixels, so that letters of 8 points are 11
pixels high.
"""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from experiments.page.plot.axes import FORMULA, FORMULA_WIDTH, UNITS, fold, literal, style_axis
from experiments.page.plot.layout import Picture
from experiments.page.plot.series import DIFFERENCE
from experiments.style import NotebookFigure
from simulator.quantities import MEASURED

PHONE = 360  # pixels
SMALLEST = 8.0  # points
WIDTH = 3.75  # inches of a figure; as many CSS pixels as PHONE
ALONE, AMONG = 2.8, 1.9  # inches: the height of a single panel, and of one among several
HEAD, LINE = 0.19, 0.14  # inches: a line of a title or label, and one of the caption
SPACE, BAR_HEIGHT = 0.6, 0.9  # inches: ticks and gaps, and a colour bar with its words
TICKS_ACROSS = 4
WORDS_ACROSS, WORDS_UPWARD = 45, 40  # letters per line of an axis label
LETTER = 0.6  # mean width of a letter, in font sizes
THEORY = "theory, at infinitely many training pairs"


def framed(picture: Picture) -> Figure:
    """An empty figure with titled, labelled, shared axes."""
    count = len(picture.panels)
    columns = picture.columns
    rows = count // columns
    # of the panels; `finished` adds what is around them
    height = rows * (ALONE if count == 1 else AMONG)
    figure = NotebookFigure(figsize=(WIDTH, height))
    figure.subplots(rows, columns, sharex=True, sharey=True)
    figure.suptitle(fold(title_of(picture), letters(figure, 10)), x=0.01, ha="left", fontsize=10)
    for i, (ax, panel) in enumerate(zip(figure.axes, picture.panels, strict=True)):
        bottom = i + columns >= count
        left = i % columns == 0
        ax.set_title(
            "\n".join(fold(line, letters(figure, 9) // columns - 3) for line in panel.title),
            fontsize=9,
        )
        if picture.kind == "plane":
            ax.set(xlabel="common group [%]", ylabel="counter group [%]")
        else:  # one panel has words; several have symbols, which the caption explains
            if picture.x is not None:
                style_axis(ax.xaxis, picture.x, WORDS_ACROSS if count == 1 else None, TICKS_ACROSS)
            if picture.y is not None:
                style_axis(ax.yaxis, picture.y, WORDS_UPWARD if count == 1 else None)
        ax.tick_params(labelsize=9, labelbottom=bottom, labelleft=left)
        ax.xaxis.label.set(visible=bottom, fontsize=9)
        ax.yaxis.label.set(visible=left, fontsize=9)
    return figure


def letters(figure: Figure, size: float) -> int:
    """How many letters of this size fit into a line."""
    return int(figure.get_figwidth() * 72 / size / LETTER)


def finished(figure: Figure, picture: Picture, entries: list[tuple[Artist, str]]) -> Figure:
    """The figure with legend and caption below its panels, at a height that leaves the panels about
    their own.
    """
    width = letters(figure, SMALLEST)
    labels = [fold(label, width - 8) for _, label in entries]
    text = (
        "\n".join(fold(sentence, width) for sentence in caption(picture))
        if picture.captioned
        else ""
    )
    lines = [
        len(FORMULA.sub("x" * FORMULA_WIDTH, line))
        for label in labels
        for line in label.split("\n")
    ]
    columns = max(1, min(len(labels), width // (max(lines, default=width) + 8)))
    legend = figure.legend(
        [handle for handle, _ in entries],
        labels,
        loc="outside lower left",
        ncols=columns,
        fontsize=SMALLEST,
        title=text or None,
        title_fontsize=SMALLEST,
        alignment="left",
        borderpad=0.2,
    )
    legend.get_title().set_multialignment("left")
    heads = [figure.get_suptitle(), figure.axes[0].get_title("left"), figure.axes[0].get_xlabel()]
    rows = len(picture.panels) // picture.columns
    above, each, below = (HEAD * (part.count("\n") + 1) if part else 0.0 for part in heads)
    small = LINE * (text.count("\n") + bool(text) + len(lines) / columns)
    around = (
        SPACE + above + rows * each + below + small + (BAR_HEIGHT if picture.kind == "map" else 0.0)
    )
    figure.set_figheight(figure.get_figheight() + around)
    return figure


def title_of(picture: Picture) -> str:
    """The quantity with symbol and unit; for a difference, both learners."""
    if picture.kind == "plane":
        return "accuracy on the counter group against the common group [%]"
    if picture.difference:
        first, second = both_labels(picture)
        return f"{DIFFERENCE} accuracy: ({first}) − ({second}) [points]"
    quantity = MEASURED[picture.what]
    return f"{quantity.meaning}, ${quantity.symbol}${UNITS.get(picture.unit, '')}"


def both_labels(picture: Picture) -> tuple[str, str]:
    """The two learners of a difference, for a legend."""
    series = picture.panels[0].series[0]
    return series.who.anywhere.label, series.against.anywhere.label


def caption(picture: Picture) -> list[str]:
    """Sentences: where the numbers come from, in which world, and what is missing."""
    sentences = [_source(picture)]
    if len(picture.panels) > 1 and picture.kind != "plane":
        explained = [
            f"{axis.label()}: {axis.explained}"
            for axis in (*picture.axes, *picture.facets)
            if axis.meaning
        ]
        sentences.append("; ".join(explained) + ".")
    if picture.world is not None:
        sentences.append(f"World: {', '.join([*picture.fixed, *picture.world])}.")
    elif picture.fixed:
        sentences.append(f"At {', '.join(picture.fixed)}.")
    if picture.kind == "plane" and picture.undefined:
        sentences.append("No mark: the learner is undefined. No open mark: no law is known.")
    else:
        for route, reason in picture.undefined:
            sentences.append(f"Undefined{f' ({route})' if route else ''}: {literal(reason)}.")
    done, whole = picture.computed
    if done < whole:
        sentences.append(f"{done} of {whole} cells are computed.")
    return sentences


def _source(picture: Picture) -> str:
    measured = [s for s in picture.series if s.replicates]
    if not measured:
        return f"Open marks: {THEORY}." if picture.kind == "plane" else f"{THEORY.capitalize()}."
    number = max(s.replicates for s in measured)
    mean = f"mean of {number} replicates" if number > 1 else "a single replicate"
    predicted = any(np.isfinite(s.numbers("predicted")).any() for s in measured)
    if picture.kind == "map":
        return f"Colour: {mean}." + (
            f" Contours: {THEORY}." if predicted and not picture.difference else ""
        )
    levels = {s.level for s in measured if s.level is not None}
    bars = f" with {100 * min(levels):.0f} % intervals" if levels else ""
    if picture.kind == "plane":
        return (
            f"Filled marks: {mean}{bars}. Open marks: {THEORY}. Dashes: equal accuracy on both"
            " groups."
        )
    drawn = "Dashes" if picture.x is None or picture.x.words else "Lines"
    return f"Points: {mean}{bars}." + (f" {drawn}: {THEORY}." if predicted else "")


def percent(value: float, _=None) -> str:
    """A tick: a fraction in percent."""
    return f"{100 * value:.6g}".replace("-", "−")
