"""`soberclip sweep`, `designs` and `plot`: a grid of worlds and learners as one study, as data and as a picture.

Functions import what they need when they run, for start-up time.
"""

import shlex
from collections import Counter
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Literal

from rich.console import Group as Screen
from rich.filesize import decimal
from rich.text import Text

from experiments.command import options
from experiments.command.options import DEFAULT_WORLD, Json, RecipeOptions, Whole, WorldOptions, flag, named
from experiments.command.output import dim, emit, indented, warning
from experiments.errors import RequestError
from experiments.table import GAIN, NUMBER, SPAN_PERCENT, Column, Table, Unit, counted, gain
from experiments.user_code import IN_FILE, learner_in
from simulator.accuracy import GROUPS, PIXEL_GROUPS, WORDS
from simulator.progress import say
from simulator.prompts import CHOICES, Prompt, asked
from theory.learners import names

# `experiments.lab.presets` is slow to import.
DESIGNS = tuple(sorted(file.stem for file in Path(__file__).parents[1].glob("lab/designs/*.toml")))
ROWS = 10_000  # of one JSON document; a store or --csv holds any number
GAINS = ("counter_gained", "common_lost", "pairs", "predicted_counter_gained", "predicted_common_lost")


def _design(_type: Any, tokens: Any) -> str:
    """The word of a design or a file; it is read before the flags that only `finetune` has."""
    if (word := tokens[0].value) == "colored-coco":
        raise RequestError("sweep 'colored-coco' is a verb of its own now: soberclip finetune, with the same flags")
    return word


def sweep(
    what: flag(
        named(DESIGNS, "") | None,
        "design (`soberclip designs` lists them) or TOML file of a study; flags override it",
        show_choices=False,
        converter=_design,
    ) = None,
    /,
    *,
    full: flag(bool, "a design in its full size rather than the quick one") = False,
    axis: options.axes_of("; a field of the world, of training, n or seed") = None,
    learner: options.several(
        named(names(), ""),
        f"what is trained: {', '.join(names())}, an objective, or FILE.py:CLASS; may be repeated [default: linear]",
    ) = None,
    prompt: options.several(Prompt, f"class prompt: {', '.join(CHOICES)}; may be repeated [default: typical]") = None,
    route: options.several(
        Literal["theory", "exact", "drawn", "trained"],
        "theory (n = infinity), exact (exact law given n pairs), drawn (pairs one by one) or trained "
        "(towers); may be repeated; the theory is always included [default: theory]",
    ) = None,
    n: flag(Whole | None, "pairs to train on, 2 to 1e12") = None,
    replicates: flag(Whole | None, "independent trainings per cell [default: 1]") = None,
    training: RecipeOptions | None = None,
    seed: flag(Whole | None, "root of the random streams [default: 0]") = None,
    world: WorldOptions = DEFAULT_WORLD,
    output: options.target(
        str | None, "zarr store of the numbers, a folder or an fsspec address; an interrupted run resumes from it"
    ) = None,
    workers: flag(Whole | None, "processes of this machine that compute [default: this one alone]") = None,
    scheduler: flag(str | None, "address of a dask cluster that computes") = None,
    csv: flag(Path | None, "file for the flat table, one row per cell") = None,
    dry_run: flag(bool, "print the size, and stop") = False,
    json: Json = False,
) -> None:
    from experiments.lab.axes import given_axes  # start-up time, as in all functions here
    from experiments.lab.plan import plan
    from experiments.lab.run import mapping, run
    from experiments.lab.tables import summary, write_csv

    learners = learner and [learner_in(text)() if IN_FILE in text else text for text in learner]
    axes, recipe = given_axes(axis or ()), training or {}
    fields = {"learners": learners, "prompts": prompt, "routes": route, "n": n, "replicates": replicates, "seed": seed}
    fields = {name: value for name, value in fields.items() if value is not None}
    flags = {"axes": axes, "recipe": recipe, "world": world.fields, **fields}
    options.check_set_once(axes, {**fields, **recipe, **world.fields})
    study, design = _study(what, full, flags, world.file, csv)
    planned = plan(study)
    size = f"{counted(study.cells, 'cell')} in {counted(prod(planned.blocks), 'block')}"
    lines = [*([] if design is None else [design.question]), f"{size}, at most {decimal(planned.bytes)}"]
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
    emit(document if design is None else document | _beside(design, full, dataset, output), json, study_view)


