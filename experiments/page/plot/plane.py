"""Both groups in one picture: the accuracy on the counter group against that on the common one, a mark a value.

`--what groups`. Along one axis of words or numbers (mitigations, prompts of a study without an axis), a panel a
learner: open marks are the theory, filled ones are measured, with the intervals of both groups. Above the dashed line
the counter group is the easier one.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.errors import RequestError
from experiments.page.plot import captions
from experiments.page.plot.asked import Series
from experiments.page.plot.composed import MOST_PANELS, Panel, Picture, composed
from experiments.page.plot.frame import explain, fitted, framed
from experiments.page.plot.scales import PlotAxis
from experiments.style import styled

GROUPS = "groups"  # the word of `--what`
MARKS = ("o", "s", "^", "D", "v", "P", "X")  # a colour each; the next seven values have them in turned order
MOST_MARKS = len(MARKS) ** 2


class Plane(NamedTuple):
    """Two pictures of one study as one: a panel holds a learner's (common, counter), marks are values of `along`."""

    common: Picture
    counter: Picture
    along: PlotAxis
    panels: tuple[Panel, ...]

    @property
    def sheet(self) -> Picture:
        """The panels as a picture without an axis along the paper; three in a row would be flat."""
        columns = 2 if len(self.panels) > 1 else None
        return self.counter._replace(panels=self.panels, x=None, y=None, columns=columns)


def plane(dataset: xr.Dataset, at: Mapping[str, str | float] | None = None) -> Plane:
    """The plane of a study over one axis.

    Raises RequestError for a study without an axis or with several, naming one to fix, and as `composed`.
    """
    common, counter = (composed(dataset, group, at) for group in ("common", "counter"))
    _refuse_other_than_one_axis(dataset, common)
    if len(common.x.values) > MOST_MARKS:
        raise RequestError(
            f"--what {GROUPS!r}: {common.x.name} has {len(common.x.values)} values, more than the {MOST_MARKS} marks "
            "that can be told apart"
        )
    pairs = [
        both
        for panels in zip(common.panels, counter.panels, strict=True)
        for both in zip(*(panel.series for panel in panels), strict=True)
    ]
    panels = tuple(
        Panel((one.who.label,) if len(pairs) > 1 else (), common.panels[0].at, (one, two)) for one, two in pairs
    )
    if len(panels) > MOST_PANELS:
        raise RequestError(f"{len(panels)} learners would be as many panels, more than {MOST_PANELS}; keep one learner")
    return Plane(common, counter, common.x, panels)


def _refuse_other_than_one_axis(dataset: xr.Dataset, picture: Picture) -> None:
    first, last = picture.panels[0].at, picture.panels[-1].at
    varying = [axis.name for axis in (picture.x, picture.y) if axis is not None]
    varying += [name for name in first if first[name] != last[name]]
    if not varying:
        raise RequestError(
            f"--what {GROUPS!r} marks the values of an axis, and this study has none; sweep mitigation, for one"
        )
    if len(varying) > 1:
        name = next((name for name in varying if dataset[name].dtype.kind in "fiu"), varying[0])
        value = dataset[name].values[0]
        raise RequestError(
            f"--what {GROUPS!r} marks the values of one axis; fix the others, such as --at {name}={value}"
        )


@styled
def draw_plane(picture: Plane) -> Figure:
    """The figure of a plane."""
    frame = framed(picture.sheet, "accuracy on the counter group against the common group [%]")
    looks = [_look(i) for i in range(len(picture.along.values))]
    for ax, panel in zip(frame.axes, picture.panels, strict=True):
        ax.plot([0, 1], [0, 1], linestyle="--", color="0.7", linewidth=1, zorder=1)
        for i, look in enumerate(looks):
            _mark(ax, *panel.series, i, *look)
    _limits(frame.axes, picture)
    columns = frame.columns
    for i, ax in enumerate(frame.axes):
        if i + columns >= len(frame.axes):
            ax.set_xlabel("common group [%]", fontsize=9)
        if i % columns == 0:
            ax.set_ylabel("counter group [%]", fontsize=9)
    explain(frame, _entries(picture, looks), _sentences(picture))
    return fitted(frame)


def _look(i: int) -> tuple[str, str]:
    """(colour, mark) of the i-th value."""
    return f"C{i % len(MARKS)}", MARKS[(i + i // len(MARKS)) % len(MARKS)]


def _mark(ax: Axes, common: Series, counter: Series, i: int, colour: str, mark: str) -> None:
    open_mark = {"marker": mark, "color": colour, "markerfacecolor": "none", "markersize": 8, "linestyle": "none"}
    filled = {"fmt": mark, "color": colour, "markersize": 5, "elinewidth": 1.0, "zorder": 3}
    if not common.replicates:
        ax.plot(common.data.value[i], counter.data.value[i], **open_mark)
        return
    if "predicted" in common.data:
        ax.plot(common.data.predicted[i], counter.data.predicted[i], **open_mark)
    ax.errorbar(common.data.value[i], counter.data.value[i], _spread(counter, i), _spread(common, i), **filled)


def _spread(series: Series, i: int) -> np.ndarray | None:
    """Both arms of an interval, (2, 1)."""
    if "low" not in series.data:
        return None
    value, low, high = (float(series.data[name][i]) for name in ("value", "low", "high"))
    return np.nan_to_num(np.maximum([[value - low], [high - value]], 0.0))


def _limits(axes: tuple[Axes, ...], picture: Plane) -> None:
    """The same limits in all panels: all values with headroom, of intervals what an accuracy can be."""
    for g, side in enumerate("xy"):
        every = [p.series[g].data for p in picture.panels]
        values = np.concatenate([data[n].values for data in every for n in ("value", "predicted") if n in data])
        low, high = np.nanmin(values), np.nanmax(values)
        room = max(0.07 * (high - low), 0.01)
        for ax in axes:
            getattr(ax, f"set_{side}lim")(max(low - room, -0.01), min(high + room, 1.01))
            axis = getattr(ax, f"{side}axis")
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(FuncFormatter(captions.percent))


def _entries(picture: Plane, looks: list[tuple[str, str]]) -> list:
    words = [str(v) if picture.along.words else picture.along.at(v) for v in picture.along.values]
    return [
        (Line2D([], [], color=colour, marker=mark, linestyle="none"), label)
        for label, (colour, mark) in zip(words, looks, strict=True)
    ]


def _sentences(picture: Plane) -> list[str]:
    """The caption; reasons for marks that are missing, one a learner and a value, stand in the document."""
    how, missing = _how(picture), picture.counter.undefined
    how += (
        ["No mark where something makes no sense for a learner, no open one where no law is known."] if missing else []
    )
    return captions.sentences(picture.counter._replace(undefined=()), how=how)


def _how(picture: Plane) -> list[str]:
    """Where the numbers come from, in the words of the other pictures."""
    measured = [p.series[0] for p in picture.panels if p.series[0].replicates]
    if not measured:
        return ["Open marks: theory, at infinitely many training pairs."]
    levels = {series.level for series in measured if series.level is not None}
    number = max(series.replicates for series in measured)
    mean = f"mean of {number} replicates" if number > 1 else "a single replicate"
    bars = f" with {min(levels):.0%} intervals" if levels else ""
    return [f"Filled marks: {mean}{bars}. Open marks: theory at infinitely many pairs. Dashed: both groups alike."]
