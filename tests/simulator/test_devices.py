"""No device is hard-coded: the step runs on the meta device, and CUDA equals the CPU."""

import pytest
import torch

from simulator.gaussian.pairs import Pairs
from simulator.towers import training
from simulator.towers.chunked_losses import tiled_infonce
from simulator.towers.ensemble import Ensemble
from simulator.towers.recipe import Recipe
from simulator.towers.training import one_step, run, start
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=8, dim_text=6)
SMALL = {"width": 6, "depth": 2, "embed_dim": 4, "batch_size": 16, "steps": 6, "warmup": 2, "precision": "float64"}
LOSSES = ("linear", "infonce", "siglip", "supervised")


def recipe(loss: str, **changes) -> Recipe:
    return Recipe(**{**SMALL, "loss": loss, "towers": "linear" if loss == "linear" else "mlp", **changes})


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_runs_on_the_meta_device(loss):
    """It passes only if every new tensor is on its inputs' device."""
    ensemble = Ensemble(recipe(loss), (WORLD,) * 2, (0, 1), 0, "meta")

    def meta(*shape: int, dtype=torch.float64) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    batch = Pairs(meta(2, 16, 8), meta(2, 16, 6), meta(2, 16, dtype=torch.int64), meta(2, 16, 1, dtype=torch.int64))
    new = one_step(ensemble, start(ensemble), batch, meta()).parameters
    assert all(value.is_meta for value in new.values())


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@cuda
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("limit", [1024, 4])  # dense, tiled
def test_cuda_reaches_the_weights_of_the_cpu(loss, limit, monkeypatch):
    """Pairs drawn on the CPU, float64: equal to rounding."""
    monkeypatch.setattr(training, "LARGEST_DENSE_BATCH", limit)
    ends = {}
    for device in ("cpu", "cuda"):
        ensemble = Ensemble(recipe(loss), (WORLD, WORLD), (0, 1), 1, device, draw_on="cpu")
        ends[device] = list(run(ensemble, start(ensemble), []))[-1].parameters
    for name, value in ends["cpu"].items():
        assert torch.allclose(ends["cuda"][name].cpu(), value, rtol=1e-8, atol=1e-10)


@pytest.mark.gpu
@cuda
@pytest.mark.parametrize("product", [torch.float32, torch.bfloat16])
def test_tiles_on_cuda(product):
    rng = torch.Generator().manual_seed(0)
    I, T = (torch.nn.functional.normalize(torch.randn(1, 700, 64, generator=rng), dim=-1) for _ in range(2))
    scale = torch.tensor([50.0])
    exact = tiled_infonce(I.double(), T.double(), scale.double())
    ours = tiled_infonce(I.to("cuda"), T.to("cuda"), scale.to("cuda"), product=product)
    assert abs(float(ours) - float(exact)) < (1e-3 if product is torch.float32 else 50 * 3 * 2**-9)


@pytest.mark.gpu
@cuda
def test_the_step_compiles_on_cuda():
    ensemble = Ensemble(recipe("infonce", precision="bfloat16"), (WORLD, WORLD), (0, 1), 1, "cuda", compile=True)
    end = list(run(ensemble, start(ensemble), []))[-1]
    assert all(torch.isfinite(value).all() for value in end.parameters.values())
