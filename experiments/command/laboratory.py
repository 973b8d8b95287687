"""`soberclip sweep`, `designs` and `plot`: a grid of worlds and learners as one study, as data and as a picture."""

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from experiments.command.options import Json, RecipeOptions, Whole, WorldFile, WorldOptions, given
from experiments.command.output import emit, note
from experiments.errors import RequestError
from simulator.accuracy import PIXEL_GROUPS, WORDS
from simulator.prompts import PROMPTS, Prompt
from theory.learners import names

FINETUNED = "colored-coco"  # `experiments.lab.finetuning.asked.NAME`, which loads much
FINETUNING = Group(
    FINETUNED,
    help="A pretrained CLIP trained on, on objects before colours. Learners: zero-shot, obj, objbkg, supervised; "
    "axes: lr, weight_decay and warmup, chosen by validation.",
    sort_key=2,
)
ROWS = 10_000  # that one JSON document holds; a store or --csv holds any number


def sweep(
    what: Annotated[
        str | None,
        Parameter(
            help="design to run (`soberclip designs` lists them), or the TOML file of a study; flags override it"
        ),
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
            help=f"what is trained: {', '.join(names())}, or an objective where towers are; may be repeated "
            "[default: linear]",
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
            "(towers); may be repeated, theory always stands beside [default: theory]",
        ),
    ] = None,
    n: Annotated[Whole | None, Parameter(help="pairs to train on, 2 to 1e12")] = None,
    replicates: Annotated[Whole | None, Parameter(help="independent trainings a cell [default: 1]")] = None,
    training: RecipeOptions | None = None,
    seed: Annotated[Whole | None, Parameter(help="root of every random stream [default: 0]")] = None,
    world_file: WorldFile = None,
    world: WorldOptions | None = None,
    output: Annotated[
        str | None,
        Parameter(
            name=["--output", "-o"],
            help="zarr store of the numbers, a folder or an fsspec address; a run that was cut short goes on there",
        ),
    ] = None,
    workers: Annotated[
        Whole | None, Parameter(help="processes of this machine that compute, on dask [default: this one alone]")
    ] = None,
    scheduler: Annotated[
        str | None, Parameter(help="address of a dask cluster that computes; --output lies where its workers reach it")
    ] = None,
    csv: Annotated[Path | None, Parameter(help="file for the flat table, a row a cell")] = None,
    root: Annotated[
        str | None,
        Parameter(group=FINETUNING, help="folder with COCO's instances.json and images, as val2017's"),
    ] = None,
    model: Annotated[
        str | None, Parameter(group=FINETUNING, help="the CLIP that is fine-tuned: open_clip:NAME[/TAG]")
    ] = None,
    weights: Annotated[Path | None, Parameter(group=FINETUNING, help="its weights file, in the tag's place")] = None,
    device: Annotated[str | None, Parameter(group=FINETUNING, help="where it is trained [default: cpu]")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="say what it would take, and stop")] = False,
    json: Json = False,
) -> None:
    """Any grid of worlds and learners as one study: as data on disk, as a table, from closed form to trained towers.

    Example: soberclip sweep --axis p_spu=.5:1:11 --axis mu_spu=.5:4:8 --learner infonce -o phase.zarr
    Example: soberclip sweep sources -o sources.zarr
    Example: soberclip sweep colored-coco --root val2017 --model open_clip:RN50/openai -o coco
    """
    from experiments.command.screens.laboratory import sweep_table
    from experiments.lab.axes import parsed
    from experiments.lab.design import asked_by
    from experiments.lab.execution import refuse_what_cannot_fit, run
    from experiments.lab.executors import executor
    from experiments.lab.planning import plan
    from experiments.lab.request import requested
    from experiments.lab.store import refuse
    from experiments.lab.table import csv_target, summary, write_csv

    flags: dict[str, Any] = {
        "axes": _axes(parsed(text) for text in axis or ()),
        "recipe": given(training),
        "world": given(world),
    }
    several = {"learners": learner, "prompts": prompt, "routes": route}
    single = {"n": n, "replicates": replicates, "seed": seed}
    flags |= {name: value for name, value in {**several, **single}.items() if value is not None}
    for name in flags["axes"].keys() & {**flags, **given(training), **given(world)}.keys():
        raise RequestError(f"--{name.replace('_', '-')} is set and an axis as well; leave one of them out")
    if what is None and full:
        raise RequestError("--full is a size of a design, and none is named; `soberclip designs` lists them")
    pretrained = {"root": root, "model": model, "weights": weights, "device": device}
    elsewhere = {"prompt": prompt, "route": route, "workers": workers, "scheduler": scheduler}
    if what == FINETUNED:
        _refuse_given({**elsewhere, "csv": csv}, f"has no meaning for {FINETUNED}; leave it out")
        return _finetuned(full, flags, world_file, pretrained, output, dry_run, json)
    _refuse_given(pretrained, f"is for {FINETUNED}, which trains a pretrained model on; leave it out")
    document, source, design = ({}, "", None) if what is None else asked_by(what, full)
    asked = requested(document, source, flags, world_file)
    if output is not None:
        refuse(output, asked)
    if csv is not None:
        csv_target(csv)
    computing = executor(workers, scheduler, asked.device, note)
    planned = plan(asked)
    refuse_what_cannot_fit(planned, output)
    if design is not None:
        note(design.question)
    note(planned.sentence())
    if dry_run:
        return
    with computing as execute:
        table = run(asked, output, planned=planned, execute=execute, report=note)
    if csv is not None:
        write_csv(csv, table)
    if design is not None and output is not None:
        for picture in design.plot:
            note(f"to look at: {_command(output, picture)}")
    further = {}
    if design is not None and design.printed is not None:
        from experiments.lab.printed import beside

        further["printed"] = beside(table, design.printed)
    said = None if design is None else {"name": design.name, "full": full, **design.words}
    emit({"verb": "sweep", "design": said, **summary(asked, table, output, ROWS), **further}, json, sweep_table)


