"""The ensemble to train: recipe, world and number of every model, with seed and device."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from jaxtyping import Float

from simulator.samplers import SAMPLERS, Sampler
from simulator.towers.distributed import ALONE, Group
from simulator.towers.layers import Layer, Shape, layers
from simulator.towers.recipe import Recipe
from simulator.views import shown
from simulator.world import World


class Ensemble(NamedTuple):
    """Models that are trained at once. Model k reads the streams of number models[k]."""

    recipe: Recipe
    worlds: tuple[World, ...]
    models: tuple[int, ...]
    seed: int
    device: str = "cpu"
    draw_on: str | None = None  # `device` unless given
    compile: bool = False
    group: Group = ALONE  # processes that share every batch
    # of a sampler that weighs groups of pairs
    group_weights: Float[torch.Tensor, "E G"] | None = None

    @property
    def sampler(self) -> Sampler:
        return SAMPLERS[self.recipe.sampler]

    @property
    def views(self) -> Any:
        return shown(self.worlds[0])

    @property
    def inputs(self) -> dict[str, Shape]:
        """The shape of what each tower reads."""
        inputs = self.views.inputs(self.worlds[0])
        return {side: inputs[side] for side in self.recipe.objective.sides}

    @property
    def layers(self) -> list[Layer]:
        return [
            layer
            for side, shape in self.inputs.items()
            for layer in layers(self.recipe, side, shape)
        ]

    @property
    def source(self) -> str:
        return self.draw_on or self.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of parameters and pairs; bfloat16 is for products under autocast only."""
        return torch.float64 if self.recipe.precision == "float64" else torch.float32


def ensemble_of(worlds: Sequence[World], recipe: Recipe, models: int, seed: int) -> Ensemble:
    """The same `models` models in each world, world by world."""
    return Ensemble(
        recipe,
        tuple(w for w in worlds for _ in range(models)),
        tuple(range(models)) * len(worlds),
        seed,
    )


def least_bytes(ensemble: Ensemble) -> int:
    """Lower bound on a process's memory: old and new parameters, a fixed set, a batch and its
    embeddings.
    """
    recipe, size = ensemble.recipe, ensemble.dtype.itemsize
    drawn = ensemble.views.inputs(ensemble.worlds[0]).values()  # also if no tower reads them
    numbers = sum(map(prod, drawn)) + sum(layer.outputs * layer.uses for layer in ensemble.layers)
    weights = 2 * sum(layer.inputs * layer.outputs for layer in ensemble.layers)
    # pixels are held in bytes
    held = sum(prod(shape) * (1 if len(shape) == 3 else size) for shape in drawn)
    own = recipe.batch_size // ensemble.group.size * numbers
    return len(ensemble.models) * (size * (own + weights) + (recipe.n or 0) * held)


def step_products(ensemble: Ensemble) -> int:
    """Multiply-adds of a step's affine maps, in the forward pass."""
    products = sum(layer.inputs * layer.outputs * layer.uses for layer in ensemble.layers)
    return len(ensemble.models) * ensemble.recipe.batch_size * products
