"""Kinds of tower: which layers each has, and how it maps views (E, B, ...) to embeddings (E, B, h).

linear  x W
mlp     `depth` hidden layers x -> act(norm(x W + b)), then a linear map. With a skip, x W is added, since scores of
        views with Gaussian noise are nearly bilinear.
conv    `depth` layers of `width` channels, 3 x 3 with stride 2, then a linear map of all that is left. A layer's weight
        is a matrix, one row per number of a patch and one column per channel, so that SOAP turns it too.
tokens  a vector for every word, their mean through hidden layers and a linear map. Word 0 is padding. Words are looked
        up by a product with zeros and ones, whose gradient adds up in one order on every device.

Images have no transformer here: on the coloured digits one reached 94.9 % where convolutions of the same CPU time
reached 96.3 %.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import prod
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch.nn import functional as F

from simulator.towers.recipe import Recipe

Parameters = dict[str, torch.Tensor]

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "tanh": torch.tanh}
SIDE = 3  # of a convolution's patch
STRIDE = 2


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
    hidden: bool = False  # followed by an activation
    bias: bool = True
    lookup: bool = False  # its input is a word
    uses: int = 1  # times that it is applied to one view


class Kind(NamedTuple):
    """A kind of tower."""

    reads: tuple[str, ...]
    layers: Callable[[Recipe, str, View], list[Layer]]
    embed: Callable[[Recipe, Parameters, str, torch.Tensor], torch.Tensor]
    compiles: bool = True


def affine(parameters: Parameters, name: str, x: Float[torch.Tensor, "E B i"]) -> Float[torch.Tensor, "E B o"]:
    """X W + b for every model; without b where the layer has none."""
    weight, bias = parameters[f"{name}.weight"], parameters.get(f"{name}.bias")
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias[:, None], x, weight)


def activated(recipe: Recipe, x: torch.Tensor, coordinates: int = 1) -> torch.Tensor:
    """act(norm(x)), over the last `coordinates` axes."""
    if recipe.normalisation == "layer":
        x = F.layer_norm(x, x.shape[-coordinates:])  # without gain and shift: the next affine map has both
    return ACTIVATIONS[recipe.activation](x)


def _linear_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    return [Layer(f"{tower}.0", view.size, recipe.embed_dim, bias=False)]


def _embed_linear(recipe: Recipe, parameters: Parameters, tower: str, x: Float[torch.Tensor, "E B *d"]) -> torch.Tensor:
    return affine(parameters, f"{tower}.0", x.flatten(2))


def _mlp_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    sizes = [view.size, *[recipe.width] * recipe.depth]
    found = [Layer(f"{tower}.{i}", a, b, hidden=True) for i, (a, b) in enumerate(pairwise(sizes))]
    found.append(Layer(f"{tower}.{recipe.depth}", sizes[-1], recipe.embed_dim))
    if recipe.skip == "linear":
        found.append(Layer(f"{tower}.skip", view.size, recipe.embed_dim, bias=False))
    return found


def _embed_mlp(recipe: Recipe, parameters: Parameters, tower: str, x: Float[torch.Tensor, "E B *d"]) -> torch.Tensor:
    views = x = x.flatten(2)
    for i in range(recipe.depth):
        x = activated(recipe, affine(parameters, f"{tower}.{i}", x))
    made = affine(parameters, f"{tower}.{recipe.depth}", x)
    return made if recipe.skip == "none" else made + affine(parameters, f"{tower}.skip", views)


def _conv_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    channels, height, width = view.shape
    found = []
    for i in range(recipe.depth):
        height, width = ((length - 1) // STRIDE + 1 for length in (height, width))
        found.append(Layer(f"{tower}.{i}", channels * SIDE**2, recipe.width, hidden=True, uses=height * width))
        channels = recipe.width
    return [*found, Layer(f"{tower}.{recipe.depth}", channels * height * width, recipe.embed_dim)]


def _embed_conv(
    recipe: Recipe, parameters: Parameters, tower: str, x: Float[torch.Tensor, "E B C H W"]
) -> torch.Tensor:
    for i in range(recipe.depth):
        x = convolved(x, parameters[f"{tower}.{i}.weight"], parameters[f"{tower}.{i}.bias"])
        x = activated(recipe, x, 3)
    return affine(parameters, f"{tower}.{recipe.depth}", x.flatten(2))


def convolved(
    x: Float[torch.Tensor, "E B C H W"], weight: Float[torch.Tensor, "E p O"], bias: Float[torch.Tensor, "E O"]
) -> Float[torch.Tensor, "E B O h w"]:
    """Every model's convolution of its own images.

    A CPU takes one model after the other, which is about twice as fast as one grouped convolution; a GPU takes groups.
    """
    kernels = weight.mT.unflatten(2, (x.shape[2], SIDE, SIDE))  # (E, O, C, SIDE, SIDE)
    options = {"stride": STRIDE, "padding": SIDE // 2}
    if x.device.type == "cpu":
        return torch.stack([F.conv2d(*own, **options) for own in zip(x, kernels, bias, strict=True)])
    together = x.transpose(0, 1).flatten(1, 2)  # (B, E C, H, W)
    found = F.conv2d(together, kernels.flatten(0, 1), bias.flatten(), groups=len(x), **options)
    return found.unflatten(1, (len(x), -1)).transpose(0, 1)


def _token_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    width = recipe.width
    return [
        Layer(f"{tower}.words", view.vocabulary, width, bias=False, lookup=True, uses=view.shape[0]),
        *(Layer(f"{tower}.{i}", width, width, hidden=True) for i in range(1, recipe.depth)),
        Layer(f"{tower}.{recipe.depth}", width, recipe.embed_dim),
    ]


def _embed_tokens(recipe: Recipe, parameters: Parameters, tower: str, x: Int[torch.Tensor, "E B L"]) -> torch.Tensor:
    vectors = parameters[f"{tower}.words.weight"]
    words = F.one_hot(x, vectors.shape[1]).to(vectors.dtype)
    each = torch.bmm(words.flatten(1, 2), vectors).unflatten(1, x.shape[1:])  # (E, B, L, w)
    weight = (x != 0).to(each.dtype)[..., None]
    mean = (weight * each).sum(2) / weight.sum(2).clamp(min=1)  # a caption without words is zero
    mean = activated(recipe, mean)
    for i in range(1, recipe.depth):
        mean = activated(recipe, affine(parameters, f"{tower}.{i}", mean))
    return affine(parameters, f"{tower}.{recipe.depth}", mean)


KINDS: Mapping[str, Kind] = {
    "linear": Kind(("vector", "image"), _linear_layers, _embed_linear),
    "mlp": Kind(("vector", "image"), _mlp_layers, _embed_mlp),
    "conv": Kind(("image",), _conv_layers, _embed_conv, compiles=False),
    "tokens": Kind(("words",), _token_layers, _embed_tokens),
}
