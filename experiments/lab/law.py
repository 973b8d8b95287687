"""The population optimum of a training, where it is known: a learner's closed form in some world."""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulator.samplers import SAMPLERS, Sampler
from simulator.world import World, Worlds
from theory.learners import Learner, LinearCLIP, named

if TYPE_CHECKING:
    from simulator.towers.recipe import Recipe


class Law(NamedTuple):
    """A learner's population optimum in a world, or in each world of a grid."""

    learner: Learner
    world: World | Worlds


def becomes(recipe: "Recipe", world: World, prompt: str | None) -> Law | None:
    """The law that the towers of a recipe approach; None where none is known.

    Raises ValueError if a sampler balances groups and one of them is empty.
    """
    objective, narrow = recipe.objective, recipe.embed_dim < world.latents
    name = objective.learner(recipe)
    if name is None or (narrow and recipe.last_layer == "refitted"):
        return None  # what a narrow embedding keeps for the new head is unknown
    learner = named(name, prompt=prompt, embed_dim=recipe.embed_dim if narrow and objective.limited_by_width else None)
    return sampled_law(SAMPLERS[recipe.sampler], learner, objective.law(recipe, world))


def sampled_law(sampler: Sampler, learner: Learner, worlds: World | Worlds) -> Law | None:
    """The law of a learner on pairs after a sampler; None where none is known.

    Captions with random backgrounds carry no information on the background. A critic that is linear in captions learns
    from them what it learns from captions without background. For other critics they leave decisions by the name
    prompt unchanged, and by the mean caption where that is the name.

    Raises ValueError if the sampler balances groups and one of them is empty.
    """
    prompt = getattr(learner, "prompt", None)
    if sampler.swaps and isinstance(learner, LinearCLIP):
        return Law(learner, worlds.replace(mention_spu=0.0))
    if sampler.swaps and prompt == "mean" and _is_name(sampler.captioned(worlds)):
        return Law(replace(learner, prompt="name"), worlds)
    return Law(learner, sampler.law(worlds)) if sampler.answers(prompt) else None


def _is_name(worlds: World | Worlds) -> bool:
    """Whether the mean caption of a class is its name; with 3 or more classes it mentions all of them."""
    grid = Worlds.of(worlds)
    return bool(np.all(np.equal(grid.classes, 2)) and np.array_equal(grid.prompt("mean"), grid.prompt("name")))
