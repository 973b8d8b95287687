"""The script of test_distributed.py: two processes, as torchrun starts them, train recipes; rank 0 writes weights."""

import os
import socket
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from simulator.towers.chunked_losses import LARGEST_SHIFT
from simulator.towers.distributed import anywhere, join, leave
from simulator.towers.ensemble import Ensemble
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=8, dim_text=6)
SMALL = {"width": 6, "depth": 1, "embed_dim": 4, "batch_size": 64, "steps": 3, "warmup": 0, "precision": "float64"}
RECIPES = {
    "infonce": Recipe(**SMALL),
    # Cosines near 1 at the largest scale; processes take the shifted sums.
    "infonce-hot": Recipe(**SMALL, temperature=0.01, lr=0.05),
    "siglip": Recipe(**SMALL, loss="siglip"),
    "supervised": Recipe(**SMALL, loss="supervised"),
    "perfect-captions": Recipe(**SMALL, loss="perfect-captions", n=100, clip=1.0),
}


def trained(recipe: Recipe, group) -> dict[str, torch.Tensor]:
    """Weights and summed measures after every step of a run; plain gradient steps would reveal a factor W."""
    ensemble = Ensemble(recipe.model_copy(update={"optimizer": "sgd"}), (WORLD, WORLD), (0, 1), 3, group=group)
    tensors = {}
    for state in run(ensemble, start(ensemble), range(1, recipe.steps)):
        tensors |= {f"{state.step}/{name}": v for name, v in {**state.parameters, "loss": state.loss}.items()}
    return tensors


if __name__ == "__main__":
    torch.set_num_threads(1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
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
