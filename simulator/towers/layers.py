"""Parameters of an ensemble's towers, every one with a leading model axis E, and the embeddings that they make.

Initial weights come from one named stream per parameter and model, drawn on the CPU in float64. Model k is therefore
the same in any ensemble and on any device.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional as F

from simulator.streams import numpy_stream
from simulator.towers.kinds import KINDS, Layer, Parameters, View
from simulator.towers.recipe import Recipe


def layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    """The affine maps of one tower, first to last."""
    return KINDS[recipe.kinds[tower]].layers(recipe, tower, view)


def check_inputs(recipe: Recipe, views: Mapping[str, View]) -> None:
    """Raise ValueError for towers that cannot read the views, naming the kinds that can."""
    for tower, view in views.items():
        kind, field = recipe.kinds[tower], "towers" if tower == "image" else "text_towers"
        if view.form not in KINDS[kind].reads:
            able = [name for name, other in KINDS.items() if view.form in other.reads]
            what = {"vector": "vectors", "image": "images", "words": "words"}[view.form]
            raise ValueError(
                f"{field} = {kind!r} do not read {what}, which this world's {tower}s are; those that do are "
                + ", ".join(able)
            )


def initialise(
    recipe: Recipe,
    views: Mapping[str, View],
    classes: int,
    seed: int,
    models: Sequence[int],
    *,
    device: str,
    dtype: torch.dtype,
) -> Parameters:
    """Initial parameters of the models numbered `models`: weights, then log scale and bias where the loss has them.

    Weights are N(0, gain^2/inputs), gain^2 = 2 before a rectifier (He et al. 2015) and 1 elsewhere; vectors of words
    are N(0, 1).
    """

    def normal(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(
            np.stack([numpy_stream(seed, f"init/{name}", k).standard_normal(shape) for k in models])
        )

    def constant(value: float, *shape: int) -> torch.Tensor:
        return torch.full((len(models), *shape), value, dtype=torch.float64, device="cpu")

    parameters: Parameters = {}
    objective = recipe.objective
    for tower in objective.sides:
        for layer in layers(recipe, tower, views[tower]):
            gain = 2**0.5 if layer.hidden and recipe.activation != "tanh" else 1.0
            weight = normal(f"{layer.name}.weight", layer.inputs, layer.outputs)
            summands = 1 if layer.lookup else layer.inputs
            parameters[f"{layer.name}.weight"] = weight * gain / summands**0.5
            if layer.bias:
                parameters[f"{layer.name}.bias"] = constant(0.0, layer.outputs)
    for name in objective.heads:
        parameters[f"{name}.weight"] = normal(f"{name}.weight", recipe.embed_dim, classes) / recipe.embed_dim**0.5
        if recipe.towers != "linear":  # a linear rule needs none where classes are alike
            parameters[f"{name}.bias"] = constant(0.0, classes)
    if objective.cosine and recipe.temperature is None:
        parameters["log_scale"] = constant(objective.scale).log()
    if objective.bias:
        parameters["bias"] = constant(-math.log(recipe.batch_size - 1))
    for name in objective.ascent:
        parameters[name] = constant(1 / classes**2, classes**2)
    return {name: value.to(device=device, dtype=dtype) for name, value in parameters.items()}


def embed(recipe: Recipe, parameters: Parameters, tower: str, x: torch.Tensor) -> Float[torch.Tensor, "E B h"]:
    """Embeddings of one tower, before any normalisation to unit length; x are views (E, B, ...)."""
    if x.dtype == torch.uint8:  # pixels
        x = x.to(next(iter(parameters.values())).dtype) / 255
    return KINDS[recipe.kinds[tower]].embed(recipe, parameters, tower, x)


def scored(recipe: Recipe, embeddings: torch.Tensor) -> torch.Tensor:
    """Unit vectors where scores are cosines, else the embeddings themselves."""
    return F.normalize(embeddings, dim=-1) if recipe.objective.cosine else embeddings


def logit_scale(recipe: Recipe, parameters: Parameters) -> Float[torch.Tensor, " E"] | None:
    """s, one per model: learned, or 1/temperature; None where scores are inner products."""
    if not recipe.objective.cosine:
        return None
    if recipe.temperature is None:
        return parameters["log_scale"].exp()
    first = next(iter(parameters.values()))
    return torch.full((len(first),), 1 / recipe.temperature, dtype=first.dtype, device=first.device)
