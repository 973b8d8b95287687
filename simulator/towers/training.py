"""Gradient training of an ensemble: one pure step for all models, repeated.

    for state in run(recipe, worlds, ...):   # yields at every checkpoint, and where `stop` asks for it
        ...

A model whose loss or gradient is no longer finite is frozen at its last finite weights and marked with the step;
the others go on. Everything a later run needs to go on bit for bit is in `State`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import count
from typing import NamedTuple

import torch
from jaxtyping import Float, Int

from simulator.compiling import compiled
from simulator.gaussian.pairs import Pairs
from simulator.samplers import SAMPLERS, Sampler
from simulator.towers.affine import Parameters, View
from simulator.towers.distributed import ALONE, Group, rows, summed
from simulator.towers.layers import KINDS, embed, initialise, layers, logit_scale, refuse_misread, scored
from simulator.towers.objectives import Embedded
from simulator.towers.optimisers import TURN_EVERY, averaged, clip, look_again, moments, per_model, update
from simulator.towers.quasi_newton import lbfgs_step
from simulator.towers.recipe import Recipe
from simulator.towers.sampled import group_weights, orders, pair_weights, shares, streamed
from simulator.towers.seen import Seen, seen
from simulator.world import World

# Batches above this many pairs never store their B x B logits; below it one batched product for the ensemble beats
# a loop over models. The choice looks at B alone, so that a model does not notice the ensemble's size.
LARGEST_DENSE_BATCH = 1024


class State(NamedTuple):
    """All there is to an ensemble in training; E models."""

    step: Int[torch.Tensor, ""]
    parameters: Parameters
    moments: Parameters
    averages: Parameters
    diverged: Int[torch.Tensor, " E"]
    measures: dict[str, Float[torch.Tensor, " E"]]

    @property
    def asked(self) -> Parameters:
        """The weights by which models are asked: averages where there are any."""
        return {**self.parameters, **self.averages}


class Ensemble(NamedTuple):
    """Which models train, on what, where."""

    recipe: Recipe
    worlds: tuple[World, ...]
    models: tuple[int, ...]
    seed: int
    device: str = "cpu"
    draw_on: str | None = None
    compile: bool = False
    group_weights: Float[torch.Tensor, "E G"] | None = None

    @property
    def sampler(self) -> Sampler:
        """What is done with the pairs before training."""
        return SAMPLERS[self.recipe.sampler]

    @property
    def seen(self) -> Seen:
        """How its worlds are looked at."""
        return seen(self.worlds[0])

    @property
    def views(self) -> dict[str, View]:
        """What the towers read, by their names."""
        found = self.seen.views(self.worlds[0])
        return {side: found[side] for side in self.recipe.objective.sides}

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters and pairs; bfloat16 is the precision of products under autocast."""
        return torch.float64 if self.recipe.precision == "float64" else torch.float32


