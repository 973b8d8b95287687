"""What is trained: recipe, world and number of every model of an ensemble, with seed and device."""

from typing import NamedTuple

import torch
from jaxtyping import Float

from simulator.samplers import SAMPLERS, Sampler
from simulator.towers.kinds import View
from simulator.towers.layers import layers
from simulator.towers.recipe import Recipe
from simulator.towers.views import Views, views_of
from simulator.world import World


class Ensemble(NamedTuple):
    """Models that are trained at once. Model k has the streams of number models[k]."""

    recipe: Recipe
    worlds: tuple[World, ...]
    models: tuple[int, ...]
    seed: int
    device: str = "cpu"
    draw_on: str | None = None
    compile: bool = False
    group_weights: Float[torch.Tensor, "E G"] | None = None

    @property
    def sampler(self) -> Sampler:
        """The recipe's sampler."""
        return SAMPLERS[self.recipe.sampler]

    @property
    def views(self) -> Views:
        """How training looks at the worlds."""
        return views_of(self.worlds[0])

    @property
    def inputs(self) -> dict[str, View]:
        """What each tower reads."""
        found = self.views.inputs(self.worlds[0])
        return {side: found[side] for side in self.recipe.objective.sides}

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters and pairs; bfloat16 is the precision of products under autocast."""
        return torch.float64 if self.recipe.precision == "float64" else torch.float32


def least_bytes(ensemble: Ensemble, processes: int = 1) -> int:
    """Least bytes that a process needs: old and new parameters, a fixed set, a batch and its embeddings.

    A run takes a few times more.
    """
    recipe, E = ensemble.recipe, len(ensemble.models)
    drawn = ensemble.views.inputs(ensemble.worlds[0]).values()  # whether or not they are read
    each = [layer for side, view in ensemble.inputs.items() for layer in layers(recipe, side, view)]
    numbers = sum(view.size for view in drawn) + sum(layer.outputs * layer.uses for layer in each)
    weights = 2 * sum(layer.inputs * layer.outputs for layer in each)
    size = torch.finfo(ensemble.dtype).bits // 8
    held = sum(view.size * (1 if view.form == "image" else size) for view in drawn)  # pixels are held in bytes
    return E * (size * (recipe.batch_size // processes * numbers + weights) + (recipe.n or 0) * held)


def step_products(ensemble: Ensemble) -> int:
    """Multiply-adds of a step's affine maps, forwards."""
    recipe = ensemble.recipe
    each = [layer for side, view in ensemble.inputs.items() for layer in layers(recipe, side, view)]
    products = sum(layer.inputs * layer.outputs * layer.uses for layer in each)
    return len(ensemble.models) * recipe.batch_size * products
