"""Ensembles of towers: pure functions of a dictionary of parameters, every one with a leading model axis E.

A tower maps a view (E, B, d) to embeddings (E, B, h). Linear: x W. MLP: `depth` hidden layers x -> act(norm(x W
+ b)), then a linear map. Initial weights come from one named stream a parameter and a model, drawn on the CPU in
float64: model k is the same in any ensemble, on any device.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional as F

from simulator.streams import numpy_stream
from simulator.towers.recipe import Recipe

Parameters = dict[str, torch.Tensor]

LARGEST_SCALE = 100.0  # Radford et al. 2021: logits are never scaled by more than 100

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "tanh": torch.tanh}


class Layer(NamedTuple):
    """One affine map of a tower: its parameters' prefix, its sizes, whether an activation follows."""

    name: str
    inputs: int
    outputs: int
    hidden: bool


def layers(recipe: Recipe, tower: str, inputs: int) -> list[Layer]:
    """The affine maps of one tower, first to last."""
    sizes = [inputs] + ([recipe.width] * recipe.depth if recipe.towers == "mlp" else [])
    hidden = [Layer(f"{tower}.{i}", a, b, True) for i, (a, b) in enumerate(pairwise(sizes))]
    return [*hidden, Layer(f"{tower}.{len(hidden)}", sizes[-1], recipe.embed_dim, False)]


def initialise(
    recipe: Recipe,
    dims: tuple[int, int],
    classes: int,
    seed: int,
    models: Sequence[int],
    *,
    device: str,
    dtype: torch.dtype,
) -> Parameters:
    """Initial parameters of the models numbered `models`: weights, then log scale and bias where the loss has them.

    Weights are N(0, gain^2/inputs), gain^2 = 2 before a rectifier (He et al. 2015) and 1 elsewhere.
    dims: (d_I, d_T).
    """

    def normal(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(
            np.stack([numpy_stream(seed, f"init/{name}", k).standard_normal(shape) for k in models])
        )

    def constant(value: float, *shape: int) -> torch.Tensor:
        return torch.full((len(models), *shape), value, dtype=torch.float64, device="cpu")

    parameters: Parameters = {}
    objective = recipe.objective
    for tower, inputs in zip(objective.sides, dims, strict=False):
        for layer in layers(recipe, tower, inputs):
            gain = 2**0.5 if layer.hidden and recipe.activation != "tanh" else 1.0
            weight = normal(f"{layer.name}.weight", layer.inputs, layer.outputs)
            parameters[f"{layer.name}.weight"] = weight * gain / layer.inputs**0.5
            if recipe.towers == "mlp":
                parameters[f"{layer.name}.bias"] = constant(0.0, layer.outputs)
    if objective.head:
        head = normal("head.weight", recipe.embed_dim, classes)
        parameters["head.weight"] = head / recipe.embed_dim**0.5
        if recipe.towers == "mlp":  # every world is symmetric in its classes: the best linear rule has no offset
            parameters["head.bias"] = constant(0.0, classes)
    if objective.cosine and recipe.temperature is None:
        parameters["log_scale"] = constant(objective.scale).log()
    if objective.bias is not None:
        parameters["bias"] = constant(objective.bias(recipe))
    for name, first in objective.raised.items():
        parameters[name] = torch.from_numpy(first(classes)).expand(len(models), -1).clone()
    return {name: value.to(device=device, dtype=dtype) for name, value in parameters.items()}


def embed(recipe: Recipe, parameters: Parameters, tower: str, x: Float[torch.Tensor, "E B d"]) -> torch.Tensor:
    """Embeddings (E, B, h) of one tower, before any normalisation to unit length."""
    for layer in layers(recipe, tower, x.shape[-1]):
        weight = parameters[f"{layer.name}.weight"]
        bias = parameters.get(f"{layer.name}.bias")
        x = torch.bmm(x, weight) if bias is None else torch.baddbmm(bias[:, None], x, weight)
        if layer.hidden:
            if recipe.normalisation == "layer":
                x = F.layer_norm(x, x.shape[-1:])  # without gain and shift: the next affine map has both
            x = ACTIVATIONS[recipe.activation](x)
    return x


def scored(recipe: Recipe, embeddings: torch.Tensor) -> torch.Tensor:
    """What the loss and zero-shot compare: unit vectors where scores are cosines, else the embeddings."""
    return F.normalize(embeddings, dim=-1) if recipe.objective.cosine else embeddings


def clamp_scale(parameters: Parameters) -> Parameters:
    """The same parameters with a learned scale in [1, LARGEST_SCALE], as CLIP keeps it after every step."""
    if "log_scale" not in parameters:
        return parameters
    return {**parameters, "log_scale": parameters["log_scale"].clamp(0.0, math.log(LARGEST_SCALE))}


def logit_scale(recipe: Recipe, parameters: Parameters) -> Float[torch.Tensor, " E"] | None:
    """s, one a model: learned, or 1/temperature; None where scores are inner products."""
    if not recipe.objective.cosine:
        return None
    if recipe.temperature is None:
        return parameters["log_scale"].exp()
    first = next(iter(parameters.values()))
    return torch.full((len(first),), 1 / recipe.temperature, dtype=first.dtype, device=first.device)
