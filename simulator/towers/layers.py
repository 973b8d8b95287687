"""Towers of an ensemble: layers, initial weights, and the map from views (E, B, ...) to embeddings.

linear  x W
mlp     `depth` hidden layers x -> act(x W + b), then an affine map. With a skip, x W is added,
        since scores of views with Gaussian noise are nearly bilinear.
conv    `depth` layers of `width` channels, 3 x 3 with stride 2, then an affine map of the flattened
        result. A layer's weight is a matrix, one row per number of a patch and one column per
        channel, so that SOAP rotates it too.

Every parameter has a leading model axis E. Initial weights come from one named stream per parameter
and model, drawn on the CPU in float64: model k is the same in any ensemble and on any device.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional as F

from simulator.streams import numpy_stream
from simulator.towers.recipe import Recipe
from simulator.world import World

Parameters = dict[str, torch.Tensor]
Shape = tuple[int, ...]  # of one view: (d,) of a vector, (3, S, S) of an image

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "tanh": torch.tanh}
SIDE = 3  # of a convolution's patch
STRIDE = 2


class Layer(NamedTuple):
    """One affine map of a tower."""

    name: str
    inputs: int
    outputs: int
    hidden: bool = False  # followed by an activation
    bias: bool = True
    uses: int = 1  # times that it is applied to one view


def layers(recipe: Recipe, tower: str, shape: Shape) -> list[Layer]:
    """The affine maps of one tower that reads views of a shape, first to last."""
    kind = recipe.kinds[tower]
    width = recipe.width
    depth = recipe.depth
    numbers = math.prod(shape)
    if kind == "linear":
        return [Layer(f"{tower}.0", numbers, recipe.embed_dim, bias=False)]
    if kind == "conv":
        size, *sides = shape
        every = []
        for i in range(depth):
            sides = [(side - 1) // STRIDE + 1 for side in sides]
            every.append(
                Layer(f"{tower}.{i}", size * SIDE**2, width, hidden=True, uses=math.prod(sides))
            )
            size = width
        size *= math.prod(sides)
    else:
        *inputs, size = numbers, *[width] * depth
        every = [Layer(f"{tower}.{i}", a, width, hidden=True) for i, a in enumerate(inputs)]
    every.append(Layer(f"{tower}.{depth}", size, recipe.embed_dim))
    if kind == "mlp" and recipe.skip == "linear":
        every.append(Layer(f"{tower}.skip", numbers, recipe.embed_dim, bias=False))
    return every


def initialise(
    recipe: Recipe,
    views: Mapping[str, Shape],
    world: World,
    seed: int,
    models: Sequence[int],
    *,
    device: str,
    dtype: torch.dtype,
) -> Parameters:
    """Initial parameters: weights N(0, gain^2/inputs), gain^2 = 2 before a rectifier (He et al.
    2015), else 1.
    """

    def normal(name: str, *shape: int) -> torch.Tensor:
        drawn = [numpy_stream(seed, f"init/{name}", k).standard_normal(shape) for k in models]
        return torch.from_numpy(np.stack(drawn))

    def constant(value: float, *shape: int) -> torch.Tensor:
        return torch.full((len(models), *shape), value, dtype=torch.float64, device="cpu")

    parameters: Parameters = {}
    objective, classes = recipe.objective, world.classes
    for tower in objective.sides:
        for layer in layers(recipe, tower, views[tower]):
            gain = 2**0.5 if layer.hidden and recipe.activation != "tanh" else 1.0
            weight = normal(f"{layer.name}.weight", layer.inputs, layer.outputs)
            parameters[f"{layer.name}.weight"] = weight * gain / layer.inputs**0.5
            if layer.bias:
                parameters[f"{layer.name}.bias"] = constant(0.0, layer.outputs)
    for name in objective.heads:
        parameters[f"{name}.weight"] = (
            normal(f"{name}.weight", recipe.embed_dim, classes) / recipe.embed_dim**0.5
        )
        # other worlds are symmetric in the classes
        if recipe.towers != "linear" or world.table is not None:
            parameters[f"{name}.bias"] = constant(0.0, classes)
    if objective.cosine and recipe.temperature is None:
        parameters["log_scale"] = constant(objective.scale).log()
    if objective.bias:
        parameters["bias"] = constant(-math.log(recipe.batch_size - 1))
    for name in objective.ascent:
        present = torch.from_numpy(world.joint_law().ravel() > 0)
        parameters[name] = constant(1 / int(present.sum()), len(present)) * present
    return {name: value.to(device=device, dtype=dtype) for name, value in parameters.items()}


def embed(
    recipe: Recipe, parameters: Parameters, tower: str, x: torch.Tensor
) -> Float[torch.Tensor, "E B h"]:
    """Embeddings of one tower, before any normalisation to unit length; x are views (E, B, ...)."""
    kind = recipe.kinds[tower]
    activation = ACTIVATIONS[recipe.activation]
    if x.dtype == torch.uint8:  # pixels
        x = x.to(next(iter(parameters.values())).dtype) / 255
    if kind == "linear":
        return affine(parameters, f"{tower}.0", x.flatten(2))
    layer, x = (convolved, x) if kind == "conv" else (affine, x.flatten(2))
    views = x
    for i in range(recipe.depth):
        x = activation(layer(parameters, f"{tower}.{i}", x))
    vectors = affine(parameters, f"{tower}.{recipe.depth}", x.flatten(2))
    if kind == "mlp" and recipe.skip == "linear":
        vectors = vectors + affine(parameters, f"{tower}.skip", views)
    return vectors


def affine(
    parameters: Parameters, name: str, x: Float[torch.Tensor, "E B i"]
) -> Float[torch.Tensor, "E B o"]:
    """X W + b for every model; X W if the layer has no bias."""
    weight = parameters[f"{name}.weight"]
    bias = parameters.get(f"{name}.bias")
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias[:, None], x, weight)


def convolved(
    parameters: Parameters, name: str, x: Float[torch.Tensor, "E B C H W"]
) -> Float[torch.Tensor, "E B O h w"]:
    """Every model's convolution of its own images: a loop, twice as fast as groups on a CPU; groups
    on a GPU.
    """
    weight = parameters[f"{name}.weight"]
    bias = parameters[f"{name}.bias"]
    kernels = weight.mT.unflatten(2, (x.shape[2], SIDE, SIDE))  # (E, O, C, SIDE, SIDE)
    options = {"stride": STRIDE, "padding": SIDE // 2}
    if x.device.type == "cpu":
        return torch.stack(
            [F.conv2d(*own, **options) for own in zip(x, kernels, bias, strict=True)]
        )
    together = x.transpose(0, 1).flatten(1, 2)  # (B, E C, H, W)
    maps = F.conv2d(together, kernels.flatten(0, 1), bias.flatten(), groups=len(x), **options)
    return maps.unflatten(1, (len(x), -1)).transpose(0, 1)


def scored(recipe: Recipe, embeddings: torch.Tensor) -> torch.Tensor:
    """Unit vectors if scores are cosines, else the embeddings themselves."""
    return F.normalize(embeddings, dim=-1) if recipe.objective.cosine else embeddings


def logit_scale(recipe: Recipe, parameters: Parameters) -> Float[torch.Tensor, " E"] | None:
    """s, one per model: learned, or 1/temperature; None if scores are inner products."""
    if not recipe.objective.cosine:
        return None
    if recipe.temperature is None:
        return parameters["log_scale"].exp()
    first = next(iter(parameters.values()))
    return torch.full((len(first),), 1 / recipe.temperature, dtype=first.dtype, device=first.device)
