"""Files of `soberclip embeddings`: a page with the trade of common against counter, and a table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import fclusterdata

from experiments.files import PAGE_FILES, write_text
from experiments.heads.figures import page, ranking, write_labels
from experiments.heads.tables import PLACE_WORDS, data_share, fixes_table, heads_table, in_order
from experiments.results import FEWEST, GROUPS, QUANTITIES, too_few
from experiments.style import styled
from experiments.svg import figure_svg
from experiments.table import html
from simulator.accuracy import PLACE

NUMBERS = (*QUANTITIES, *PLACE)
LETTERS = 9.0  # size of labels; points nearer than this share one
MARGIN = 4.0  # points around the heads; the curves go on beyond
ALT = "Counter against common accuracy of heads and fixes, with the curve of the best heads; numbers as in the tables."


def write_files(folder: Path, document: dict[str, Any]) -> None:
    """Write embeddings.html and embeddings.csv."""
    models = document["models"]
    text = page(
        "heads/reliance.html.jinja",
        document,
        caption=PLACE_WORDS,
        drawings=[figure_svg(trade_figure(model), ALT) for model in models],
        places=[ranking({named(k, kind, entry): entry for k, kind, entry in entries(model)}) for model in models],
        ranked=ranking({model["model"]: model["heads"][0] for model in models}),
        groups=GROUPS,
        order=in_order(document["ranking"][PLACE[0]], document),
        few=[too_few(model["classes"]) if model["classes"] < FEWEST else None for model in models],
        shares=[data_share(model) for model in models],
        heads=[html(heads_table(model)) for model in models],
        fixes=[html(fixes_table(model)) for model in models],
        best=[max(model["fixes"], key=lambda fix: min(fix[g] for g in GROUPS), default=None) for model in models],
    )
    write_text(folder / PAGE_FILES[0], text)
    rows = [_row(model["model"], kind, entry) for model in models for _, kind, entry in entries(model)]
    write_text(folder / PAGE_FILES[1], pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


def entries(model: dict[str, Any]) -> list[tuple[int, str, dict[str, Any]]]:
    """(number, head or fix, its entry) of a model, in order."""
    listed = [("head", entry) for entry in model["heads"]] + [("fix", entry) for entry in model["fixes"]]
    return [(number, *one) for number, one in enumerate(listed, start=1)]


def named(number: int, kind: str, entry: dict[str, Any]) -> str:
    return f"{number} {entry[kind]}"


def _row(model: str, kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    worst = entry["worst_group"]
    row = {"model": model, "kind": kind, "name": entry[kind]}
    for name in NUMBERS:
        row |= _spread(name, entry[name], entry["interval"][name])
    row |= _spread("worst_group", worst["accuracy"], worst["interval"])
    row |= {"worst_group_class": worst["name"], "worst_group_group": worst["group"]}
    for group in GROUPS if kind == "fix" else ():
        row |= _spread(f"gain_{group}", entry["gain"][group], entry["gain_interval"][group])
    return row


def _spread(name: str, value: float | None, interval: list[float]) -> dict[str, float | None]:
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}


@styled
def trade_figure(model: dict[str, Any]) -> Figure:
    """Counter against common accuracy in percent: the curve, heads as dots, fixes as squares."""
    figure = Figure(figsize=(10.0, 4.8))
    axes = figure.subplots()
    points = np.array([[point[name] for name in (*GROUPS, "low", "high")] for point in model["curve"]])
    drop = np.subtract(*points[:, :2].T)
    band = 100 * np.array([end + sign * drop / 2 for end in points[:, 2:].T for sign in (1, -1)])
    outline = np.hstack([band[:2], band[2:, ::-1]])
    axes.fill(*outline, color="C0", alpha=0.15, linewidth=0, zorder=0)
    axes.plot(*100 * points[:, :2].T, color="C0", linewidth=1.6, label="best heads found", zorder=1)
    listed = entries(model)
    at = 100 * np.array([[entry[group] for group in GROUPS] for *_, entry in listed])
    ends = 100 * np.array([[entry["interval"][group] for group in GROUPS] for *_, entry in listed])  # (entries, 2, 2)
    for one, centre, span in zip(listed, at, ends, strict=True):
        arms = np.abs(span - centre[:, None])[:, :, None]
        look = {"color": "C2", "marker": "o"} if one[1] == "head" else {"color": "C3", "marker": "s"}
        bars = {"ecolor": (look["color"], 0.35), "elinewidth": 0.8}
        axes.errorbar(*centre, xerr=arms[0], yerr=arms[1], markersize=5, mec="white", **look, **bars)
        axes.plot([], [], linestyle="none", label=named(*one), **look)
    axes.plot([0, 100], [0, 100], color="#888888", linewidth=1, linestyle=":", label="no drop")
    limits = [(ends[:, g].min() - MARGIN, min(ends[:, g].max() + MARGIN, 101)) for g in (0, 1)]
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.set(xlabel="accuracy on common photos [%]", ylabel="accuracy on counter photos [%]")
    figure.legend(loc="outside right upper", fontsize="small")
    figure.draw_without_rendering()  # the layout gives pixels
    words = _together(axes.transData.transform(at) * 72 / figure.dpi, LETTERS)
    words[0] = f"{words[0]} {model['heads'][0]['head']}"
    write_labels(axes, at, words, ["#222222"] * len(listed), LETTERS)
    return figure


def _together(at: Float[np.ndarray, "n 2"], reach: float) -> list[str]:
    """A label for each point: its number from 1, or those of all points that touch it; "" where another has them."""
    touching = fclusterdata(at, reach, criterion="distance", method="single")
    words = [""] * len(at)
    for cluster in np.unique(touching):
        numbers = np.flatnonzero(touching == cluster) + 1
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
        words[numbers[0] - 1] = ", ".join(
            f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
        )
    return words
