"""A question of the report with its pictures: what is asked, what to look at, what came out."""

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.figure import Figure

from experiments.lab.design import Design

if TYPE_CHECKING:
    import xarray as xr


class Section(NamedTuple):
    """One question; `takeaway` is its answer as a title, `figures` go by the names of their files."""

    name: str
    question: str
    takeaway: str
    look: str
    answer: str
    figures: dict[str, Figure]


def section_of(design: Design, table: "xr.Dataset") -> Section:
    """A design that has been run, with the pictures that it asks for."""
    from experiments.page.plot import compose, draw

    names = [design.name if i == 1 else f"{design.name}-{i}" for i in range(1, len(design.plot) + 1)]
    pictures = [draw(compose(table, picture["what"], picture.get("at"))) for picture in design.plot]
    figures = dict(zip(names, pictures, strict=True))
    return Section(design.name, design.question, design.takeaway, design.look, design.answer, figures)
