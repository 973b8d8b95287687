"""Maps over two axes: colours and contours for values, hatching for missing, saturated or unclear ones."""

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.page.plot.boundary import LEVEL
from experiments.page.plot.frame import (
    SMALLEST,
    both_labels,
    caption,
    explain,
    fitted,
    fold,
    framed,
    in_percent,
    letters,
    percent,
    title_of,
)
from experiments.page.plot.layout import Panel, Picture
from experiments.style import styled

BEYOND = 0.02  # share of cells at each end that may lie beyond the colour bar
BAR = 0.7  # length of the colour bar, as a share of the figure's width
MOST_CONTOURS = 6
FINEST = 100  # values along an axis through which contours are drawn
HATCHES = {  # kind: face, hatch
    "undefined": ("0.88", "xxx"),
    "pending": ("white", "..."),
    "none": ("0.95", "---"),
    "saturated": ("none", "////"),
    "equal": ("none", "////"),
    "unclear": ("none", "..."),
}


class Colours(Normalize):
    """One colour scale for all panels; `extend` says at which ends values lie beyond it."""

    def __init__(self, picture: Picture):
        values = np.concatenate([p.series[0].data.value.values.ravel() for p in picture.panels])
        infinite = values[np.isinf(values)]
        values = values[np.isfinite(values)]
        if not len(values):
            values = np.array([0.0, 1.0])
        self.diverging = picture.difference or picture.what in ("drop", "reliance")
        low, high = np.quantile(values, [BEYOND, 1 - BEYOND])
        if self.diverging:
            high = max(abs(low), abs(high))
        top = max(high if self.diverging else high - low, 1e-4)
        step = 10.0 ** np.floor(np.log10(top)) / 2
        if self.diverging:
            high = np.ceil(top / step - 1e-9) * step
            low = -high
        else:
            low, high = np.floor(low / step + 1e-9) * step, np.ceil(high / step - 1e-9) * step
            if in_percent(picture.what):
                low, high = max(low, 0.0), min(high, 1.0)
        super().__init__(low, high if high > low else low + step)
        under = values.min() < self.vmin - 1e-12 or (infinite < 0).any()
        over = values.max() > self.vmax + 1e-12 or (infinite > 0).any()
        self.extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((under, over), "neither")
        # Red: the second learner is ahead, or the background has more weight. Blue: the first, or the object.
        self.map = colormaps["RdBu" if picture.difference else "RdBu_r" if self.diverging else "viridis"]


@styled
def draw_maps(picture: Picture) -> Figure:
    """The figure of a picture with two axes."""
    frame, colours = framed(picture, title_of(picture)), Colours(picture)
    seen: dict[str, None] = {}
    drawn: set[str] = set()
    levels = _levels(picture)
    for ax, panel in zip(frame.axes, picture.panels, strict=True):
        mesh = _cells(ax, picture, panel, colours)
        for kind, mask in _masks(picture, panel).items():
            if mask.any():
                seen[kind] = None
                ax.add_collection(_hatched(mask, picture, kind))
        if picture.difference:
            drawn |= _boundary(ax, panel)
        elif _contours(ax, picture, panel, levels):
            drawn.add("contours")
        ax.set(xlim=picture.x.edges[[0, -1]], ylim=picture.y.edges[[0, -1]])
        ax.grid(False)
    bar = frame.figure.colorbar(
        mesh,
        ax=frame.axes,
        location="bottom",
        extend=colours.extend,
        aspect=30,
        shrink=0.9,
    )
    bar.ax.tick_params(labelsize=9)
    if picture.difference:
        for end, words in zip(("left", "right"), _ahead(picture, int(BAR * letters(frame.figure, 9))), strict=True):
            bar.ax.set_title(words, loc=end, fontsize=9)
    bar.locator = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
    if in_percent(picture.what):
        bar.formatter = FuncFormatter(percent)
    bar.update_ticks()
    explain(frame, _entries(picture, seen, drawn), caption(picture))
    return fitted(frame)


