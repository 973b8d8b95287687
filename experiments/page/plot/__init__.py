"""Draw a study: `series` selects the numbers, `layout` arranges them as data, `boundary` finds
where two learners are equally accurate, and `lines` and `maps` draw inside a `frame`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import xarray as xr
    from matplotlib.figure import Figure

    from theory.learners import Learner


def plot(
    dataset: "xr.Dataset",
    what: str = "counter",
    at: "Mapping[str, str | float] | None" = None,
    learners: "Collection[Learner]" = (),
) -> "Figure":
    """The figure of a study's Dataset.

    Parameters
    ----------
    dataset : what `study(...).run()` returns
    what : a word of `simulator.accuracy.WORDS`, "reliance", "equivalent-correlation", "shortfall",
        "groups" (counter against common), or "A minus B" with two learners as "infonce:name"
    at : values at which axes (or learner, prompt, route) are held
    learners : learners of your own in the study, whose exact line of equal accuracy is drawn

    Raises
    ------
    RequestError
        For a word, learner, axis or value that the study does not have, a study without a computed
        cell, and more panels than can be read.
    """
    from experiments.page.plot.layout import arrange  # matplotlib and scipy are slow to import

    return draw(arrange(dataset, what, at, learners))


def draw(picture, beside=()) -> "Figure":
    """The figure of a `layout.Picture`, on one scale with those of `beside` (it is one of them)
    that are alike.
    """
    from experiments.page.plot.lines import draw_lines, draw_plane  # start-up time
    from experiments.page.plot.maps import draw_maps

    drawing = {"plane": draw_plane, "map": draw_maps, "lines": draw_lines}[picture.kind]
    return drawing(
        picture, [other for other in beside or (picture,) if other.scale == picture.scale]
    )
