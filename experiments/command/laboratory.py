"""`soberclip sweep`, `finetune`, `designs` and `plot`: studies as data, as screens and as
pictures.
"""

import shlex
from collections import Counter
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Literal

from cyclopts import Group
from rich.console import Group as Screen
from rich.filesize import decimal
from rich.text import Text

from experiments.command import options
from experiments.command.options import DEFAULT_WORLD, Json, Seed, Whole, WorldOptions, flag, named
from experiments.command.output import dim, emit, indented, warning
from experiments.errors import RequestError
from experiments.lab.finetuning import FIXED, GRID, LEARNERS
from experiments.table import GAIN, NUMBER, SPAN_PERCENT, Column, Table, Unit, counted, gain
from experiments.user_code import IN_FILE, learner_in
from simulator.accuracy import GROUPS, PIXEL_GROUPS, WORDS
from simulator.progress import say
from simulator.prompts import CHOICES, Prompt, asked
from simulator.towers.recipe import Recipe
from theory.learners import names

# `experiments.lab.presets` is slow to import.
DESIGNS = tuple(sorted(file.stem for file in Path(__file__).parents[1].glob("lab/designs/*.toml")))
ROWS = 10_000  # of one JSON document; a store or --csv holds any number
GAINS = (
    "counter_gained",
    "common_lost",
    "pairs",
    "predicted_counter_gained",
    "predicted_common_lost",
)
AXIS = "NAME=LOW:HIGH:COUNT, with :log or :one-minus after it, or NAME=V1,V2,V3{}; may be repeated"
# of fine-tuning
HEADS = {"trained": "in distribution %", "rand": "Rand %", "rev": "Rev %", "rest": "Rest %"}
TABLE7 = "Table 7 of [W], OpenAI's weights: in and out of distribution %"
DEFAULTS = Group(
    "Training",
    help="These defaults give way to the setting that ships; --dry-run prints it.",
    sort_key=0,
)


def _several(kind: Any, help: str) -> Any:
    """The type of a flag that may be repeated; --help does not list its choices."""
    return flag(list[kind] | None, help, show_choices=False)


def sweep(
    what: flag(
        named(DESIGNS, "") | None,
        "design (`soberclip designs` lists them) or TOML file of a study; flags override it",
        show_choices=False,
    ) = None,
    /,
    *,
    full: flag(bool, "a design in its full size rather than the quick one") = False,
    axis: _several(str, AXIS.format("; a field of the world, of training, n or seed")) = None,
    learner: _several(
        named(names(), ""),
        f"what is trained: {', '.join(names())}, an objective, or FILE.py:CLASS; may be repeated"
        " [default: linear]",
    ) = None,
    prompt: _several(
        Prompt, f"class prompt: {', '.join(CHOICES)}; may be repeated [default: typical]"
    ) = None,
    route: _several(
        Literal["theory", "exact", "drawn", "trained"],
        "theory (n = infinity), exact (exact law given n pairs), drawn (pairs one by one) or"
        " trained "
        "(towers); may be repeated; the theory is always included [default: theory]",
    ) = None,
    n: flag(Whole | None, "pairs to train on, 2 to 1e12") = None,
    replicates: flag(Whole | None, "independent trainings per cell [default: 1]") = None,
    # a study has its own
    training: options.flags_of(Recipe, options.TRAINING, ("loss", "n")) | None = None,
    seed: flag(Whole | None, "root of the random streams [default: 0]") = None,
    world: WorldOptions = DEFAULT_WORLD,
    output: options.target(
        str | None, "zarr store, a folder or fsspec address; an interrupted run resumes"
    ) = None,
    workers: flag(
        Whole | None, "processes of this machine that compute [default: this one alone]"
    ) = None,
    scheduler: flag(str | None, "address of a dask cluster that computes") = None,
    csv: flag(Path | None, "file for the flat table, one row per cell") = None,
    dry_run: flag(bool, "print the size, and stop") = False,
    json: Json = False,
) -> None:
    from experiments.lab.plan import plan
    from experiments.lab.presets import design_or_file
    from experiments.lab.run import mapping, run
    from experiments.lab.studies import requested
    from experiments.lab.tables import check_csv, summary, write_csv

    learners = learner and [learner_in(text)() if IN_FILE in text else text for text in learner]
    fields = {
        "learners": learners,
        "prompts": prompt,
        "routes": route,
        "n": n,
        "replicates": replicates,
        "seed": seed,
    }
    flags = _flags(axis, training, world, fields)
    if full and what is None:
        raise RequestError(
            "--full is a size of a design, and none is named; `soberclip designs` lists them"
        )
    document, source, design = ({}, "", None) if what is None else design_or_file(what, full)
    study = requested(document, source, flags, world.file)
    if csv is not None:
        check_csv(csv)
    planned = plan(study)
    size = f"{counted(study.cells, 'cell')} in {counted(prod(planned.blocks), 'block')}"
    lines = [
        *([] if design is None else [design.question]),
        f"{size}, at most {decimal(planned.bytes)}",
    ]
    if dry_run:
        for line in lines:
            say(line)
        return
    with mapping(report=say, workers=workers, scheduler=scheduler) as mapped:
        store = None
        if output is not None:
            from experiments.lab.store import begin

            store = begin(output, planned)
        for line in lines:
            say(line)
        dataset = run(planned, store, mapped=mapped, report=say)
    if csv is not None:
        write_csv(csv, dataset)
    document = {"verb": "sweep", "design": None, **summary(study, dataset, output, ROWS)}
    emit(
        document if design is None else document | _beside(design, full, dataset, output),
        json,
        study_view,
    )


