"""Gradient training of an ensemble: one pure step for all models, repeated.

    for state in run(ensemble, start(ensemble), checkpoints):
        ...

A model whose loss or gradient is not finite is frozen at its last finite weights and marked with
the step. The others continue. A run resumed from a `State` equals an uninterrupted run bit by bit.
"""

import functools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float, Int

from simulator.gaussian.pairs import Pairs
from simulator.samplers import check_mismatch, group_numbers
from simulator.towers.distributed import combined
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import draw_batches, weighed
from simulator.towers.layers import Parameters, embed, initialise, logit_scale, scored
from simulator.towers.objectives import Embedded
from simulator.towers.optimisers import (
    REFRESH_EVERY,
    averaged,
    clip,
    moments,
    per_model,
    refresh_eigenbasis,
    update,
)
from simulator.towers.recipe import Recipe

Stop = Callable[[], bool]
# called with the reason if compilation fails; the step then runs uncompiled
Refused = Callable[[str], None]

# Larger batches are tiled. The choice depends on B alone, so that weights do not depend on the
# ensemble's size.
LARGEST_DENSE_BATCH = 1024


class State(NamedTuple):
    """The state of training E models, sufficient to resume."""

    step: Int[torch.Tensor, ""]
    parameters: Parameters
    moments: Parameters
    averages: Parameters
    diverged: Int[torch.Tensor, " E"]
    loss: Float[torch.Tensor, " E"]  # sum over the steps since the last checkpoint

    @property
    def eval_parameters(self) -> Parameters:
        """The weights for evaluation: averages if there are any."""
        return {**self.parameters, **self.averages}


def one_step(
    ensemble: Ensemble, state: State, batch: Pairs, rate: Float[torch.Tensor, ""]
) -> State:
    """The state after one step; a model that has diverged, or diverges here, keeps its parameters
    and moments.
    """
    recipe = ensemble.recipe
    group = ensemble.group
    step = state.step + 1
    old = state.parameters
    gradients, losses = _gradients(old, ensemble, batch)
    if group.size > 1:
        gradients = {name: combined(group, g) for name, g in gradients.items()}
        losses = combined(group, losses)
    down, norm = clip(descending(recipe, gradients), recipe.clip)
    new, memory = update(
        recipe.optimizer, old, down, state.moments, rate, step.to(rate.dtype), recipe.weight_decay
    )
    parameters = recipe.objective.after({**old, **new}, old, gradients)
    averages = (
        averaged(state.averages, parameters, step, recipe.averaging) if state.averages else {}
    )
    finite = torch.isfinite(losses) & torch.isfinite(norm)
    diverged = torch.where((state.diverged < 0) & ~finite, step, state.diverged)
    going = diverged < 0
    return State(
        step,
        _frozen(going, parameters, old),
        _frozen(going, memory, state.moments),
        _frozen(going, averages, state.averages),
        diverged,
        state.loss + torch.where(going, losses, torch.zeros_like(losses)),
    )


def descending(recipe: Recipe, parameters: Parameters) -> Parameters:
    """The parameters that the optimiser moves."""
    still = f"{recipe.frozen}."
    return {
        n: p
        for n, p in parameters.items()
        if n not in recipe.objective.ascent and not n.startswith(still)
    }


def _frozen(going: torch.Tensor, new: Parameters, old: Parameters) -> Parameters:
    """New values of models that continue, old values of models that have diverged."""
    return {
        name: (
            value if value is old[name] else torch.where(per_model(going, value), value, old[name])
        )
        for name, value in new.items()
    }


def _gradients(
    parameters: Parameters, ensemble: Ensemble, batch: Pairs
) -> tuple[Parameters, torch.Tensor]:
    """(gradient of every model's loss, the losses): models share no parameter, so one sum has every
    gradient.
    """
    # torch.compile can trace torch.func only; tiles have a gradient under plain autograd only.
    if torch.compiler.is_compiling():
        gradients, (_, losses) = torch.func.grad_and_value(_summed, has_aux=True)(
            parameters, ensemble, batch
        )
        return gradients, losses
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    total, losses = _summed(leaves, ensemble, batch)
    return (
        dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True)),
        losses.detach(),
    )


def _summed(
    parameters: Parameters, ensemble: Ensemble, batch: Pairs
) -> tuple[torch.Tensor, torch.Tensor]:
    losses = batch_losses(ensemble, parameters, batch)
    return losses.sum(), losses


def batch_losses(
    ensemble: Ensemble, parameters: Parameters, batch: Pairs
) -> Float[torch.Tensor, " E"]:
    """Loss of every model on one batch, or this process's share of it."""
    recipe, group, objective = ensemble.recipe, ensemble.group, ensemble.recipe.objective
    dtype = next(iter(parameters.values())).dtype
    rounded = recipe.precision == "bfloat16"
    with torch.autocast(batch.images.device.type, torch.bfloat16) if rounded else nullcontext():
        I = embed(recipe, parameters, "image", batch.images).to(dtype)
        T = embed(recipe, parameters, "text", batch.texts).to(dtype) if objective.captions else I
    weights, A = ensemble.group_weights, ensemble.worlds[0].background_count
    if weights is not None:
        weights = weights.gather(1, group_numbers(batch.labels, batch.backgrounds, A))
    embedded = Embedded(
        images=scored(recipe, I),
        texts=scored(recipe, T),
        labels=batch.labels,
        backgrounds=batch.backgrounds,
        scale=logit_scale(recipe, parameters),
        parameters=parameters,
        recipe=recipe,
        background_count=A,
        group=group,
        weights=weights,
        split=objective.splits and (group.size > 1 or I.shape[1] > LARGEST_DENSE_BATCH),
    )
    losses = objective.loss(embedded)
    E = I.shape[0]
    if losses.shape != (E,):  # of a user's objective
        raise ValueError(
            f"loss {recipe.loss!r} has shape {tuple(losses.shape)}; expected ({E},), one number per"
            " model"
        )
    return losses


