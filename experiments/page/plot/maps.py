"""Maps over two axes: colours and contours for values, hatching for missing or unclear ones."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from experiments.page.plot.axes import fold
from experiments.page.plot.boundary import LEVEL
from experiments.page.plot.frame import SMALLEST, both_labels, finished, framed, letters, percent
from experiments.page.plot.layout import Panel, Picture
from experiments.style import styled

BEYOND = 0.02  # share of cells at each end that may lie beyond the colour bar
BAR = 0.7  # length of the colour bar, as a share of the figure's width
MOST_CONTOURS = 6
# values along an axis through which contours are drawn; longer ones have no place for labels
FINEST = 100
HATCHES = {  # kind: face, hatch, words
    "undefined": ("0.88", "xxx", "undefined"),
    "pending": ("white", "...", "not computed yet"),
    "none": ("0.95", "---", "no value"),
    "equal": ("none", "////", f"equal to within {100 * LEVEL:.4f} points"),
    "unclear": ("none", "...", "unclear: the interval contains 0"),
}
EQUAL = {"color": "black", "linewidth": 1.6}


@styled
def draw_maps(picture: Picture, scaled: Sequence[Picture]) -> Figure:
    figure = framed(picture)
    norm = _norm(scaled)
    kinds = set()
    entries = []
    levels = MaxNLocator(MOST_CONTOURS, steps=[1, 2, 5, 10]).tick_values(
        *_ends(scaled, _contoured(scaled[0]))
    )
    for ax, panel in zip(figure.axes, picture.panels, strict=True):
        mesh = _cells(ax, picture, panel, norm)
        for kind, mask in _masks(picture, panel).items():
            if mask.any():
                kinds.add(kind)
                face, hatch, _ = HATCHES[kind]
                look = {
                    "cmap": ListedColormap([face]),
                    "hatch": hatch,
                    "edgecolor": "0.45",
                    "linewidth": 0,
                }
                ax.pcolor(
                    picture.x.places, picture.y.places, np.ma.masked_where(~mask, mask).T, **look
                )
        if picture.difference:
            for x, y in (line.T for line in panel.boundary):
                ax.plot(picture.x.scale.place(x), picture.y.scale.place(y), zorder=4, **EQUAL)
        else:
            _contours(ax, picture, panel, levels)
        ax.grid(False)
    _bar(figure, mesh, picture)
    if any(panel.boundary for panel in picture.panels):
        entries.append((Line2D([], [], **EQUAL), "equally accurate (exact, by theory)"))
    entries += [
        (Patch(facecolor=face, hatch=hatch, edgecolor="0.45", linewidth=0), words)
        for kind, (face, hatch, words) in HATCHES.items()
        if kind in kinds
    ]
    return finished(figure, picture, entries)


def _ends(pictures: Sequence[Picture], name: str) -> tuple[float, float]:
    """Between these lie the finite numbers of all panels, but for a share BEYOND each; 0 and 1 if
    there are none.
    """
    values = np.concatenate(
        [s.numbers(name).ravel() for picture in pictures for s in picture.series]
    )
    values = values[np.isfinite(values)]
    return tuple(np.quantile(values if len(values) else [0.0, 1.0], [BEYOND, 1 - BEYOND]))


def _norm(pictures: Sequence[Picture]) -> Normalize:
    """One colour scale for all panels, symmetrical about 0 where the sign matters."""
    low, high = _ends(pictures, "value")
    if pictures[0].signed:
        high = max(abs(low), abs(high))
        low = -high
    return Normalize(low, max(high, low + 1e-4))


def _bar(figure: Figure, mesh: QuadMesh, picture: Picture) -> None:
    """The colour bar below the panels. Its ends are pointed, since some values lie beyond them."""
    bar = figure.colorbar(
        mesh, ax=figure.axes, location="bottom", extend="both", aspect=30, shrink=0.9
    )
    bar.ax.tick_params(labelsize=9)
    if picture.difference:
        first, second = both_labels(picture)
        words = (f"← {second} ahead", f"{first} ahead\N{NO-BREAK SPACE}→")
        width = int(BAR * letters(figure, 9))
        if len(words[0]) + len(words[1]) >= width:
            words = tuple(fold(part, width // 2 - 1) for part in words)
        bar.ax.set_title(words[0], loc="left", fontsize=9)
        bar.ax.set_title(words[1], loc="right", fontsize=9)
    bar.locator = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
    if picture.unit == "fraction":
        bar.formatter = FuncFormatter(percent)
    bar.update_ticks()


def _cells(ax: Axes, picture: Picture, panel: Panel, norm: Normalize) -> QuadMesh:
    # Red: the second learner is ahead, or the background has more weight. Blue: the first, or the
    # object.
    colours = colormaps["RdBu" if picture.difference else "RdBu_r" if picture.signed else "viridis"]
    value = panel.series[0].numbers("value").T
    ends = {"posinf": norm.vmax, "neginf": norm.vmin}
    value = np.ma.array(np.nan_to_num(value, **ends), mask=np.isnan(value))
    return ax.pcolormesh(
        picture.x.places, picture.y.places, value, norm=norm, cmap=colours, rasterized=True
    )


def _masks(picture: Picture, panel: Panel) -> dict[str, np.ndarray]:
    """Cells of every hatched kind, as (x, y) arrays."""
    data = panel.series[0].data
    missing = data.value.isnull()
    undefined = data.undefined != 0
    pending = data.pending
    masks = {
        "undefined": undefined & missing,
        "pending": pending,
        "none": missing & ~undefined & ~pending,
    }
    if picture.difference:
        masks["equal"] = np.abs(data.value) <= LEVEL
        if "low" in data:
            masks["unclear"] = (data.low <= 0) & (data.high >= 0) & ~masks["equal"]
    return {kind: mask.values for kind, mask in masks.items()}


def _contoured(picture: Picture) -> str:
    """Contours are of theory's values where they exist."""
    return "predicted" if "predicted" in picture.series[0].data else "value"


def _contours(ax: Axes, picture: Picture, panel: Panel, levels: np.ndarray) -> None:
    counts = len(picture.x.values), len(picture.y.values)
    i, j = (np.unique(np.linspace(0, n - 1, min(n, FINEST)).round().astype(int)) for n in counts)
    value = np.ma.masked_invalid(panel.series[0].numbers(_contoured(picture))[np.ix_(i, j)].T)
    levels = levels[(levels > value.min()) & (levels < value.max())] if value.count() > 3 else []
    if not len(levels):
        return
    lines = ax.contour(
        picture.x.places[i],
        picture.y.places[j],
        value,
        levels=levels,
        colors="white",
        linewidths=0.9,
    )
    lines.set(path_effects=[patheffects.withStroke(linewidth=1.9, foreground="0.25")])
    form = percent if picture.unit == "fraction" else "%.6g"
    for text in ax.clabel(lines, fontsize=SMALLEST, fmt=form):
        text.set(
            color="black", path_effects=[patheffects.withStroke(linewidth=2, foreground="white")]
        )
