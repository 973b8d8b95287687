"""Pages, the picture of p' and r of several models, and labels that do not overlap."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from experiments.heads.least_regret import middle
from experiments.heads.tables import spanned
from experiments.style import SHEET, styled
from experiments.svg import defined_once, figure_svg
from experiments.table import CORRELATION, points
from simulator.accuracy import PLACE

LONGEST = 40  # letters in a line of a model's name


def page(template: str, document: dict[str, Any], **more: Any) -> str:
    """The text of an HTML page. It needs no network and no other file; all inserted text but drawings is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # start-up time

    environment = Environment(
        loader=PackageLoader("experiments", "."),
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
    """p' and r of heads with their intervals, one line per name, the least p' at the top."""
    names = sorted(heads, key=lambda name: -middle(heads[name], PLACE[0]))
    labels = [fill(name, LONGEST) for name in names]
    figure = Figure(figsize=(11.0, 1.0 + 0.24 * sum(1 + label.count("\n") for label in labels)))
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    words = ("p′, reliance on the background", "r, points short on both groups")
    for panel, key, shown, factor, title in zip(
        panels, PLACE, (CORRELATION.shown, points), (1, 100), words, strict=True
    ):
        for line, name in enumerate(names):
            value, span = heads[name][key], heads[name]["interval"][key]
            panel.plot(factor * np.array(span), [line, line], color="C0", linewidth=2)
            if value is not None:
                panel.plot(factor * value, line, color="C0", marker="o", clip_on=False)
            number = spanned(shown, value, span).replace("\n", " (") + ")"
            panel.annotate(number, (1.03, line), xycoords=panel.get_yaxis_transform(), va="center", fontsize="small")
        panel.set(xlabel=title, ylim=(-0.5, len(names) - 0.5))
    panels[0].set(xlim=(0, 1), yticks=range(len(names)))
    for label in panels[0].set_yticklabels(labels):
        label.set_parse_math(False)
    panels[1].set_xlim(0)
    return figure


def ranking(heads: dict[str, dict[str, Any]]) -> str:
    """The ranking as SVG; "" without heads."""
    return figure_svg(ranking_figure(heads), "p′ and r with 95 % intervals, numbers as in the tables.") if heads else ""
