"""Losses and training steps.

InfoNCE    forward and backward of one large batch. Peers: open_clip's ClipLoss, which stores the B x B logits, and
           torch's chunked linear_cross_entropy. The latter stores no logits, but needs six products instead of four.
           Limit: four B x B products (one forward, three backward). The note compares peak memory.
Step       one step of the default recipe per model.
Ensemble   one step of E small models. Peer: a loop over single models (torch.nn, fused AdamW).

The limit of a step is the random numbers, products, hyperbolic tangents and exponentials of towers and loss, and the
six products per matrix of SOAP. The rotation of SOAP's basis is not counted.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from time import perf_counter

import torch
from torch import nn
from torch.nn import functional as F

from experiments.benchmarks.timing import Row, extra_bytes, seconds
from experiments.runtime import free_bytes
from simulator.gaussian.pairs import dictionaries
from simulator.towers.chunked_losses import tiled_infonce
from simulator.towers.ensemble import Ensemble
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import World

BATCHES = {"cpu": ((16_384, 512),), "cuda": ((32_768, 512), (65_536, 768), (262_144, 512))}  # batch, width
STEP = (512, 64, 128)  # batch, dimension, width
ENSEMBLES = {"cpu": ((256, 64, 16, 8), (64, 256, 64, 16)), "cuda": ((1024, 256, 16, 8),)}  # models, then as in STEP


def loss_rows(device: str) -> Iterator[Row]:
    """One row per batch, precision and peer."""
    for B, h in BATCHES[device]:
        for product in (torch.float32, torch.bfloat16):
            yield from infonce_rows(B, h, product, device)


def step_rows(device: str) -> Iterator[Row]:
    """One row per optimiser (on a CPU) and ensemble."""
    if device == "cpu":
        yield step_row(*STEP)
        yield step_row(*STEP, optimizer="soap", averaging=0.4)
    for shape in ENSEMBLES[device]:
        yield ensemble_row(*shape, device)


def infonce_rows(B: int, h: int, product: torch.dtype, device: str = "cpu") -> Iterator[Row]:
    """Rows of forward and backward, one per peer; the note compares peak memory."""
    threads = torch.get_num_threads()
    rng = torch.Generator(device=device).manual_seed(0)
    I, T = (F.normalize(torch.randn(B, h, generator=rng, device=device), dim=-1).requires_grad_() for _ in range(2))
    scale = torch.tensor(14.3, device=device, requires_grad=True)

    def ours() -> None:
        tiled_infonce(I[None], T[None], scale[None], product=product).sum().backward()

    def products() -> None:
        a, b = I.detach().to(product), T.detach().to(product)
        out = torch.empty(min(B, 2048), B, dtype=product, device=device)
        for _ in range(4):
            for rows in a.split(len(out)):
                torch.mm(rows, b.T, out=out[: len(rows)])

    peers = {}
    if hasattr(nn, "LinearCrossEntropyOptions"):  # torch 2.13
        peers["torch's linear_cross_entropy"] = cross_entropies(I, T, scale, product)
    if (free_bytes(device) or 0) > 16 * B * B:  # ClipLoss holds about four B x B float32 matrices
        peers["open_clip's ClipLoss"] = clip_loss(I, T, scale)
    name = f"InfoNCE, B = {B}, width {h}, {str(product).removeprefix('torch.')}"
    time, limit, extra = seconds(ours, 2, threads), seconds(products, 2, threads), extra_bytes(ours, device)
    for words, peer in peers.items():
        memory = extra_bytes(peer, device)
        share = f", {extra / memory:.2g} of its memory" if extra and memory else ""
        note = f"peer: {words}{share}; limit: four products"
        yield Row(name, "batch", time, seconds(peer, 2, threads), limit, note)


def clip_loss(I: torch.Tensor, T: torch.Tensor, scale: torch.Tensor) -> Callable[[], None]:
    from open_clip.loss import ClipLoss  # an optional extra

    loss = ClipLoss()
    return lambda: loss(I, T, scale).backward()


def cross_entropies(I: torch.Tensor, T: torch.Tensor, scale: torch.Tensor, product: torch.dtype) -> Callable[[], None]:
    """Symmetric InfoNCE as two linear cross-entropies: the other embeddings are the weights, the pair is the class."""
    target, options = torch.arange(len(I), device=I.device), nn.LinearCrossEntropyOptions()

    def both() -> None:
        i, t = (scale * I).to(product), T.to(product)
        rows = F.linear_cross_entropy(i, t, target, options=options)
        columns = F.linear_cross_entropy(t, i, target, options=options)
        ((rows + columns).float() / 2).backward()

    return both


def step_row(B: int, d: int, width: int, optimizer: str = "adamw", averaging: float = 0.0) -> Row:
    """Time per model of one step of 8 models with the default recipe, on one thread."""
    E, steps = 8, 64
    world = World(mu_spu=2.0, dim_image=d, dim_text=d)
    recipe = Recipe(width=width, batch_size=B, steps=3 * steps, warmup=0, optimizer=optimizer, averaging=averaging)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    ours = ensemble_seconds(recipe, world, E, steps, "cpu")
    torch.set_num_threads(threads)
    name = f"a step of {E} models, B = {B}, width {width}, {optimizer}{', averaged' if averaging else ''}"
    return Row(
        name, "model step", ours, limit=step_limit(recipe, d, E), note="limit: see experiments.benchmarks.training"
    )


def ensemble_row(E: int, B: int, d: int, width: int, device: str = "cpu", steps: int = 192) -> Row:
    """Time per model of one step of E small models, on all threads."""
    world = World(mu_spu=2.0, dim_image=d, dim_text=d)
    same = {"optimizer": "adamw", "activation": "gelu", "averaging": 0.0, "skip": "none"}  # like the loop below
    recipe = Recipe(width=width, depth=1, embed_dim=8, batch_size=B, steps=3 * steps, warmup=0, **same)
    threads = torch.get_num_threads()
    return Row(
        f"{E} models, B = {B}, d = {d}, width {width}",
        "model step",
        ensemble_seconds(recipe, world, E, steps, device),
        seconds(single_step(recipe, world, device), 2, threads),
        step_limit(recipe, d, E, device, threads),
        "peer: a loop over models; limit: as for a step",
    )


def step_limit(recipe: Recipe, d: int, E: int, device: str = "cpu", threads: int = 1) -> float:
    """Seconds per model of the unavoidable work of a step, each part as one batched call."""
    B, w, h = recipe.batch_size, recipe.width, recipe.embed_dim
    rng = torch.Generator(device=device).manual_seed(0)

    def normals(*shape: int) -> torch.Tensor:
        return torch.randn(E, *shape, device=device, generator=rng)

    skip = [] if recipe.skip == "none" else [(d, h)]
    first, later = [(d, w), *skip], [*[(w, w)] * (recipe.depth - 1), (w, h)]
    layers = [(normals(B, a), normals(a, b), normals(B, b)) for a, b in (*first, *later)]
    I, logits, hidden = normals(B, h), normals(B, B), normals(B, w)

    def step() -> None:
        for _ in range(2):  # towers
            layers[0][0].normal_(generator=rng)
            for k, (x, W, gradient) in enumerate(layers):
                torch.bmm(x, W)
                torch.bmm(x.mT, gradient)
                if k >= len(first):  # views need no gradient
                    torch.bmm(gradient, W.mT)
                if recipe.optimizer == "soap":
                    for _ in range(3):  # statistics; gradients into the basis; steps back
                        torch.bmm(W, W.mT)
                        torch.bmm(W.mT, W)
            for _ in range(recipe.depth):
                torch.tanh(hidden)
            torch.bmm(logits, I)
            torch.exp(logits)
        torch.bmm(I, I.mT)

    return seconds(step, 1, threads) / E


def ensemble_seconds(recipe: Recipe, world: World, E: int, steps: int, device: str) -> float:
    """Seconds per model and step, after `steps` steps for compilation."""
    ensemble = Ensemble(recipe, (world,) * E, tuple(range(E)), 0, device, compile=True)
    times = []
    for _ in run(ensemble, start(ensemble), [steps, 2 * steps]):
        if device != "cpu":
            torch.cuda.synchronize(device)
        times.append(perf_counter())
    return min(later - earlier for earlier, later in pairwise(times)) / steps / E


def single_step(recipe: Recipe, world: World, device: str) -> Callable[[], None]:
    """One step of one model in plain PyTorch: modules, autograd, fused AdamW, drawn pairs."""
    d, h, B = world.dim_image, recipe.embed_dim, recipe.batch_size
    D = [torch.as_tensor(D, dtype=torch.float32, device=device) for D in dictionaries(world, 0)]
    mean, sd = (torch.tensor(x, dtype=torch.float32, device=device) for x in (world.mean, world.scale))
    towers = [
        nn.Sequential(nn.Linear(d, recipe.width), nn.GELU(), nn.Linear(recipe.width, h)).to(device) for _ in range(2)
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
