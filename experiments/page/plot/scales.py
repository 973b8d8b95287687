"""Axes of a study on paper: scale, ticks, edges of cells, and labels with symbol and unit.

A scale has a function from values to places on paper, and its inverse:
    linear      t = x
    log         t = log10 x
    one-minus   t = -log10(1 - x): .9, .99, .999 are equally far apart; ticks show 1 - x
Listed values take the scale that spaces them most evenly. Words, such as losses, are equally far apart.
"""

import textwrap
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axis import Axis
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from simulator.quantities import Quantity

MOST_TICKS = 6  # as many are legible at the width of a phone
UNITS = {"fraction": "%"}  # as ticks show them


class Scale(NamedTuple):
    """A monotone map from values to places on paper, and its inverse."""

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    backward: Callable[[np.ndarray], np.ndarray]


def _log(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(x)


SCALES = {
    "linear": Scale("linear", np.asarray, np.asarray),
    "log": Scale("log", _log, lambda t: 10.0 ** np.asarray(t)),
    "one-minus": Scale("one-minus", lambda x: -_log(1 - np.asarray(x)), lambda t: 1 - 10.0 ** -np.asarray(t)),
}


class PlotAxis(NamedTuple):
    """One axis of a study with its scale and its names."""

    name: str
    values: np.ndarray  # as in the Dataset: numbers, or words
    scale: Scale
    symbol: str  # LaTeX without dollars
    meaning: str
    unit: str | None
    listed: bool = False  # a list of values, not a range

    @property
    def words(self) -> bool:
        """Whether the values are words rather than numbers."""
        return self.values.dtype.kind not in "fiu"

    @property
    def positions(self) -> np.ndarray:
        """Data coordinates: the values themselves, or 0, 1, 2 ... for words."""
        return np.arange(len(self.values), dtype=float) if self.words else self.values

    @property
    def edges(self) -> np.ndarray:
        """Borders of the cells around the values, midway on the scale."""
        t = self.scale.forward(self.positions.astype(float))
        if len(t) == 1:
            return self.scale.backward(np.array([t[0] - 0.5, t[0] + 0.5]))
        middle = (t[1:] + t[:-1]) / 2
        return self.scale.backward(np.concatenate([[2 * t[0] - middle[0]], middle, [2 * t[-1] - middle[-1]]]))

    def at(self, value) -> str:
        """ "symbol = value" for a title."""
        if self.words:
            return f"{self.meaning or self.name}: {value}"
        if self.scale.name == "one-minus":
            return f"$1 - {self.symbol}$ = {readable(1 - value)}"
        return f"${self.symbol}$ = {readable(value)}"

    def label(self, width: int | None = None) -> str:
        """Meaning (wrapped at `width` letters; omitted if None), symbol and unit."""
        symbol = f"$1 - {self.symbol}$" if self.scale.name == "one-minus" else f"${self.symbol}$"
        symbol = symbol if not self.words else self.name
        short = symbol + (f" [{self.unit}]" if self.unit else "")
        if width is None or not self.meaning:
            return short
        meaning = textwrap.wrap(self.explained, width)
        last = (
            meaning[-1] + ", " + short if len(meaning[-1]) + len(short) // 2 <= width else meaning[-1] + ",\n" + short
        )
        return "\n".join([*meaning[:-1], last])

    @property
    def explained(self) -> str:
        """The meaning of the symbol on the axis."""
        first = self.meaning.partition("; ")[0]  # the rest is for --help
        return f"one minus the {first}" if self.scale.name == "one-minus" else first


def axis_of(coordinate: xr.DataArray) -> PlotAxis:
    """An axis from a Dataset's coordinate and its attributes."""
    values = coordinate.values
    if values.dtype.kind not in "fiu":
        values = np.array([str(v) for v in values], dtype=object)
    given = {key: coordinate.attrs.get(key) for key in ("symbol", "meaning", "unit", "scale")}
    name = str(coordinate.name)
    symbol = given["symbol"] or rf"\mathrm{{{name}}}".replace("_", r"\_")
    unit = UNITS.get(given["unit"], given["unit"])
    scale = _scale(given["scale"], values)
    return PlotAxis(name, values, scale, symbol, given["meaning"] or "", unit, given["scale"] == "listed")


def _scale(name: str | None, values: np.ndarray) -> Scale:
    if values.dtype.kind not in "fiu" or len(values) < 2:
        return SCALES["linear"]
    if name in ("log", "one-minus", "linear"):
        return SCALES[name]

    def unevenness(scale: Scale) -> float:
        gaps = np.diff(scale.forward(values.astype(float)))
        return np.std(gaps) / np.abs(np.mean(gaps)) if np.all(np.isfinite(gaps)) and np.mean(gaps) else np.inf

    known = [s for s in SCALES.values() if np.all(np.isfinite(s.forward(values.astype(float))))]
    return min(known, key=lambda s: round(unevenness(s), 6))  # linear, the first, wins a tie


def readable(value: float | np.integer) -> str:
    """A number for a tick or a title; below 0.001 or from 10,000 with a power of ten.

    >>> readable(0.25), readable(1e6), readable(2e-5)
    ('0.25', '$10^{6}$', '$2\\\\cdot10^{-5}$')
    """
    value = float(value)
    if value == 0 or 1e-3 * (1 - 1e-9) <= abs(value) < 1e4:
        return f"{value:.4g}".replace("-", "−")
    mantissa, exponent = f"{value:.3e}".split("e")
    mantissa = float(mantissa)
    power = f"10^{{{int(exponent)}}}"
    sign = "-" if mantissa < 0 else ""
    return f"${sign}{power}$" if abs(mantissa) == 1 else rf"${mantissa:g}\cdot{power}$"


def style_axis(side: Axis, axis: PlotAxis, width: int | None = None, most: int = MOST_TICKS) -> None:
    """Give a matplotlib axis the scale, limits, ticks (at most `most`) and label of a study's axis."""
    panel, letter = side.axes, side.axis_name
    ends = axis.edges[[0, -1]]  # before the scale, which cannot show matplotlib's default limits 0 and 1
    getattr(panel, f"set_{letter}lim")(*ends)
    if axis.scale.name != "linear":
        getattr(panel, f"set_{letter}scale")("function", functions=(axis.scale.forward, axis.scale.backward))
        getattr(panel, f"set_{letter}lim")(*ends)
    if axis.words:
        ticks, texts = axis.positions, list(axis.values)
    else:
        ticks = ticks_of(axis, most)
        shown = 1 - ticks if axis.scale.name == "one-minus" else ticks
        texts = [readable(x) for x in shown]
    side.set_major_locator(FixedLocator(ticks))
    side.set_minor_locator(NullLocator())
    side.set_major_formatter(FixedFormatter(texts))
    side.set_label_text(axis.label(width))


def ticks_of(axis: PlotAxis, most: int = MOST_TICKS) -> np.ndarray:
    """At most `most` round values within the range of an axis; its own values if they are few."""
    values, low, high = axis.values, axis.values.min(), axis.values.max()
    if axis.scale.name == "linear":
        from matplotlib.ticker import MaxNLocator  # start-up time

        if 1 < len(values) <= most and _apart(axis):
            return values
        found = MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        slack = 1e-9 * (high - low)
        return found[(found >= low - slack) & (found <= high + slack)]
    shown = 1 - values if axis.scale.name == "one-minus" else values
    found = _decades(float(shown.min()), float(shown.max()), most)
    return 1 - found[::-1] if axis.scale.name == "one-minus" else found


def _apart(axis: PlotAxis) -> bool:
    gaps = np.diff(np.sort(axis.values))
    return bool(gaps.min() > (axis.values.max() - axis.values.min()) / (2 * MOST_TICKS))


def _decades(low: float, high: float, most: int) -> np.ndarray:
    """Round numbers between two positive ones: 1-2-5, 1-3 or powers of ten, thinned if there are too many."""
    bottom, top = np.floor(np.log10(low) + 1e-9), np.ceil(np.log10(high) - 1e-9)
    powers = np.arange(bottom, top + 1)
    within = lambda x: x[(x >= low * (1 - 1e-9)) & (x <= high * (1 + 1e-9))]  # noqa: E731
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        found = within(np.sort(np.outer(10.0**powers, mantissas).ravel()))
        if 2 <= len(found) <= most:
            return found
    if len(found) > most:
        return found[:: int(np.ceil(len(found) / most))]
    return np.array([low, high]) if high > low else np.array([low])


def quantity_label(quantity: Quantity, between: str = "\n") -> str:
    """Meaning, symbol and unit of a declared quantity, as an axis shows them."""
    unit = UNITS.get(quantity.unit, quantity.unit)
    return f"{quantity.meaning}{between}${quantity.symbol}$" + (f" [{unit}]" if unit else "")
