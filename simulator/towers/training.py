"""Gradient training of an ensemble: one pure step for all models, repeated.

    for state in run(ensemble, start(ensemble), checkpoints):
        ...

A model whose loss or gradient is not finite is frozen at its last finite weights and marked with the step; the others
continue. A run resumed from a `State` is the same bit by bit.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float

from simulator.compiling import compiled
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import draw_batches, weighed
from simulator.towers.layers import check_inputs, initialise
from simulator.towers.optimisers import REFRESH_EVERY, moments, refresh_eigenbasis
from simulator.towers.recipe import Recipe
from simulator.towers.step import LARGEST_DENSE_BATCH, State, descending, one_step

Stop = Callable[[], bool]
Refused = Callable[[str], None]  # called with the reason if compilation fails; the step then runs uncompiled


def start(ensemble: Ensemble) -> State:
    """The state before the first step. Raises ValueError for towers that do not read the views."""
    recipe, views, device, dtype = ensemble.recipe, ensemble.inputs, ensemble.device, ensemble.dtype
    check_inputs(recipe, views)
    classes, models = ensemble.worlds[0].classes, ensemble.models
    parameters = initialise(recipe, views, classes, ensemble.seed, models, device=device, dtype=dtype)
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
    """The state from which training continues after a checkpoint: the sum of losses starts again."""
    return state._replace(loss=torch.zeros_like(state.loss))


def run(
    ensemble: Ensemble,
    state: State,
    checkpoints: Sequence[int],
    stop: Stop = lambda: False,
    refused: Refused | None = None,
) -> Iterator[State]:
    """Train from `state`, yielding at every step in `checkpoints`, at the end, and once when `stop()` turns true.

    Without `refused` a failure to compile is raised.
    """
    recipe, advance = ensemble.recipe, one_step
    if ensemble.group.size > 1 and not recipe.objective.splits:
        raise ValueError(f"loss = {recipe.loss!r} runs in one process, not in {ensemble.group.size}")
    if compiles(ensemble):
        torch.compiler.reset()  # every ensemble compiles anew, and torch keeps eight versions at most
        advance = compiled(one_step, refused)
    due = {*checkpoints, recipe.steps}
    begin = int(state.step)
    ensemble = weighed(ensemble)
    batches = draw_batches(ensemble, begin)
    for step, rate in enumerate(_rates(ensemble, begin), start=begin + 1):
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
    """Whether the step is compiled: on request, in one process, where it is dense and does not loop over models."""
    recipe = ensemble.recipe
    plain = recipe.batch_size <= LARGEST_DENSE_BATCH and "conv" not in recipe.kinds.values()
    return ensemble.compile and plain and ensemble.group.size == 1


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step: linear warm-up, then constant or half a cosine down to zero."""
    warmup = min(recipe.warmup, recipe.steps - 1)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 + math.cos(math.pi * (step - warmup) / (recipe.steps - warmup))) / 2


def _rates(ensemble: Ensemble, first: int) -> Iterator[Float[torch.Tensor, ""]]:
    """Learning rate of every step from `first` on, moved to the device in runs of 4096."""
    recipe = ensemble.recipe
    for begin in range(first, recipe.steps, 4096):
        rates = [learning_rate(recipe, step) for step in range(begin, min(begin + 4096, recipe.steps))]
        yield from torch.tensor(rates, dtype=ensemble.dtype, device=ensemble.device)


def check_ensemble(ensemble: Ensemble) -> None:
    """Refuse an ensemble that cannot be trained, before any work begins."""
    recipe, worlds = ensemble.recipe, ensemble.worlds
    check_inputs(recipe, ensemble.inputs)
    if len({(world.views, world.views and world.classes) for world in worlds}) > 1:
        raise ValueError("the worlds of an ensemble have one kind of views and, of pixels, one number of classes")
    if worlds[0].views is not None:
        for name, wrong, near in (
            ("sampler", ensemble.sampler.swaps, "drawn"),
            ("points", recipe.points == "sobol", "random"),
        ):
            if wrong:
                raise ValueError(
                    f"{name} = {getattr(recipe, name)!r} needs views that are vectors, not pixels; the nearest valid "
                    f"choice is {name} = {near!r}"
                )
    if recipe.points == "sobol":
        from simulator.gaussian.sobol import check_sobol  # here for start-up time: scipy.stats takes a second

        check_sobol(worlds[0], recipe.n or recipe.steps * recipe.batch_size)
