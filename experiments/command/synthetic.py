"""`soberclip predict`, `simulate`, `train` and `show`: one world in, one document or picture out.

Functions import what they need when they run, for start-up time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from cyclopts import Parameter
from jaxtyping import Int
from rich.console import Group
from rich.text import Text

from experiments.command.options import (
    DEFAULT_WORLD,
    Json,
    Seed,
    TrainingOptions,
    Whole,
    WorldOptions,
    flag,
    named,
    own_folder,
)
from experiments.command.output import emit
from experiments.errors import RequestError
from experiments.files import RUN_FILES
from experiments.lab import mitigations
from experiments.table import PERCENT, SPAN, Column, Table, counted, percent, points
from experiments.user_code import IN_FILE, learner_in, loss_in
from simulator.accuracy import GROUPS, PLACE
from simulator.mixture import cell_groups
from simulator.progress import counting, tell
from simulator.prompts import CHOICES, Prompt, asked
from simulator.towers.recipe import not_converged
from simulator.world import World
from theory import learners
from theory.learners import Learner, names, trainable
from theory.population import START

RESULT = ("result.json", "world.toml")  # the files of predict and simulate
RESULT_WORDS = "folder for result.json and world.toml, created if necessary"
SHOWN = (*GROUPS, "balanced", "drop")
NOTABLE = 0.005  # smallest share that gets a line
UNCOVERED = 0.01  # smallest share of images, which a million pairs do not teach, that gets a line
MOST_LISTED = 12  # classes whose cells get a line
WORTH_COMPILING = 500  # steps; compilation takes 5 to 30 CPU seconds, and saves 3 ms per small model and step
ASKED = f"class prompt: {', '.join(CHOICES)}; 'a photo of a bear' is bare [default: typical]"
PromptFlag = flag(Prompt | None, ASKED, show_choices=False)
Time = flag(float | None, "length of linear CLIP's gradient flow from small weights [default: inf, the optimum]")
Start = flag(float | None, f"strength of linear CLIP's modes at time 0, in units of 1/rho [default: {START:g}]")
Scale = flag(float | None, "logit scale of InfoNCE's unit embeddings, .01 to 100 [default: scores without limits]")
Mitigate = named(mitigations.names(), f"mitigation of the background: {', '.join(mitigations.names())}")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Question:
    """How the learner is asked, and in which world; options of predict and simulate."""

    prompt: PromptFlag = None
    embed_dim: flag(Whole | None, "embedding width of the towers [default: wide enough for all latents]") = None
    scale: Scale = None
    time: Time = None
    start: Start = None
    mitigate: Mitigate = "none"
    world: WorldOptions = DEFAULT_WORLD
    json: Json = False

    def parts(self, text: str) -> tuple[World, Learner]:
        """The world, and the learner of a name or of FILE.py:CLASS with the options that the flags give it."""
        from experiments.lab.config import world_from

        world = world_from(self.world.file, self.world.fields)
        kind = learner_in(text) if IN_FILE in text else text
        options = {
            "prompt": self.prompt,
            "embed_dim": self.embed_dim,
            "scale": self.scale,
            "time": self.time,
            "start": self.start,
        }
        try:
            learner = learners.named(kind, **options)
        except ValueError as error:  # it begins with the option's name
            option, _, rest = str(error).partition(" ")
            own = "; one of your own is FILE.py:CLASS" if option == "learner" else ""
            raise RequestError(f"--{option.replace('_', '-')} {rest}{own}") from None
        if self.start is not None and getattr(learner, "time", np.inf) == np.inf:
            raise RequestError(f"--start = {self.start:g} has no meaning at the optimum, which --time = inf reaches")
        return world, learner


def predict(
    *,
    learner: named(names(), f"what is trained: {', '.join(names())}, or FILE.py:CLASS") = "linear",
    output: own_folder("predict", RESULT, RESULT_WORDS) = None,
    question: Question = Question(),
) -> None:
    from experiments.lab.answers import predict as run

    world, trained = question.parts(learner)
    with counting("computing the optimum"):
        document = run(world, trained, question.mitigate)
    emit({"verb": "predict", **document}, question.json, accuracy_table, output, world)


def simulate(
    *,
    n: flag(Whole, "pairs to train on, 2 to 1e12") = 10_000,
    replicates: flag(Whole, "independent trainings") = 100,
    method: flag(
        Literal["exact", "direct"] | None,
        "exact law of the trained model, or pairs drawn one by one [default: exact if there is one]",
    ) = None,
    learner: named(trainable(), f"what is trained: {', '.join(trainable())}, or FILE.py:CLASS") = "linear",
    seed: Seed = 0,
    output: own_folder("simulate", RESULT, RESULT_WORDS) = None,
    question: Question = Question(),
) -> None:
    from experiments.lab.answers import simulate as run

    world, trained = question.parts(learner)
    document = run(world, trained, n, replicates, method, seed, question.mitigate)
    emit({"verb": "simulate", **document}, question.json, accuracy_table, output, world)


def train(
    *,
    training: TrainingOptions | None = None,
    ensemble: flag(Whole, "models trained at once, each with its own streams") = 1,
    prompt: PromptFlag = None,
    mitigate: Mitigate = "none",
    until: flag(
        float | None,
        "stop once no mean accuracy moves by more than this while the steps double; --steps is the limit",
    ) = None,
    device: flag(str, "cpu, cuda, cuda:1 ...") = "cpu",
    draw_on: flag(str | None, "device that draws the pairs; cpu makes them equal on every device") = None,
    compile: flag(
        bool | None,
        f"compile the step; without, training starts sooner [default: compile from {WORTH_COMPILING} steps on]",
        negative="--no-compile",
    ) = None,
    history: flag(
        Whole,
        "further steps, on a log scale, at which the result shows loss, accuracies and p′; 20 of "
        "them cost less than 5 % of 700 steps",
    ) = 0,
    resume: flag(Path | None, "folder of an interrupted run of the same settings") = None,
    seed: Seed = 0,
    world: WorldOptions = DEFAULT_WORLD,
    output: own_folder("train", RUN_FILES, "folder for checkpoint, weights, history and result") = None,
    json: Json = False,
) -> None:
    from experiments.lab.config import recipe_from, world_from
    from experiments.lab.training import train as run

    settings, fields = world_from(world.file, world.fields), {**(training or {})}
    if own := IN_FILE in fields.get("loss", ""):
        fields["loss"] = loss_in(fields["loss"])
    recipe = recipe_from(fields)
    compile = recipe.steps >= WORTH_COMPILING if compile is None else compile
    words = "compiling the step; --no-compile starts sooner" if compile else "training"
    with counting(words):
        document = run(
            recipe,
            settings,
            models=ensemble,
            seed=seed,
            prompt=prompt,
            mitigate=mitigate,
            device=device,
            draw_on=draw_on,
            compile=compile,
            output=output,
            resume=resume,
            report=tell,
            until=until,
            share_out=not own,  # further processes do not know the loss of a file
            history=history,
        )
    if document is not None:  # rank 0 of torchrun, or the only process
        emit(document, json, accuracy_table)


def show(
    *,
    output: flag(
        Path | None,
        ".png, .svg or .pdf [default: the world file's name with .png, or world.png]",
        name=["--output", "-o"],
    ) = None,
    seed: Seed = 0,
    world: WorldOptions = DEFAULT_WORLD,
    json: Json = False,
) -> None:
    from experiments.figure_files import check_target, save_figure
    from experiments.lab.config import world_from

    settings = world_from(world.file, world.fields)
    default = Path("world.png") if world.file is None else world.file.with_suffix(".png")
    path = check_target(default if output is None else output, "show")
    from experiments.page.show import picture_of  # it imports torch, which a wrong request need not wait for

    figure, document = picture_of(settings, seed)
    save_figure(figure, path, "show")
    emit({"verb": "show", "output": str(path), **document}, json, shown)


def accuracy_table(document: dict[str, Any]) -> Group:
    """The result of predict, simulate or train: accuracies with intervals, measured ones beside predicted ones."""
    simulated, intervals = "replicates" in document, document.get("interval95") or {}
    columns = [Column("group", str), Column("measured" if simulated else "predicted", document.get, PERCENT)]
    title = [document["learner"]]
    if document["prompt"]:
        title.append(f"prompted with {asked(document['prompt'])}")
    if "scale" in document:
        title.append(f"unit embeddings at scale {document['scale']:g}")
    if "time" in document:
        title.append(f"after a time of {document['time']:g}")
    if "mitigation" in document:
        title.append(f"{document['mitigation']} ({mitigations.MITIGATIONS[document['mitigation']].words})")
    if simulated or intervals:  # a prediction may be an estimate
        columns.append(Column("95% interval", intervals.get, SPAN))
    if simulated:
        predicted = document.get("predicted") or {}
        columns.append(Column("predicted", lambda group: predicted.get(group, "none"), PERCENT))
        title += [f"n = {document['n']:,}", counted(len(document["replicates"]), "replicate"), document["method"]]
    shown = dict.fromkeys((*GROUPS, *(name for name in intervals if name not in PLACE), *SHOWN))
    groups = [name for name in shown if document.get(name) is not None]  # a table need not have every group
    return Group(Table(", ".join(title), columns, groups), *_remarks(document))


def _remarks(document: dict[str, Any]) -> Iterator[str]:
    """One line per further finding."""
    world = World(**document["world"])
    if world.table is not None:
        yield from _cells(cell_groups(world.table, world.common))
    if world.views is not None:
        yield world.views.words
    else:
        image, text = world.nu_image, world.nu_text
        yield f"view noise ν = {image:.4g}" + ("" if image == text else f" (images), {text:.4g} (texts)")
    yield from _place(document, world)
    if document.get("reliance") is not None:
        yield f"reliance (weight on background per weight on object): {document['reliance']:.4f}"
    unseen = document.get("prompts", {}).get(document["prompt"], {}).get("unseen")
    if "unseen" not in document and unseen is not None and unseen["counter"] >= NOTABLE:
        yield (
            f"{percent(unseen['counter'])} % of the counter images are unlike all pairs of this run, so towers cannot "
            f"learn them; {unseen['pairs_needed']:.2g} pairs would reduce this to 1 %"
        )
    if document.get("moved"):
        means = {p: {group: change[0] for group, change in own.items()} for p, own in document["moved"].items()}
        if sentence := not_converged(means):
            yield sentence
    if "arrived" in document:
        steps = document["history"][-1]["step"]
        state = f"arrived after {steps} steps" if document["arrived"] else f"still moving after {steps} steps"
        yield f"{state}: --until {document['until']:g}, the change while steps double"


def _cells(groups: Int[np.ndarray, "K A"]) -> Iterator[str]:
    """Which backgrounds of each class of a table are common, counter and unseen, numbered from 0."""
    for y, row in enumerate(groups[:MOST_LISTED]):
        parts = [f"{GROUPS[g]} {', '.join(map(str, np.flatnonzero(row == g)))}" for g in np.unique(row)]
        yield f"class {y}, backgrounds: {'; '.join(parts)}"
    if len(groups) > MOST_LISTED:
        yield f"and {len(groups) - MOST_LISTED} more classes"


def _place(document: dict[str, Any], world: World) -> Iterator[str]:
    """The ideal classifier that this one acts like, and what training would not reach."""
    from experiments.lab.answers import no_ideal_curve

    correlation, shortfall = document["equivalent_correlation"], document["shortfall"]
    if correlation is not None:
        own, ends = world.p_spu, document.get("interval95") or {}
        if own is None:
            yours = percent(world.common_share())
            like = f"data in which {percent(correlation)} % of the images are common ones (your table: {yours} %)"
        else:
            like = f"a world with correlation p′ = {correlation:.3f} (yours has p = {own:g})"
        yield f"acts like the ideal classifier of {like}, {points(shortfall)} points short"
        low, high = ends.get("equivalent_correlation", (correlation, correlation))
        if "shortfall" in ends:
            lacking = " to ".join(map(points, ends["shortfall"]))
            yield f"95% intervals: correlation {low:.3f} to {high:.3f}, {lacking} points short"
        elif "unseen" in document:
            yield "both numbers are sampled, to about .001, and have no interval in a table of three groups"
        if own is not None and own > 1 / world.classes:
            if low < own < high:
                yield "so it may use less or more of the background than the data offer"
            elif abs(correlation - own) < 0.0005:  # three digits are printed
                yield "p′ − p = 0: it uses as much of the background as the data offer"
            else:
                amount = "less" if correlation < own else "more"
                yield f"p′ − p = {correlation - own:+.3f}: it uses {amount} of the background than the data offer"
    elif shortfall is not None:
        yield "no equivalent correlation: ideal classifiers of many correlations have this drop"
    else:
        noiseless = "without noise, the ideal classifier of three classes or a table is not known"
        yield f"no equivalent correlation: {no_ideal_curve(world) or noiseless}"
    if "unlimited" in document:
        law = "/".join(percent(document["unlimited"][group]) for group in GROUPS[:2])
        least = (
            "to .2 points, so this scale meets the budget" if document["meets_budget"] else "so this scale is too low"
        )
        yield f"without a limit of scores: common/counter {law} %, {least} for this prompt"
        yield "the intervals hold two grids and two starts of the minimisation, and state no confidence"
    shares = document.get("uncovered_share")
    if shares is not None and max(shares.values()) > UNCOVERED:
        yield (
            f"a million pairs would not teach {percent(shares['common'])} % of the common and "
            f"{percent(shares['counter'])} % of the counter images"
        )


def shown(document: dict[str, Any]) -> Text:
    if document["kind"] == "latents":
        rules = ", ".join(document["curves"]) or "none"
        return Text(f"{document['output']}: latents of {document['pairs']} pairs; rules with an answer: {rules}")
    parts = ", ".join(f"{count} {part}" for part, count in document["objects"].items())
    rows = len({image["label"] for image in document["images"]})
    content = f"{rows} of {document['classes']} classes, {len(document['images'])} images of test objects"
    return Text(f"{document['output']}: {content}; objects: {parts}")