def start(ensemble: Ensemble) -> State:
    recipe, views, device, dtype = ensemble.recipe, ensemble.inputs, ensemble.device, ensemble.dtype
    world, models = ensemble.worlds[0], ensemble.models
    parameters = initialise(recipe, views, world, ensemble.seed, models, device=device, dtype=dtype)
    moving = descending(recipe, parameters)
    return State(
        step=torch.zeros((), dtype=torch.int64, device=device),
        parameters=parameters,
        moments=moments(recipe.optimizer, moving),
        averages={name: p.clone() for name, p in moving.items()} if recipe.averaging else {},
        diverged=torch.full((len(models),), -1, dtype=torch.int64, device=device),
        loss=torch.zeros(len(models), dtype=dtype, device=device),
    )


def restarted(state: State) -> State:
    """The state in which training continues after a checkpoint: the sum of losses restarts at
    zero.
    """
    return state._replace(loss=torch.zeros_like(state.loss))


def run(
    ensemble: Ensemble,
    state: State,
    checkpoints: Sequence[int],
    stop: Stop = lambda: False,
    refused: Refused | None = None,
) -> Iterator[State]:
    """Train from `state`, yielding at steps in `checkpoints`, at the end, and once when `stop()`
    turns true.
    """
    recipe, advance = ensemble.recipe, one_step
    if ensemble.group.size > 1 and not recipe.objective.splits:
        raise ValueError(
            f"loss = {recipe.loss!r} runs in one process, not in {ensemble.group.size}"
        )
    if compiles(ensemble):
        # every ensemble compiles again, and torch keeps at most eight versions
        torch.compiler.reset()
        advance = compiled(one_step, refused)
    due = {*checkpoints, recipe.steps}
    begin = int(state.step)
    ensemble = weighed(ensemble)
    batches = draw_batches(ensemble, begin)
    for step in range(begin + 1, recipe.steps + 1):
        # Filled, not copied: a copy would wait for all that a GPU has yet to do.
        rate = torch.full(
            (), learning_rate(recipe, step - 1), dtype=ensemble.dtype, device=ensemble.device
        )
        state = advance(ensemble, state, next(batches), rate)
        if step % REFRESH_EVERY == 0:
            state = state._replace(moments=refresh_eigenbasis(state.moments))
        if step in due:
            yield state
            state = restarted(state)
        if step < recipe.steps and stop():
            if step not in due:
                yield state
            return


def compiles(ensemble: Ensemble) -> bool:
    """Whether the step is compiled: on request, in one process, if it is dense and does not loop
    over models.
    """
    recipe = ensemble.recipe
    plain = recipe.batch_size <= LARGEST_DENSE_BATCH and "conv" not in recipe.kinds.values()
    return ensemble.compile and plain and ensemble.group.size == 1


def compiled(function: Callable, refused: Refused | None = None) -> Callable:
    """A pure `function`, compiled as one graph; without a compiler `refused` gets the reason and it
    runs uncompiled.
    """
    # Imported here for start-up time: these take a second.
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import GPUTooOldForTriton, TritonMissing

    fast = torch.compile(function, fullgraph=True, dynamic=False)

    @functools.wraps(function)
    def call(*arguments):
        nonlocal fast
        try:
            with warnings.catch_warnings():
                # Inductor calls deprecated functions of torch.
                for category in (DeprecationWarning, FutureWarning):
                    warnings.filterwarnings("ignore", category=category, module=r"torch\.")
                return fast(*arguments)
        except (BackendCompilerFailed, TritonMissing, GPUTooOldForTriton) as failure:
            if refused is None:
                raise
            fast = function
            reason = getattr(failure, "inner_exception", None) or failure
            refused(f"{type(reason).__name__}: {str(reason).strip().splitlines()[0]}")
            return function(*arguments)

    return call


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step: linear warm-up, then constant or half a cosine down to zero."""
    warmup = min(recipe.warmup, recipe.steps - 1)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 + math.cos(math.pi * (step - warmup) / (recipe.steps - warmup))) / 2


def check_ensemble(ensemble: Ensemble) -> None:
    """Raise ValueError for an ensemble that cannot be trained, before any work."""
    recipe, worlds = ensemble.recipe, ensemble.worlds
    if recipe.towers == "conv" and len(ensemble.inputs["image"]) < 3:
        raise ValueError(
            "towers = 'conv' read images, and this world has vectors; choose linear or mlp"
        )
    if len({(world.views, world.views and world.classes) for world in worlds}) > 1:
        raise ValueError(
            "the worlds of an ensemble need the same views and, with pixels, the same number of"
            " classes"
        )
    if worlds[0].views is not None:
        wrong = {
            "sampler": (ensemble.sampler.swaps, "drawn"),
            "points": (recipe.points == "sobol", "random"),
        }
        for name, (chosen, near) in wrong.items():
            if chosen:
                raise ValueError(
                    f"{name} = {getattr(recipe, name)!r} needs Gaussian views, not"
                    f" {worlds[0].views.name}; the nearest valid choice is {name} = {near!r}"
                )
    for world in worlds:
        check_mismatch(ensemble.sampler, world)
    if recipe.points == "sobol":
        # here for start-up time: scipy.stats takes a second
        from simulator.gaussian.sobol import check_sobol

        check_sobol(worlds[0], recipe.n or recipe.steps * recipe.batch_size)
