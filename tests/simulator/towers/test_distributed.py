"""Two processes reach the weights of one process, at the same global batch, for every loss."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from simulator.towers.distributed import ALONE

SCRIPT = Path(__file__).with_name("share_of_a_batch.py")
WORKER = runpy.run_path(str(SCRIPT))  # its recipes, and the reference in a single process
ROOT = Path(__file__).parents[3]


def test_processes_reach_the_weights_of_one(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "weights.safetensors")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shared = load_file(tmp_path / "weights.safetensors")
    for name, recipe in WORKER["RECIPES"].items():
        for key, alone in WORKER["trained"](recipe, ALONE).items():
            # float64, three gradient steps: sums have another order, logits reach 100.
            assert torch.allclose(shared[f"{name}/{key}"], alone, rtol=1e-10, atol=1e-11), (name, key)
