"""Towers: shapes, initial laws, and the CLIP and SigLIP conventions of scale and bias."""

import math

import pytest
import torch

from simulator.towers.kinds import View
from simulator.towers.layers import embed, initialise, layers, logit_scale, scored
from simulator.towers.objectives import OBJECTIVES
from simulator.towers.recipe import Recipe

VIEWS = {"image": View("vector", (30,)), "text": View("vector", (20,))}
SIZES = {"width": 200, "depth": 3, "embed_dim": 16}


def begin(models=(0, 1), **fields):
    recipe = Recipe(**{**SIZES, **fields})
    return recipe, initialise(recipe, VIEWS, 4, 7, models, device="cpu", dtype=torch.float64)


@pytest.mark.parametrize("towers", ["linear", "mlp"])
@pytest.mark.parametrize("loss", ["infonce", "supervised"])
def test_shapes(towers, loss):
    recipe, parameters = begin(towers=towers, loss=loss)
    assert len(layers(recipe, "image", VIEWS["image"])) == (1 if towers == "linear" else 5)
    x = torch.randn(2, 5, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert embed(recipe, parameters, "image", x).shape == (2, 5, 16)
    assert ("text.0.weight" in parameters) == (loss == "infonce")
    assert all(value.shape[0] == 2 for value in parameters.values())


def test_a_model_begins_the_same_in_any_ensemble():
    _, alone = begin(models=(5,))
    _, among = begin(models=(2, 5, 9))
    for name, value in alone.items():
        assert torch.equal(among[name][1], value[0])
    assert not torch.equal(among["image.0.weight"][0], among["image.0.weight"][1])


def test_activations_keep_their_size_through_depth():
    """He initialisation: two hidden layers leave the second moment near that of the input, not 4 times off."""
    recipe, parameters = begin(activation="relu", width=2000, depth=2, skip="none")
    x = torch.randn(2, 200, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = embed(recipe, parameters, "image", x)
    assert 0.5 < float(out.square().mean()) < 2.0


def test_the_skip_adds_a_linear_map_of_the_view():
    recipe, parameters = begin()
    plain = recipe.model_copy(update={"skip": "none"})
    x = torch.randn(2, 5, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    difference = embed(recipe, parameters, "text", x) - embed(plain, parameters, "text", x)
    assert torch.allclose(difference, x @ parameters["text.skip.weight"], rtol=1e-12, atol=1e-13)
    _, without = begin(skip="none")
    assert without.keys() == parameters.keys() - {"image.skip.weight", "text.skip.weight"}


def test_scores_are_cosines_where_the_loss_says_so():
    for loss, unit in (("infonce", True), ("siglip", True), ("supcon", True), ("supervised", False)):
        recipe, _ = begin(loss=loss)
        x = scored(recipe, torch.tensor([[[3.0, 4.0]]]))
        assert torch.allclose(x.norm(dim=-1), torch.tensor([[1.0 if unit else 5.0]]))


def test_conventions_of_scale_and_bias():
    recipe, clip = begin()
    assert torch.allclose(logit_scale(recipe, clip), torch.full((2,), 1 / 0.07, dtype=torch.float64))
    recipe, siglip = begin(loss="siglip", batch_size=33)
    assert torch.allclose(siglip["bias"], torch.full((2,), -math.log(32), dtype=torch.float64))
    recipe, fixed = begin(temperature=0.1)
    assert "log_scale" not in fixed
    assert torch.allclose(logit_scale(recipe, fixed), torch.full((2,), 10.0, dtype=torch.float64))
    wild = OBJECTIVES["infonce"].after({"log_scale": torch.tensor([9.0, -2.0])}, {}, {})["log_scale"].exp()
    assert torch.allclose(wild, torch.tensor([100.0, 1.0]))
