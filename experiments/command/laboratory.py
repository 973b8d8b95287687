"""`soberclip sweep`, `designs` and `plot`: a grid of worlds and learners as one study, as data and as a picture.

Functions import what they need when they run, for start-up time.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from experiments.command.options import Json, RecipeOptions, Whole, WorldFile, WorldOptions, given
from experiments.command.output import emit, note
from experiments.errors import RequestError
from simulator.accuracy import PIXEL_GROUPS, WORDS
from simulator.prompts import PROMPTS, Prompt
from theory.learners import names

if TYPE_CHECKING:
    from experiments.lab.axes import Axis

FINETUNED = "colored-coco"  # `experiments.lab.finetuning.spec.NAME`; that module is slow to import
FINETUNING = Group(
    FINETUNED,
    help="Fine-tuning of a pretrained CLIP on objects before colours. Learners: zero-shot, obj, objbkg, supervised; "
    "axes: lr, weight_decay and warmup, chosen by validation.",
    sort_key=2,
)
ROWS = 10_000  # of one JSON document; a store or --csv holds any number


def sweep(
    what: Annotated[
        str | None,
        Parameter(help="design (`soberclip designs` lists them) or TOML file of a study; flags override it"),
    ] = None,
    /,
    *,
    full: Annotated[bool, Parameter(negative="", help="a design in its full size rather than the quick one")] = False,
    axis: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="NAME=LOW:HIGH:COUNT, with :log or :one-minus after it, or NAME=V1,V2,V3; a field of the world, of "
            "training, n or seed; may be repeated",
        ),
    ] = None,
    learner: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help=f"what is trained: {', '.join(names())}, or an objective of towers; may be repeated [default: linear]",
        ),
    ] = None,
    prompt: Annotated[
        list[Prompt] | None,
        Parameter(negative="", help=f"class prompt: {', '.join(PROMPTS)}; may be repeated [default: name]"),
    ] = None,
    route: Annotated[
        list[Literal["theory", "exact", "drawn", "trained"]] | None,
        Parameter(
            negative="",
            help="theory (n = infinity), exact (exact law given n pairs), drawn (pairs one by one) or trained "
            "(towers); may be repeated; the theory is always included [default: theory]",
        ),
    ] = None,
    n: Annotated[Whole | None, Parameter(help="pairs to train on, 2 to 1e12")] = None,
    replicates: Annotated[Whole | None, Parameter(help="independent trainings per cell [default: 1]")] = None,
    training: RecipeOptions | None = None,
    seed: Annotated[Whole | None, Parameter(help="root of the random streams [default: 0]")] = None,
    world_file: WorldFile = None,
    world: WorldOptions | None = None,
    output: Annotated[
        str | None,
        Parameter(
            name=["--output", "-o"],
            help="zarr store of the numbers, a folder or an fsspec address; an interrupted run resumes from it",
        ),
    ] = None,
    workers: Annotated[
        Whole | None, Parameter(help="processes of this machine that compute, on dask [default: this one alone]")
    ] = None,
    scheduler: Annotated[
        str | None, Parameter(help="address of a dask cluster that computes; its workers need access to --output")
    ] = None,
    csv: Annotated[Path | None, Parameter(help="file for the flat table, one row per cell")] = None,
    root: Annotated[
        str | None, Parameter(group=FINETUNING, help="folder with COCO's instances.json and images, as val2017's")
    ] = None,
    model: Annotated[
        str | None, Parameter(group=FINETUNING, help="the CLIP that is fine-tuned: open_clip:NAME[/TAG]")
    ] = None,
    weights: Annotated[
        Path | None, Parameter(group=FINETUNING, help="file of its weights, instead of a tag's own")
    ] = None,
    device: Annotated[str | None, Parameter(group=FINETUNING, help="where it is trained [default: cpu]")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="print the size, and stop")] = False,
    json: Json = False,
) -> None:
    from experiments.lab.axes import parsed  # start-up time, as in all functions below

    tables = {"recipe": given(training), "world": given(world)}
    fields = {"learners": learner, "prompts": prompt, "routes": route, "n": n, "replicates": replicates, "seed": seed}
    fields = {name: value for name, value in fields.items() if value is not None}
    axes = _axes(map(parsed, axis or ()))
    for name in axes.keys() & {**fields, **tables["recipe"], **tables["world"]}.keys():
        raise RequestError(f"--{name.replace('_', '-')} is set and an axis as well; leave one of them out")
    if what is None and full:
        raise RequestError("--full is a size of a design, and none is named; `soberclip designs` lists them")
    flags = {"axes": axes, **tables, **fields}
    pretrained = {"root": root, "model": model, "weights": weights, "device": device}
    computing = {"workers": workers, "scheduler": scheduler}
    if what == FINETUNED:
        others = {"prompt": prompt, "route": route, **computing, "csv": csv}
        _refuse_given(others, f"has no meaning for {FINETUNED}; leave it out")
        _finetune(full, flags, world_file, pretrained, output, dry_run, json)
        return
    _refuse_given(pretrained, f"is for {FINETUNED}, which fine-tunes a pretrained model; leave it out")
    _sweep(what, full, flags, world_file, output, csv, computing, dry_run, json)


def _axes(given_axes: "Iterable[Axis]") -> dict[str, Any]:
    axes: dict[str, Any] = {}
    for axis in given_axes:
        if axis.name in axes:
            raise RequestError(f"axis {axis.name!r} is given more than once")
        axes[axis.name] = axis
    return axes


def _refuse_given(options: dict[str, Any], sentence: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise RequestError(f"--{name} {sentence}")


def _sweep(
    what: str | None,
    full: bool,
    flags: dict[str, Any],
    world_file: Path | None,
    output: str | None,
    csv: Path | None,
    computing: dict[str, Any],
    dry_run: bool,
    json: bool,
) -> None:
    """Run a study: a design's, a file's, or one of flags alone."""
    from experiments.command.screens.laboratory import sweep_table
    from experiments.lab.execution import refuse_what_cannot_fit, run
    from experiments.lab.executors import executor
    from experiments.lab.planning import plan
    from experiments.lab.presets import design_or_file
    from experiments.lab.request import requested
    from experiments.lab.store import refuse
    from experiments.lab.tables import beside, csv_target, summary, write_csv

    document, source, design = ({}, "", None) if what is None else design_or_file(what, full)
    study = requested(document, source, flags, world_file)
    if output is not None:
        refuse(output, study)
    if csv is not None:
        csv_target(csv)
    executing = executor(device=study.device, report=note, **computing)
    planned = plan(study)
    refuse_what_cannot_fit(planned, output)
    if design is not None:
        note(design.question)
    note(planned.sentence())
    if dry_run:
        return
    with executing as execute:
        table = run(study, output, planned=planned, execute=execute, report=note)
    if csv is not None:
        write_csv(csv, table)
    result = {"verb": "sweep", "design": None, **summary(study, table, output, ROWS)}
    if design is not None:
        result["design"] = {"name": design.name, "full": full, **design.words}
        if design.printed is not None:
            result["printed"] = beside(table, design.printed)
        for picture in design.plot if output is not None else ():
            note(f"to look at: {_plot_command(output, picture)}")
    emit(result, json, sweep_table)


def _plot_command(store: str, picture: dict[str, Any]) -> str:
    """The command that draws a picture of a design."""
    at = [word for name, value in picture.get("at", {}).items() for word in ("--at", f"{name}={value}")]
    return shlex.join(["soberclip", "plot", store, "--what", picture["what"], *at])


def _finetune(
    full: bool,
    flags: dict[str, Any],
    world_file: Path | None,
    pretrained: dict[str, Any],
    output: str | None,
    dry_run: bool,
    json: bool,
) -> None:
    """Run the design that fine-tunes a pretrained model."""
    from experiments.command.screens.finetuning import finetuned
    from experiments.lab.finetuning.spec import checked, preset

    request = checked(full, flags, world_file, **pretrained)
    note(preset().question)
    note(request.sentence())
    if dry_run:
        return
    from experiments.lab.finetuning.picture import picture
    from experiments.lab.finetuning.progress import PICTURE
    from experiments.lab.finetuning.result import document, write
    from experiments.lab.finetuning.run import run
    from experiments.page.plot.save import save_figure

    folder = None if output is None else Path(output)
    result = document(request, full, *run(request, folder, note))
    if folder is not None:
        write(result, folder)
        save_figure(picture(result), folder / PICTURE, "sweep")
    emit(result, json, finetuned)


def designs(*, json: Json = False) -> None:
    from experiments.command.screens.laboratory import designs_table
    from experiments.lab import presets
    from experiments.lab.finetuning.spec import listed

    emit([*(presets.design(name).as_json() for name in presets.designs()), listed()], json, designs_table)


def plot(
    store: Annotated[str, Parameter(help="folder that sweep wrote")],
    *,
    what: Annotated[
        str,
        Parameter(
            help=f"{', '.join(WORDS)} or reliance, for pixels also {', '.join(PIXEL_GROUPS)}; groups (counter against "
            "common, one mark per value of an axis); or two learners, such as 'infonce:name minus bayes': the "
            "difference of their counter accuracies, and where they are equal"
        ),
    ] = "counter",
    at: Annotated[
        list[str] | None,
        Parameter(negative="", help="NAME=VALUE holds an axis, learner, prompt or route fixed; may be repeated"),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help=".svg, .png or .pdf [default: the store's name with .svg, beside it]"),
    ] = None,
    json: Json = False,
) -> None:
    from experiments.command.screens.laboratory import plotted
    from experiments.lab.store import read
    from experiments.page.plot import draw
    from experiments.page.plot.layout import arrange
    from experiments.page.plot.save import check_target, save_figure

    fixed = dict(_pair(text) for text in at or ())
    dataset, name = read(store), Path(store.rstrip("/"))
    beside = (Path(name.name) if "://" in store else name).with_suffix(".svg")
    path = check_target(beside if output is None else output, "plot")
    picture = arrange(dataset, what, fixed)
    save_figure(draw(picture), path, "plot")
    emit({"verb": "plot", "output": str(path), **picture.as_json()}, json, plotted)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise RequestError(f"--at {text!r} is not NAME=VALUE; p_spu=0.9 is")
    return name.strip(), value.strip()
