"""Towers: independent models, effects of words, initial laws, CLIP's and SigLIP's conventions."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from simulator.towers.layers import STRIDE, View, check_inputs, convolved, embed, initialise, layers, logit_scale
from simulator.towers.recipe import Recipe

VIEWS = {"image": View("image", (3, 9, 8)), "text": View("words", (6,), vocabulary=11)}
SMALL = {"width": 8, "depth": 2, "embed_dim": 5, "activation": "relu"}
READERS = [("conv", "tokens"), ("mlp", "tokens"), ("linear", "tokens")]


def begin(towers: str, text_towers: str, models=(0, 1)):
    recipe = Recipe(towers=towers, text_towers=text_towers, **SMALL)
    return recipe, initialise(recipe, VIEWS, 3, 7, models, device="cpu", dtype=torch.float64)


def views(n: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, n, *VIEWS["image"].shape, dtype=torch.float64, generator=generator)
    words = torch.randint(1, 11, (2, n, 6), generator=generator)
    words[:, ::2, 4:] = 0  # shorter captions
    return {"image": images, "text": words}


@pytest.mark.parametrize(("towers", "text_towers"), READERS)
def test_every_model_sees_its_own_views_alone(towers, text_towers):
    recipe, both = begin(towers, text_towers)
    _, alone = begin(towers, text_towers, models=(1,))
    for tower, x in views().items():
        found = embed(recipe, both, tower, x)
        assert found.shape == (2, 4, 5)
        assert torch.allclose(found[1:], embed(recipe, alone, tower, x[1:]), rtol=1e-12)
        weights = [f"{layer.name}.weight" for layer in layers(recipe, tower, VIEWS[tower])]
        assert weights == [name for name in both if name.startswith(tower) and name.endswith("weight")]


def test_a_convolution_is_grouped_as_it_is_looped():
    _, parameters = begin("conv", "tokens")
    x, weight, bias = views()["image"], parameters["image.0.weight"], parameters["image.0.bias"] + 0.3
    kernels = weight.mT.reshape(2 * 8, 3, 3, 3)
    together = F.conv2d(x.transpose(0, 1).reshape(4, 6, 9, 8), kernels, bias.flatten(), STRIDE, 1, groups=2)
    assert torch.allclose(convolved(x, weight, bias), together.reshape(4, 2, 8, 5, 4).transpose(0, 1), rtol=1e-12)


def test_bytes_are_pixels_from_0_to_1():
    recipe, parameters = begin("conv", "tokens")
    x = (255 * views()["image"]).to(torch.uint8)
    assert torch.equal(embed(recipe, parameters, "image", x), embed(recipe, parameters, "image", x.double() / 255))


def test_padding_and_order_of_words_change_nothing():
    recipe, parameters = begin("conv", "tokens")
    x = views()["text"]
    found = embed(recipe, parameters, "text", x)
    shorter = embed(recipe, parameters, "text", x[:, ::2, :4])
    assert torch.allclose(found[:, ::2], shorter, rtol=1e-12)
    turned = embed(recipe, parameters, "text", x[:, 1::2].flip(2))
    assert torch.allclose(found[:, 1::2], turned)
    other = embed(recipe, parameters, "text", x[:, 1::2] % 10 + 1)
    assert not torch.allclose(found[:, 1::2], other)
    assert torch.isfinite(embed(recipe, parameters, "text", torch.zeros_like(x))).all()


def test_towers_that_cannot_read_are_refused():
    with pytest.raises(ValueError, match=r"^towers = 'conv' .* linear, mlp"):
        check_inputs(Recipe(towers="conv"), {"image": View("vector", (4,))})
    with pytest.raises(ValueError, match=r"^text_towers = 'mlp' .* tokens"):
        check_inputs(Recipe(), {"text": VIEWS["text"]})
    with pytest.raises(ValidationError, match=r"text_towers = 'tokens' .* loss = 'supervised'"):
        Recipe(text_towers="tokens", loss="supervised")


def vectors(**fields):
    views = {"image": View("vector", (30,)), "text": View("vector", (20,))}
    recipe = Recipe(**{"width": 200, "depth": 3, "embed_dim": 16, **fields})
    return recipe, initialise(recipe, views, 4, 7, (0, 1), device="cpu", dtype=torch.float64)


def test_activations_keep_their_size_through_depth():
    """He initialisation: two hidden layers leave the second moment near that of the input, not 4 times off."""
    recipe, parameters = vectors(activation="relu", width=2000, depth=2, skip="none")
    x = torch.randn(2, 200, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = embed(recipe, parameters, "image", x)
    assert 0.5 < float(out.square().mean()) < 2.0


def test_conventions_of_scale_and_bias():
    recipe, clip = vectors()
    assert torch.allclose(logit_scale(recipe, clip), torch.full((2,), 1 / 0.07, dtype=torch.float64))
    recipe, siglip = vectors(loss="siglip", batch_size=33)
    assert torch.allclose(siglip["bias"], torch.full((2,), -math.log(32), dtype=torch.float64))
    recipe, fixed = vectors(temperature=0.1)
    assert "log_scale" not in fixed
    assert torch.allclose(logit_scale(recipe, fixed), torch.full((2,), 10.0, dtype=torch.float64))