def _study(what, full, flags, world_file, csv) -> tuple[Any, Any]:
    """The study of a request, and the design that it changes, if there is one."""
    from experiments.lab.studies import requested
    from experiments.lab.tables import check_csv

    document, source, design = {}, "", None
    if what is not None:
        from experiments.lab.presets import design_or_file

        document, source, design = design_or_file(what, full)
    elif full:
        raise RequestError("--full is a size of a design, and none is named; `soberclip designs` lists them")
    study = requested(document, source, flags, world_file)
    if csv is not None:
        check_csv(csv)
    return study, design


def _beside(design, full, dataset, output) -> dict[str, Any]:
    """What a design adds to the document of its study; a note says how to draw it."""
    from experiments.lab.tables import beside

    for picture in design.plot if output is not None else ():
        at = [word for name, value in picture.get("at", {}).items() for word in ("--at", f"{name}={value}")]
        say(f"to look at: {shlex.join(['soberclip', 'plot', output, '--what', picture['what'], *at])}")
    printed = {} if design.printed is None else {"printed": beside(dataset)}
    return {"design": {"name": design.name, "full": full, **design.words}, **printed}


def designs(*, json: Json = False) -> None:
    from experiments.lab import presets

    emit([presets.design(name) for name in presets.designs()], json, designs_view)


def plot(
    store: flag(str, "folder that sweep or train wrote"),
    *,
    what: flag(
        str,
        f"{', '.join(WORDS)}, reliance, equivalent-correlation or shortfall, for tables unseen, for pixels "
        f"{', '.join(PIXEL_GROUPS)}; groups (counter against common, one mark per value of an axis); or two "
        "learners, such as 'infonce:name minus bayes': the difference of their counter accuracies, and where they "
        "are equal",
    ) = "counter",
    at: flag(list[str] | None, "NAME=VALUE holds an axis, learner, prompt or route fixed; may be repeated") = None,
    learner: flag(
        list[str] | None,
        "FILE.py:CLASS of a learner of your own in the store, for the line where it and another are equal; may be "
        "repeated",
    ) = None,
    output: options.target(Path | None, ".svg, .png or .pdf [default: the store's name with .svg, beside it]") = None,
    json: Json = False,
) -> None:
    from experiments.figure_files import check_target, save_figure
    from experiments.lab.history import of_run
    from experiments.lab.store import read
    from experiments.page.plot import draw
    from experiments.page.plot.layout import arrange

    for text in learner or ():
        if IN_FILE not in text:
            raise RequestError(f"--learner {text!r} is not FILE.py:CLASS; plot knows the learners that ship")
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
    """Ranges of the accuracies of a study, one row per learner, prompt and route; then the path of the numbers."""
    ranges = document["ranges"]
    every = {
        "learner": Column("learner", "learner"),
        "prompt": Column("prompt", lambda one: asked(one["prompt"])),
        "route": Column("route", "route"),
    }
    keys = [column for name, column in every.items() if name in ranges[0]]
    groups = [Column(group, group, SPAN_PERCENT) for group in GROUPS if group in ranges[0]]
    undefined = Column("undefined", lambda one: sum(one["undefined"].values()) or "", NUMBER)
    some = [undefined] if any(map(undefined.cell, ranges)) else []
    sizes = " x ".join(f"{name} {size}" for name, size in document["dimensions"].items())
    output, design = document["output"], document["design"]
    return Screen(
        Table(f"{counted(document['cells'], 'cell')}: {sizes}", [*keys, *groups, *some], ranges, len(keys)),
        *(
            warning(f"{count} undefined{route and f' ({route})'}: {sentence}")
            for (route, sentence), count in _reasons(ranges).items()
        ),
        *([gains_view(document["gains"])] if document["gains"] else []),
        *([printed_view(document["printed"])] if document.get("printed") else []),
        *([] if design is None else [design["look"], f"The quick size says: {design['answer']}"]),
        dim(f"numbers: {output}" if output else "nothing was kept: -o PATH.zarr keeps the numbers"),
    )


