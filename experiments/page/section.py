"""A question of the report with its answer and figures."""

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.figure import Figure

from experiments.lab.presets import Design

if TYPE_CHECKING:
    import xarray as xr


class Section(NamedTuple):
    """One question. `takeaway` is its answer as a title, `look` says what to look at."""

    name: str
    question: str
    takeaway: str
    look: str
    answer: str
    figures: dict[str, Figure]  # by the names of their files


def section_of(design: Design, table: "xr.Dataset") -> Section:
    """A design with the figures of its results."""
    from experiments.page.plot import plot  # matplotlib is slow to import

    names = [design.name if i == 1 else f"{design.name}-{i}" for i in range(1, len(design.plot) + 1)]
    pictures = [plot(table, picture["what"], picture.get("at")) for picture in design.plot]
    figures = dict(zip(names, pictures, strict=True))
    return Section(design.name, design.question, design.takeaway, design.look, design.answer, figures)
