"""The request of a fine-tuning: world, model, learners and a grid of hyperparameters.

[W] (section 6, appendix D.4) chooses learning rate, weight decay and warm-up by validation in
distribution. We know neither the values of its grid nor the law of its backgrounds;
colored-coco.toml gives ours with reasons.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from experiments.errors import RequestError, check_within, checked_seed, unknown
from experiments.lab.answers import MOST_REPLICATES
from experiments.lab.axes import axis
from experiments.lab.config import read_toml, recipe_from, world_from
from experiments.lab.finetuning import GRID, LEARNERS
from experiments.lab.presets import Design, design_of
from experiments.lab.studies import merged
from experiments.runtime import checked_device
from experiments.table import counted
from simulator.pixels.views import ROOTS
from simulator.towers.recipe import Recipe
from simulator.world import World

NAME = "colored-coco"
Point = dict[str, float | int]  # of the grid


@dataclass(frozen=True)
class FineTuning:
    full: bool
    world: World
    model: str
    weights: Path | None
    learners: tuple[str, ...]
    recipes: tuple[Recipe, ...]  # the grid, the last axis fastest
    replicates: int
    seed: int
    device: str

    def grid(self) -> list[Point]:
        return [{name: getattr(recipe, name) for name in GRID} for recipe in self.recipes]

    def runs(self) -> Iterator[tuple[str, int]]:
        """Each learner and replicate; a model that is not trained has one replicate."""
        for learner in self.learners:
            for replicate in range(self.replicates if learner in self.trained else 1):
                yield learner, replicate

    @property
    def trained(self) -> list[str]:
        return [learner for learner in self.learners if LEARNERS[learner][0] is not None]

    @property
    def trainings(self) -> int:
        return len(self.recipes) * self.replicates * len(self.trained)

    def sentence(self) -> str:
        recipe = self.recipes[0]
        return (
            f"{counted(self.trainings, 'training')} of {recipe.steps:,} steps of"
            f" {recipe.batch_size} pairs: {', '.join(self.trained) or 'none'} at"
            f" {counted(len(self.recipes), 'point')} of {', '.join(GRID)},"
            f" {'once' if self.replicates == 1 else f'{self.replicates} times'} each"
        )


def preset() -> Design:
    """The design that ships; its study is not a grid of worlds, so `Design.study` does not
    apply.
    """
    text = (files("experiments.lab.finetuning") / f"{NAME}.toml").read_text(encoding="utf-8")
    return design_of(NAME, text)


def checked(
    full: bool,
    flags: dict[str, Any],
    world_file: Path | None = None,
    *,
    root: str | None,
    model: str | None,
    weights: Path | None = None,
    device: str = "cpu",
) -> FineTuning:
    """A size of the design with flags on top: axes, recipe, world, learners, n, replicates and seed
    of a study.
    """
    if model is None:
        raise RequestError(
            "finetune needs --model open_clip:NAME[/TAG]; open_clip:RN50/openai is one that [W]"
            " used"
        )
    own = {} if world_file is None else read_toml(world_file, "world")
    whole = merged(merged(preset().document(full), {"world": own}), flags)
    learners = tuple(dict.fromkeys(whole["learners"]))
    replicates = whole["replicates"]
    for kind, values, choices in (("learner", learners, LEARNERS), ("axis", whole["axes"], GRID)):
        for name in values:
            if name not in choices:
                raise unknown(kind, name, choices)
    check_within("replicates", replicates, 1, MOST_REPLICATES)
    fixed = {"optimizer": "adamw", "averaging": 0.0, "n": whole["n"], **whole["recipe"]}
    axes = {name: axis(name, whole["axes"][name]).values for name in GRID if name in whole["axes"]}
    recipes = [
        recipe_from({**fixed, **dict(zip(axes, point, strict=True))})
        for point in product(*axes.values())
    ]
    return FineTuning(
        full=full,
        world=_world(whole["world"], root),
        model=model,
        weights=weights,
        learners=learners,
        recipes=tuple(recipes),
        replicates=replicates,
        seed=checked_seed(whole.get("seed", 0)),
        device=checked_device(device),
    )


def _world(fields: dict[str, Any], root: str | None) -> World:
    views = fields.get("views")
    if "mention_spu" in fields:
        raise RequestError(
            "mention_spu distinguishes obj from objbkg; leave it out and choose by --learner"
        )
    if not isinstance(views, dict) or "size" in views:
        raise RequestError(
            "finetune needs a world of pixels, whose file has a table [views] without size"
        )
    if root is not None:
        views = {**views, "root": root}
    if views.get("objects") == "coco" and views.get("root") is None:
        raise RequestError(
            f"finetune needs --root, {ROOTS['coco']}: from cocodataset.org, val2017 and"
            " instances_val2017.json, renamed"
        )
    return world_from(None, {**fields, "views": views})