def _flags(axis, training, world, fields) -> dict[str, Any]:
    """What flags say of a study. RequestError for a field that is set and an axis as well."""
    from experiments.lab.axes import given_axes

    axes = given_axes(axis or ())
    recipe = training or {}
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in axes.keys() & {**fields, **recipe, **world.fields}.keys():
        raise RequestError(
            f"--{name.replace('_', '-')} is set and an axis as well; leave one of them out"
        )
    return {"axes": axes, "recipe": recipe, "world": world.fields, **fields}


def _beside(design, full, dataset, output) -> dict[str, Any]:
    """What a design adds to the document of its study; a note says how to draw it."""
    from experiments.lab.tables import beside

    for picture in design.plot if output is not None else ():
        at = [
            word
            for name, value in picture.get("at", {}).items()
            for word in ("--at", f"{name}={value}")
        ]
        say(
            "to look at:"
            f" {shlex.join(['soberclip', 'plot', output, '--what', picture['what'], *at])}"
        )
    printed = {} if design.printed is None else {"printed": beside(dataset)}
    return {"design": {"name": design.name, "full": full, **design.words}, **printed}


def finetune(
    *,
    root: flag(str | None, "folder with COCO's instances.json and images, such as val2017") = None,
    model: flag(str | None, "the CLIP that is fine-tuned: open_clip:NAME[/TAG]") = None,
    weights: flag(Path | None, "file of its weights, instead of a tag's own") = None,
    device: flag(str, "device of the training") = "cpu",
    full: flag(bool, "the full size rather than the quick one") = False,
    axis: _several(
        str, AXIS.format(f", for {', '.join(GRID)}, which are chosen by validation")
    ) = None,
    learner: _several(
        named(LEARNERS, ""), f"{', '.join(LEARNERS)}; may be repeated [default: all]"
    ) = None,
    n: flag(Whole | None, "pairs to train on") = None,
    replicates: flag(Whole | None, "independent trainings per point of the axes") = None,
    training: (
        options.flags_of(Recipe, DEFAULTS, tuple(Recipe.model_fields.keys() - {*GRID, *FIXED}))
        | None
    ) = None,
    seed: Seed = 0,
    world: WorldOptions = DEFAULT_WORLD,
    output: options.target(
        Path | None, "folder of the results; an interrupted run resumes from it"
    ) = None,
    dry_run: flag(bool, "print the size, and stop") = False,
    json: Json = False,
) -> None:
    from experiments.lab.finetuning.spec import checked, preset

    flags = _flags(
        axis, training, world, {"learners": learner, "n": n, "replicates": replicates}
    ) | {"seed": seed}
    request = checked(
        full, flags, world.file, root=root, model=model, weights=weights, device=device
    )
    say(preset().question)
    say(request.sentence())
    if not dry_run:
        from experiments.lab.finetuning.selection import run  # not for a dry run: it imports torch

        emit(run(request, output, say), json, finetuning_view)


def designs(*, json: Json = False) -> None:
    from experiments.lab import presets

    emit([presets.design(name) for name in presets.designs()], json, designs_view)


