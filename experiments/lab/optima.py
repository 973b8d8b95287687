"""Population optima: the world whose law the pairs of a training follow, and the learner that it becomes.

Its accuracies at infinitely many pairs are those of the learner in that world.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.samplers import SAMPLERS, Sampler
from simulator.world import World
from theory.learners import Learner, LinearCLIP, named

if TYPE_CHECKING:
    from simulator.towers.recipe import Recipe


def optimum(world: World, recipe: "Recipe", prompt: str | None) -> tuple[World, Learner] | None:
    """What the towers of a recipe become by a prompt; None where no closed form is known.

    Raises ValueError if a group that is to be balanced is empty.
    """
    objective = recipe.objective
    name, narrow = objective.learner(recipe), recipe.embed_dim < world.latents
    if name is None or (narrow and recipe.last_layer == "refitted"):
        return None  # it is unknown what a narrow embedding keeps for the new head
    scale = None if recipe.temperature is None else 1 / recipe.temperature
    embed_dim = recipe.embed_dim if scale is not None or (narrow and objective.limited_by_width) else None
    batch_size = recipe.batch_size if scale is not None and objective.bias else None  # InfoNCE's has little effect
    try:
        learner = named(name, prompt=prompt, scale=scale, embed_dim=embed_dim, batch_size=batch_size)
    except ValueError:  # a temperature or a width without a law
        return None
    return sampled(SAMPLERS[recipe.sampler], objective.law(recipe, world), learner)


def sampled(sampler: Sampler, worlds: World, learner: Learner) -> tuple[World, Learner] | None:
    """What a learner becomes on the sampled pairs of one world, or of each world of a grid; None where it is unknown.

    Captions with random backgrounds carry no information on the background. A critic that is linear in captions learns
    from them what it learns from captions without background. For other critics they leave decisions by the typical
    look unchanged, and by the average caption where that is the typical appearance.
    """
    prompt = getattr(learner, "prompt", None)
    blind = learner.by_likelihood or isinstance(
        learner, LinearCLIP
    )  # to captions of other pairs, not sampled with theirs
    if prompt is not None and sampler.balances and np.any(np.asarray(worlds.mismatch)) and not blind:
        return None
    if sampler.swaps and getattr(learner, "scale", None) is not None:
        return None
    if sampler.swaps and isinstance(learner, LinearCLIP):
        return worlds.replace(mention_spu=0.0), learner
    if sampler.swaps and prompt == "mean" and _is_name(sampler.captioned(worlds)):
        name: dict[str, Any] = {"prompt": "name"}
        return worlds, replace(learner, **name)
    return (sampler.law(worlds), learner) if sampler.answers(prompt) else None


def _is_name(grid: World) -> bool:
    """Whether the average caption of a class is its typical appearance; with 3 or more classes it mentions them all."""
    if grid.table is not None:
        return False
    return bool(np.all(np.equal(grid.classes, 2)) and np.array_equal(grid.prompt("mean"), grid.prompt("name")))