def _refuse_given(options: dict[str, Any], sentence: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise RequestError(f"--{name} {sentence}")


def _finetuned(
    full: bool,
    flags: dict[str, Any],
    world_file: Path | None,
    pretrained: dict[str, Any],
    output: str | None,
    dry_run: bool,
    json: bool,
) -> None:
    """The design that trains a pretrained model on."""
    from experiments.command.screens.finetuning import finetuned
    from experiments.lab.finetuning.asked import asked, finetuning

    request = asked(full, flags, world_file, **pretrained)
    note(finetuning().question)
    note(request.sentence())
    if dry_run:
        return
    from experiments.lab.finetuning.kept import PICTURE
    from experiments.lab.finetuning.picture import picture
    from experiments.lab.finetuning.result import document, write
    from experiments.lab.finetuning.run import run
    from experiments.page.plot.save import save_figure

    folder = None if output is None else Path(output)
    said = document(request, full, *run(request, folder, note))
    if folder is not None:
        write(said, folder)
        save_figure(picture(said), folder / PICTURE, "sweep")
    emit(said, json, finetuned)


def _axes(given_axes) -> dict[str, Any]:
    axes: dict[str, Any] = {}
    for axis in given_axes:
        if axis.name in axes:
            raise RequestError(f"axis {axis.name!r} is given more than once")
        axes[axis.name] = axis
    return axes


def _command(store: str, picture: dict[str, Any]) -> str:
    """The command that draws a picture of a design."""
    at = [word for name, value in picture.get("at", {}).items() for word in ("--at", f"{name}={value}")]
    return shlex.join(["soberclip", "plot", store, "--what", picture["what"], *at])


def designs(*, json: Json = False) -> None:
    """The designs that ship: studies that each answer one question, in a quick size and a full one.

    Example: soberclip designs
    """
    from experiments.command.screens.laboratory import designs_table
    from experiments.lab.design import design
    from experiments.lab.design import designs as names
    from experiments.lab.finetuning.asked import listed

    emit([*(design(name).as_json() for name in names()), listed()], json, designs_table)


def plot(
    store: Annotated[str, Parameter(help="folder that sweep wrote")],
    *,
    what: Annotated[
        str,
        Parameter(
            help=f"{', '.join(WORDS)} or reliance, of pixels {', '.join(PIXEL_GROUPS)} too; groups (counter against "
            "common, a mark a value of one axis); or two learners, such as 'infonce:name minus bayes': the difference "
            "of their counter accuracies, and where they are equal"
        ),
    ] = "counter",
    at: Annotated[
        list[str] | None,
        Parameter(
            negative="", help="NAME=VALUE of an axis, learner, prompt or route to be held fixed; may be repeated"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help=".svg, .png or .pdf [default: the store's name with .svg, beside it]"),
    ] = None,
    json: Json = False,
) -> None:
    """Draw a study: lines over one axis, a phase diagram over two, panels for further axes and learners.

    Example: soberclip plot phase.zarr --what "infonce:name minus bayes"
    """
    from experiments.command.screens.laboratory import plotted
    from experiments.page.plot import draw
    from experiments.page.plot.layout import arrange
    from experiments.page.plot.save import check_target, save_figure
    from experiments.page.plot.series import open_store

    fixed = dict(_pair(text) for text in at or ())
    dataset, name = open_store(store), Path(store.rstrip("/"))
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
