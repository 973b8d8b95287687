"""Training on worlds of pixels: pairs, prompts, trials, towers with known weights, trained
towers.
"""

import pytest
import torch

from simulator.pixels.views import Pixels
from simulator.towers.api import train
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import accuracies, trial
from simulator.towers.group_batches import fixed_set
from simulator.towers.recipe import Recipe
from simulator.world import World

WORLD = World(classes=3, p_inv=0.9, p_spu=0.75, mention_spu=0.6, views=Pixels(tied=(0, 1)))
SMALL = {
    "width": 8,
    "depth": 2,
    "embed_dim": 6,
    "batch_size": 32,
    "activation": "relu",
    "optimizer": "adamw",
}


def ensemble(*worlds: World) -> Ensemble:
    return Ensemble(Recipe(towers="conv", n=70, **SMALL), worlds, (0, 3), 5)


def test_training_pairs_are_those_of_the_world():
    one = ensemble(WORLD, WORLD.replace(p_spu=0.2, mention_inv=0.5))
    held = fixed_set(one)
    for k, (world, model) in enumerate(zip(one.worlds, one.models, strict=True)):
        pairs = world.draw(70, seed=5, stream=f"train/{model}")
        for field in ("images", "texts", "labels", "backgrounds"):
            assert torch.equal(getattr(held, field)[k], getattr(pairs, field))
    assert held.images.dtype == torch.uint8


def test_prompts_are_what_they_say():
    one = ensemble(WORLD, WORLD)
    e = torch.eye(3)
    ask = {
        prompt: one.views.prompts(one, one.worlds, prompt)
        for prompt in ("name", "background", "mean")
    }
    assert torch.equal(ask["name"][0], torch.cat([e, torch.zeros(3, 3)], dim=1))
    own = torch.diag(torch.tensor([1.0, 1.0, 0.0]))  # the third class has no colour of its own
    assert torch.equal(ask["background"][1], torch.cat([e, own], dim=1))
    colours = torch.tensor([[0.75, 0.125, 0.125], [0.125, 0.75, 0.125], [1 / 3, 1 / 3, 1 / 3]])
    assert torch.allclose(ask["mean"][0], torch.cat([e, 0.6 * colours], dim=1))  # mention_spu = .6


def test_a_tower_that_sees_red_and_green_alone_has_the_accuracies_of_the_colour():
    world = WORLD.replace(classes=2, views=Pixels())
    one = Ensemble(Recipe(loss="supervised", towers="linear", embed_dim=1), (world,), (0,), 0)
    weight = torch.zeros(3, 64)
    weight[0], weight[1] = 1, -1
    parameters = {
        "image.0.weight": weight.reshape(1, 192, 1),
        "head.weight": torch.tensor([[[1.0, -1.0]]]),
    }
    found = accuracies(one, parameters, (None,), trial(one, (None,), 9, 4))[None]
    expected = {"common": 1, "counter": 0, "rand": 0.5, "rev": 0, "trained": 0.75}
    assert {group: values.item() for group, values in found.items()} == pytest.approx(
        expected, abs=1e-12
    )


@pytest.mark.parametrize("loss", ["supervised", "perfect-captions"])
def test_digits_are_learned_where_colours_say_nothing(loss):
    world = World(classes=2, p_spu=0.5, views=Pixels())
    recipe = Recipe(
        loss=loss, towers="conv", n=512, steps=60, warmup=0, lr=0.01, averaging=0.0, **SMALL
    )
    towers = train(world, recipe, models=2)
    assert towers.each().common.shape == (2,)
    assert min(towers.groups()["rev"]) > 0.9