def plot(
    store: flag(str, "folder that sweep or train wrote"),
    *,
    what: flag(
        str,
        f"{', '.join(WORDS)}, reliance, equivalent-correlation or shortfall, for tables unseen, for"
        " pixels "
        f"{', '.join(PIXEL_GROUPS)}; groups (counter against common); or the difference of two"
        " learners on the counter "
        "group, such as 'infonce:name minus bayes'",
    ) = "counter",
    at: flag(
        list[str] | None,
        "NAME=VALUE holds an axis, learner, prompt or route fixed; may be repeated",
    ) = None,
    learner: flag(
        list[str] | None, "FILE.py:CLASS of a learner of your own in the store; may be repeated"
    ) = None,
    output: options.target(
        Path | None, ".svg, .png or .pdf [default: the store's name with .svg, beside it]"
    ) = None,
    json: Json = False,
) -> None:
    from experiments.figure_files import check_target, save_figure
    from experiments.lab.history import of_run
    from experiments.lab.store import read
    from experiments.page.plot import draw
    from experiments.page.plot.layout import arrange

    for text in learner or ():
        if IN_FILE not in text:
            raise RequestError(
                f"--learner {text!r} is not FILE.py:CLASS; plot knows the learners that ship"
            )
    fixed = {}
    for text in at or ():
        axis, _, value = text.partition("=")
        if not axis or not value:
            raise RequestError(f"--at {text!r} is not NAME=VALUE; p_spu=0.9 is")
        fixed[axis.strip()] = value.strip()
    name = Path(store.rstrip("/"))
    history = of_run(name)
    dataset = read(store) if history is None else history
    beside = (Path(name.name) if "://" in store else name).with_suffix(".svg")
    path = check_target(beside if output is None else output, "plot")
    picture = arrange(dataset, what, fixed, [learner_in(text)() for text in learner or ()])
    save_figure(draw(picture), path, "plot")
    emit({"verb": "plot", "output": str(path), **picture.as_json()}, json, plot_view)


def study_view(document: dict[str, Any]) -> Screen:
    """Ranges of the accuracies of a study, one row per learner, prompt and route; then the path of
    the numbers.
    """
    ranges = document["ranges"]
    cells = {"learner": "learner", "prompt": lambda one: asked(one["prompt"]), "route": "route"}
    keys = [Column(name, cell) for name, cell in cells.items() if name in ranges[0]]
    groups = [Column(group, group, SPAN_PERCENT) for group in GROUPS if group in ranges[0]]
    undefined = Column("undefined", lambda one: sum(one["undefined"].values()) or "", NUMBER)
    some = [undefined] if any(map(undefined.cell, ranges)) else []
    sizes = " x ".join(f"{name} {size}" for name, size in document["dimensions"].items())
    output, design = document["output"], document["design"]
    return Screen(
        Table(
            f"{counted(document['cells'], 'cell')}: {sizes}",
            [*keys, *groups, *some],
            ranges,
            len(keys),
        ),
        *(warning(f"{count} undefined{words}") for words, count in _reasons(ranges).items()),
        *([gains_view(document["gains"])] if document["gains"] else []),
        *([printed_view(document["printed"])] if document.get("printed") else []),
        *([] if design is None else [design["look"], f"The quick size says: {design['answer']}"]),
        dim(f"numbers: {output}" if output else "nothing was kept: -o PATH.zarr keeps the numbers"),
    )


def _reasons(ranges: list[dict[str, Any]]) -> Counter[str]:
    """How many cells have no number, by route and reason."""
    why: Counter[str] = Counter()
    for one in ranges:
        reasons = {one.get("route", ""): one["undefined"]}
        if one.get("route") == ranges[0].get("route"):  # the theory is the same for all routes
            reasons["theory"] = one.get("predicted_undefined", {})
        for route, counts in reasons.items():
            why.update(
                {
                    f"{route and f' ({route})'}: {sentence}": count
                    for sentence, count in counts.items()
                }
            )
    return why