def _ahead(picture: Picture, width: int) -> tuple[str, str]:
    """Labels for the ends of a colour bar of `width` letters: one line if both fit."""
    first, second = both_labels(picture)
    low, high = f"← {second} ahead", f"{first} ahead\N{NO-BREAK SPACE}→"
    if len(low) + len(high) < width:
        return low, high
    return fold(low, width // 2 - 1), fold(high, width // 2 - 1)


def _cells(ax: Axes, picture: Picture, panel: Panel, colours: Colours):
    value = panel.series[0].data.value.values.T
    value = np.ma.array(np.nan_to_num(value), mask=np.isnan(value))  # infinite values take the end colours
    return ax.pcolormesh(picture.x.edges, picture.y.edges, value, norm=colours, cmap=colours.map, rasterized=True)


def _masks(picture: Picture, panel: Panel) -> dict[str, np.ndarray]:
    """Cells of every hatched kind, as (x, y) arrays."""
    data = panel.series[0].data
    value, undefined, pending = data.value.values, data.undefined.values != 0, data.pending.values
    masks = {
        "undefined": undefined & np.isnan(value),
        "pending": pending,
        "none": np.isnan(value) & ~undefined & ~pending,
    }
    if picture.difference:
        masks["equal"] = np.abs(value) <= LEVEL
        if "low" in data:
            masks["unclear"] = (data.low.values <= 0) & (data.high.values >= 0) & ~masks["equal"]
    elif picture.what not in ("drop", "reliance"):
        masks["saturated"] = (value <= LEVEL) | (value >= 1 - LEVEL)
    return masks


def _hatched(mask: np.ndarray, picture: Picture, kind: str) -> PolyCollection:
    """One rectangle per run of cells along x."""
    x, y = picture.x.edges, picture.y.edges
    corners = []
    for j in np.flatnonzero(mask.any(axis=0)):
        turns = np.flatnonzero(np.diff(np.concatenate([[0], mask[:, j].astype(int), [0]])))
        for a, b in turns.reshape(-1, 2):
            corners.append([(x[a], y[j]), (x[b], y[j]), (x[b], y[j + 1]), (x[a], y[j + 1])])
    face, hatch = HATCHES[kind]
    return PolyCollection(corners, facecolor=face, hatch=hatch, edgecolor="0.45", linewidth=0)


def _contours(ax: Axes, picture: Picture, panel: Panel, levels: np.ndarray) -> bool:
    """Draw contours, of theory's values where they exist. Returns whether there are any."""
    i, j = (_thinned(len(axis.values)) for axis in (picture.x, picture.y))
    value = np.ma.masked_invalid(_contoured(panel)[np.ix_(i, j)].T)
    levels = levels[(levels > value.min()) & (levels < value.max())] if value.count() > 3 else []
    if not len(levels):
        return False
    lines = ax.contour(picture.x.values[i], picture.y.values[j], value, levels=levels, colors="white", linewidths=0.9)
    lines.set(path_effects=[patheffects.withStroke(linewidth=1.9, foreground="0.25")])
    form = percent if in_percent(picture.what) else (lambda v: f"{v:.6g}")
    for text in ax.clabel(lines, fontsize=SMALLEST, fmt=form):
        text.set(color="black", path_effects=[patheffects.withStroke(linewidth=2, foreground="white")])
    return True


def _thinned(count: int) -> np.ndarray:
    """Indices of at most FINEST values with both ends; matplotlib cannot place labels on longer lines."""
    return np.unique(np.linspace(0, count - 1, min(count, FINEST)).round().astype(int))


def _contoured(panel: Panel) -> np.ndarray:
    data = panel.series[0].data
    return data.get("predicted", data.value).values


def _levels(picture: Picture) -> np.ndarray:
    """Round values, the same in every panel."""
    values = np.concatenate([_contoured(panel).ravel() for panel in picture.panels])
    values = values[np.isfinite(values)]
    if not len(values):
        return values
    low, high = np.quantile(values, [BEYOND, 1 - BEYOND])
    return MaxNLocator(MOST_CONTOURS, steps=[1, 2, 5, 10]).tick_values(low, high)


def _boundary(ax: Axes, panel: Panel) -> set[str]:
    drawn = set()
    for kind, style in (("exact", "-"), ("interpolated", "--")):
        for line in getattr(panel.boundary, kind):
            ax.plot(*line.T, color="black", linestyle=style, linewidth=1.6, zorder=4)
            drawn.add(kind)
    return drawn


def _entries(picture: Picture, seen: dict[str, None], drawn: set[str]) -> list:
    lines = {
        "exact": ("-", "equally accurate (exact, by theory)"),
        "interpolated": ("--", "equally accurate (interpolated between the cells)"),
    }
    entries = [
        (Line2D([], [], color="black", linestyle=style, linewidth=1.6), label)
        for kind, (style, label) in lines.items()
        if kind in drawn
    ]
    words = {
        "pending": "not computed yet",
        "none": "no value: the learner is not a linear rule" if picture.what == "reliance" else "no value",
        "saturated": f"0 or 100 % to within {100 * LEVEL:.4f} points",
        "equal": f"equal to within {100 * LEVEL:.4f} points",
        "unclear": "unclear: the interval contains 0",
        "undefined": "undefined",
    }
    for kind in seen:
        face, hatch = HATCHES[kind]
        entries.append((Patch(facecolor=face, hatch=hatch, edgecolor="0.45", linewidth=0), words[kind]))
    return entries