def least_bytes(ensemble: Ensemble, processes: int = 1) -> int:
    """Bytes that a process cannot do without: parameters old and new, a fixed set, its rows with their embeddings.

    What a run really takes is a few times more.
    """
    recipe, E = ensemble.recipe, len(ensemble.models)
    drawn = ensemble.seen.views(ensemble.worlds[0]).values()  # whether or not they are read
    each = [layer for side, view in ensemble.views.items() for layer in layers(recipe, side, view)]
    numbers = sum(view.size for view in drawn) + sum(layer.outputs * layer.uses for layer in each)
    weights = 2 * sum(layer.inputs * layer.outputs for layer in each)
    size = torch.finfo(ensemble.dtype).bits // 8
    held = sum(view.size * (1 if view.form == "image" else size) for view in drawn)  # pixels are held in bytes
    return E * (size * (recipe.batch_size // processes * numbers + weights) + (recipe.n or 0) * held)


def step_products(ensemble: Ensemble) -> int:
    """Multiply-adds of a step's affine maps, forwards."""
    recipe = ensemble.recipe
    each = [layer for side, view in ensemble.views.items() for layer in layers(recipe, side, view)]
    products = sum(layer.inputs * layer.outputs * layer.uses for layer in each)
    return len(ensemble.models) * recipe.batch_size * products


class EveryModelDiverged(RuntimeError):
    """No model of the ensemble has a finite loss any more."""


def start(ensemble: Ensemble) -> State:
    """The state before the first step.

    Raises ValueError for towers that do not read the views.
    """
    recipe, views = ensemble.recipe, ensemble.views
    refuse_misread(recipe, views)
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
    """The same state, its sums of measures empty: what training goes on from after a checkpoint."""
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
        refuse_all_diverged(ensemble, found)
        yield found


def refuse_all_diverged(ensemble: Ensemble, state: State) -> None:
    """Refuse a state without a model that goes on."""
    if bool((state.diverged >= 0).all()):
        raise EveryModelDiverged(
            f"every one of {len(ensemble.models)} models lost its finite loss, the last at step "
            f"{int(state.diverged.max())}; a smaller lr than {ensemble.recipe.lr} is the first thing to try"
        )


def states(
    ensemble: Ensemble, state: State, checkpoints: Sequence[int], stop: Callable, group: Group, refused: Callable | None
) -> Iterator[State]:
    """What `run` yields, and goes on where no model does: others may train more models of the ensemble."""
    recipe = ensemble.recipe
    _refuse_one_process_alone(recipe, group)
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
        if step % TURN_EVERY == 0:
            state = state._replace(moments=look_again(state.moments))
        checkpoint = step in due
        if checkpoint:
            yield state
            state = restarted(state)
        if step < recipe.steps and stop():
            if not checkpoint:
                yield state
            return


def _refuse_one_process_alone(recipe: Recipe, group: Group) -> None:
    if group.size > 1 and recipe.objective.share is None:
        raise ValueError(f"loss = {recipe.loss!r} runs in one process, not in {group.size}")
    if group.size > 1 and recipe.optimizer == "lbfgs":
        raise ValueError("optimizer = 'lbfgs' runs in one process; the nearest valid choices are adamw and sgd")


def compiles(ensemble: Ensemble, group: Group = ALONE) -> bool:
    """Whether the step is compiled: if asked, where it is dense, in one process, and loops over no models."""
    recipe = ensemble.recipe
    plain = recipe.optimizer != "lbfgs" and recipe.batch_size <= LARGEST_DENSE_BATCH
    plain = plain and all(KINDS[kind].compiles for kind in recipe.objective.kinds(recipe))
    return ensemble.compile and plain and group.size == 1


def learning_rate(recipe: Recipe, step: int) -> float:
    """Rate of a step: linear warm-up, then constant or half a cosine down to zero."""
    warmup = min(recipe.warmup, recipe.steps - 1)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 + math.cos(math.pi * (step - warmup) / (recipe.steps - warmup))) / 2


def _rates(ensemble: Ensemble, first: int) -> Iterator[Float[torch.Tensor, ""]]:
    """Learning rate of every step from `first` on, some thousands put on the device at a time."""
    recipe = ensemble.recipe
    for begin in range(first, recipe.steps, 4096):
        rates = [learning_rate(recipe, step) for step in range(begin, min(begin + 4096, recipe.steps))]
        yield from torch.tensor(rates, dtype=ensemble.dtype, device=ensemble.device)


def one_step(ensemble: Ensemble, group: Group, state: State, batch: Pairs, rate: Float[torch.Tensor, ""]) -> State:
    """The state after one step of every model on its batch; pure, and compiled as a whole.

    A model that has diverged, or does so here, keeps its parameters and moments.
    """
    recipe = ensemble.recipe
    if recipe.optimizer == "lbfgs":
        return _line_search(ensemble, state, batch)
    gradients, seen = _gradients(state.parameters, ensemble, group, batch)
    if group.size > 1:  # shares add up, of the loss as of its gradient
        gradients = {name: summed(group, g) for name, g in gradients.items()}
        seen = {name: summed(group, value) for name, value in seen.items()}
    down, norm = clip(_descending(recipe, gradients), recipe.clip)
    number = (state.step + 1).to(rate.dtype)
    new, memory = update(recipe.optimizer, state.parameters, down, state.moments, rate, number, recipe.weight_decay)
    fine = torch.isfinite(seen["loss"]) & torch.isfinite(norm)
    new = recipe.objective.after({**state.parameters, **new}, state.parameters, gradients)
    return _stepped(recipe, state, new, memory, fine, seen)


def _descending(recipe: Recipe, parameters: Parameters) -> Parameters:
    """Those that the optimiser moves."""
    still = f"{recipe.frozen}."
    return {n: p for n, p in parameters.items() if n not in recipe.objective.raised and not n.startswith(still)}


def _line_search(ensemble: Ensemble, state: State, batch: Pairs) -> State:
    """A step of L-BFGS, a model at a time: the objective is minimised on rows [k, k + 1) of the batch."""

    def measure(parameters: Parameters, models: slice) -> dict[str, torch.Tensor]:
        return measured(ensemble, ALONE, parameters, Pairs(*(field[models] for field in batch)))

    going = torch.nonzero(state.diverged < 0).flatten().tolist()
    with torch.no_grad():
        seen = measure(state.parameters, slice(None))
    new = lbfgs_step(lambda own, k: measure(own, slice(k, k + 1))["loss"].sum(), state.parameters, going)
    fine = torch.isfinite(seen["loss"])
    for value in new.values():
        fine = fine & torch.isfinite(value.reshape(len(value), -1)).all(1)
    recipe = ensemble.recipe
    return _stepped(recipe, state, recipe.objective.after(new, state.parameters, {}), state.moments, fine, seen)


def _stepped(
    recipe: Recipe,
    state: State,
    parameters: Parameters,
    moments: Parameters,
    fine: torch.Tensor,
    seen: dict[str, torch.Tensor],
) -> State:
    """The next state: models whose step is not fine are marked, and marked ones stay as they were."""
    step = state.step + 1
    diverged = torch.where((state.diverged < 0) & ~fine, step, state.diverged)
    going = diverged < 0
    averages = averaged(state.averages, parameters, step, recipe.averaging) if state.averages else {}
    return State(
        step,
        _kept(going, parameters, state.parameters),
        _kept(going, moments, state.moments),
        _kept(going, averages, state.averages),
        diverged,
        {name: state.measures[name] + torch.where(going, v, torch.zeros_like(v)) for name, v in seen.items()},
    )


def _kept(going: torch.Tensor, new: Parameters, old: Parameters) -> Parameters:
    """The new values of models that go on, the old ones of those that have diverged."""
    return {
        name: value if value is old[name] else torch.where(per_model(going, value), value, old[name])
        for name, value in new.items()
    }


def _gradients(parameters: Parameters, *problem):
    """(gradient of every model's loss, what `measured` saw), differentiated in one of two equal ways.

    torch.compile follows torch.func alone; compiled tiles run under plain autograd alone.
    """
    if torch.compiler.is_compiling():
        gradients, (_, seen) = torch.func.grad_and_value(_summed_loss, has_aux=True)(parameters, *problem)
        return gradients, seen
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    loss, seen = _summed_loss(leaves, *problem)
    found = torch.autograd.grad(loss, list(leaves.values()))
    return dict(zip(leaves, found, strict=True)), {name: value.detach() for name, value in seen.items()}


def _summed_loss(parameters: Parameters, ensemble: Ensemble, group: Group, batch: Pairs):
    """Models share nothing, so the gradient of the summed loss holds every model's own gradient."""
    seen = measured(ensemble, group, parameters, batch)
    return seen["loss"].sum(), seen


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
    shared = group.size > 1 or (objective.tiled and images.shape[1] > LARGEST_DENSE_BATCH)
    loss = (objective.share if shared else objective.whole)(
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
        )
    )
    return {"loss": loss, **norms}


