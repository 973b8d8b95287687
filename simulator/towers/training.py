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
from simulator.towers.distributed import ALONE, Group
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import draw_batches, weighed
from simulator.towers.kinds import KINDS
from simulator.towers.layers import check_inputs, initialise
from simulator.towers.optimisers import REFRESH_EVERY, moments, refresh_eigenbasis
from simulator.towers.recipe import Recipe
from simulator.towers.step import LARGEST_DENSE_BATCH, State, descending, one_step


class EveryModelDiverged(RuntimeError):
    """No model of the ensemble has a finite loss."""


def start(ensemble: Ensemble) -> State:
    """The state before the first step.

    Raises ValueError for towers that do not read the views.
    """
    recipe, views = ensemble.recipe, ensemble.inputs
    check_inputs(recipe, views)
    parameters = initialise(
        recipe,
        views,
        ensemble.worlds[0].classes,
        ensemble.seed,
        ensemble.models,
        device=ensemble.device,
        dtype=ensemble.dtype,
    )
    E = len(ensemble.models)
    return State(
        step=torch.zeros((), dtype=torch.int64, device=ensemble.device),
        parameters=parameters,
        moments=moments(recipe.optimizer, descending(recipe, parameters)),
        averages={n: p.clone() for n, p in descending(recipe, parameters).items()} if recipe.averages else {},
        diverged=torch.full((E,), -1, dtype=torch.int64, device=ensemble.device),
        measures={
            name: torch.zeros(E, dtype=ensemble.dtype, device=ensemble.device)
            for name in ("loss", "image_norm", "text_norm")
        },
    )


def restarted(state: State) -> State:
    """The state from which training continues after a checkpoint: sums of measures start again."""
    return state._replace(measures={name: torch.zeros_like(value) for name, value in state.measures.items()})


def run(
    ensemble: Ensemble,
    state: State,
    checkpoints: Sequence[int],
    stop: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
    refused: Callable[[str], None] | None = None,
) -> Iterator[State]:
    """Train from `state`, yielding at every step in `checkpoints`, at the end, and once when `stop()` turns true."""
    for found in states(ensemble, state, checkpoints, stop, group, refused):
        check_not_all_diverged(ensemble, found)
        yield found


def check_not_all_diverged(ensemble: Ensemble, state: State) -> None:
    """Raise EveryModelDiverged if all models are frozen."""
    if bool((state.diverged >= 0).all()):
        raise EveryModelDiverged(
            f"every one of {len(ensemble.models)} models lost its finite loss, the last at step "
            f"{int(state.diverged.max())}; a smaller lr than {ensemble.recipe.lr} is the first thing to try"
        )


def states(
    ensemble: Ensemble, state: State, checkpoints: Sequence[int], stop: Callable, group: Group, refused: Callable | None
) -> Iterator[State]:
    """As `run`, and continues when all models have diverged: other processes may train more models."""
    recipe = ensemble.recipe
    _check_distributed(recipe, group)
    advance = one_step
    if compiles(ensemble, group):
        torch.compiler.reset()  # every ensemble compiles anew, and torch keeps eight versions at most
        advance = compiled(one_step, refused)
    due = {*checkpoints, recipe.steps}
    begin = int(state.step)
    ensemble = weighed(ensemble)
    batches = draw_batches(ensemble, begin, group)
    for step, rate in enumerate(_rates(ensemble, begin), start=begin + 1):
        state = advance(ensemble, group, state, next(batches), rate)
        if step % REFRESH_EVERY == 0:
            state = state._replace(moments=refresh_eigenbasis(state.moments))
        checkpoint = step in due
        if checkpoint:
            yield state
            state = restarted(state)
        if step < recipe.steps and stop():
            if not checkpoint:
                yield state
            return


def _check_distributed(recipe: Recipe, group: Group) -> None:
    if group.size > 1 and not recipe.objective.distributed:
        raise ValueError(f"loss = {recipe.loss!r} runs in one process, not in {group.size}")
    if group.size > 1 and recipe.optimizer == "lbfgs":
        raise ValueError("optimizer = 'lbfgs' runs in one process; the nearest valid choices are adamw and sgd")


def compiles(ensemble: Ensemble, group: Group = ALONE) -> bool:
    """Whether the step is compiled: on request, in one process, where it is dense and does not loop over models."""
    recipe = ensemble.recipe
    plain = recipe.optimizer != "lbfgs" and recipe.batch_size <= LARGEST_DENSE_BATCH
    plain = plain and all(KINDS[kind].compiles for kind in recipe.objective.kinds(recipe))
    return ensemble.compile and plain and group.size == 1


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
    if ensemble.sampler.swaps and worlds[0].views is not None:
        raise ValueError(
            f"sampler = {ensemble.sampler.name!r} swaps backgrounds in captions that are Gaussian vectors; the nearest "
            "valid choice is sampler = 'drawn'"
        )
    if recipe.points == "sobol":
        if worlds[0].views is not None:
            raise ValueError(
                "points = 'sobol' needs views that are vectors, not pixels; "
                "the nearest valid choice is points = 'random'"
            )
        from simulator.gaussian.sobol import check_sobol  # here for start-up time: scipy.stats takes a second

        check_sobol(worlds[0], recipe.n or recipe.steps * recipe.batch_size)
