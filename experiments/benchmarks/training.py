"""Losses and training steps.

InfoNCE    forward and backward of one large batch. The peer is open_clip's ClipLoss, which stores
           the B x B logits. The limit is four B x B products (one forward, three backward).
Ensemble   one step of E small models. The peer is a loop over single models (torch.nn, fused
           AdamW). The limit is the step's random numbers, products, hyperbolic tangents (for GELU)
           and exponentials.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from time import perf_counter

import torch
from torch import nn
from torch.nn import functional as F

from experiments.benchmarks.timing import Timing, seconds
from simulator.gaussian.pairs import dictionaries
from simulator.towers.chunked_losses import tiled_infonce
from simulator.towers.ensemble import Ensemble
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import World

BATCHES = {"cpu": ((16_384, 512),), "cuda": ((32_768, 512), (65_536, 768))}  # batch, width
# models, batch, d, width
ENSEMBLES = {"cpu": ((256, 64, 16, 8), (64, 256, 64, 16)), "cuda": ((1024, 256, 16, 8),)}


def rows(device: str) -> Iterator[Timing]:
    for batch, width in BATCHES[device]:
        for product in (torch.float32, torch.bfloat16):
            yield infonce_row(batch, width, product, device)
    for shape in ENSEMBLES[device]:
        yield ensemble_row(*shape, device)


def infonce_row(B: int, h: int, product: torch.dtype, device: str = "cpu") -> Timing:
    from open_clip.loss import ClipLoss  # an optional extra

    threads = torch.get_num_threads()
    loss = ClipLoss()
    rng = torch.Generator(device=device).manual_seed(0)
    I, T = (
        F.normalize(torch.randn(B, h, generator=rng, device=device), dim=-1).requires_grad_()
        for _ in range(2)
    )
    scale = torch.tensor(14.3, device=device, requires_grad=True)

    def ours() -> None:
        tiled_infonce(I[None], T[None], scale[None], product=product).sum().backward()

    def peer() -> None:
        loss(I, T, scale).backward()

    def products() -> None:
        a = I.detach().to(product)
        b = T.detach().to(product)
        out = torch.empty(min(B, 2048), B, dtype=product, device=device)
        for _ in range(4):
            for rows in a.split(len(out)):
                torch.mm(rows, b.T, out=out[: len(rows)])

    times = [seconds(work, 2, threads) for work in (ours, peer, products)]
    name = f"InfoNCE, B = {B}, width {h}, {str(product).removeprefix('torch.')}"
    return Timing(name, "batch", *times, "open_clip's ClipLoss; four products")


def ensemble_row(
    E: int, B: int, d: int, width: int, device: str = "cpu", steps: int = 192
) -> Timing:
    """Time per model of one step of E small models, on all threads."""
    world = World(mu_spu=2.0, dim_image=d, dim_text=d)
    # like the loop below
    same = {"optimizer": "adamw", "activation": "gelu", "averaging": 0.0, "skip": "none"}
    recipe = Recipe(
        width=width, depth=1, embed_dim=8, batch_size=B, steps=3 * steps, warmup=0, **same
    )
    threads = torch.get_num_threads()
    times = []
    ensemble = Ensemble(recipe, (world,) * E, tuple(range(E)), 0, device, compile=True)
    for _ in run(ensemble, start(ensemble), [steps, 2 * steps]):  # the first steps compile
        if device != "cpu":
            torch.cuda.synchronize(device)
        times.append(perf_counter())
    ours = min(later - earlier for earlier, later in pairwise(times)) / steps / E
    loop = seconds(single_step(recipe, world, device), 2, threads)
    limit = seconds(least(recipe, d, E, device), 1, threads)
    name = f"{E} models, B = {B}, d = {d}, width {width}"
    note = "a loop over models; random numbers and products"
    return Timing(name, "model step", ours, loop, limit / E, note)


def least(recipe: Recipe, d: int, E: int, device: str) -> Callable[[], None]:
    """The unavoidable work of a step of E models, each part as one batched call."""
    B, w, h = recipe.batch_size, recipe.width, recipe.embed_dim
    rng = torch.Generator(device=device).manual_seed(0)
    x, U, hidden, V, I, logits = (
        torch.randn(E, *shape, device=device, generator=rng)
        for shape in ((B, d), (d, w), (B, w), (w, h), (B, h), (B, B))
    )

    def step() -> None:
        # towers; forward, gradients of both weights, gradient of the hidden layer
        for _ in range(2):
            x.normal_(generator=rng)
            torch.bmm(x, U)
            torch.tanh(hidden)
            torch.bmm(hidden, V)
            torch.bmm(logits, I)
            torch.bmm(hidden.mT, I)
            torch.bmm(I, V.mT)
            torch.bmm(x.mT, hidden)
            torch.exp(logits)
        torch.bmm(I, I.mT)

    return step


def single_step(recipe: Recipe, world: World, device: str) -> Callable[[], None]:
    """One step of one model in plain PyTorch: modules, autograd, fused AdamW, drawn pairs."""
    d, h, B = world.dim_image, recipe.embed_dim, recipe.batch_size
    D = [torch.as_tensor(D, dtype=torch.float32, device=device) for D in dictionaries(world, 0)]
    mean = torch.tensor(world.mean, dtype=torch.float32, device=device)
    sd = torch.tensor(world.scale, dtype=torch.float32, device=device)
    towers = [
        nn.Sequential(nn.Linear(d, recipe.width), nn.GELU(), nn.Linear(recipe.width, h)).to(device)
        for _ in range(2)
    ]
    log_scale = nn.Parameter(torch.tensor(2.66, device=device))
    parameters = [p for tower in towers for p in tower.parameters()] + [log_scale]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=0.0, fused=True)
    target = torch.arange(B, device=device)

    def step() -> None:
        y = 2.0 * torch.randint(2, (B,), device=device) - 1
        a = torch.where(torch.rand(B, device=device) < world.p_spu, y, -y)
        z = torch.stack([y, a], 1) * mean + sd * torch.randn(B, 2, device=device)
        x = [z @ matrix.T + world.nu_image**0.5 * torch.randn(B, d, device=device) for matrix in D]
        I, T = (F.normalize(tower(view), dim=-1) for tower, view in zip(towers, x, strict=True))
        logits = log_scale.exp() * I @ T.T
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        log_scale.data.clamp_(0, 4.6052)

    return step