def draw_batches(ensemble: Ensemble, first: int, group: Group = ALONE) -> Iterator[Pairs]:
    """This process's rows of the batches of step `first`, `first` + 1, ... with a leading model axis.

    Fresh pairs: step t takes pairs [t B, (t + 1) B) of each model's stream. A fixed set: its first n pairs in a new
    order every epoch, the remainder of an epoch left out. The recipe's sampler chooses among either. A batch is to be
    used before the next is asked for, which may be written over it.
    """
    recipe, part = ensemble.recipe, rows(group, ensemble.recipe.batch_size)
    if recipe.n is None:
        return fresh_batches(ensemble, recipe.batch_size, part, first)
    return fixed_batches(ensemble, recipe.n, recipe.batch_size, part, first)


def pair_block(ensemble: Ensemble, index: int, over: Pairs | None = None) -> Pairs:
    """Block `index` of every model's training stream."""
    looked, endless = ensemble.seen, ensemble.recipe.n is None
    worlds = streamed(ensemble.sampler, ensemble.worlds) if endless else ensemble.worlds
    block = looked.block(ensemble._replace(worlds=worlds), "train", index, over)
    return looked.contradicted(ensemble, block, "train", index) if ensemble.sampler.swaps else block


def fresh_batches(ensemble: Ensemble, size: int, part: tuple[int, int], first: int) -> Iterator[Pairs]:
    """Rows `part` of consecutive batches of the endless stream, each pair used once; as of `draw_batches`."""
    block, held, held_index = ensemble.seen.block_size(ensemble.worlds[0]), None, -1
    for step in count(first):
        pieces, position, end = [], step * size + part[0], step * size + part[1]
        while position < end:
            index, offset = divmod(position, block)
            if index != held_index:
                over = None if pieces else held  # rows that begin this batch are still to be read
                held, held_index = pair_block(ensemble, index, over), index
            take = min(end - position, block - offset)
            pieces.append([field[:, offset : offset + take] for field in held])
            position += take
        yield Pairs(*(p[0] if len(p) == 1 else torch.cat(p, dim=1) for p in zip(*pieces, strict=True)))


