"""What is asked of a fine-tuning: world, model, learners, a grid of hyperparameters; from a design's file and flags.

[W] (section 6, appendix D.4) chooses learning rate, weight decay and warm-up by validation in distribution. The values
of its grid, and the law of its backgrounds, we do not have; ours stand in colored-coco.toml with their reasons.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from experiments.errors import RequestError, checked_seed, unknown
from experiments.lab.axes import axis
from experiments.lab.design import Design
from experiments.lab.recipes import recipe_from
from experiments.lab.request import merged
from experiments.lab.words import counted
from experiments.lab.worlds import read, world_of
from simulator.naming import suggestion
from simulator.pixels.views import ROOTS
from simulator.towers.recipe import Recipe
from simulator.world import World

NAME = "colored-coco"
GRID = ("lr", "weight_decay", "warmup")  # chosen by validation
FIXED = ("batch_size", "steps", "schedule", "clip")  # of a recipe, beside the grid and n
Setting = dict[str, float | int]


class Learner(NamedTuple):
    """How a pretrained model is trained on: the loss, whether captions speak of the background, whether by a head."""

    loss: str | None  # None: it is asked as it is
    mention_spu: float = 0.0
    head: bool = False  # labels in place of captions


LEARNERS = {  # under the names of Table 7
    "zero-shot": Learner(None),
    "obj": Learner("infonce"),
    "objbkg": Learner("infonce", 1.0),
    "supervised": Learner("supervised", head=True),
}


@dataclass(frozen=True)
class Asked:
    """A fine-tuning as it is asked for; `asked` makes one."""

    world: World
    model: str
    weights: Path | None
    learners: tuple[str, ...]
    axes: dict[str, tuple[float, ...]]
    recipe: Recipe
    replicates: int
    seed: int
    device: str

    def settings(self) -> list[Setting]:
        """The grid, the last of GRID fastest."""
        values = [self.axes.get(name, (getattr(self.recipe, name),)) for name in GRID]
        return [dict(zip(GRID, chosen, strict=True)) for chosen in product(*values)]

    def runs(self) -> Iterator[tuple[str, int]]:
        """Every learner and replicate; a model that is not trained has one."""
        for learner in self.learners:
            for replicate in range(self.replicates if LEARNERS[learner].loss else 1):
                yield learner, replicate

    def recipe_of(self, learner: str, setting: Setting) -> Recipe:
        """A learner's recipe at a point of the grid."""
        return self.recipe.model_copy(update={"loss": LEARNERS[learner].loss, **setting})

    @property
    def trainings(self) -> int:
        """How many there are."""
        return len(self.settings()) * sum(LEARNERS[learner].loss is not None for learner, _ in self.runs())

    def sentence(self) -> str:
        """What it takes."""
        tuned = [learner for learner in self.learners if LEARNERS[learner].loss]
        return (
            f"{counted(self.trainings, 'training')} of {self.recipe.steps:,} steps of {self.recipe.batch_size} pairs: "
            f"{', '.join(tuned) or 'none'} at {counted(len(self.settings()), 'point')} of {', '.join(GRID)}, "
            f"{'once' if self.replicates == 1 else f'{self.replicates} times'} each"
        )


def finetuning() -> Design:
    """The design as its file has it; its study is no grid of worlds, and `Design.study` not for it."""
    text = (files("experiments.lab.finetuning") / f"{NAME}.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    return Design(name=NAME, quick=document.pop("study"), over=document.pop("full"), **document)


def listed() -> dict[str, Any]:
    """The design as `soberclip designs` lists it, with the trainings of both sizes."""
    found = finetuning()
    given = {"root": "val2017", "model": "open_clip:RN50/openai"}
    sizes = {name: {"trainings": asked(name == "full", {}, **given).trainings} for name in ("quick", "full")}
    return {"design": NAME, **found.words, "needs": "--root and --model", **sizes}


def asked(
    full: bool,
    flags: dict[str, Any],
    world_file: Path | None = None,
    *,
    root: str | None,
    model: str | None,
    weights: Path | None = None,
    device: str | None = None,
) -> Asked:
    """A size of the design with flags on top, validated once.

    `flags` are those of a study: axes, recipe, world, learners, n, replicates, seed. Raises RequestError.
    """
    from experiments.runtime import checked_device

    if model is None:
        raise RequestError(f"{NAME} needs --model open_clip:NAME[/TAG]; open_clip:RN50/openai is one that [W] used")
    own = {} if world_file is None else read(world_file)
    whole = merged(merged(finetuning().document(full), {"world": own}), flags)
    learners = tuple(dict.fromkeys(whole["learners"]))
    for name in learners:
        if name not in LEARNERS:
            raise unknown("learner", name, LEARNERS)
    for name in whole["axes"]:
        if name not in GRID:
            raise RequestError(f"axis {name} is not of {NAME}, whose grid is {', '.join(GRID)}{suggestion(name, GRID)}")
    for name in whole["recipe"].keys() - {*GRID, *FIXED}:
        raise RequestError(f"--{name.replace('_', '-')} has no meaning for {NAME}; its model is as it was pretrained")
    replicates = whole["replicates"]
    if replicates < 1:
        raise RequestError(f"replicates = {replicates} is below 1; the nearest valid value is 1")
    fixed = {"optimizer": "adamw", "averaging": 0.0, "n": whole["n"], **whole["recipe"]}
    axes = {name: axis(name, values).values for name, values in whole["axes"].items()}
    for setting in (dict(zip(axes, values, strict=True)) for values in product(*axes.values())):
        recipe = recipe_from({**fixed, **setting})
    return Asked(
        world=_world(whole["world"], root, own, world_file),
        model=model,
        weights=weights,
        learners=learners,
        axes=axes,
        recipe=recipe,
        replicates=replicates,
        seed=checked_seed(whole.get("seed", 0)),
        device=checked_device(device or "cpu"),
    )


def _world(fields: dict[str, Any], root: str | None, own: dict[str, Any], file: Path | None) -> World:
    """The world with its root; its file's sentences name the file."""
    if "mention_spu" in fields:
        raise RequestError("mention_spu is what tells obj from objbkg; leave it out and choose by --learner")
    views = fields.get("views")
    if not isinstance(views, dict):
        raise RequestError(f"{NAME} needs a world of pixels, whose file has a table [views]")
    if root is not None:
        views = {**views, "root": root}
    if views.get("objects") == "coco" and views.get("root") is None:
        raise RequestError(
            f"{NAME} needs --root, {ROOTS['coco']}: of cocodataset.org instances_val2017.json, so renamed, and val2017"
        )
    if "size" in views:
        raise RequestError(f"size = {views['size']} is the model's to say; leave it out")
    return world_of({**fields, "views": views}, dict.fromkeys(own, file))
