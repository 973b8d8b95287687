"""What a training arrives at with unlimited pairs, where it is known: a learner's closed form, in the right world."""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulator.samplers import SAMPLERS, Sampler
from simulator.world import World, Worlds
from theory.learners import Learner, LinearCLIP, named

if TYPE_CHECKING:
    from simulator.towers.recipe import Recipe


class Law(NamedTuple):
    """A learner's population optimum in a world, or in each of many."""

    learner: Learner
    world: World | Worlds


def becomes(recipe: "Recipe", world: World, prompt: str | None) -> Law | None:
    """The law that the towers of a recipe reach; None where none is known.

    Raises ValueError where a sampler balances groups of which some have no share.
    """
    objective, narrow = recipe.objective, recipe.embed_dim < world.latents
    name = objective.learner(recipe)
    if name is None or (narrow and recipe.last_layer == "refitted"):
        return None  # a head on what a narrow embedding happens to keep
    learner = named(name, prompt=prompt, embed_dim=recipe.embed_dim if narrow and objective.limited_by_width else None)
    return sampled_law(SAMPLERS[recipe.sampler], learner, objective.law(recipe, world))


def sampled_law(sampler: Sampler, learner: Learner, worlds: World | Worlds) -> Law | None:
    """The law of a learner on pairs after a sampler; None where none is known.

    Captions of random backgrounds (`simulator.gaussian.resampling`) say as little of them, to a critic that is linear
    in captions, as silent ones; to others they change no decision by name, nor by a mean caption that is the name.

    Raises ValueError where groups are balanced of which some have no share.
    """
    prompt = getattr(learner, "prompt", None)
    if sampler.swaps and isinstance(learner, LinearCLIP):
        return Law(learner, worlds.replace(mention_spu=0.0))
    if sampler.swaps and prompt == "mean" and _is_name(sampler.captioned(worlds)):
        return Law(replace(learner, prompt="name"), worlds)
    return Law(learner, sampler.law(worlds)) if sampler.answers(prompt) else None


def _is_name(worlds: World | Worlds) -> bool:
    """Whether the mean caption of a class is its name; with K >= 3 classes it speaks of all of them."""
    grid = Worlds.of(worlds)
    return bool(np.all(np.equal(grid.classes, 2)) and np.array_equal(grid.prompt("mean"), grid.prompt("name")))
