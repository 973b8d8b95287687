"""Towers: initial laws, and the CLIP and SigLIP conventions of scale and bias."""

import math

import torch

from simulator.towers.layers import View, embed, initialise, logit_scale
from simulator.towers.recipe import Recipe

VIEWS = {"image": View("vector", (30,)), "text": View("vector", (20,))}
SIZES = {"width": 200, "depth": 3, "embed_dim": 16}


def begin(**fields):
    recipe = Recipe(**{**SIZES, **fields})
    return recipe, initialise(recipe, VIEWS, 4, 7, (0, 1), device="cpu", dtype=torch.float64)


def test_activations_keep_their_size_through_depth():
    """He initialisation: two hidden layers leave the second moment near that of the input, not 4 times off."""
    recipe, parameters = begin(activation="relu", width=2000, depth=2, skip="none")
    x = torch.randn(2, 200, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = embed(recipe, parameters, "image", x)
    assert 0.5 < float(out.square().mean()) < 2.0


def test_conventions_of_scale_and_bias():
    recipe, clip = begin()
    assert torch.allclose(logit_scale(recipe, clip), torch.full((2,), 1 / 0.07, dtype=torch.float64))
    recipe, siglip = begin(loss="siglip", batch_size=33)
    assert torch.allclose(siglip["bias"], torch.full((2,), -math.log(32), dtype=torch.float64))
    recipe, fixed = begin(temperature=0.1)
    assert "log_scale" not in fixed
    assert torch.allclose(logit_scale(recipe, fixed), torch.full((2,), 10.0, dtype=torch.float64))
