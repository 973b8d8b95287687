"""A setting: a training and its prompt, with its population optimum and its cost in pairs.

Mitigations change settings (`experiments.lab.mitigations`), and a study has one at each place.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.errors import RequestError
from experiments.lab.config import checked_prompt, validated
from simulator.accuracy import Numbers
from simulator.prompts import prompt_row
from simulator.samplers import SAMPLERS, Sampler
from simulator.world import World
from theory.learners import InfoNCE, Learner, LinearCLIP, named

if TYPE_CHECKING:
    from simulator.towers.recipe import Recipe


class Law(NamedTuple):
    """The population optimum of a training: a learner's closed form in a world, or in each world of a grid."""

    learner: Learner
    world: World


@dataclass(frozen=True)
class Setting:
    """A training and its prompt.

    Attributes
    ----------
    world : World
        World of the pairs, or a grid of worlds for a learner.
    learner : Learner or None
        What is fitted to them, with its prompt; None if towers are trained.
    recipe : Recipe or None
        How towers are trained; None if a learner is fitted.
    prompt : str or None
        Prompt of the towers; a learner has its own.
    sampler : str
        How pairs are sampled before a learner is fitted; a recipe has its own.
    head : str
        How the further pairs for refitting a learner's last layer are sampled; a recipe has its own.
    fitted : bool
        Whether a learner can be fitted to pairs, rather than known only by its population optimum.
    arrives : bool
        Whether training continues to the optimum.
    projected : bool
        Whether the embedding of the caption of a background alone is projected out of the towers' embeddings.
    """

    world: World
    learner: Learner | None = None
    recipe: "Recipe | None" = None
    prompt: str | None = None
    sampler: str = "drawn"
    head: str = "drawn"
    fitted: bool = True
    arrives: bool = True
    projected: bool = False

    def __post_init__(self):
        if (self.learner is None) == (self.recipe is None):
            raise RequestError("a setting has either a learner or a recipe")
        if self.recipe is not None and self.world.shape:
            raise RequestError("towers are trained in one world; give a learner for a grid of worlds")

    @property
    def called(self) -> str:
        """Name of the learner or loss, for messages."""
        if self.recipe is not None:
            return f"loss = {self.recipe.loss!r}"
        assert self.learner is not None
        return f"learner {self.learner.name!r}"

    @property
    def reads_captions(self) -> bool:
        """Whether captions are read, rather than labels."""
        if self.recipe is not None:
            return self.recipe.objective.captions
        assert self.learner is not None
        return self.learner.reads_captions

    def law(self) -> Law | None:
        """The population optimum; None where no closed form is known. ValueError if a group to be balanced is empty."""
        if not self.arrives:
            return None
        if self.learner is not None:
            return _sampled_law(SAMPLERS[self.sampler], self.learner, SAMPLERS[self.head].law(self.world))
        assert self.recipe is not None
        recipe, objective = self.recipe, self.recipe.objective
        name, narrow = objective.learner(recipe), recipe.embed_dim < self.world.latents
        if name is None or (narrow and recipe.last_layer == "refitted"):
            return None  # it is unknown what a narrow embedding keeps for the new head
        embed_dim = recipe.embed_dim if narrow and objective.limited_by_width else None
        learner = named(name, prompt=self.prompt, embed_dim=embed_dim)
        return _sampled_law(SAMPLERS[recipe.sampler], learner, objective.law(recipe, self.world))

    def pairs(self) -> Numbers:
        """Inflation of the sample size: pairs drawn per effective pair; see `simulator.samplers.Sampler.effective`.

        The balanced pairs of a refitted last layer are not counted. ValueError as for `law`.
        """
        names, passes, recipe = [self.sampler], 1.0, self.recipe
        share: Numbers = getattr(self.learner, "kept", 1.0)  # of a filter
        if recipe is not None:
            names = [recipe.sampler, recipe.objective.sampler or "drawn"]
            passes = inf if recipe.n is None else recipe.steps * recipe.batch_size / recipe.n
        for name in names:
            share = share * SAMPLERS[name].effective(self.world, passes)
        return 1 / share

    def within(self, **changes) -> "Setting":
        """The setting with some fields of World changed; RequestError for a value outside its domain."""
        return replace(self, world=validated(lambda: self.world.replace(**changes)))

    def trained(self, **changes) -> "Setting":
        """The setting with some fields of Recipe changed; RequestError for fields that contradict each other."""
        recipe = self.recipe
        if recipe is None:
            raise RequestError(f"{self.called} has no recipe; towers have one")
        return replace(self, recipe=validated(lambda: type(recipe)(**{**recipe.model_dump(), **changes})))

    def sampled(self, sampler: str) -> "Setting":
        """The setting with another sampler; RequestError as for `trained`."""
        return replace(self, sampler=sampler) if self.recipe is None else self.trained(sampler=sampler)

    def prompted(self, prompt: str) -> "Setting":
        """The setting with another prompt; RequestError if no captions are read, or the towers do not have it."""
        if not self.reads_captions:
            raise RequestError(f"{self.called} reads no captions, so no prompt changes it; linear and infonce do")
        if self.learner is not None:
            changed: dict[str, Any] = {"prompt": prompt}
            return replace(self, learner=replace(self.learner, **changed))
        assert self.recipe is not None
        return replace(self, prompt=checked_prompt(self.recipe, prompt))


def _sampled_law(sampler: Sampler, learner: Learner, worlds: World) -> Law | None:
    """The law of a learner on pairs after a sampler; None where none is known.

    Captions with random backgrounds carry no information on the background. A critic that is linear in captions learns
    from them what it learns from captions without background. For other critics they leave decisions by the typical
    look unchanged, and by the average caption where that is the typical look.
    """
    prompt = getattr(learner, "prompt", None)
    if prompt is not None and sampler.balances and np.any(np.asarray(worlds.mismatch)):
        # Captions of other pairs have the law before sampling. The cross-covariance and single prompts do not see it.
        single = isinstance(learner, InfoNCE) and prompt_row(prompt).pool is None
        if not single and not isinstance(learner, LinearCLIP):
            return None
    if sampler.swaps and isinstance(learner, LinearCLIP):
        return Law(learner, worlds.replace(mention_spu=0.0))
    if sampler.swaps and prompt == "mean" and _is_name(sampler.captioned(worlds)):
        name: dict[str, Any] = {"prompt": "name"}
        return Law(replace(learner, **name), worlds)
    return Law(learner, sampler.law(worlds)) if sampler.answers(prompt) else None


def _is_name(grid: World) -> bool:
    """Whether the average caption of a class is its typical look; with 3 or more classes it mentions all of them."""
    if grid.table is not None:
        return False
    return bool(np.all(np.equal(grid.classes, 2)) and np.array_equal(grid.prompt("mean"), grid.prompt("name")))
