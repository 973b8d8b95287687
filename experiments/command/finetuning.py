"""`soberclip finetune`: a pretrained CLIP on objects on coloured backgrounds, as a document and a screen.

Functions import what they need when they run, for start-up time.
"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter
from rich.console import Group as Screen

from experiments.command import options
from experiments.command.options import DEFAULT_WORLD, Json, Seed, Whole, WorldOptions, flag, named
from experiments.command.output import dim, emit, warning
from experiments.lab.finetuning import FIXED, GRID, LEARNERS
from experiments.table import NUMBER, Column, Table, counted
from simulator.progress import say
from simulator.towers.recipe import Recipe

HEADS = {"trained": "in distribution %", "rand": "Rand %", "rev": "Rev %", "rest": "Rest %"}
TABLE7 = "Table 7 of [W], OpenAI's weights: in and out of distribution %"
TRAINING = Group("Training", help="These defaults give way to the setting that ships; --dry-run prints it.", sort_key=0)
OTHERS = tuple(Recipe.model_fields.keys() - {*GRID, *FIXED})


def finetune(
    *,
    root: flag(str | None, "folder with COCO's instances.json and images, such as val2017") = None,
    model: flag(str | None, "the CLIP that is fine-tuned: open_clip:NAME[/TAG]") = None,
    weights: flag(Path | None, "file of its weights, instead of a tag's own") = None,
    device: flag(str, "device of the training") = "cpu",
    full: flag(bool, "the full size rather than the quick one") = False,
    axis: options.axes_of(f", for {', '.join(GRID)}, which are chosen by validation") = None,
    learner: options.several(named(LEARNERS, ""), f"{', '.join(LEARNERS)}; may be repeated [default: all]") = None,
    n: flag(Whole | None, "pairs to train on") = None,
    replicates: flag(Whole | None, "independent trainings per point of the axes") = None,
    training: Annotated[options.flags_of(Recipe, TRAINING, OTHERS), Parameter(name="*")] | None = None,
    seed: Seed = 0,
    world: WorldOptions = DEFAULT_WORLD,
    output: options.target(Path | None, "folder of the results; an interrupted run resumes from it") = None,
    dry_run: flag(bool, "print the size, and stop") = False,
    json: Json = False,
) -> None:
    from experiments.lab.axes import given_axes  # start-up time, as in all functions here
    from experiments.lab.finetuning.spec import checked, preset

    axes, recipe = given_axes(axis or ()), training or {}
    options.check_set_once(axes, recipe)
    fields = {"learners": learner, "n": n, "replicates": replicates}
    fields = {name: value for name, value in fields.items() if value is not None}
    flags = {"axes": axes, "recipe": recipe, "world": world.fields, "seed": seed, **fields}
    request = checked(full, flags, world.file, root=root, model=model, weights=weights, device=device)
    say(preset().question)
    say(request.sentence())
    if not dry_run:
        from experiments.lab.finetuning.selection import run  # not for a dry run: it imports torch

        emit(run(request, output, say), json, finetuning_view)


def finetuning_view(document: dict[str, Any]) -> Screen:
    """Mean accuracies by learner, Table 7, and the path of the result."""
    means: dict[str, dict[str, Any]] = {name: {"learner": name} for name in document["specification"]["learners"]}
    for row in document["accuracies"]:
        ends = "" if row["interval"] is None else f" ({' to '.join(f'{100 * end:.1f}' for end in row['interval'])})"
        means[row["learner"]][row["group"]] = f"{100 * row['mean']:.1f}{ends}"
    groups = [group for group in HEADS if any(group in own for own in means.values())]
    rows = [{**dict.fromkeys(groups, "none"), **own} for own in means.values()]
    printed: dict[str, dict[str, Any]] = {}
    for row in document["printed"]:
        own = printed.setdefault(row["learner"], {"learner": row["learner"]})
        own[row["backbone"]] = ", ".join(filter(None, (own.get(row["backbone"]), f"{100 * row['printed']:.2f}")))
    backbones = dict.fromkeys(row["backbone"] for row in document["printed"])
    lost = sum(row["validation"] is None for row in document["trainings"])
    objects, output = counted(sum(document["objects"]["test"]), "test object"), document["output"]
    title = f"{document['model']} on {objects} of {len(document['names'])} classes: mean over trainings (95% interval)"
    learner = Column("learner", "learner")
    return Screen(
        Table(title, [learner, *(Column(HEADS[group], group, NUMBER) for group in groups)], rows),
        Table(TABLE7, [learner, *(Column(name, name, NUMBER) for name in backbones)], printed.values()),
        *([warning(f"diverged, so not chosen: {counted(lost, 'training')}")] if lost else []),
        document["design"]["look"],
        f"Known so far: {document['design']['answer']}",
        dim(f"full result: {output}" if output else "nothing was kept: -o FOLDER keeps it"),
    )