def gains_view(rows: list[dict[str, Any]]) -> Table:
    """What mitigations gain and cost compared with none, and their inflation of the sample size."""

    def words(name: str, row: dict[str, Any]) -> str:
        own = row[name]
        theory = row.get(f"predicted_{name}")
        return ("none" if own is None else gain(own)) + (
            "" if theory is None else f" ({gain(theory)})"
        )

    varying = [
        name
        for name in rows[0]
        if name not in GAINS and len({row[name] for row in rows} - {None}) > 1
    ]
    title = (
        "compared with no mitigation, in points (theory in brackets); pairs: inflation of the"
        " sample size"
    )
    columns = [
        *(Column(name, name) for name in varying),
        Column("counter gained", partial(words, "counter_gained"), GAIN),
        Column("common lost", partial(words, "common_lost"), GAIN),
        Column("pairs", "pairs", Unit("{:.2f} x".format)),
    ]
    return Table(title, columns, rows, len(varying))


def printed_view(rows: list[dict[str, Any]]) -> Table:
    """Measured beside printed numbers, one row per setting and learner: means and deviations in
    percent.
    """

    def both(row: dict[str, Any], mean: str, deviation: str) -> str:
        return f"{100 * row[mean]:.1f}" + (
            "" if row[deviation] is None else f" ± {100 * row[deviation]:.1f}"
        )

    keys = ("classes", "p_inv", "p_spu", "learner")
    settings = {}
    for row in rows:
        numbers = (
            f"{both(row, 'measured', 'deviation')} ({both(row, 'printed', 'printed_deviation')})"
        )
        own = settings.setdefault(tuple(row[key] for key in keys), {key: row[key] for key in keys})
        own[row["group"]] = numbers
    groups = dict.fromkeys(row["group"] for row in rows)
    columns = [
        *(Column(key, key) for key in keys),
        *(Column(group, group, NUMBER) for group in groups),
    ]
    return Table("measured % (printed %)", columns, settings.values(), len(keys))


def designs_view(every: list[Any]) -> Screen:
    lines: list[Any] = []
    for one in every:
        sizes = (
            f"{size} {one.study(size == 'full').cells:,} cells, {one.seconds[size]:g} s"
            for size in one.seconds
        )
        lines += [
            Text.assemble((one.name, "bold"), "  ", ("; ".join(sizes), "dim")),
            indented(one.question),
        ]
    return Screen(*lines, dim("Times were measured on one core."))


def plot_view(document: dict[str, Any]) -> Screen:
    over = " and ".join(axis["name"] for axis in document["axes"])
    panels = counted(len(document["panels"]), "panel")
    missing = document["cells"] - document["computed"]
    words = f"{document['output']}: {document['what']}{over and f' over {over}'}, {panels}"
    return Screen(words + (f"; {missing} of {document['cells']} cells missing" if missing else ""))


def finetuning_view(document: dict[str, Any]) -> Screen:
    """Mean accuracies by learner, Table 7, and the path of the result."""
    means: dict[str, dict[str, Any]] = {
        name: {"learner": name} for name in document["specification"]["learners"]
    }
    for row in document["accuracies"]:
        ends = (
            ""
            if row["interval"] is None
            else f" ({' to '.join(f'{100 * end:.1f}' for end in row['interval'])})"
        )
        means[row["learner"]][row["group"]] = f"{100 * row['mean']:.1f}{ends}"
    groups = [group for group in HEADS if any(group in own for own in means.values())]
    rows = [{**dict.fromkeys(groups, "none"), **own} for own in means.values()]
    printed: dict[str, dict[str, Any]] = {}
    for row in document["printed"]:
        own = printed.setdefault(row["learner"], {"learner": row["learner"]})
        own[row["backbone"]] = ", ".join(
            filter(None, (own.get(row["backbone"]), f"{100 * row['printed']:.2f}"))
        )
    backbones = dict.fromkeys(row["backbone"] for row in document["printed"])
    lost = sum(row["validation"] is None for row in document["trainings"])
    objects = counted(sum(document["objects"]["test"]), "test object")
    output = document["output"]
    title = (
        f"{document['model']} on {objects} of {len(document['names'])} classes: mean over trainings"
        " (95% interval)"
    )
    learner = Column("learner", "learner")
    return Screen(
        Table(title, [learner, *(Column(HEADS[group], group, NUMBER) for group in groups)], rows),
        Table(
            TABLE7, [learner, *(Column(name, name, NUMBER) for name in backbones)], printed.values()
        ),
        *([warning(f"diverged, so not chosen: {counted(lost, 'training')}")] if lost else []),
        document["design"]["look"],
        f"Known so far: {document['design']['answer']}",
        dim(f"full result: {output}" if output else "nothing was kept: -o FOLDER keeps it"),
    )
