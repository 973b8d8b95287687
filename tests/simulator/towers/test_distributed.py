"""Two processes reach the weights of one at the same global batch, for every loss; this file is
their script, too.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from simulator.towers.chunked_losses import LARGEST_SHIFT
from simulator.towers.distributed import ALONE, anywhere, join, leave
from simulator.towers.ensemble import Ensemble
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import World

ROOT = Path(__file__).parents[3]
WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=8, dim_text=6)
SMALL = {
    "width": 6,
    "depth": 1,
    "embed_dim": 4,
    "batch_size": 64,
    "steps": 3,
    "warmup": 0,
    "precision": "float64",
}
RECIPES = {
    "infonce": Recipe(**SMALL),
    # Cosines near 1 at the largest scale; processes take the shifted sums.
    "infonce-hot": Recipe(**SMALL, temperature=0.01, lr=0.05),
    "siglip": Recipe(**SMALL, loss="siglip"),
    "supervised": Recipe(**SMALL, loss="supervised"),
    "perfect-captions": Recipe(**SMALL, loss="perfect-captions", n=100, clip=1.0),
}


def trained(recipe: Recipe, group) -> dict[str, torch.Tensor]:
    """Weights and summed measures after every step of a run; plain gradient steps would reveal a
    factor W.
    """
    ensemble = Ensemble(
        recipe.model_copy(update={"optimizer": "sgd"}), (WORLD, WORLD), (0, 1), 3, group=group
    )
    tensors = {}
    for state in run(ensemble, start(ensemble), range(1, recipe.steps)):
        tensors |= {
            f"{state.step}/{name}": v
            for name, v in {**state.parameters, "loss": state.loss}.items()
        }
    return tensors


def test_processes_reach_the_weights_of_one(tmp_path):
    command = [sys.executable, __file__, str(tmp_path / "weights.safetensors")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shared = load_file(tmp_path / "weights.safetensors")
    for name, recipe in RECIPES.items():
        for key, alone in trained(recipe, ALONE).items():
            # float64, three gradient steps: sums have another order, logits reach 100.
            assert torch.allclose(shared[f"{name}/{key}"], alone, rtol=1e-10, atol=1e-11), (
                name,
                key,
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free.getsockname()[1]),
            "WORLD_SIZE": "2",
        }
    second = os.fork()  # torchrun itself would import torch three times
    os.environ["RANK"] = str(int(second == 0))
    group = join("cpu")
    # Ctrl-C reaches one process; all must stop at the same step, or the others would wait for it.
    assert anywhere(group, group.rank == group.size - 1)
    assert not anywhere(group, False)
    results = {}
    for name, recipe in RECIPES.items():
        LARGEST_SHIFT[torch.float64] = -1.0 if name == "infonce-hot" else 700.0
        results |= {f"{name}/{key}": value for key, value in trained(recipe, group).items()}
    if group.rank == 0:
        save_file({key: value.contiguous() for key, value in results.items()}, Path(sys.argv[1]))
    leave(group)
    sys.exit(0 if second == 0 else os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
