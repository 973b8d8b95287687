"""No device is hard-coded: tensors on two devices are never mixed, and CUDA reaches the weights of the CPU.

Without a GPU, `accelerator` stands in for CUDA. It covers where every tensor is, and the values of branches for
accelerators. It does not cover CUDA's kernels, random numbers, autocast, memory and compiled steps.
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
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import default_prompts, ensemble_accuracy, prompts_of, standard_points
from simulator.towers.group_batches import check_groups
from simulator.towers.last_layer_retraining import with_retrained_head
from simulator.towers.objectives import OBJECTIVES
from simulator.towers.probes import score_reliance, separation
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=8, dim_text=6)
SMALL = {"width": 6, "depth": 2, "embed_dim": 4, "batch_size": 16, "steps": 3, "warmup": 1, "precision": "float64"}
PLACES = ("cuda", "cpu")


def recipe(loss: str, **changes) -> Recipe:
    return Recipe(**{**SMALL, "loss": loss, "towers": "linear" if loss == "linear" else "mlp", **changes})


@pytest.fixture
def to_cpu(monkeypatch):
    """A second device is present; the function brings tensors of any tree to the CPU."""
    with present(monkeypatch) as home:
        yield home


def ends(recipe: Recipe, device: str, worlds=(WORLD, WORLD), **where):
    """(ensemble, weights after the last step)."""
    ensemble = Ensemble(recipe, worlds, tuple(range(len(worlds))), 1, device, **where)
    check_groups(ensemble)
    *_, state = run(ensemble, start(ensemble), [])
    return ensemble, with_retrained_head(ensemble, state.eval_parameters)


def test_the_stand_in_refuses_what_cuda_refuses(to_cpu):
    far, near = torch.ones(3, 2, device="cuda"), torch.ones(3, 2)
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
    for result, value in ((far[torch.tensor([0])], 1.0), (near.to("cuda") * far, 1.0)):
        assert result.device.type == "cuda"
        assert (to_cpu(result) == value).all()
    assert near.copy_(2 * far).device.type == "cpu"
    assert near.sum() == 12


@pytest.mark.parametrize(("loss", "limit"), [*((loss, 1024) for loss in OBJECTIVES), ("infonce", 4), ("siglip", 4)])
def test_every_loss_reaches_the_weights_of_the_cpu(loss, limit, monkeypatch, to_cpu):
    """From draws and start to the last step and the evaluation, on pairs drawn on the CPU."""
    monkeypatch.setattr(training, "LARGEST_DENSE_BATCH", limit)
    monkeypatch.setattr(chunked_losses, "DEVICE_TILE", (8, 8))
    (_, there), (ensemble, here) = (ends(recipe(loss), device, draw_on="cpu") for device in PLACES)
    assert there.keys() == here.keys()
    for name, value in here.items():
        assert there[name].device.type == "cuda"
        assert torch.allclose(to_cpu(there[name]), value, rtol=1e-8, atol=1e-10)
    far = ensemble._replace(device="cuda")
    points = standard_points(ensemble, power=6, replicates=1)
    for prompt in default_prompts(ensemble.recipe):
        both = (ensemble_accuracy(*of, prompt, points) for of in ((far, there), (ensemble, here)))
        assert np.allclose(*both, atol=1e-12)


RECIPES = [  # each option of a recipe once; the defaults are trained above
    {"points": "sobol", "optimizer": "adamw", "weight_decay": 0.1},
    {"n": 40, "optimizer": "sgd", "clip": 0.1},
    {"n": 400, "sampler": "subsampled", "frozen": "text"},
    {"sampler": "balanced", "last_layer": "refitted"},
    {"sampler": "reweighted", "temperature": 0.1},
    {"sampler": "contradicted", "activation": "relu", "skip": "none"},
]


@pytest.mark.parametrize("changes", RECIPES, ids=str)
def test_every_recipe_draws_and_trains_on_one_device(changes, to_cpu):
    ensemble, weights = ends(recipe("infonce", **changes), "cuda")
    assert {value.device.type for value in weights.values()} == {"cuda"}
    assert all(torch.isfinite(to_cpu(value)).all() for value in weights.values())
    for prompt in default_prompts(ensemble.recipe):
        assert np.isfinite(ensemble_accuracy(ensemble, weights, prompt, standard_points(ensemble, 6, 1))).all()


WORLDS = {
    "table": World(table=np.array([[4, 1, 1], [1, 4, 1], [1, 1, 4]]) / 18, p_inv=0.8, mention_spu=0.5),
    "mismatch": World(mismatch=0.3, attribute=({"p": 0.7, "mu": 2.0},)),
    "pixels": World(views=Pixels(), classes=3, p_spu=0.8, mention_spu=0.5),
}


@pytest.mark.parametrize("kind", WORLDS)
def test_every_world_is_drawn_trained_and_evaluated_on_one_device(kind, monkeypatch, to_cpu):
    """Pixel worlds have convolutional towers, whose models an accelerator convolves together."""
    monkeypatch.setattr(api, "TRIAL", (6, 1))
    world, towers = WORLDS[kind], "conv" if kind == "pixels" else "mlp"
    assert world.draw(50, seed=1, device="cuda").images.device.type == "cuda"
    both = [api.train(world, recipe("infonce", towers=towers), models=2, device=d, draw_on="cpu") for d in PLACES]
    for name, value in both[1].parameters.items():
        assert torch.allclose(to_cpu(both[0].parameters[name]), value, rtol=1e-8, atol=1e-10)
    for prompt in prompts_of(both[0].ensemble.recipe) if kind == "mismatch" else ("name", "mean"):
        there, here = (each.accuracy(prompt) for each in both)
        assert np.allclose([*there], [*here], atol=1e-12)
    if kind == "pixels":
        assert np.allclose(*(separation(each.ensemble, each.parameters) for each in both))
    else:
        assert np.allclose(*(score_reliance(each.ensemble, each.parameters, "name") for each in both), equal_nan=True)


def test_learners_are_fitted_to_pairs_on_another_device(to_cpu):
    pairs = WORLD.draw(200, seed=1)
    moved = replace(pairs, **{name: getattr(pairs, name).to("cuda") for name in ("images", "texts", "labels")})
    for name in ESTIMATORS[:2]:
        assert np.allclose(fit(name, moved).weights, fit(name, pairs).weights)
    assert fit("linear", WORLD.draw(200, seed=1, device="cuda")).accuracy("name").common > 0.5


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@cuda
@pytest.mark.parametrize("loss", ["linear", "infonce", "siglip", "supervised"])
@pytest.mark.parametrize("limit", [1024, 4])  # dense, tiled
def test_cuda_reaches_the_weights_of_the_cpu(loss, limit, monkeypatch):
    """Pairs drawn on the CPU, float64: equal to rounding."""
    monkeypatch.setattr(training, "LARGEST_DENSE_BATCH", limit)
    (_, there), (_, here) = (ends(recipe(loss), device, draw_on="cpu") for device in PLACES)
    for name, value in here.items():
        assert torch.allclose(there[name].cpu(), value, rtol=1e-8, atol=1e-10)


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
    _, weights = ends(recipe("infonce", precision="bfloat16"), "cuda", compile=True)
    assert all(torch.isfinite(value).all() for value in weights.values())
