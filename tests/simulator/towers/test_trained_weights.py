"""Trained weights are those of commit 1abe614, to rounding: same initial parameters, same batches, same weights.

`trained_weights.npz` was recorded by that commit: three models with worlds of their own, four steps (L-BFGS: three
iterations each, on the first batch). Streams of the CPU have changed since, so batches are part of the record.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from simulator.gaussian.pairs import Pairs
from simulator.towers import lbfgs, training
from simulator.towers.distributed import ALONE
from simulator.towers.ensemble import Ensemble
from simulator.towers.optimisers import moments
from simulator.towers.recipe import Recipe
from simulator.towers.training import learning_rate, one_step, start
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=4, dim_text=3)
FIRST = {"activation": "gelu", "skip": "none", "schedule": "cosine", "averaging": 0.0}  # that edition's defaults
SMALL = {"width": 5, "depth": 2, "embed_dim": 3, "batch_size": 8, "steps": 4, "warmup": 1, "lr": 0.02, **FIRST}
OPTIMISERS = {"adamw": {"weight_decay": 0.1, "clip": 0.5}, "sgd": {}, "lbfgs": {"n": 8}}
CASES = [
    (loss, towers, optimizer)
    for loss, towers in itertools.product(("linear", "infonce", "siglip", "supervised", "supcon"), ("linear", "mlp"))
    for optimizer in OPTIMISERS
    if (loss, towers) != ("linear", "mlp")
]


@pytest.fixture(scope="module")
def record() -> dict[str, torch.Tensor]:
    with np.load(Path(__file__).with_name("trained_weights.npz")) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def part(record: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): x.clone() for name, x in record.items() if name.startswith(prefix)}


def replayed(record, loss: str, towers: str, optimizer: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """(weights after the four steps, sum of the losses before each)."""
    recipe = Recipe(
        loss=loss, towers=towers, optimizer=optimizer, precision="float64", **SMALL, **OPTIMISERS[optimizer]
    )
    parameters = part(record, f"initial/{loss}/{towers}/")
    ensemble = Ensemble(recipe, (WORLD,) * 3, (0, 1, 2), 0)
    state = start(ensemble)._replace(parameters=parameters, moments=moments(optimizer, parameters))
    for t in range(4):
        batch = Pairs(**part(record, f"batch/{0 if optimizer == 'lbfgs' else t}/"))
        rate = torch.tensor(learning_rate(recipe, t), dtype=torch.float64)
        state = one_step(ensemble, ALONE, state, batch, rate)
    return state.parameters, state.measures["loss"]


@pytest.mark.parametrize("limit", [1024, 4], ids=["dense", "tiled"])
@pytest.mark.parametrize(("loss", "towers", "optimizer"), CASES)
def test_weights_are_those_of_the_first_edition(loss, towers, optimizer, limit, record, monkeypatch):
    monkeypatch.setattr(training, "LARGEST_DENSE_BATCH", limit)
    monkeypatch.setattr(lbfgs, "ITERATIONS", 3)
    weights, losses = replayed(record, loss, towers, optimizer)
    expected = part(record, f"final/{loss}/{towers}/{optimizer}/")
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        # float64; AdamW divides by roots of second moments, a line search by differences of losses.
        assert torch.allclose(weights[name], value, rtol=1e-9, atol=1e-9), name
    assert torch.allclose(losses, record[f"loss/{loss}/{towers}/{optimizer}"], rtol=1e-11)