def fixed_batches(ensemble: Ensemble, n: int, size: int, part: tuple[int, int], first: int) -> Iterator[Pairs]:
    """Rows `part` of minibatches of the first n pairs, without replacement within an epoch."""
    held = fixed_set(ensemble)
    sampler = ensemble.sampler
    if size == n and sampler.rows is None:  # one fixed batch: its order does not matter
        while True:
            yield Pairs(*(field[:, slice(*part)] for field in held))
    for order in orders(sampler, ensemble.worlds, ensemble.models, held, ensemble.seed, size, first):
        chosen = order[:, slice(*part)]
        model = torch.arange(len(chosen), device=chosen.device)[:, None]
        yield Pairs(*(field[model, chosen] for field in held))


def fixed_set(ensemble: Ensemble) -> Pairs:
    """The first n pairs of every model's stream."""
    n, size = ensemble.recipe.n, ensemble.seen.block_size(ensemble.worlds[0])
    blocks = [pair_block(ensemble, index) for index in range(-(-n // size))]
    return Pairs(*(torch.cat(field, dim=1)[:, :n] for field in zip(*blocks, strict=True)))


def refuse(ensemble: Ensemble) -> None:
    """Refuse what cannot be trained, before any work is begun."""
    refuse_misread(ensemble.recipe, ensemble.views)
    if len({(world.views, world.views and world.classes) for world in ensemble.worlds}) > 1:
        raise ValueError("the worlds of an ensemble have one kind of views and, of pixels, one number of classes")
    if ensemble.sampler.swaps and ensemble.seen.contradicted is None:
        raise ValueError(
            f"sampler = {ensemble.sampler.name!r} swaps backgrounds in captions that are Gaussian vectors; the nearest "
            "valid choice is sampler = 'drawn'"
        )
    recipe = ensemble.recipe
    if recipe.points == "sobol":
        if ensemble.seen.refuse_net is None:
            raise ValueError(
                "points = 'sobol' needs views that are vectors, not pixels; "
                "the nearest valid choice is points = 'random'"
            )
        ensemble.seen.refuse_net(ensemble.worlds[0], recipe.n or recipe.steps * recipe.batch_size)


def refuse_missing_groups(ensemble: Ensemble) -> None:
    """Refuse groups without a pair, before any training is begun; a fixed set is drawn for it."""
    recipe = ensemble.recipe
    if ensemble.sampler.balances:
        next(draw_batches(weighed(ensemble), 0))
    if recipe.objective.raised:  # by the losses of groups, and a group without a pair has none
        shares(ensemble.worlds, None if recipe.n is None else fixed_set(ensemble))


def weighed(ensemble: Ensemble) -> Ensemble:
    """The ensemble with the weights that its sampler gives to groups of pairs."""
    if ensemble.sampler.weights is None:
        return ensemble
    held = None if ensemble.recipe.n is None else fixed_set(ensemble)
    like = torch.empty(0, dtype=ensemble.dtype, device=ensemble.device)
    return ensemble._replace(group_weights=group_weights(ensemble.sampler, ensemble.worlds, held, like))
