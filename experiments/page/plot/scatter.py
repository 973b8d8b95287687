"""The counter group against the common group: one mark per value of an axis, open for theory, filled for measured."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.page.plot.frame import caption, explain, fitted, framed, percent
from experiments.page.plot.layout import Panel, Picture
from experiments.page.plot.series import Series
from experiments.style import styled

MARKS = ("o", "s", "^", "D", "v", "P", "X")  # seven colours repeat with other marks


@styled
def draw_scatter(picture: Picture) -> Figure:
    """The figure of a plane."""
    frame = framed(picture, "accuracy on the counter group against the common group [%]")
    looks = [(f"C{i % 7}", MARKS[(i + i // 7) % 7]) for i in range(len(picture.x.values))]
    for i, (ax, panel) in enumerate(zip(frame.axes, picture.panels, strict=True)):
        ax.plot([0, 1], [0, 1], linestyle="--", color="0.7", linewidth=1, zorder=1)
        for k, look in enumerate(looks):
            _mark(ax, *panel.series, k, *look)
        if i + frame.columns >= len(frame.axes):
            ax.set_xlabel("common group [%]", fontsize=9)
        if i % frame.columns == 0:
            ax.set_ylabel("counter group [%]", fontsize=9)
    _limits(frame.axes, picture.panels)
    words = [str(v) if picture.x.words else picture.x.at(v) for v in picture.x.values]
    entries = [
        (Line2D([], [], color=colour, marker=mark, linestyle="none"), label)
        for label, (colour, mark) in zip(words, looks, strict=True)
    ]
    explain(frame, entries, caption(picture))
    return fitted(frame)


def _mark(ax: Axes, common: Series, counter: Series, i: int, colour: str, mark: str) -> None:
    theory = "predicted" if common.replicates else "value"
    if theory in common.data:
        look = {"marker": mark, "color": colour, "markerfacecolor": "none", "markersize": 8, "linestyle": "none"}
        ax.plot(common.data[theory][i], counter.data[theory][i], **look)
    if common.replicates:
        look = {"fmt": mark, "color": colour, "markersize": 5, "elinewidth": 1.0, "zorder": 3}
        ax.errorbar(common.data.value[i], counter.data.value[i], _spread(counter, i), _spread(common, i), **look)


def _spread(series: Series, i: int) -> np.ndarray | None:
    """Both arms of an interval, (2, 1)."""
    if "low" not in series.data:
        return None
    value, low, high = (float(series.data[name][i]) for name in ("value", "low", "high"))
    return np.nan_to_num(np.maximum([[value - low], [high - value]], 0.0))


def _limits(axes: tuple[Axes, ...], panels: tuple[Panel, ...]) -> None:
    """The same limits in all panels: all values with headroom, intervals cut at what an accuracy can be."""
    for k, side in enumerate("xy"):
        data = [panel.series[k].data for panel in panels]
        values = np.concatenate([one[name].values for one in data for name in ("value", "predicted") if name in one])
        low, high = np.nanmin(values), np.nanmax(values)
        room = max(0.07 * (high - low), 0.01)
        for ax in axes:
            getattr(ax, f"set_{side}lim")(max(low - room, -0.01), min(high + room, 1.01))
            axis = getattr(ax, f"{side}axis")
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(FuncFormatter(percent))
