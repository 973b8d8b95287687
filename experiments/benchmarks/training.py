"""How fast training is: ours beside its peer and beside the limit, all from one run.

InfoNCE    forward and backward of one large batch. Peer: open_clip's ClipLoss, which stores the B x B logits. Library:
           torch's chunked linear_cross_entropy, once a direction, which does not store them but multiplies six times.
           Limit: four B x B products of the same precision (one forward, three backward), nothing else. On CUDA also
           the fused kernels of memeff (exact gradients: stable=False), where it is installed.
SigLIP     the same on CUDA, beside siglip-kernel.
Step       one model step of the usual size, beside its products, hyperbolic tangents and exponentials alone: of towers
           and loss, and of SOAP the six products a matrix and step that are left of its paper's eight (and not what
           turns its coordinates every ten steps).
Ensembles  one step of E models. Peer: a plain loop over single models (torch.nn, fused AdamW, best of 1 and 2 threads).
           Limit: the same random numbers and the same products, nothing else. Beside it the share of the time that
           drawing takes.

Times are the best of a few repetitions, since other work on the machine only ever adds. Bytes are the peak beyond what
was allocated before, inputs and their gradients included in both columns.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from experiments.device import free_bytes
from experiments.memory import keep_memory
from simulator.gaussian.pairs import dictionaries
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import pair_block
from simulator.towers.recipe import Recipe
from simulator.towers.tiles import tiled_infonce, tiled_siglip
from simulator.towers.training import run, start
from simulator.world import World, Worlds

INFONCE = (16_384, 512)  # batch, width
CUDA_INFONCE = ((32_768, 512), (65_536, 768), (262_144, 512))  # the peer's logits fit beside the first alone
STEP = (512, 64, 128)  # batch, dimension, width
ENSEMBLES = ((256, 64, 16, 8), (64, 256, 64, 16))  # models, batch, dimension, width
CUDA_ENSEMBLES = ((1024, 256, 16, 8),)


def rows(device: str = "cpu") -> Iterator[dict[str, Any]]:
    """One row a benchmark: name, unit, ours, peer, limit and their ratios; None where a column does not apply."""
    batches, kernels = ((INFONCE,), (False,)) if device == "cpu" else (CUDA_INFONCE, (True, False))
    for B, h in batches:
        for product in (torch.float32, torch.bfloat16):
            for fused in kernels:
                yield infonce_row(B, h, product, device, fused=fused)
    keep_memory()  # as `soberclip train` does; the rows above count memory
    if device == "cpu":
        yield step_row(*STEP)
        yield step_row(*STEP, optimizer="soap", averaging=0.4)
    else:
        yield siglip_row(65_536, 768, device)
    for shape in ENSEMBLES if device == "cpu" else CUDA_ENSEMBLES:
        yield ensemble_row(*shape, device)


def _row(name: str, unit: str, ours: float, peer: float | None, limit: float | None, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "unit": unit,
        "ours": ours,
        "peer": peer,
        "limit": limit,
        "peer_over_ours": None if peer is None else peer / ours,
        "ours_over_limit": None if limit is None else ours / limit,
        **more,
    }


def infonce_row(
    B: int, h: int, product: torch.dtype, device: str = "cpu", repeats: int = 3, fused: bool = False
) -> dict[str, Any]:
    """Seconds and bytes of InfoNCE, forward and backward; fused: with compiled tiles."""
    rng = torch.Generator(device=device).manual_seed(0)
    I, T = (F.normalize(torch.randn(B, h, generator=rng, device=device), dim=-1).requires_grad_() for _ in range(2))
    scale = torch.tensor(14.3, device=device, requires_grad=True)

    def ours() -> None:
        tiled_infonce(I[None], T[None], scale[None], product=product, fused=fused).sum().backward()

    def products() -> None:
        a, b = I.detach().to(product), T.detach().to(product)
        out = torch.empty(min(B, 2048), B, dtype=product, device=device)
        for _ in range(4):
            for k in range(0, B, len(out)):
                torch.mm(a[k : k + len(out)], b.T, out=out[: len(a[k : k + len(out)])])

    routes = {"ours": ours, "limit": products}
    if hasattr(nn, "LinearCrossEntropyOptions"):  # torch 2.13
        routes["library"] = _fused_cross_entropies(I, T, scale, product)
    if device != "cpu" and product == torch.bfloat16 and find_spec("memeff"):
        routes["kernel"] = _memeff(I, T, scale)
    if (free_bytes(device) or 0) > 16 * B * B:  # ClipLoss holds about four B x B float32 matrices
        routes["peer"] = _clip_loss(I, T, scale)
    extra, best = _raced(routes, device, repeats)

    def saved(name: str) -> float | None:  # bytes may be 0: too small a batch to move the peak
        return extra["ours"] / extra[name] if extra.get(name) and extra["ours"] else None

    return _row(
        f"InfoNCE, B = {B}, width {h}, {str(product).removeprefix('torch.')} products" + ", compiled tiles" * fused,
        "s",
        best["ours"],
        best.get("peer"),
        best["limit"],
        memory_ratio=saved("peer"),
        library_over_ours=best["library"] / best["ours"] if "library" in best else None,
        library_memory_ratio=saved("library"),
        kernel_over_ours=best["kernel"] / best["ours"] if "kernel" in best else None,
        kernel_memory_ratio=saved("kernel"),
    )


def _raced(routes: dict[str, Callable[[], None]], device: str, repeats: int) -> tuple[dict, dict]:
    """(extra bytes, best seconds) of every route; in turns, so that a slow spell of the machine meets all of them."""
    extra = {name: _extra_bytes(route, device) for name, route in routes.items()}
    best = dict.fromkeys(routes, float("inf"))
    for _ in range(repeats):
        for name, route in routes.items():
            best[name] = min(best[name], _seconds(route, device))
    return extra, best


def siglip_row(B: int, h: int, device: str, repeats: int = 3) -> dict[str, Any]:
    """Seconds and bytes of SigLIP with bfloat16 products, forward and backward, with compiled tiles."""
    rng = torch.Generator(device=device).manual_seed(0)
    I, T = (F.normalize(torch.randn(B, h, generator=rng, device=device), dim=-1).requires_grad_() for _ in range(2))
    log_scale = torch.tensor(2.303, device=device, requires_grad=True)
    bias = torch.tensor(-10.0, device=device, requires_grad=True)

    def ours() -> None:
        scale = log_scale.exp()[None]
        tiled_siglip(I[None], T[None], scale, bias[None], product=torch.bfloat16, fused=True).sum().backward()

    routes = {"ours": ours}
    if find_spec("siglip_kernel"):
        from siglip_kernel import fused_siglip_loss

        routes["kernel"] = lambda: fused_siglip_loss(I.bfloat16(), T.bfloat16(), log_scale, bias).backward()
    extra, best = _raced(routes, device, repeats)
    return _row(
        f"SigLIP, B = {B}, width {h}, bfloat16 products, compiled tiles",
        "s",
        best["ours"],
        None,
        None,
        kernel_over_ours=best["kernel"] / best["ours"] if "kernel" in best else None,
        kernel_memory_ratio=extra["ours"] / extra["kernel"] if extra.get("kernel") and extra["ours"] else None,
    )


def _memeff(I: torch.Tensor, T: torch.Tensor, scale: torch.Tensor) -> Callable[[], None]:
    from memeff import MemoryEfficientCLIPLoss

    loss = MemoryEfficientCLIPLoss(temperature=1 / scale.item(), normalized_inputs=True, stable=False)
    return lambda: loss(I.bfloat16(), T.bfloat16()).backward()


def step_row(
    B: int, d: int, width: int, E: int = 8, steps: int = 64, optimizer: str = "adamw", averaging: float = 0.0
) -> dict[str, Any]:
    """Milliseconds of one step of one model of the default recipe's depth, on one thread."""
    world = World(mu_spu=2.0, dim_image=d, dim_text=d)
    recipe = Recipe(width=width, batch_size=B, steps=3 * steps, warmup=0, optimizer=optimizer, averaging=averaging)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    first = _step_limit_seconds(recipe, d, E)
    ours = _ensemble_seconds(recipe, world, E, steps, "cpu")
    limit = min(first, _step_limit_seconds(recipe, d, E))
    torch.set_num_threads(before)
    by = {"adamw": "AdamW", "soap": "SOAP"}[optimizer] + (", averaged" if averaging else "")
    return _row(f"a step of {E} models, B = {B}, width {width}, {by}", "ms a model step", 1e3 * ours, None, 1e3 * limit)


