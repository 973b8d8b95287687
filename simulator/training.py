"""Gradient training of an ensemble: one pure step for all models, repeated.

    for state in run(recipe, worlds, ...):   # yields at every checkpoint, and where `stop` asks for it
        ...

A model whose loss or gradient is no longer finite is frozen at its last finite weights and marked with the step;
the others go on. Everything a later run needs to go on bit for bit is in `State`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int

from simulator import losses
from simulator.compiling import compiled
from simulator.optimisers import clip, moments, per_model, update
from simulator.pairs import Pairs, block_size, dictionaries, draw_ensemble_block
from simulator.recipe import Recipe
from simulator.streams import torch_stream
from simulator.tiles import tiled_infonce, tiled_siglip
from simulator.towers import LARGEST_SCALE, Parameters, embed, initialise, logit_scale, scored
from simulator.world import World

# Batches above this many pairs never store their B x B logits; below it one batched product for the ensemble beats
# a loop over models. The choice looks at B alone, so that a model does not notice the ensemble's size.
LARGEST_DENSE_BATCH = 1024


class State(NamedTuple):
    """All there is to an ensemble in training; E models."""

    step: int  # steps taken
    parameters: Parameters
    moments: Parameters
    diverged: Int[torch.Tensor, " E"]  # the step that was no longer finite, -1 while all is well
    measures: dict[str, Float[torch.Tensor, " E"]]  # sums over the steps since the last checkpoint


class Ensemble(NamedTuple):
    """Which models train, on what, where. Model `models[k]` sees `worlds[k]` and its own streams alone."""

    recipe: Recipe
    worlds: tuple[World, ...]
    models: tuple[int, ...]
    seed: int
    device: str = "cpu"
    draw_on: str | None = None
    compile: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters and pairs; bfloat16 is the precision of products under autocast."""
        return torch.float64 if self.recipe.precision == "float64" else torch.float32


class EveryModelDiverged(RuntimeError):
    """No model of the ensemble has a finite loss any more."""


def start(ensemble: Ensemble) -> State:
    """The state before the first step."""
    recipe, world = ensemble.recipe, ensemble.worlds[0]
    parameters = initialise(
        recipe,
        (world.dim_image, world.dim_text),
        world.classes,
        ensemble.seed,
        ensemble.models,
        device=ensemble.device,
        dtype=ensemble.dtype,
    )
    E = len(ensemble.models)
    return State(
        step=0,
        parameters=parameters,
        moments=moments(recipe.optimizer, parameters),
        diverged=torch.full((E,), -1, dtype=torch.int64, device=ensemble.device),
        measures={
            name: torch.zeros(E, dtype=ensemble.dtype, device=ensemble.device)
            for name in ("loss", "image_norm", "text_norm")
        },
    )


def run(
    ensemble: Ensemble,
    state: State,
    checkpoints: Sequence[int],
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[State]:
    """Train from `state`, yielding at every step in `checkpoints`, at the end, and once when `stop()` turns true.

    The measures of a yielded state are sums since the last checkpoint; they restart after one.
    Raises EveryModelDiverged at the first checkpoint that finds no finite model.
    """
    recipe, device = ensemble.recipe, ensemble.device
    rates = torch.tensor([learning_rate(recipe, step) for step in range(recipe.steps)], dtype=ensemble.dtype)
    rates = rates.to(device)
    counts = torch.arange(1, recipe.steps + 1, dtype=ensemble.dtype, device=device)
    advance = compiled(one_step) if ensemble.compile and recipe.batch_size <= LARGEST_DENSE_BATCH else one_step
    due = {*checkpoints, recipe.steps}
    batches = draw_batches(ensemble, state.step)
    while state.step < recipe.steps:
        t = state.step
        batch = next(batches)
        state = State(
            t + 1,
            *advance(
                recipe,
                state.parameters,
                state.moments,
                state.diverged,
                state.measures,
                batch.images,
                batch.texts,
                batch.labels,
                rates[t],
                counts[t],
            ),
        )
        if state.step in due:
            if bool((state.diverged >= 0).all()):
                raise EveryModelDiverged(
                    f"every one of {len(ensemble.models)} models lost its finite loss, the last at step "
                    f"{int(state.diverged.max())}; a smaller lr than {recipe.lr} is the first thing to try"
                )
            yield state
            state = state._replace(measures={name: torch.zeros_like(v) for name, v in state.measures.items()})
        elif stop():
            yield state
            return


def learning_rate(recipe: Recipe, step: int) -> float:
    """Rate of step `step` (from 0): linear warm-up, then constant or half a cosine down to zero."""
    warmup = min(recipe.warmup, recipe.steps - 1)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 + math.cos(math.pi * (step - warmup) / (recipe.steps - warmup))) / 2


def one_step(
    recipe: Recipe,
    parameters: Parameters,
    memory: Parameters,
    diverged: torch.Tensor,
    measures: dict[str, torch.Tensor],
    images: torch.Tensor,
    texts: torch.Tensor,
    labels: torch.Tensor,
    rate: torch.Tensor,
    count: torch.Tensor,
) -> tuple[Parameters, Parameters, torch.Tensor, dict[str, torch.Tensor]]:
    """(parameters, moments, diverged, measures) after one step of every model; pure, and compiled as a whole."""
    gradients, (_, seen) = torch.func.grad_and_value(_total, has_aux=True)(parameters, recipe, images, texts, labels)
    gradients, norm = clip(gradients, recipe.clip)
    new, memory_new = update(recipe.optimizer, parameters, gradients, memory, rate, count, recipe.weight_decay)
    if "log_scale" in new:
        new["log_scale"] = new["log_scale"].clamp(0.0, math.log(LARGEST_SCALE))
    fine = torch.isfinite(seen["loss"]) & torch.isfinite(norm)
    diverged = torch.where((diverged < 0) & ~fine, count.to(diverged.dtype), diverged)
    going = diverged < 0
    measures = {
        name: measures[name] + torch.where(going, value.to(measures[name].dtype), torch.zeros_like(measures[name]))
        for name, value in seen.items()
    }
    return _kept(going, new, parameters), _kept(going, memory_new, memory), diverged, measures


