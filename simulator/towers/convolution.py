"""Convolutional towers: `depth` layers of `width` channels, 3 x 3 with stride 2, then a linear map of all that is left.

A layer's weight is a matrix, one row for each number of a patch and one column a channel, so that optimisers that turn
matrices turn it too.

Why images have no transformer here: on the digits, ten classes in colours that say nothing (p_spu = .1), supervised on
10,000 pairs with the batches and the schedule of multicolored-mnist, both as plain torch modules, test accuracy after
equal seconds of one core was, in percent with the deviation over seeds (two seeds after 2 seconds, three after 8),

                                              2 s           8 s
    conv, 16 channels x 2, rate 2e-3      96.4 +- .1    96.0 +- .2
    conv, rate 5e-3                                     96.3 +- .3
    patches of 2 x 2, width 32, 1 block   82.6 +- .4    94.6 +- .6
    the same, rate 5e-3                                 94.9 +- .4
    width 16, 1 block                     81.8 +- 1.4   92.7 +- .4
    width 32, 2 blocks                    67.2 +- 3.1

where the transformers' steps took three to ten times as long. They would be slower and no better here, and are left
out.
"""

import torch
from jaxtyping import Float
from torch.nn import functional as F

from simulator.towers.affine import Layer, Parameters, View, activated, affine
from simulator.towers.recipe import Recipe

SIDE = 3  # of a patch
STRIDE = 2


def _halved(length: int) -> int:
    return (length - 1) // STRIDE + 1


def convolutional_layers(recipe: Recipe, tower: str, view: View) -> list[Layer]:
    """The maps of a convolutional tower, first to last."""
    channels, height, width = view.shape
    found = []
    for i in range(recipe.depth):
        height, width = _halved(height), _halved(width)
        found.append(Layer(f"{tower}.{i}", channels * SIDE**2, recipe.width, True, uses=height * width))
        channels = recipe.width
    return [*found, Layer(f"{tower}.{recipe.depth}", channels * height * width, recipe.embed_dim, False)]


def embed_images(
    recipe: Recipe, parameters: Parameters, tower: str, x: Float[torch.Tensor, "E B C H W"]
) -> torch.Tensor:
    """Embeddings (E, B, h)."""
    for i in range(recipe.depth):
        x = activated(recipe, convolved(x, parameters[f"{tower}.{i}.weight"], parameters[f"{tower}.{i}.bias"]), 3)
    return affine(parameters, f"{tower}.{recipe.depth}", x.flatten(2))


def convolved(
    x: Float[torch.Tensor, "E B C H W"], weight: Float[torch.Tensor, "E p O"], bias: Float[torch.Tensor, "E O"]
) -> Float[torch.Tensor, "E B O h w"]:
    """Every model's convolution of its own images.

    A CPU takes one model after the other, which is about twice as fast there as one grouped convolution; a GPU takes
    the groups.
    """
    kernels = weight.mT.unflatten(2, (x.shape[2], SIDE, SIDE))  # (E, O, C, SIDE, SIDE)
    how = {"stride": STRIDE, "padding": SIDE // 2}
    if x.device.type == "cpu":
        return torch.stack([F.conv2d(*own, **how) for own in zip(x, kernels, bias, strict=True)])
    together = x.transpose(0, 1).flatten(1, 2)  # (B, E C, H, W)
    found = F.conv2d(together, kernels.flatten(0, 1), bias.flatten(), groups=len(x), **how)
    return found.unflatten(1, (len(x), -1)).transpose(0, 1)
