"""`soberclip predict`, `simulate`, `train` and `show`: one world in, one document or picture
out.
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

from experiments.command import options
from experiments.command.options import (
    DEFAULT_WORLD,
    Json,
    Seed,
    Whole,
    WorldOptions,
    flag,
    named,
    own_folder,
)
from experiments.command.output import MANY, emit
from experiments.errors import RequestError
from experiments.files import RUN_FILES
from experiments.lab import mitigations
from experiments.table import PERCENT, SPAN, Column, Table, counted, percent, points
from experiments.user_code import IN_FILE, learner_in, loss_in
from simulator.accuracy import GROUPS, PLACE
from simulator.mixture import cell_groups
from simulator.progress import counting, tell
from simulator.prompts import CHOICES, Prompt, asked
from simulator.towers.recipe import Recipe, not_converged
from simulator.world import World
from theory import learners
from theory.learners import Learner, names, trainable
from theory.population import START

RESULT = ("result.json", "world.toml")  # the files of predict and simulate
RESULT_WORDS = "folder for result.json and world.toml, created if necessary"
NUMBERS = ("balanced", "drop")  # below the groups
NOTABLE = 0.005  # smallest share that gets a line
UNCOVERED = 0.01  # smallest share of images, which a million pairs do not teach, that gets a line
OPTIONS = ("prompt", "embed_dim", "scale", "bias", "batch_size", "time", "start")  # of learners
LIMITS = {  # of the training, in the title of a screen
    "scale": "unit embeddings at scale {:g}",
    "bias": "a bias of {:g}",
    "batch_size": "{} images per batch",
    "time": "after a time of {:g}",
}
MOST_LISTED = 12  # classes whose cells get a line
# steps; compilation takes 5 to 30 CPU seconds, and saves 3 ms per small model and step
WORTH_COMPILING = 500
PROMPT_HELP = (
    f"class prompt: {', '.join(CHOICES)}; 'a photo of a polar bear' is bare [default: typical]"
)
PromptFlag = flag(Prompt | None, PROMPT_HELP, show_choices=False)
Mitigate = named(
    mitigations.MITIGATIONS, f"mitigation of the background: {', '.join(mitigations.MITIGATIONS)}"
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Question:
    """How the learner is prompted, and in which world; options of predict and simulate."""

    prompt: PromptFlag = None
    embed_dim: flag(
        Whole | None, "embedding width of the towers [default: wide enough for all latents]"
    ) = None
    scale: flag(
        float | None,
        "logit scale of unit embeddings (infonce, siglip), .01 to 100 [default: no limit]",
    ) = None
    bias: flag(
        float | None,
        "SigLIP's bias beside --scale and --batch-size, -200 to 200 [default: learned]",
    ) = None
    batch_size: flag(
        Whole | None, "SigLIP's images per batch beside --scale [default: infinitely many]"
    ) = None
    time: flag(
        float | None, "length of linear CLIP's flow from small weights [default: inf, the optimum]"
    ) = None
    start: flag(
        float | None, f"linear CLIP's modes at time 0, in units of 1/rho [default: {START:g}]"
    ) = None
    mitigate: Mitigate = "none"
    world: WorldOptions = DEFAULT_WORLD
    json: Json = False

    def parts(self, text: str) -> tuple[World, Learner]:
        """The world, and the learner of a name or of FILE.py:CLASS with the options that the flags
        give it.
        """
        from experiments.lab.config import validated, world_from

        world = world_from(self.world.file, self.world.fields)
        kind = learner_in(text) if IN_FILE in text else text
        with validated():
            learner = learners.named(kind, **{name: getattr(self, name) for name in OPTIONS})
        if self.start is not None and getattr(learner, "time", np.inf) == np.inf:
            raise RequestError(
                f"--start = {self.start:g} has no meaning at the optimum, which --time = inf"
                " reaches"
            )
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
    emit({"verb": "predict", **document}, question.json, predict_screen, output, world)


def simulate(
    *,
    n: flag(Whole, "pairs to train on, 2 to 1e12") = 10_000,
    replicates: flag(Whole, "independent trainings") = 100,
    method: flag(
        Literal["exact", "direct"] | None,
        "exact law or drawn pairs [default: exact if there is one]",
    ) = None,
    learner: named(
        trainable(), f"what is trained: {', '.join(trainable())}, or FILE.py:CLASS"
    ) = "linear",
    seed: Seed = 0,
    output: own_folder("simulate", RESULT, RESULT_WORDS) = None,
    question: Question = Question(),
) -> None:
    from experiments.lab.answers import simulate as run

    world, trained = question.parts(learner)
    document = run(world, trained, n, replicates, method, seed, question.mitigate)
    emit({"verb": "simulate", **document}, question.json, simulate_screen, output, world)


def train(
    *,
    training: options.flags_of(Recipe, options.TRAINING) | None = None,
    ensemble: flag(Whole, "models trained at once, each with its own streams") = 1,
    prompt: PromptFlag = None,
    mitigate: Mitigate = "none",
    device: flag(str, "cpu, cuda, cuda:1 ...") = "cpu",
    draw_on: flag(
        str | None, "device that draws the pairs; cpu makes them equal on every device"
    ) = None,
    compile: flag(
        bool | None,
        f"compile the step [default: from {WORTH_COMPILING} steps on]",
        negative="--no-compile",
    ) = None,
    history: flag(
        Whole, "further steps, on a log scale, whose loss, accuracies and p′ the result shows"
    ) = 0,
    resume: flag(Path | None, "folder of an interrupted run of the same settings") = None,
    seed: Seed = 0,
    world: WorldOptions = DEFAULT_WORLD,
    output: own_folder(
        "train", RUN_FILES, "folder for checkpoint, weights, history and result"
    ) = None,
    json: Json = False,
) -> None:
    from experiments.lab.config import recipe_from, world_from
    from experiments.lab.training import train as run

    settings = world_from(world.file, world.fields)
    fields = {**(training or {})}
    if own := IN_FILE in fields.get("loss", ""):
        fields["loss"] = loss_in(fields["loss"])
    recipe = recipe_from(fields)
    compile = recipe.steps >= WORTH_COMPILING if compile is None else compile
    measured = {"prompt": prompt, "mitigate": mitigate, "history": history}
    # Further processes do not know the loss of a file.
    machine = {"device": device, "draw_on": draw_on, "compile": compile, "share_out": not own}
    folders = {"output": output, "resume": resume}
    with counting("compiling the step; --no-compile starts sooner" if compile else "training"):
        document = run(
            recipe,
            settings,
            models=ensemble,
            seed=seed,
            report=tell,
            **measured,
            **machine,
            **folders,
        )
    if document is not None:  # rank 0 of torchrun, or the only process
        emit(document, json, train_screen)


def show(
    *,
    output: options.target(
        Path | None, ".png, .svg or .pdf [default: world.png, or that of --world]"
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
    # it imports torch, which a wrong request need not wait for
    from experiments.page.show import picture_of

    figure, document = picture_of(settings, seed)
    save_figure(figure, path, "show")
    emit({"verb": "show", "output": str(path), **document}, json, show_screen)


def predict_screen(document: dict[str, Any]) -> Group:
    """Predicted accuracies; their intervals, if they are estimates."""
    ends = document["interval95"] or {}
    columns = [Column("predicted", document.get, PERCENT)]
    if ends.keys() - {*PLACE}:
        columns.append(Column(_intervals(document), ends.get, SPAN))
    return Group(_accuracies(document, columns), *_below(document))


def simulate_screen(document: dict[str, Any]) -> Group:
    """Accuracies measured after trainings on n pairs, beside predicted ones."""
    ends = document["interval95"]
    law = document["predicted"] or {}
    columns = [
        Column("measured", document.get, PERCENT),
        Column("95% interval", ends.get, SPAN),
        Column("predicted", lambda group: law.get(group, "none"), PERCENT),
    ]
    words = (
        f"n = {document['n']:,}",
        counted(len(document["replicates"]), "replicate"),
        document["method"],
    )
    return Group(_accuracies(document, columns, *words), *_below(document))


def train_screen(document: dict[str, Any]) -> Group:
    """The screen of `simulate`, and what only towers have."""
    return Group(simulate_screen(document), *_of_towers(document))


def _intervals(document: dict[str, Any]) -> str:
    """What its intervals are; those of unit embeddings have no level."""
    return "interval" if "unlimited" in document else "95% interval"


def _accuracies(document: dict[str, Any], columns: list[Column], *words: str) -> Table:
    """The accuracies of the groups that the world has; a table need not have every group."""
    title = [document["learner"]]
    if document["prompt"]:
        title.append(f"prompted with {asked(document['prompt'])}")
    title += [
        form.format(document[name])
        for name, form in LIMITS.items()
        if document.get(name) is not None
    ]
    if mitigation := document.get("mitigation"):
        title.append(f"{mitigation} ({mitigations.MITIGATIONS[mitigation].words})")
    names = dict.fromkeys(
        (*GROUPS, *(name for name in document["interval95"] or () if name not in PLACE), *NUMBERS)
    )
    groups = [name for name in names if document.get(name) is not None]
    return Table(", ".join([*title, *words]), [Column("group", str), *columns], groups)


def _below(document: dict[str, Any]) -> Iterator[str]:
    """The lines below the accuracies."""
    yield from _place(document)
    if "unlimited" in document:
        yield from _limits(document)
    if (shares := document.get("uncovered_share")) and max(shares.values()) > UNCOVERED:
        common = percent(shares["common"])
        counter = percent(shares["counter"])
        yield (
            f"a million pairs would not teach {common} % of the common and {counter} % of the"
            " counter images"
        )
    if document.get("reliance") is not None:
        yield f"reliance (weight on background per weight on object): {document['reliance']:.4f}"


def _place(document: dict[str, Any]) -> Iterator[str]:
    """The world, and the ideal classifier that this one acts like."""
    from experiments.lab.answers import no_ideal_curve

    world, correlation, shortfall = (
        document["world"],
        document["equivalent_correlation"],
        document["shortfall"],
    )
    p = world.p_spu
    ends = document["interval95"] or {}
    if world.table is not None:
        yield from _cells(cell_groups(world.table, world.common))
    if world.views is not None:
        yield world.views.words
    else:
        image, text = world.nu_image, world.nu_text
        yield f"view noise ν = {image:.4g}" + (
            "" if image == text else f" (images), {text:.4g} (texts)"
        )
    if correlation is None:
        why = (
            no_ideal_curve(world)
            or "without noise, the ideal classifier of three classes or a table is not known"
        )
        yield f"no equivalent correlation: {why if shortfall is None else MANY}"
        return
    if p is not None:
        like = f"a world with correlation p′ = {correlation:.3f} (yours has p = {p:g})"
    else:
        common = percent(world.common_share())
        like = (
            f"data in which {percent(correlation)} % of the images are common ones (your table:"
            f" {common} %)"
        )
    yield f"acts like the ideal classifier of {like}, {points(shortfall)} points short of it"
    low, high = ends.get("equivalent_correlation", (correlation, correlation))
    if "shortfall" in ends:
        lacking = " to ".join(map(points, ends["shortfall"]))
        yield (
            f"{_intervals(document)}s: correlation {low:.3f} to {high:.3f}, {lacking} points short"
        )
    elif "unseen" in document:
        yield (
            "both numbers are sampled, to about .001, and have no interval in a table of three"
            " groups"
        )
    if p is not None and p > 1 / world.classes:
        if low < p < high:
            yield "so it may use less or more of the background than the data offer"
        elif abs(correlation - p) < 0.0005:  # three digits are printed
            yield "p′ − p = 0: it uses as much of the background as the data offer"
        else:
            amount = "less" if correlation < p else "more"
            yield (
                f"p′ − p = {correlation - p:+.3f}: it uses {amount} of the background than the data"
                " offer"
            )


def _cells(groups: Int[np.ndarray, "K A"]) -> Iterator[str]:
    """Which backgrounds of each class of a table are common, counter and unseen, numbered from
    0.
    """
    for y, row in enumerate(groups[:MOST_LISTED]):
        parts = [
            f"{GROUPS[g]} {', '.join(map(str, np.flatnonzero(row == g)))}" for g in np.unique(row)
        ]
        yield f"class {y}, backgrounds: {'; '.join(parts)}"
    if len(groups) > MOST_LISTED:
        yield f"and {len(groups) - MOST_LISTED} more classes"


def _limits(document: dict[str, Any]) -> Iterator[str]:
    """What the scale of unit embeddings costs."""
    law = "/".join(percent(document["unlimited"][group]) for group in GROUPS[:2])
    least = (
        "to .2 points, so this scale meets the budget"
        if document["meets_budget"]
        else "so this scale is too low"
    )
    enough = (
        f"; about {document['enough_scale']:.2g} is enough" if document.get("enough_scale") else ""
    )
    yield f"without a limit of scores: common/counter {law} %, {least} for this prompt{enough}"
    yield "the intervals hold two grids and two starts of the minimisation, and state no confidence"


def _of_towers(document: dict[str, Any]) -> Iterator[str]:
    """Images that resemble no pair of the run, and whether training has converged."""
    unseen = document["prompts"][document["prompt"] or "none"]["unseen"]
    # of a table it is the accuracy of a group
    if isinstance(unseen, dict) and unseen["counter"] >= NOTABLE:
        needed = (
            f"{unseen['pairs_needed']:.2g} pairs"
            if unseen["pairs_needed"]
            else "more than 1e308 pairs"
        )
        alone = (
            f"{percent(unseen['counter'])} % of the counter images are unlike all pairs of this run"
        )
        yield f"{alone}, so towers cannot learn them; {needed} would reduce this to 1 %"
    means = {
        p: {group: change[0] for group, change in own.items()}
        for p, own in (document["moved"] or {}).items()
    }
    if means and (sentence := not_converged(means)):
        yield sentence


def show_screen(document: dict[str, Any]) -> Text:
    if document["kind"] == "latents":
        rules = "; ".join(document["curves"]) or "none"
        return Text(
            f"{document['output']}: latents of {document['pairs']} pairs; rules with an answer:"
            f" {rules}"
        )
    parts = ", ".join(f"{count} {part}" for part, count in document["objects"].items())
    rows = len({image["label"] for image in document["images"]})
    content = (
        f"{rows} of {document['classes']} classes, {len(document['images'])} images of test objects"
    )
    return Text(f"{document['output']}: {content}; objects: {parts}")
