"""Last-layer retraining: the head is least squares on balanced pairs, and nothing else changes."""

import numpy as np
import pytest
import torch

from simulator import train
from simulator.gaussian.pairs import dictionaries, draw_block
from simulator.towers import last_layer_retraining
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import ensemble_accuracy, prompts_of
from simulator.towers.last_layer_retraining import with_retrained_head
from simulator.towers.layers import embed, scored
from simulator.towers.recipe import Recipe
from simulator.towers.training import start
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, classes=3, dim_image=7, dim_text=7)
SMALL = {
    "width": 5,
    "depth": 1,
    "embed_dim": 8,
    "batch_size": 16,
    "last_layer": "refitted",
    "precision": "float64",
}
TABLE = World(table=[[0.5, 0.2], [0.0, 0.3]], mu_spu=2.0, dim_image=2, dim_text=2)
LINEAR = {"loss": "linear", "towers": "linear"}


@pytest.mark.parametrize(
    ("world", "fields", "balanced"),
    [
        *(
            (WORLD, fields, WORLD.replace(p_spu=1 / 3))
            for fields in ({}, {"loss": "supervised"}, LINEAR)
        ),
        (TABLE, LINEAR, TABLE.replace(table=[[1 / 3, 1 / 3], [0, 1 / 3]])),
    ],
    ids=["mlp", "supervised", "linear", "table"],
)
def test_the_head_is_least_squares_on_balanced_pairs(world, fields, balanced, monkeypatch):
    """Its scores equal those of numpy's lstsq (heads are not unique at low rank), with an intercept
    beside a table.
    """
    monkeypatch.setattr(last_layer_retraining, "BLOCKS", 2)
    one = Ensemble(Recipe(**SMALL, **fields), (world, world), (0, 1), 3)
    K = world.classes
    before = start(one).parameters
    after = with_retrained_head(one, before)
    assert all(
        torch.equal(after[name], value)
        for name, value in before.items()
        if not name.startswith("head")
    )
    assert prompts_of(one.recipe) == (None,)
    constant = one.recipe.towers == "mlp" or world.table is not None
    frames = dictionaries(balanced, 3)
    streams = ("refit/0", "refit/1")
    blocks = [draw_block((balanced,) * 2, frames, 3, i, streams=streams) for i in range(2)]
    images, labels = (
        torch.cat([getattr(b, name) for b in blocks], dim=1) for name in ("images", "labels")
    )
    I = scored(one.recipe, embed(one.recipe, before, "image", images))
    for k in range(2):
        A = I[k].numpy()
        if constant:
            A = np.hstack([A, np.ones((len(A), 1))])
        fitted = A @ np.linalg.lstsq(A, np.eye(K)[labels[k].numpy()] - 1 / K, rcond=1e-9)[0]
        ours = (I[k] @ after["head.weight"][k]).numpy()
        if constant:
            ours += after["head.bias"][k].numpy()
        assert ours == pytest.approx(fitted, abs=1e-6)


def test_a_history_has_the_refitted_head():
    recipe = Recipe(
        loss="supervised",
        towers="linear",
        last_layer="refitted",
        embed_dim=4,
        batch_size=16,
        steps=4,
    )
    towers = train(WORLD, recipe, models=2, history=2)
    for group, values in towers.groups().items():
        assert towers.history[-1]["prompts"]["none"][group] == pytest.approx(values)


def test_rounding_is_not_fitted():
    """32 coordinates of rank 2 in float32: the head ignores the background as it does in
    float64.
    """
    world = World(p_spu=0.9, mu_spu=2.0, dim_image=2, dim_text=2)
    found = []
    for precision in ("float32", "float64"):
        recipe = Recipe(loss="linear", towers="linear", last_layer="refitted", precision=precision)
        one = Ensemble(recipe, (world,), (0,), 0)
        found.append(
            ensemble_accuracy(one, with_retrained_head(one, start(one).parameters), None)[0, 0]
        )
    # the pairs differ, since streams depend on the precision
    assert found[0] == pytest.approx(found[1], abs=1e-2)
    assert np.ptp(found[0]) < 0.03