def _step_limit_seconds(recipe: Recipe, d: int, E: int) -> float:
    """The products of two towers, of the logits and of SOAP; a tanh a unit, two exponentials a logit."""
    B, w, h = recipe.batch_size, recipe.width, recipe.embed_dim
    sizes = [(d, w), (d, h), *[(w, w)] * (recipe.depth - 1), (w, h)]  # the second is the skip
    towers = [(torch.randn(E, B, a), torch.randn(E, a, b), torch.randn(E, B, b)) for a, b in sizes]
    I, logits, hidden = torch.randn(E, B, h), torch.randn(E, B, B), torch.randn(E, B, w)

    def once() -> None:
        for _ in range(2):
            for k, (x, W, g) in enumerate(towers):
                torch.bmm(x, W)
                torch.bmm(x.mT, g)
                if k > 1:  # nobody asks for the gradient of a view
                    torch.bmm(g, W.mT)
                if recipe.optimizer == "soap":
                    for _ in range(3):  # squares; gradients turned; steps turned back
                        torch.bmm(W, W.mT)
                        torch.bmm(W.mT, W)
            for _ in range(recipe.depth):
                torch.tanh(hidden)
            torch.bmm(logits, I)
            torch.exp(logits)
        torch.bmm(I, I.mT)

    once()
    return _best(lambda: [once() for _ in range(4)], "cpu", 3) / 4 / E