def _reasons(ranges: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """How many cells have no number, by route and reason."""
    why: Counter[tuple[str, str]] = Counter()
    for one in ranges:
        reasons = [(one.get("route", ""), one["undefined"])]
        if one.get("route") == ranges[0].get("route"):  # the theory is the same for all routes
            reasons.append(("theory", one.get("predicted_undefined", {})))
        for route, counts in reasons:
            why.update({(route, sentence): count for sentence, count in counts.items()})
    return why


def gains_view(rows: list[dict[str, Any]]) -> Table:
    """What mitigations gain and cost compared with none, and their inflation of the sample size."""

    def beside(name: str) -> Callable[[dict[str, Any]], str]:
        def words(row: dict[str, Any]) -> str:
            own, theory = row[name], row.get(f"predicted_{name}")
            return ("none" if own is None else gain(own)) + ("" if theory is None else f" ({gain(theory)})")

        return words

    varying = [name for name in rows[0] if name not in GAINS and len({row[name] for row in rows} - {None}) > 1]
    title = "compared with no mitigation, in points (theory in brackets); pairs: inflation of the sample size"
    columns = [
        *(Column(name, name) for name in varying),
        Column("counter gained", beside("counter_gained"), GAIN),
        Column("common lost", beside("common_lost"), GAIN),
        Column("pairs", "pairs", Unit("{:.2f} x".format)),
    ]
    return Table(title, columns, rows, len(varying))


def printed_view(rows: list[dict[str, Any]]) -> Table:
    """Measured beside printed numbers, one row per setting and learner: means and deviations in percent."""

    def both(row: dict[str, Any], mean: str, deviation: str) -> str:
        return f"{100 * row[mean]:.1f}" + ("" if row[deviation] is None else f" ± {100 * row[deviation]:.1f}")

    keys, settings = ("classes", "p_inv", "p_spu", "learner"), {}
    for row in rows:
        numbers = f"{both(row, 'measured', 'deviation')} ({both(row, 'printed', 'printed_deviation')})"
        own = settings.setdefault(tuple(row[key] for key in keys), {key: row[key] for key in keys})
        own[row["group"]] = numbers
    groups = dict.fromkeys(row["group"] for row in rows)
    columns = [*(Column(key, key) for key in keys), *(Column(group, group, NUMBER) for group in groups)]
    return Table("measured % (printed %)", columns, settings.values(), len(keys))


def designs_view(every: list[Any]) -> Screen:
    lines: list[Any] = []
    for one in every:
        sizes = (f"{size} {one.study(size == 'full').cells:,} cells, {one.seconds[size]:g} s" for size in one.seconds)
        lines += [Text.assemble((one.name, "bold"), "  ", ("; ".join(sizes), "dim")), indented(one.question)]
    return Screen(*lines, dim("Times were measured on one core."))


def plot_view(document: dict[str, Any]) -> Screen:
    over = " and ".join(axis["name"] for axis in document["axes"])
    missing = document["cells"] - document["computed"]
    return Screen(
        f"{document['output']}: {document['what']}{over and f' over {over}'}, "
        f"{counted(len(document['panels']), 'panel')}"
        + (f"; {missing} of {document['cells']} cells missing" if missing else "")
    )
