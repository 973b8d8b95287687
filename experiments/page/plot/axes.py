"""Axes of a study on paper: places, ticks, and labels with symbol and unit.

A picture is drawn in places, equally spaced on paper, and its ticks show values. On the scale
one-minus .9, .99, .999 are equally far apart, and ticks show 1 - x. Listed values take the scale
that spaces them most evenly. Words, such as losses, have the places 0, 1, 2 ...
"""

import re
import textwrap
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter

MOST_TICKS = 6  # legible at the width of a phone
FORMULA = re.compile(r"\$[^$]*\$")
FORMULA_WIDTH = 4  # letters, about
UNITS = {"fraction": " [%]", "s": " [s]"}  # as ticks show them; other quantities are pure numbers


class Scale(NamedTuple):
    """A monotone map from values to places on paper, and its inverse."""

    name: str
    place: Callable[[np.ndarray], np.ndarray]
    value: Callable[[np.ndarray], np.ndarray]


def _log(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(x)


SCALES = {
    "linear": Scale("linear", np.asarray, np.asarray),
    "log": Scale("log", _log, lambda t: 10.0 ** np.asarray(t)),
    "one-minus": Scale(
        "one-minus", lambda x: -_log(1 - np.asarray(x)), lambda t: 1 - 10.0 ** -np.asarray(t)
    ),
}


class PlotAxis(NamedTuple):
    """One axis of a study with its scale and its names."""

    name: str
    values: np.ndarray  # as in the Dataset: numbers, or words
    scale: Scale
    symbol: str  # LaTeX without dollars
    meaning: str
    unit: str  # " [%]", or ""
    listed: bool = False  # a list of values, not a range

    @property
    def words(self) -> bool:
        return self.values.dtype.kind not in "fiu"

    @property
    def places(self) -> np.ndarray:
        return (
            np.arange(len(self.values), dtype=float)
            if self.words
            else self.scale.place(self.values.astype(float))
        )

    @property
    def shown(self) -> str:
        """The symbol of the ticks' quantity, as a formula."""
        return f"$1 - {self.symbol}$" if self.scale.name == "one-minus" else f"${self.symbol}$"

    def at(self, value) -> str:
        """ "symbol = value" for a title."""
        if self.words:
            return f"{self.meaning or self.name}: {literal(value)}"
        return f"{self.shown} = {self.tick(value)}"

    def tick(self, value: float) -> str:
        return readable(1 - value if self.scale.name == "one-minus" else value)

    def label(self, width: int | None = None) -> str:
        """Meaning (in lines of `width` letters; omitted if None), symbol and unit."""
        short = (self.name if self.words else self.shown) + self.unit
        return (
            short
            if width is None or not self.meaning
            else fold(f"{self.explained}, {short}", width)
        )

    @property
    def explained(self) -> str:
        """The meaning of the symbol on the axis."""
        first = self.meaning.partition("; ")[0]  # the rest is for --help
        return f"one minus the {first}" if self.scale.name == "one-minus" else first


def axis_of(coordinate: xr.DataArray) -> PlotAxis:
    """An axis from a Dataset's coordinate and its attributes."""
    values = coordinate.values
    name = str(coordinate.name)
    attrs = coordinate.attrs
    if values.dtype.kind not in "fiu":
        values = np.array([str(v) for v in values], dtype=object)
    symbol = attrs.get("symbol") or rf"\mathrm{{{name}}}".replace("_", r"\_")
    unit = UNITS.get(attrs.get("unit"), "")
    scale = _scale(attrs.get("scale"), values)
    return PlotAxis(
        name,
        values,
        scale,
        symbol,
        attrs.get("meaning") or "",
        unit,
        attrs.get("scale") == "listed",
    )


def _scale(name: str | None, values: np.ndarray) -> Scale:
    if values.dtype.kind not in "fiu" or len(values) < 2:
        return SCALES["linear"]
    if name in SCALES:
        return SCALES[name]

    def unevenness(scale: Scale) -> float:
        gaps = np.diff(scale.place(values.astype(float)))
        return (
            round(np.std(gaps) / np.abs(np.mean(gaps)), 6)
            if np.isfinite(gaps).all() and np.mean(gaps)
            else np.inf
        )

    return min(SCALES.values(), key=unevenness)  # linear, the first, wins a tie


def fold(text: str, width: int) -> str:
    """A text in lines of `width` letters; formulas are never broken."""
    formulas = iter(FORMULA.findall(text))
    mark = "\ue000" * FORMULA_WIDTH  # a private letter
    folded = textwrap.fill(
        FORMULA.sub(mark, text), width, break_long_words=False, break_on_hyphens=False
    )
    return re.sub(mark, lambda _: next(formulas), folded)


def literal(text: str) -> str:
    """A text in which matplotlib reads no formula."""
    return text.replace("$", r"\$")


def readable(value: float | np.integer) -> str:
    """A number for a tick or a title; below 0.001 or from 10,000 with a power of ten."""
    value = float(f"{value:.4g}")
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4g}".replace("-", "−")
    return f"${ScalarFormatter(useMathText=True).format_data(value)}$"


def style_axis(
    side: Axis, axis: PlotAxis, width: int | None = None, most: int = MOST_TICKS
) -> None:
    """Give a matplotlib axis the ticks (at most `most`) and the label of a study's axis."""
    if axis.words:
        # the arguments of a named table
        lines = [literal(word).replace("(", "\n(", 1) for word in axis.values]
        side.set_ticks(axis.places, labels=lines)
    else:
        ticks = ticks_of(axis, most)
        side.set_ticks(axis.scale.place(ticks), labels=map(axis.tick, ticks))
    side.set_label_text(axis.label(width))


def ticks_of(axis: PlotAxis, most: int = MOST_TICKS) -> np.ndarray:
    """At most `most` round values within the range of an axis."""
    if axis.scale.name == "one-minus":
        mirrored = axis._replace(values=1 - axis.values, scale=SCALES["log"])
        return 1 - ticks_of(mirrored, most)[::-1]
    low = axis.values.min()
    high = axis.values.max()
    if axis.scale.name == "linear" or high < 10 * low:
        ticks = MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    else:
        ticks = LogLocator(subs=(1,) if high >= 100 * low else (1, 3), numticks=most).tick_values(
            low, high
        )
    slack = 1e-9 * (high - low)
    within = ticks[(ticks >= low - slack) & (ticks <= high + slack)]
    return within if len(within) > 1 else np.array([low, high])[: 1 + (high > low)]
