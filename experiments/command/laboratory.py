"""`soberclip plot`: a study as a picture."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from experiments.command.words import Json, emit
from experiments.errors import RequestError


def plot(
    store: Annotated[str, Parameter(help="folder that sweep wrote")],
    *,
    what: Annotated[
        str,
        Parameter(
            help="common, counter, drop, reliance, balanced, error-counter or worst; or two learners, such as "
            "'infonce:name minus bayes': their counter accuracies' difference and where they are equal"
        ),
    ] = "counter",
    at: Annotated[
        list[str] | None,
        Parameter(
            negative="", help="NAME=VALUE of an axis, learner, prompt or route to be held fixed; may be repeated"
        ),
    ] = None,
    output: Annotated[
        Path | None, Parameter(help=".svg, .png or .pdf [default: the store's name with .svg, beside it]")
    ] = None,
    json: Json = False,
) -> None:
    """Draw a study: lines over one axis, a phase diagram over two, panels for further axes and learners.

    Example: soberclip plot phase.zarr --what "infonce:name minus bayes"
    """
    from experiments.command.screens import plotted
    from experiments.page.plot import draw
    from experiments.page.plot.composed import composed
    from experiments.page.plot.document import document_of
    from experiments.page.plot.written import opened, target, write_figure

    fixed = dict(_pair(text) for text in at or ())
    dataset, path = opened(store), target(store, output)
    picture = composed(dataset, what, fixed)
    write_figure(draw(picture), path)
    emit({"verb": "plot", "output": str(path), **document_of(picture)}, json, plotted)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise RequestError(f"--at {text!r} is not NAME=VALUE; p_spu=0.9 is")
    return name.strip(), value.strip()
