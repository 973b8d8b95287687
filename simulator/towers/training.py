"""Gradient training of an ensemble: one pure step for all models, repeated.

    for state in run(ensemble, start(ensemble), checkpoints):
        ...

A model whose loss or gradient is not finite is frozen at its last finite weights and marked with the step; the others
continue. A run resumed from a `State` is the same bit by bit.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float, Int

from simulator.compiling import compiled
from simulator.gaussian.pairs import Pairs
from simulator.towers.distributed import ALONE, Group, summed
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import draw_batches, pair_weights, weighed
from simulator.towers.kinds import KINDS, Parameters
from simulator.towers.layers import check_inputs, embed, initialise, logit_scale, scored
from simulator.towers.lbfgs import lbfgs_step
from simulator.towers.objectives import Embedded
from simulator.towers.optimisers import REFRESH_EVERY, averaged, clip, moments, per_model, refresh_eigenbasis, update
from simulator.towers.recipe import Recipe

# Larger batches never store their B x B logits. For smaller ones a batched product for the ensemble is faster than a
# loop over models. The choice depends on B alone, so that a model's weights do not depend on the ensemble's size.
LARGEST_DENSE_BATCH = 1024


class State(NamedTuple):
    """Everything that training of E models needs to continue."""

    step: Int[torch.Tensor, ""]
    parameters: Parameters
    moments: Parameters
    averages: Parameters
    diverged: Int[torch.Tensor, " E"]
    measures: dict[str, Float[torch.Tensor, " E"]]

    @property
    def eval_parameters(self) -> Parameters:
        """The weights of evaluation: averages where there are any."""
        return {**self.parameters, **self.averages}


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
        moments=moments(recipe.optimizer, _descending(recipe, parameters)),
        averages={n: p.clone() for n, p in _descending(recipe, parameters).items()} if recipe.averages else {},
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
        torch.compiler.reset()  # every ensemble is a program of its own, of which torch keeps no more than eight
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


def one_step(ensemble: Ensemble, group: Group, state: State, batch: Pairs, rate: Float[torch.Tensor, ""]) -> State:
    """The state after one step of every model on its batch; a pure function that compiles as a whole.

    A model that has diverged, or diverges here, keeps its parameters and moments.
    """
    recipe = ensemble.recipe
    if recipe.optimizer == "lbfgs":
        return _lbfgs(ensemble, state, batch)
    gradients, measures = _gradients(state.parameters, ensemble, group, batch)
    if group.size > 1:
        gradients = {name: summed(group, g) for name, g in gradients.items()}
        measures = {name: summed(group, value) for name, value in measures.items()}
    down, norm = clip(_descending(recipe, gradients), recipe.clip)
    number = (state.step + 1).to(rate.dtype)
    new, memory = update(recipe.optimizer, state.parameters, down, state.moments, rate, number, recipe.weight_decay)
    finite = torch.isfinite(measures["loss"]) & torch.isfinite(norm)
    new = recipe.objective.after({**state.parameters, **new}, state.parameters, gradients)
    return _stepped(recipe, state, new, memory, finite, measures)


def _descending(recipe: Recipe, parameters: Parameters) -> Parameters:
    """The parameters that the optimiser moves."""
    still = f"{recipe.frozen}."
    return {n: p for n, p in parameters.items() if n not in recipe.objective.ascent and not n.startswith(still)}


def _lbfgs(ensemble: Ensemble, state: State, batch: Pairs) -> State:
    """A step of L-BFGS, one model at a time."""

    def measure(parameters: Parameters, models: slice) -> dict[str, torch.Tensor]:
        return measured(ensemble, ALONE, parameters, Pairs(*(field[models] for field in batch)))

    going = torch.nonzero(state.diverged < 0).flatten().tolist()
    with torch.no_grad():
        measures = measure(state.parameters, slice(None))
    new = lbfgs_step(lambda own, k: measure(own, slice(k, k + 1))["loss"].sum(), state.parameters, going)
    finite = torch.isfinite(measures["loss"])
    for value in new.values():
        finite = finite & torch.isfinite(value.reshape(len(value), -1)).all(1)
    recipe = ensemble.recipe
    return _stepped(recipe, state, recipe.objective.after(new, state.parameters, {}), state.moments, finite, measures)


def _stepped(
    recipe: Recipe,
    state: State,
    parameters: Parameters,
    moments: Parameters,
    finite: torch.Tensor,
    measures: dict[str, torch.Tensor],
) -> State:
    """The next state: models whose step is not finite are marked, and marked models keep their values."""
    step = state.step + 1
    diverged = torch.where((state.diverged < 0) & ~finite, step, state.diverged)
    going = diverged < 0
    averages = averaged(state.averages, parameters, step, recipe.averaging) if state.averages else {}
    return State(
        step,
        _frozen(going, parameters, state.parameters),
        _frozen(going, moments, state.moments),
        _frozen(going, averages, state.averages),
        diverged,
        {name: state.measures[name] + torch.where(going, v, torch.zeros_like(v)) for name, v in measures.items()},
    )


def _frozen(going: torch.Tensor, new: Parameters, old: Parameters) -> Parameters:
    """New values of models that continue, old values of models that have diverged."""
    return {
        name: value if value is old[name] else torch.where(per_model(going, value), value, old[name])
        for name, value in new.items()
    }


def _gradients(parameters: Parameters, *problem):
    """(gradient of every model's loss, what `measured` returns).

    torch.compile traces torch.func only; compiled tiles run under plain autograd only. Both give the same gradient.
    """
    if torch.compiler.is_compiling():
        gradients, (_, measures) = torch.func.grad_and_value(_summed_loss, has_aux=True)(parameters, *problem)
        return gradients, measures
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    loss, measures = _summed_loss(leaves, *problem)
    found = torch.autograd.grad(loss, list(leaves.values()))
    return dict(zip(leaves, found, strict=True)), {name: value.detach() for name, value in measures.items()}


def _summed_loss(parameters: Parameters, ensemble: Ensemble, group: Group, batch: Pairs):
    """The summed loss; models share no parameter, so its gradient holds every model's gradient."""
    measures = measured(ensemble, group, parameters, batch)
    return measures["loss"].sum(), measures


def measured(
    ensemble: Ensemble, group: Group, parameters: Parameters, batch: Pairs
) -> dict[str, Float[torch.Tensor, " E"]]:
    """Loss and mean embedding norms of every model on one batch, or this process's share of them."""
    recipe, images, objective = ensemble.recipe, batch.images, ensemble.recipe.objective
    dtype = next(iter(parameters.values())).dtype
    rounded = recipe.precision == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16) if rounded else nullcontext():
        I = embed(recipe, parameters, "image", images).to(dtype)
        T = embed(recipe, parameters, "text", batch.texts).to(dtype) if objective.captions else I
    norms = {
        "image_norm": I.detach().norm(dim=-1).mean(1) / group.size,
        "text_norm": T.detach().norm(dim=-1).mean(1) / group.size,
    }
    loss = objective.loss(
        Embedded(
            images=scored(recipe, I),
            texts=scored(recipe, T),
            labels=batch.labels,
            backgrounds=batch.backgrounds,
            scale=logit_scale(recipe, parameters),
            parameters=parameters,
            recipe=recipe,
            group=group,
            weights=None
            if ensemble.group_weights is None
            else pair_weights(ensemble.group_weights, batch, ensemble.worlds[0].classes),
            split=group.size > 1 or (objective.chunked and images.shape[1] > LARGEST_DENSE_BATCH),
        )
    )
    return {"loss": loss, **norms}


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
