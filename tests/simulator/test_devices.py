"""No device is hard-coded (`accelerator` stands in for CUDA), and CUDA reaches the weights of the
CPU.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerator import DevicesMixed, present

from simulator.gaussian.fitting import ESTIMATORS, fit
from simulator.pixels.views import Pixels
from simulator.towers import api, chunked_losses, training
from simulator.towers.chunked_losses import tiled_infonce
from simulator.towers.evaluation import default_prompts, prompts_of
from simulator.towers.objectives import OBJECTIVES
from simulator.towers.probes import score_reliance, separation
from simulator.towers.recipe import Recipe
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=8, dim_text=6)
SMALL = {
    "width": 6,
    "depth": 2,
    "embed_dim": 4,
    "batch_size": 16,
    "steps": 3,
    "warmup": 1,
    "precision": "float64",
}
TABLE = World(table=np.array([[4, 1, 1], [1, 4, 1], [1, 1, 4]]) / 18, p_inv=0.8, mention_spu=0.5)
MISMATCH = World(mismatch=0.3, attribute=({"p": 0.7, "mu": 2.0},))
PIXELS = World(views=Pixels(), classes=3, p_spu=0.8, mention_spu=0.5)
CASES = {  # every loss, each option of a recipe, every kind of world
    **{
        loss: (WORLD, {"loss": loss, "towers": "linear" if loss == "linear" else "mlp"})
        for loss in OBJECTIVES
    },
    **{f"{loss}, tiled": (WORLD, {"loss": loss}) for loss in ("infonce", "siglip", "supervised")},
    "sobol": (WORLD, {"points": "sobol", "optimizer": "adamw", "weight_decay": 0.1}),
    "set": (WORLD, {"n": 40, "optimizer": "sgd", "clip": 0.1}),
    "subsampled": (WORLD, {"n": 400, "sampler": "subsampled", "frozen": "text"}),
    "balanced": (WORLD, {"sampler": "balanced", "last_layer": "refitted"}),
    "reweighted": (WORLD, {"sampler": "reweighted", "temperature": 0.1}),
    "contradicted": (WORLD, {"sampler": "contradicted", "activation": "relu", "skip": "none"}),
    "table": (TABLE, {}),
    "mismatch": (MISMATCH, {}),
    # convolutional towers, whose models an accelerator convolves together
    "pixels": (PIXELS, {"towers": "conv"}),
}


@pytest.fixture
def to_cpu(monkeypatch):
    """A second device is present; the function brings tensors of any tree to the CPU."""
    with present(monkeypatch) as home:
        yield home


@pytest.fixture
def tiles(monkeypatch):
    """Function: tiles are used for the cases of that name, and trials are small."""
    monkeypatch.setattr(chunked_losses, "DEVICE_TILE", (8, 8))
    monkeypatch.setattr(api, "TRIAL", (6, 1))
    monkeypatch.setattr(api, "COARSE", (6, 1))
    return lambda case: monkeypatch.setattr(
        training, "LARGEST_DENSE_BATCH", 4 if "tiled" in case else 1024
    )


def same_weights(case: str, to_cpu):
    """Towers trained on the CPU and on the device, on pairs drawn on the CPU; their weights are
    equal to rounding.
    """
    world, fields = CASES[case]
    places = {}, {"device": "cuda", "draw_on": "cpu"}
    here, there = (
        api.train(world, Recipe(**SMALL, **fields), models=2, seed=1, **where) for where in places
    )
    assert there.parameters.keys() == here.parameters.keys()
    for name, value in here.parameters.items():
        assert there.parameters[name].device.type == "cuda"
        assert torch.allclose(to_cpu(there.parameters[name]), value, rtol=1e-8, atol=1e-10)
    return here, there


def test_the_stand_in_refuses_what_cuda_refuses(to_cpu):
    far = torch.ones(3, 2, device="cuda")
    near = torch.ones(3, 2)
    for mixed in (
        lambda: far + near,
        lambda: torch.cat([near, far]),
        lambda: near[far[:, 0].long()],
        lambda: near.t() @ far,
        lambda: far.gather(0, near.long()),
        far.numpy,
    ):
        with pytest.raises(DevicesMixed):
            mixed()


@pytest.mark.parametrize("case", CASES)
def test_a_second_device_reaches_the_weights_of_the_cpu(case, tiles, to_cpu):
    """From draws and start to the last step and the evaluation."""
    tiles(case)
    world, fields = CASES[case]
    both = same_weights(case, to_cpu)
    recipe = both[0].ensemble.recipe
    for prompt in prompts_of(recipe) if case == "mismatch" else default_prompts(recipe):
        here, there = ([*each.accuracy(prompt)] for each in both)
        assert np.allclose(there, here, atol=1e-12)
    if case == "pixels":
        assert np.allclose(*(separation(each.ensemble, each.parameters) for each in both))
    else:
        ask = default_prompts(recipe)[0]
        assert np.allclose(
            *(score_reliance(each.ensemble, each.parameters, ask) for each in both), equal_nan=True
        )
    assert world.draw(50, seed=1, device="cuda").images.device.type == "cuda"
    drawn_there = api.train(world, Recipe(**SMALL, **fields), models=2, seed=1, device="cuda")
    assert {value.device.type for value in drawn_there.parameters.values()} == {"cuda"}
    assert all(torch.isfinite(to_cpu(value)).all() for value in drawn_there.parameters.values())
    assert np.isfinite([*drawn_there.accuracy()]).all()


def test_learners_are_fitted_to_pairs_on_another_device(to_cpu):
    pairs = WORLD.draw(200, seed=1)
    moved = replace(
        pairs, **{name: getattr(pairs, name).to("cuda") for name in ("images", "texts", "labels")}
    )
    for name in ESTIMATORS[:2]:
        assert np.allclose(fit(name, moved).weights, fit(name, pairs).weights)
    assert fit("linear", WORLD.draw(200, seed=1, device="cuda")).accuracy("name").common > 0.5


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@cuda
@pytest.mark.parametrize(
    "case",
    ["linear", *(f"{x}{y}" for x in ("infonce", "siglip", "supervised") for y in ("", ", tiled"))],
)
def test_cuda_reaches_the_weights_of_the_cpu(case, tiles):
    tiles(case)
    same_weights(case, torch.Tensor.cpu)


@pytest.mark.gpu
@cuda
@pytest.mark.parametrize("product", [torch.float32, torch.bfloat16])
def test_tiles_on_cuda(product):
    rng = torch.Generator().manual_seed(0)
    I, T = (
        torch.nn.functional.normalize(torch.randn(1, 700, 64, generator=rng), dim=-1)
        for _ in range(2)
    )
    scale = torch.tensor([50.0])
    exact = tiled_infonce(I.double(), T.double(), scale.double())
    ours = tiled_infonce(I.to("cuda"), T.to("cuda"), scale.to("cuda"), product=product)
    assert abs(float(ours) - float(exact)) < (1e-3 if product is torch.float32 else 50 * 3 * 2**-9)


@pytest.mark.gpu
@cuda
def test_the_step_compiles_on_cuda():
    towers = api.train(
        WORLD, Recipe(**{**SMALL, "precision": "bfloat16"}), models=2, device="cuda", compile=True
    )
    assert all(torch.isfinite(value).all() for value in towers.parameters.values())