def _total(parameters: Parameters, recipe: Recipe, *batch: torch.Tensor):
    """Models share nothing, so the gradient of the summed loss holds every model's own gradient."""
    seen = objective(recipe, parameters, *batch)
    return seen["loss"].sum(), seen


def _kept(going: torch.Tensor, new: Parameters, old: Parameters) -> Parameters:
    """The new values of models that go on, the old ones of those that have diverged."""
    return {name: torch.where(per_model(going, value), value, old[name]) for name, value in new.items()}


def objective(
    recipe: Recipe, parameters: Parameters, images: torch.Tensor, texts: torch.Tensor, labels: torch.Tensor
) -> dict[str, Float[torch.Tensor, " E"]]:
    """Loss and mean embedding norms of every model on one batch."""
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16")
    with autocast:
        I = embed(recipe, parameters, "image", images).to(images.dtype)
        T = embed(recipe, parameters, "text", texts).to(images.dtype) if "text.0.weight" in parameters else I
    norms = {"image_norm": I.detach().norm(dim=-1).mean(1), "text_norm": T.detach().norm(dim=-1).mean(1)}
    I, T = scored(recipe, I), scored(recipe, T)
    if recipe.loss == "linear":
        loss = losses.linearised(I, T, parameters["image.0.weight"], parameters["text.0.weight"], recipe.rho)
    elif recipe.loss == "supervised":
        logits = torch.bmm(I, parameters["head.weight"])
        offset = parameters.get("head.bias")
        loss = losses.supervised(logits if offset is None else logits + offset[:, None], labels)
    else:
        scale = logit_scale(recipe, parameters)
        tiled = images.shape[1] > LARGEST_DENSE_BATCH
        if recipe.loss == "supcon":
            loss = losses.supcon(I, labels, scale)
        elif recipe.loss == "siglip":
            loss = (tiled_siglip if tiled else losses.siglip)(I, T, scale, parameters["bias"])
        else:
            loss = (tiled_infonce if tiled else losses.infonce)(I, T, scale)
    return {"loss": loss, **norms}


def draw_batches(ensemble: Ensemble, first: int) -> Iterator[Pairs]:
    """The batches of step `first`, `first` + 1, ... with a leading model axis.

    Fresh pairs: step t takes pairs [t B, (t + 1) B) of each model's stream. A fixed set: its first n pairs in a new
    order every epoch, the remainder of an epoch left out.
    """
    recipe = ensemble.recipe
    if recipe.n is None:
        return fresh_batches(ensemble, recipe.batch_size, first)
    return fixed_batches(ensemble, recipe.n, recipe.batch_size, first)


def pair_block(ensemble: Ensemble, index: int) -> Pairs:
    """Block `index` of every model's training stream."""
    return draw_ensemble_block(
        ensemble.worlds,
        dictionaries(ensemble.worlds[0], ensemble.seed),
        ensemble.seed,
        index,
        streams=[f"train/{k}" for k in ensemble.models],
        device=ensemble.device,
        draw_on=ensemble.draw_on,
        dtype=ensemble.dtype,
    )


def fresh_batches(ensemble: Ensemble, size: int, first: int) -> Iterator[Pairs]:
    """Consecutive batches of the endless stream, each pair used once."""
    block, position = block_size(ensemble.worlds[0]), first * size
    held, held_index = None, -1
    while True:
        pieces, end = [], position + size
        while position < end:
            index, offset = divmod(position, block)
            if index != held_index:
                held, held_index = pair_block(ensemble, index), index
            take = min(end - position, block - offset)
            pieces.append([field[:, offset : offset + take] for field in held])
            position += take
        yield Pairs(*(p[0] if len(p) == 1 else torch.cat(p, dim=1) for p in zip(*pieces, strict=True)))


def fixed_batches(ensemble: Ensemble, n: int, size: int, first: int) -> Iterator[Pairs]:
    """Minibatches of the first n pairs, without replacement within an epoch."""
    blocks = [pair_block(ensemble, index) for index in range(-(-n // block_size(ensemble.worlds[0])))]
    held = Pairs(*(torch.cat(field, dim=1)[:, :n] for field in zip(*blocks, strict=True)))
    per_epoch, step, order_epoch, order = n // size, first, -1, None
    while True:
        epoch, place = divmod(step, per_epoch)
        if size == n:
            yield held
        else:
            if epoch != order_epoch:
                order = torch.stack(
                    [
                        torch.randperm(n, generator=torch_stream(ensemble.seed, f"order/{k}", epoch), device="cpu")
                        for k in ensemble.models
                    ]
                ).to(ensemble.device)
                order_epoch = epoch
            rows = order[:, place * size : (place + 1) * size]
            yield Pairs(*(_rows(field, rows) for field in held))
        step += 1


def _rows(field: torch.Tensor, rows: Int[torch.Tensor, "E B"]) -> torch.Tensor:
    return field[torch.arange(len(field), device=field.device)[:, None], rows]
