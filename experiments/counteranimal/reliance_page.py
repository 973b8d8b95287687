"""Files of `soberclip embeddings`: a page, a table and a picture of each model's trade of common against counter."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.counteranimal.figures import UNDATED, embedded, page
from experiments.counteranimal.photos import GROUPS
from experiments.counteranimal.predictions import write_frame
from experiments.files import write_text
from experiments.style import styled

FILES = ("embeddings.html", "embeddings.csv")
NUMBERS = ("common", "counter", "drop", "equivalent_correlation", "shortfall")
MARGIN = 4.0  # points around the heads; the curves go on beyond


def write_files(folder: Path, document: dict[str, Any]) -> None:
    """Write embeddings.html and embeddings.csv."""
    drawings = [embedded(drawing(model)) for model in document["models"]]
    best = [max(model["fixes"], key=lambda fix: min(fix[group] for group in GROUPS)) for model in document["models"]]
    html = page("reliance.html.jinja", document, drawings=drawings, groups=GROUPS, best_fixes=best)
    write_text(folder / FILES[0], html)
    rows = [_row(model["model"], kind, entry) for model in document["models"] for kind, entry in entries(model)]
    write_frame(folder / FILES[1], pd.DataFrame(rows))


def entries(model: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(head or fix, its entry) of a model, in order."""
    return [("head", entry) for entry in model["heads"]] + [("fix", entry) for entry in model["fixes"]]


def _row(model: str, kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    worst = entry["worst_group"]
    row = {"model": model, "kind": kind, "name": entry[kind]}
    for name in NUMBERS:
        row |= _spread(name, entry[name], entry["interval"][name])
    row |= _spread("worst_group", worst["accuracy"], worst["interval"])
    row |= {"worst_group_class": worst["name"], "worst_group_group": worst["group"]}
    for group in GROUPS if kind == "fix" else ():
        predicted = entry["prediction"][group]
        row |= _spread(f"gain_{group}_found", entry["gain"][group], entry["gain_interval"][group])
        row |= _spread(f"gain_{group}_predicted", predicted["predicted"], predicted["interval"])
    return row


def _spread(name: str, value: float, interval: list[float]) -> dict[str, float]:
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}


@styled
def drawing(model: dict[str, Any]) -> bytes:
    """Counter against common accuracy in percent: both curves, heads as dots, fixes as squares, as SVG."""
    figure = Figure(figsize=(7.2, 5.6))
    axes = figure.subplots()
    for name, key, look in (
        ("best heads found", "curve", {"color": "C0", "marker": ".", "markersize": 4}),
        ("ideal under the Gaussian law", "gaussian_curve", {"color": "C1", "linestyle": "--"}),
    ):
        points = 100 * np.array([[point[group] for group in GROUPS] for point in model[key]])
        axes.plot(*points.T, label=name, linewidth=1.4, zorder=1, **look)
    shown = np.array([[entry["interval"][group] for group in GROUPS] for _, entry in entries(model)])  # (entries, 2, 2)
    for number, (kind, entry) in enumerate(entries(model), start=1):
        at = 100 * np.array([entry[group] for group in GROUPS])
        ends = 100 * np.array([entry["interval"][group] for group in GROUPS])
        arms = np.abs(ends - at[:, None])
        colour, marker = ("C2", "o") if kind == "head" else ("C3", "s")
        axes.errorbar(*at, xerr=arms[0][:, None], yerr=arms[1][:, None], color=colour, marker=marker, elinewidth=0.8)
        axes.annotate(str(number), at, (4, 4), textcoords="offset points", fontsize=9)
    for label, colour, marker in (("heads", "C2", "o"), ("fixes of zero-shot", "C3", "s")):
        axes.plot([], [], color=colour, marker=marker, linestyle="none", label=label)
    axes.plot([0, 100], [0, 100], color="#888888", linewidth=1, linestyle=":", label="no drop")
    limits = [(100 * shown[:, g].min() - MARGIN, min(100 * shown[:, g].max() + MARGIN, 101)) for g in (0, 1)]
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.set(xlabel="accuracy on common photos [%]", ylabel="accuracy on counter photos [%]")
    axes.legend(loc="best")
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata=UNDATED["svg"])
    return buffer.getvalue()
