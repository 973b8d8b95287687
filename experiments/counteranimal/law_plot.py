"""Predicted against measured accuracies: a panel per model, a point per class and group."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri

from experiments.inference import LEVEL
from experiments.style import styled

COLUMNS = 4
SIDE = 3.3  # inches of a panel
MARKS = {"common": ("C0", "o"), "counter": ("C1", "s")}
LONGEST = 38  # letters per line of a title


@styled
def law_figure(document: dict[str, Any]) -> Figure:
    """The figure; the title of a panel is the model's name and its verdict."""
    models = document["models"]
    columns = min(COLUMNS, len(models))
    rows = -(-len(models) // columns)
    figure = Figure(figsize=(max(2, columns) * SIDE, rows * (SIDE + 0.5) + 0.7))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for panel, model in zip(panels, models, strict=False):
        _panel(panel, model)
    for panel in panels[len(models) :]:
        panel.set_axis_off()
    panels[0].legend(loc="upper left")
    figure.supxlabel("predicted by the law [%]", fontsize="medium")
    figure.supylabel("measured on the other half [%]", fontsize="medium")
    figure.suptitle(
        f"One point per class and group. Bars: {LEVEL:.0%}, from photos and fit. "
        f"Tolerance {100 * document['tolerance']:g} points.",
        fontsize=8,
        x=0.01,
        ha="left",
    )
    return figure


def _panel(panel: Axes, model: dict[str, Any]) -> None:
    panel.plot([0, 100], [0, 100], color="#888888", linewidth=1, linestyle=":")
    z = float(ndtri((1 + LEVEL) / 2))
    for group, (colour, marker) in MARKS.items():
        part = [c for c in model["classes"] if c["group"] == group]
        x, y, error = (100 * np.array([c[k] for c in part]) for k in ("predicted", "measured", "standard_error"))
        bars = np.minimum(z * error, [np.maximum(y, 0), np.maximum(100 - y, 0)])
        panel.errorbar(
            x, y, yerr=bars, fmt=marker, color=colour, ecolor=(colour, 0.4), elinewidth=0.9, markersize=4, label=group
        )
    name = model["model"]
    lines = [name[i : i + LONGEST] for i in range(0, len(name), LONGEST)]
    panel.set_title("\n".join([*lines, model["verdict"]]), fontsize=8, parse_math=False)
    panel.set_xlim(-3, 103)
    panel.set_ylim(-3, 103)
    panel.set_aspect("equal")
