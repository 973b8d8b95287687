"""What towers are made of: affine maps with a leading model axis E, and the two kinds that are nothing else.

Linear: x W. MLP: `depth` hidden layers x -> act(norm(x W + b)), then a linear map; with a skip also x W beside them,
since scores of views with Gaussian noise are nearly bilinear. A view that is no vector is read as one.
"""

from itertools import pairwise
from math import prod
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch.nn import functional as F

from simulator.towers.recipe import Recipe

Parameters = dict[str, torch.Tensor]

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "tanh": torch.tanh}


class View(NamedTuple):
    """What a tower reads of one pair."""

    form: Literal["vector", "image", "words"]
    shape: tuple[int, ...]
    vocabulary: int = 0

    @property
    def size(self) -> int:
        """Numbers in one view."""
        return prod(self.shape)


class Layer(NamedTuple):
    """One affine map of a tower."""

    name: str
    inputs: int
    outputs: int
    hidden: bool
    bias: bool = True
    looked_up: bool = False
    uses: int = 1


def affine(parameters: Parameters, name: str, x: Float[torch.Tensor, "E B i"]) -> Float[torch.Tensor, "E B o"]:
    """X W + b, a model each; without b where the layer has none."""
    weight, bias = parameters[f"{name}.weight"], parameters.get(f"{name}.bias")
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias[:, None], x, weight)


def activated(recipe: Recipe, x: torch.Tensor, coordinates: int = 1) -> torch.Tensor:
    """act(norm(x)), over the last `coordinates` axes."""
    if recipe.normalisation == "layer":
        x = F.layer_norm(x, x.shape[-coordinates:])  # without gain and shift: the next affine map has both
    return ACTIVATIONS[recipe.activation](x)


def linear_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    """The one map of a linear tower."""
    return [Layer(f"{tower}.0", view.size, recipe.embed_dim, False, bias=False)]


def mlp_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    """The maps of a perceptron, first to last."""
    sizes = [view.size, *[recipe.width] * recipe.depth]
    hidden = [Layer(f"{tower}.{i}", a, b, True) for i, (a, b) in enumerate(pairwise(sizes))]
    last = Layer(f"{tower}.{len(hidden)}", sizes[-1], recipe.embed_dim, False)
    if recipe.skip == "none":
        return [*hidden, last]
    return [*hidden, last, Layer(f"{tower}.skip", view.size, recipe.embed_dim, False, bias=False)]


def embed_linear(recipe: Recipe, parameters: Parameters, tower: str, x: Float[torch.Tensor, "E B *d"]) -> torch.Tensor:
    """Embeddings (E, B, h)."""
    return affine(parameters, f"{tower}.0", x.flatten(2))


def embed_mlp(recipe: Recipe, parameters: Parameters, tower: str, x: Float[torch.Tensor, "E B *d"]) -> torch.Tensor:
    """Embeddings (E, B, h)."""
    views = x = x.flatten(2)
    for i in range(recipe.depth):
        x = activated(recipe, affine(parameters, f"{tower}.{i}", x))
    made = affine(parameters, f"{tower}.{recipe.depth}", x)
    return made if recipe.skip == "none" else made + affine(parameters, f"{tower}.skip", views)
