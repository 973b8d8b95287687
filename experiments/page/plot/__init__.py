"""A study as a picture, by itself: lines over one axis, a phase diagram over two, panels for what is left.

    from experiments import plot
    plot(dataset, what="infonce:name minus bayes")

`asked` reads what is to be drawn, `composed` lays it out as data, `lines` and `maps` draw it, `boundary` finds where
two learners are equally accurate, and `plane` sets one group against the other.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from matplotlib.figure import Figure


def plot(dataset: "xr.Dataset", what: str = "counter", at: "Mapping[str, str | float] | None" = None) -> "Figure":
    """The figure of a study's Dataset.

    Parameters
    ----------
    dataset : what `study(...).run()` returns
    what : a word of `simulator.accuracy.WORDS`, "reliance", "groups" (counter against common), or "A minus B" with two
        learners as "infonce:name"
    at : values at which axes (or learner, prompt, route) are held

    Raises
    ------
    RequestError
        For a word, learner, axis or value that the study does not have, a study without a computed cell, and more
        panels than can be read.
    """
    return draw(compose(dataset, what, at))


def compose(dataset: "xr.Dataset", what: str, at: "Mapping[str, str | float] | None" = None):
    """The picture of a study as data; raises as `plot`."""
    from experiments.page.plot.composed import composed
    from experiments.page.plot.plane import GROUPS, plane

    return plane(dataset, at) if what == GROUPS else composed(dataset, what, at)


def draw(picture) -> "Figure":
    """The figure of a composed picture."""
    from experiments.page.plot.plane import Plane, draw_plane

    if isinstance(picture, Plane):
        return draw_plane(picture)
    from experiments.page.plot.lines import draw_lines
    from experiments.page.plot.maps import draw_maps

    return draw_lines(picture) if picture.y is None else draw_maps(picture)
