"""The words around a picture: what is shown, how it was obtained, in which world."""

from experiments.page.plot.asked import DIFFERENCE
from experiments.page.plot.composed import Picture
from experiments.page.plot.scales import quantity_label
from simulator.quantities import MEASURED


def in_percent(what: str) -> bool:
    """Whether what is drawn is a fraction, or a difference of two."""
    return what not in MEASURED or MEASURED[what].unit == "fraction"


def pair(picture: Picture) -> tuple[str, str]:
    """The two learners of a difference, as a legend names them."""
    one = picture.panels[0].series[0]
    return one.who._replace(route=None).label, one.against._replace(route=None).label


def title(picture: Picture) -> str:
    """What is drawn, with symbol and unit."""
    if not picture.difference:
        return quantity_label(MEASURED[picture.what], ", ")
    first, second = pair(picture)
    return f"{DIFFERENCE} accuracy: ({first}) − ({second}) [points]"


def percent(value: float, _=None) -> str:
    """A fraction on an axis in percent (or points)."""
    return f"{100 * value:.6g}".replace("-", "−")


def sentences(picture: Picture, how: list[str] | None = None) -> list[str]:
    """The caption; `how` tells where the numbers come from in a picture of another kind."""
    said = [*(_how(picture) if how is None else how)]
    if len(picture.panels) > 1:
        there = [axis for axis in (picture.x, picture.y) if axis is not None and axis.meaning]
        said.append("; ".join(f"{axis.label()}: {axis.explained}" for axis in there) + ".")
    if picture.world is not None:
        words = [*picture.fixed, *picture.world]
        said.append(f"World: {', '.join(words)}, all else by default." if words else "World: the default one.")
    elif picture.fixed:
        said.append(f"At {', '.join(picture.fixed)}.")
    said += [f"Undefined{f' ({route})' if route else ''}: {reason}." for route, reason in picture.undefined]
    done, whole = picture.computed
    if done < whole:
        said.append(f"{done} of {whole} cells are computed.")
    return said


def _how(picture: Picture) -> list[str]:
    """Where the numbers come from."""
    every = [s for panel in picture.panels for s in panel.series]
    measured = [s for s in every if s.replicates]
    if not measured:
        return ["Theory, at infinitely many training pairs."]
    number = max(s.replicates for s in measured)
    mean = f"mean of {number} replicates" if number > 1 else "a single replicate"
    predicted = any("predicted" in s.data and s.data.predicted.notnull().any() for s in measured)
    if picture.y is not None:
        theory = "" if not predicted or picture.difference else " Contours: theory at infinitely many pairs."
        return [f"Colour: {mean}.{theory}"]
    levels = {s.level for s in measured if s.level is not None}
    bars = f" with {min(levels):.0%} intervals" if levels else ""
    drawn = "Dashes" if picture.x is None or picture.x.words else "Lines"
    return [f"Points: {mean}{bars}." + (f" {drawn}: theory at infinitely many pairs." if predicted else "")]