def _clip_loss(I: torch.Tensor, T: torch.Tensor, scale: torch.Tensor) -> Callable[[], None]:
    from open_clip.loss import ClipLoss

    loss = ClipLoss()
    return lambda: loss(I, T, scale).backward()


def _fused_cross_entropies(
    I: torch.Tensor, T: torch.Tensor, scale: torch.Tensor, product: torch.dtype
) -> Callable[[], None]:
    """Symmetric InfoNCE as two linear cross-entropies: weights are the other embeddings, the class is the pair."""
    target, options = torch.arange(len(I), device=I.device), nn.LinearCrossEntropyOptions()

    def both() -> None:
        i, t = (scale * I).to(product), T.to(product)
        rows = F.linear_cross_entropy(i, t, target, options=options)
        columns = F.linear_cross_entropy(t, i, target, options=options)
        ((rows + columns).float() / 2).backward()

    return both


def ensemble_row(E: int, B: int, d: int, width: int, device: str = "cpu", steps: int = 192) -> dict[str, Any]:
    """Milliseconds of one step of one model."""
    world = World(mu_spu=2.0, dim_image=d, dim_text=d)
    peers = {"optimizer": "adamw", "activation": "gelu", "averaging": 0.0, "skip": "none"}  # what the loop does as well
    recipe = Recipe(width=width, depth=1, embed_dim=8, batch_size=B, steps=3 * steps, warmup=0, **peers)
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2) if device == "cpu" else (before,):
        torch.set_num_threads(threads)
        ours, drawing = _ensemble_seconds(recipe, world, E, steps, device), _drawing_seconds(recipe, world, E, device)
        peer = _loop_seconds(recipe, world, max(32, steps // 2), device)
        found.append((ours, peer, _limit_seconds(recipe, world, E, device), drawing))
    torch.set_num_threads(before)
    ours, _, _, drawing = min(found)  # with the threads with which we are fastest
    _, peer, limit, _ = map(min, zip(*found, strict=True))
    return _row(
        f"{E} models, B = {B}, d = {d}, width {width}",
        "ms a model step",
        *(1e3 * seconds for seconds in (ours, peer, limit)),
        drawing_over_ours=drawing / ours,
    )


def _ensemble_seconds(recipe: Recipe, world: World, E: int, steps: int, device: str) -> float:
    """A model step of ours, after a first third that compiles."""
    ensemble = Ensemble(recipe, (world,) * E, tuple(range(E)), 0, device, compile=True)
    best, clock = float("inf"), None
    for _ in run(ensemble, start(ensemble), [steps, 2 * steps]):
        _wait(device)
        if clock is not None:
            best = min(best, perf_counter() - clock)
        clock = perf_counter()
    return best / steps / E


def _drawing_seconds(recipe: Recipe, world: World, E: int, device: str) -> float:
    """What the pairs of a model step take to draw, a block of the streams at a time, written over the last one."""
    ensemble = Ensemble(recipe, (world,) * E, tuple(range(E)), 0, device)
    block = pair_block(ensemble, 0)
    seconds = _best(lambda: pair_block(ensemble, 1, block), device, 3)
    return seconds / block.labels.numel() * recipe.batch_size


def _loop_seconds(recipe: Recipe, world: World, steps: int, device: str) -> float:
    """A step of one model written as one would by hand: modules, autograd, fused AdamW, pairs drawn where needed."""
    d, h = world.dim_image, recipe.embed_dim
    b = Worlds.of(world)
    D = [torch.as_tensor(D, dtype=torch.float32, device=device) for D in dictionaries(world, 0)]
    mean, sd = (torch.as_tensor(x, dtype=torch.float32, device=device) for x in (b.mean, b.scale))
    towers = [
        nn.Sequential(nn.Linear(d, recipe.width), nn.GELU(), nn.Linear(recipe.width, h)).to(device) for _ in range(2)
    ]
    log_scale = nn.Parameter(torch.tensor(2.66, device=device))
    parameters = [p for tower in towers for p in tower.parameters()] + [log_scale]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=0.0, fused=True)
    target = torch.arange(recipe.batch_size, device=device)

    def step() -> None:
        y = 2.0 * torch.randint(2, (recipe.batch_size,), device=device) - 1
        a = torch.where(torch.rand(recipe.batch_size, device=device) < world.p_spu, y, -y)
        z = torch.stack([y, a], 1) * mean + sd * torch.randn(recipe.batch_size, 2, device=device)
        x = [z @ Dm.T + world.nu_image**0.5 * torch.randn(recipe.batch_size, d, device=device) for Dm in D]
        I, T = (F.normalize(tower(v), dim=-1) for tower, v in zip(towers, x, strict=True))
        logits = log_scale.exp() * I @ T.T
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        log_scale.data.clamp_(0, 4.6052)

    with torch.random.fork_rng(devices=[device] if device != "cpu" else []):
        for _ in range(8):
            step()
        return _best(lambda: [step() for _ in range(steps)], device, 3) / steps


def _limit_seconds(recipe: Recipe, world: World, E: int, device: str) -> float:
    """The normals of a step and its matrix products, one batched call each, for all models at once."""
    B, d, w, h = recipe.batch_size, world.dim_image, recipe.width, recipe.embed_dim
    rng = torch.Generator(device=device).manual_seed(0)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(E, *shape, device=device, generator=rng)

    x, z, W, V, I = tensor(B, d), tensor(B, w), tensor(d, w), tensor(w, h), tensor(B, h)
    logits = tensor(B, B)

    def once() -> None:
        for _ in range(2):  # towers
            x.normal_(generator=rng)
            torch.bmm(x, W)  # forward
            torch.bmm(z, V)
            torch.bmm(I, V.mT)  # backward
            torch.bmm(z.mT, I)
            torch.bmm(x.mT, z)
            torch.bmm(logits, I)
        torch.bmm(I, I.mT)

    once()
    return _best(lambda: [once() for _ in range(8)], device, 3) / 8 / E


def _extra_bytes(function: Callable[[], Any], device: str) -> int | None:
    """Peak bytes of a call beyond what was allocated before, None where unknown."""
    before = _start_peak(device)
    function()
    peak = _peak(device)
    return None if peak is None else peak - before


def _best(function: Callable[[], Any], device: str, repeats: int) -> float:
    return min(_seconds(function, device) for _ in range(repeats))


def _seconds(function: Callable[[], Any], device: str) -> float:
    _wait(device)
    clock = perf_counter()
    function()
    _wait(device)
    return perf_counter() - clock


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def _start_peak(device: str) -> int:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
    except OSError:
        return 0
    return _status("VmRSS") or 0


def _peak(device: str) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device != "cpu" else _status("VmHWM")


def _status(field: str) -> int | None:
    """A line of this process's memory status in bytes, None away from Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))
