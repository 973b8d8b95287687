"""The bridge from theory to pictures: distances of hand-made embeddings, and the world with these distances."""

import json

import numpy as np
import pytest
import torch

from experiments.files import to_json
from experiments.lab.evaluate import LARGEST, bridge
from experiments.lab.training import train
from simulator.towers.ensemble import Ensemble
from simulator.towers.probes import separation
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import Logistic

VIEWS = {"objects": "digits"}
WORLD = World(classes=2, p_inv=0.9, p_spu=0.75, views=VIEWS)


def ensemble(world: World = WORLD, **fields) -> Ensemble:
    return Ensemble(Recipe(**{"loss": "supervised", "towers": "linear", "embed_dim": 1, **fields}), (world,), (4,), 3)


def reading(pixels) -> dict[str, torch.Tensor]:
    """A linear tower whose embedding is a weighted sum of the 3 x 8 x 8 pixels."""
    weight = torch.zeros(3, 8, 8)
    for (channel, row, column), value in pixels.items():
        weight[channel, row, column] = value
    return {"image.0.weight": weight.reshape(1, 192, 1), "head.weight": torch.ones(1, 1, 2)}


def test_distances_are_group_distances_over_the_scatter_within():
    """For one coordinate, by least squares on object and colour, so that groups are weighted by their frequency."""
    parameters = reading({(0, 3, 3): 1.0, (1, 4, 4): -1.0, (0, 2, 5): 0.5})
    found = separation(ensemble(), parameters)
    pairs = WORLD.draw(4096, seed=3, stream="train/4")
    x = pairs.images.double() / 255
    e = (x[:, 0, 3, 3] - x[:, 1, 4, 4] + 0.5 * x[:, 0, 2, 5]).numpy()
    o, a = (1 - 2 * code.numpy() for code in (pairs.scenes.objects, pairs.scenes.attributes))
    design = np.stack([np.ones(len(e)), o, a], axis=1)
    fitted = np.linalg.solve(design.T @ design, design.T @ e)  # a coefficient is half of a distance
    scatter = (e - design @ fitted).std(ddof=3)
    assert found[0] == pytest.approx(np.abs(fitted[1:]) / scatter, rel=1e-5)


def test_the_world_has_the_distances_of_the_pixels():
    found = bridge(ensemble(), reading({(0, 3, 3): 1.0, (1, 4, 4): -1.0}))
    world = WORLD.replace(views=None, mu_inv=found["mu_inv"][0], mu_spu=found["mu_spu"][0], sigma_spu=1.0, sigma_xi=0.0)
    expected = Logistic().accuracy(world)
    assert (found["common"], found["rev"]) == (pytest.approx([expected.common]), pytest.approx([expected.counter]))
    assert found["rand"] == pytest.approx([expected.balanced])


def test_rand_has_every_background_equally_often():
    found = bridge(ensemble(WORLD.replace(classes=3)), reading({(0, 3, 3): 1.0, (1, 4, 4): -1.0, (2, 3, 5): 0.3}))
    assert found["rand"] == pytest.approx([(found["common"][0] + 2 * found["counter"][0]) / 3])
    assert found["common"][0] > found["counter"][0]


@pytest.mark.parametrize(
    ("table", "views", "groups"),
    [
        ([[0.3, 0.2, 0.0], [0.1, 0.0, 0.4]], None, {"common", "counter", "unseen"}),
        ([[0.5, 0.0], [0.0, 0.5]], None, {"common", "unseen"}),
        ([[0.3, 0.2, 0.0], [0.1, 0.0, 0.4]], VIEWS, {"common", "counter", "unseen", "rand", "trained"}),
    ],
)
def test_documents_of_towers_have_the_groups_of_a_table(table, views, groups):
    sizes = {} if views else {"dim_image": 4, "dim_text": 4}
    # Linear towers: the optimum of others in a world with a table is sampled for seconds.
    kind = {} if views else {"loss": "linear", "towers": "linear"}
    recipe = Recipe(width=4, depth=1, embed_dim=4, batch_size=16, steps=4, warmup=0, **kind)
    document = train(recipe, World(table=table, views=views, **sizes), models=2, compile=False)
    json.dumps(document, allow_nan=False, default=to_json)
    assert set(document["replicates"][0]) == set(document["history"][-1]["prompts"]["name"]) == groups
    assert {name for name, value in document.items() if name in groups and value is not None} == groups
    assert all(document["prompts"]["mean"][group] is not None for group in groups)


def test_no_bridge_without_a_head_or_with_classes_without_colour():
    parameters = reading({(0, 3, 3): 1.0})
    assert bridge(ensemble(loss="infonce"), parameters) is None
    untied = World(classes=3, p_inv=0.9, p_spu=0.75, views={**VIEWS, "tied": (0, 1)})
    assert bridge(ensemble(untied), parameters) is None
    assert bridge(ensemble(World()), parameters) is None
    for other in ({"sampler": "balanced"}, {"last_layer": "refitted"}, {"loss": "group-dro"}):  # these change the law
        assert bridge(ensemble(**other), parameters) is None


def test_embeddings_without_scatter_have_finite_distances():
    """No digit covers this pixel, so every embedding is 0."""
    found = bridge(ensemble(), reading({(0, 0, 0): 1.0}))
    assert all(0 <= value <= LARGEST for value in (*found["mu_inv"], *found["mu_spu"]))
