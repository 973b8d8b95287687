"""The page and table of `soberclip embeddings`, and what pages of models share: p' and r drawn,
labels side by side.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from experiments.files import PAGE_FILES, write_text
from experiments.heads import tables
from experiments.heads.least_regret import middle
from experiments.heads.tables import PLACE_WORDS, in_order, listed, spanned
from experiments.results import GROUPS, QUANTITIES
from experiments.style import SHEET, styled
from experiments.svg import defined_once, figure_svg
from experiments.table import CORRELATION, html, points
from simulator.accuracy import PLACE

WIDTH = 29 / 6  # inches of a drawing, which a page shows in 29 rem, and a phone in 23
LONGEST = 24  # letters in a line of a model's name
LETTERS = 9.0  # size of labels
MARGIN = 4.0  # points around the heads; the curves go on beyond
ALT = (
    "Counter against common accuracy of heads and fixes, with the curve of the best heads; numbers"
    " as in the tables."
)


def page(template: str, document: dict[str, Any], **more: Any) -> str:
    """The text of an HTML page. It needs no network and no other file; all inserted text but
    drawings is escaped.
    """
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
    axes: Axes,
    points: Float[np.ndarray, "n 2"],
    words: Sequence[str],
    colours: Sequence[str],
    size: float,
) -> None:
    """Write a label beside each point, as near as the other labels and points allow; far ones get a
    line.
    """
    axes.figure.draw_without_rendering()  # the layout gives pixels
    at = axes.transData.transform(points) * 72 / axes.figure.dpi  # points of 1/72 inch
    frame = axes.bbox.get_points() * 72 / axes.figure.dpi
    taken = np.stack([at - size / 3, at + size / 3], axis=1)  # boxes, (low, high)
    reach, turn = np.meshgrid(
        size * np.arange(1, 8, 0.5), np.pi * (np.arange(16) / 8 + 0.25), indexing="ij"
    )
    # near ones first
    ways = np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=-1).reshape(-1, 2)
    halo = [withStroke(linewidth=2.0, foreground="white")]
    for place, word, colour in zip(at, words, colours, strict=True):
        half = np.array([0.32 * size * len(word), 0.5 * size])
        low = place + ways - half
        high = place + ways + half
        clash = (
            ((low[:, None] < taken[:, 1]) & (taken[:, 0] < high[:, None])).all(axis=2).any(axis=1)
        )
        free = (low >= frame[0]).all(axis=1) & (high <= frame[1]).all(axis=1) & ~clash
        away = ways[free.argmax()]  # the nearest place if none is free
        taken = np.append(taken, [place + away + [-half, half]], axis=0)
        look: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "color": colour,
            "fontsize": size,
            "path_effects": halo,
        }
        if np.hypot(*away) > 1.8 * size:
            look["arrowprops"] = {
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "shrinkB": 2,
            }
        point = axes.transData.inverted().transform(place * axes.figure.dpi / 72)
        axes.annotate(word, point, away, textcoords="offset points", annotation_clip=False, **look)


@styled
def ranking(heads: dict[str, dict[str, Any]]) -> str:
    """SVGs of p' and of r of heads with their intervals, a line per name, the least p' at the top;
    "" without heads.
    """
    if not heads:
        return ""
    names = sorted(heads, key=lambda name: -middle(heads[name], PLACE[0]))
    labels = [fill(name, LONGEST) for name in names]
    drawings = []
    p, r = "p′, reliance on the background", "r, points short on both groups"
    kinds = (PLACE[0], CORRELATION.shown, 1, p, 1), (PLACE[1], points, 100, r, None)
    for key, number, factor, title, most in kinds:
        figure = Figure(
            figsize=(WIDTH, 0.8 + 0.17 * sum(1.4 + label.count("\n") for label in labels))
        )
        panel = figure.subplots()
        for line, name in enumerate(names):
            value, span = heads[name][key], heads[name]["interval"][key]
            panel.plot(factor * np.array(span), [line, line], color="C0", linewidth=2)
            if value is not None:
                panel.plot(factor * value, line, color="C0", marker="o", clip_on=False)
            written = spanned(number, value, span).replace("\n", " (") + ")"
            panel.annotate(
                written,
                (1.06, line),
                xycoords=panel.get_yaxis_transform(),
                va="center",
                fontsize="small",
            )
        panel.set(
            xlabel=title, xlim=(0, most), ylim=(-0.5, len(names) - 0.5), yticks=range(len(names))
        )
        for label in panel.set_yticklabels(labels):
            label.set_parse_math(False)
        drawings.append(
            figure_svg(figure, f"{title}, with 95 % intervals, numbers as in the tables.")
        )
    return "\n".join(drawings)


def write_files(folder: Path, document: dict[str, Any]) -> None:
    """Write embeddings.html and embeddings.csv."""
    models = document["models"]
    text = page(
        "heads/reliance.html.jinja",
        document,
        caption=PLACE_WORDS,
        drawings=[figure_svg(trade_figure(model), ALT) for model in models],
        places=[ranking({entry["words"]: entry for entry in listed(model)}) for model in models],
        ranked=ranking({model["model"]: model["heads"][0] for model in models}),
        order=in_order(document["ranking"][PLACE[0]], document),
        tables=tables,
        html=html,
    )
    write_text(folder / PAGE_FILES[0], text)
    rows = [_row(model["model"], entry) for model in models for entry in listed(model)]
    write_text(folder / PAGE_FILES[1], pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


def _row(model: str, entry: dict[str, Any]) -> dict[str, Any]:
    kind, worst = entry["kind"], entry["worst_group"]
    row = {"model": model, "kind": kind, "name": entry[kind]}
    for name in (*QUANTITIES, *PLACE):
        row |= spread(name, entry[name], entry["interval"][name])
    row |= spread("worst_group", worst["accuracy"], worst["interval"])
    row |= {"worst_group_class": worst["name"], "worst_group_group": worst["group"]}
    for group in GROUPS if kind == "fix" else ():
        row |= spread(f"gain_{group}", entry["gain"][group], entry["gain_interval"][group])
    return row


def spread(name: str, value: float | None, interval: Sequence[float]) -> dict[str, float | None]:
    """A number and its interval as three columns of a CSV file."""
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}


@styled
def trade_figure(model: dict[str, Any]) -> Figure:
    """Counter against common accuracy in percent: the curve, heads as dots, fixes as squares."""
    figure = Figure(figsize=(WIDTH, 5.0))
    entries = listed(model)
    axes = figure.subplots()
    points = np.array(
        [[point[name] for name in (*GROUPS, "low", "high")] for point in model["curve"]]
    )
    drop = np.subtract(*points[:, :2].T)
    band = 100 * np.array([end + sign * drop / 2 for end in points[:, 2:].T for sign in (1, -1)])
    outline = np.hstack([band[:2], band[2:, ::-1]])
    axes.fill(*outline, color="C0", alpha=0.15, linewidth=0, zorder=0)
    axes.plot(*100 * points[:, :2].T, color="C0", linewidth=1.6, label="best heads found", zorder=1)
    at = 100 * np.array([[entry[group] for group in GROUPS] for entry in entries])
    ends = 100 * np.array([[entry["interval"][group] for group in GROUPS] for entry in entries])
    looks = {"head": {"color": "C2", "marker": "o"}, "fix": {"color": "C3", "marker": "s"}}
    for entry, centre, span in zip(entries, at, ends, strict=True):
        arms = np.abs(span - centre[:, None])[:, :, None]
        look = looks[entry["kind"]]
        bars = {"ecolor": (look["color"], 0.35), "elinewidth": 0.8}
        axes.errorbar(
            *centre, xerr=arms[0], yerr=arms[1], markersize=5, mec="white", **look, **bars
        )
    for kind in dict.fromkeys(entry["kind"] for entry in entries):
        axes.plot([], [], linestyle="none", label=kind, **looks[kind])
    axes.plot([0, 100], [0, 100], color="#888888", linewidth=1, linestyle=":", label="no drop")
    limits = [(ends[:, g].min() - MARGIN, min(ends[:, g].max() + MARGIN, 101)) for g in (0, 1)]
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.set(xlabel="accuracy on common photos [%]", ylabel="accuracy on counter photos [%]")
    figure.legend(loc="outside lower left", ncols=2, fontsize="small")
    first, *others = (entry["words"] for entry in entries)
    words = [first, *(name.split(" ")[0] for name in others)]
    write_labels(axes, at, words, ["#222222"] * len(entries), LETTERS)
    return figure
