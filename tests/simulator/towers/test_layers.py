"""Towers: independent models, initial laws, CLIP's and SigLIP's conventions."""

import math

import torch

from simulator.towers.layers import convolved, embed, initialise, logit_scale
from simulator.towers.recipe import Recipe
from simulator.world import World

VIEWS = {"image": (3, 9, 8), "text": (6,)}
SMALL = {"width": 8, "depth": 2, "embed_dim": 5, "activation": "relu"}


def begin(towers: str, **fields):
    recipe = Recipe(**{"towers": towers, **SMALL, **fields})
    return recipe, initialise(
        recipe, VIEWS, World(classes=3), 7, (0, 1), device="cpu", dtype=torch.float64
    )


def test_bytes_are_pixels_from_0_to_1_and_a_bias_is_added():
    recipe, parameters = begin("conv")
    x = torch.randint(
        256, (2, 4, *VIEWS["image"]), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(
        embed(recipe, parameters, "image", x), embed(recipe, parameters, "image", x.double() / 255)
    )
    more = {**parameters, "image.0.bias": parameters["image.0.bias"] + 1}
    x = x.double()
    assert torch.allclose(convolved(more, "image.0", x), convolved(parameters, "image.0", x) + 1)


def test_activations_keep_their_size_through_depth():
    """He initialisation: two hidden layers leave the second moment near that of the input, not 4
    times off.
    """
    recipe, parameters = begin("mlp", width=500, skip="none")
    x = torch.randn(2, 200, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = embed(recipe, parameters, "text", x)
    assert 0.5 < float(out.square().mean()) < 2.0


def test_conventions_of_scale_and_bias():
    recipe, clip = begin("mlp")
    assert torch.allclose(
        logit_scale(recipe, clip), torch.full((2,), 1 / 0.07, dtype=torch.float64)
    )
    recipe, siglip = begin("mlp", loss="siglip", batch_size=33)
    assert torch.allclose(siglip["bias"], torch.full((2,), -math.log(32), dtype=torch.float64))
    recipe, fixed = begin("mlp", temperature=0.1)
    assert "log_scale" not in fixed
    assert torch.allclose(logit_scale(recipe, fixed), torch.full((2,), 10.0, dtype=torch.float64))
