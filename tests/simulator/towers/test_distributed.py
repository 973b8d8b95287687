"""Two and four processes reach the weights of one, at the same global batch, for every loss."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from simulator.towers.distributed import ALONE, Group, rows
from simulator.towers.group_batches import draw_batches

SCRIPT = Path(__file__).with_name("share_of_a_batch.py")
ROOT = Path(__file__).parents[3]


def worker():
    """The script as a module, for the recipes and the single-process reference."""
    spec = importlib.util.spec_from_file_location("share_of_a_batch", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.deep)])
def test_processes_reach_the_weights_of_one(processes, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(SCRIPT), str(tmp_path / "weights.safetensors")],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    shared = load_file(tmp_path / "weights.safetensors")
    module = worker()
    for name, recipe in module.RECIPES.items():
        for key, alone in module.trained(recipe, ALONE).items():
            # float64, three gradient steps: sums in another order, logits up to 100.
            assert torch.allclose(shared[f"{name}/{key}"], alone, rtol=1e-10, atol=1e-11), (name, key)


@pytest.mark.parametrize("name", ["infonce", "supcon"])  # fresh pairs, a fixed set
def test_processes_see_the_rows_of_the_one_batch(name):
    module = worker()
    ensemble = module.Ensemble(module.RECIPES[name], (module.WORLD,), (0,), 3)
    whole = draw_batches(ensemble, 1)
    parts = [draw_batches(ensemble, 1, Group(rank, 4)) for rank in range(4)]
    for _ in range(2):
        batch = next(whole)
        shares = [next(part) for part in parts]
        for field, expected in batch._asdict().items():
            assert torch.equal(torch.cat([getattr(s, field) for s in shares], dim=1), expected)


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="nearest that does is 99"):
        rows(Group(0, 3), 100)
