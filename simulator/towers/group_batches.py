"""Sampled batches of an ensemble: fresh pairs or minibatches of a fixed set, and the weights of
groups.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import torch
from jaxtyping import Float, Int

from simulator.gaussian.pairs import Pairs, contradicted, dictionaries
from simulator.samplers import EmptyGroup, check_shares, group_counts, group_numbers
from simulator.streams import numpy_stream
from simulator.towers.distributed import rows
from simulator.towers.ensemble import Ensemble
from simulator.world import World


def draw_batches(ensemble: Ensemble, first: int) -> Iterator[Pairs]:
    """This process's rows of the batches of step `first`, `first` + 1, ...

    Fresh pairs: step t takes pairs [t B, (t + 1) B) of each model's stream. A fixed set: the
    stream's first n pairs in a new order every epoch; the remainder of an epoch is left out.
    """
    return (_fresh_batches if ensemble.recipe.n is None else _fixed_batches)(ensemble, first)


def pair_block(ensemble: Ensemble, index: int) -> Pairs:
    """Block `index` of every model's training stream."""
    worlds, sampler = ensemble.worlds, ensemble.sampler
    # fresh pairs come from the balanced law itself
    if ensemble.recipe.n is None and sampler.rows is not None:
        worlds = tuple(sampler.law(world) for world in worlds)
    block = ensemble.views.block(ensemble._replace(worlds=worlds), "train", index)
    if not sampler.swaps:
        return block
    _, D = dictionaries(worlds[0], ensemble.seed)
    streams = [f"train/{k}" for k in ensemble.models]
    return contradicted(block, worlds[0], D, ensemble.seed, index, streams=streams)


def _fresh_batches(ensemble: Ensemble, first: int) -> Iterator[Pairs]:
    size = ensemble.recipe.batch_size
    block = ensemble.views.block_size(ensemble.worlds[0])
    part = rows(ensemble.group, size)
    held = None
    held_index = -1
    for step in count(first):
        pieces = []
        position = step * size + part.start
        end = step * size + part.stop
        while position < end:
            index, offset = divmod(position, block)
            if index != held_index:
                held = pair_block(ensemble, index)
                held_index = index
            take = min(end - position, block - offset)
            pieces.append([field[:, offset : offset + take] for field in held])
            position += take
        yield Pairs(
            *(p[0] if len(p) == 1 else torch.cat(p, dim=1) for p in zip(*pieces, strict=True))
        )


def _fixed_batches(ensemble: Ensemble, first: int) -> Iterator[Pairs]:
    """Minibatches of the first n pairs, without replacement within an epoch."""
    recipe = ensemble.recipe
    held = fixed_set(ensemble)
    part = rows(ensemble.group, recipe.batch_size)
    # one fixed batch: its order does not matter
    if recipe.batch_size == recipe.n and ensemble.sampler.rows is None:
        while True:
            yield Pairs(*(field[:, part] for field in held))
    model = torch.arange(len(ensemble.models), device=held.labels.device)[:, None]
    groups = _groups(held, ensemble.worlds)
    for order in zip(
        *(_order(ensemble, k, own, first) for k, own in enumerate(groups)), strict=True
    ):
        chosen = torch.from_numpy(np.stack(order)).to(held.labels.device)[:, part]
        yield Pairs(*(field[model, chosen] for field in held))


def fixed_set(ensemble: Ensemble) -> Pairs:
    n = ensemble.recipe.n
    size = ensemble.views.block_size(ensemble.worlds[0])
    blocks = [pair_block(ensemble, index) for index in range(-(-n // size))]
    return Pairs(*(torch.cat(field, dim=1)[:, :n] for field in zip(*blocks, strict=True)))


def _order(
    ensemble: Ensemble, k: int, groups: Int[np.ndarray, " n"], first: int
) -> Iterator[Int[np.ndarray, " size"]]:
    """Rows of the fixed set of model k at step `first`, `first` + 1, ...; EmptyGroup if it or a
    group is too small.
    """
    sampler, world, size = ensemble.sampler, ensemble.worlds[k], ensemble.recipe.batch_size
    seed, model, epoch = ensemble.seed, ensemble.models[k], -1
    rows = order = np.arange(len(groups))
    if sampler.rows is not None:
        group_counts(groups, world)  # raises EmptyGroup
        if not sampler.anew:
            rows = sampler.rows(groups, numpy_stream(seed, f"{sampler.name}/{model}"))
    if len(rows) < size:
        least = int(np.ceil(size / sampler.effective(world)))
        raise EmptyGroup(
            f"sampler = {sampler.name!r} leaves {len(rows)} of n = {len(groups)} pairs, fewer than "
            f"batch_size = {size}; about n = {least} is enough"
        )
    for step in count(first):
        now, place = divmod(step, len(rows) // size)
        if now != epoch:
            epoch = now
            if sampler.anew:
                order = sampler.rows(groups, numpy_stream(seed, f"{sampler.name}/{model}", epoch))
            else:
                order = rows[numpy_stream(seed, f"order/{model}", epoch).permutation(len(rows))]
        yield order[place * size : (place + 1) * size]


def _groups(held: Pairs, worlds: Sequence[World]) -> Int[np.ndarray, "E n"]:
    return group_numbers(held.labels, held.backgrounds, worlds[0].background_count).cpu().numpy()


def check_groups(ensemble: Ensemble) -> None:
    """Raise EmptyGroup before training if a group has no pair. This draws the fixed set, if there
    is one.
    """
    if ensemble.sampler.balances:
        next(draw_batches(weighed(ensemble), 0))
    if ensemble.recipe.objective.ascent:  # GroupDRO needs the loss of every group
        _shares(ensemble)


def weighed(ensemble: Ensemble) -> Ensemble:
    """The ensemble with its sampler's weights of groups; raises EmptyGroup if a group has share
    zero.
    """
    if ensemble.sampler.weights is None:
        return ensemble
    weights = np.stack([ensemble.sampler.weights(own) for own in _shares(ensemble)])
    return ensemble._replace(
        group_weights=torch.tensor(weights, dtype=ensemble.dtype, device=ensemble.device)
    )


def _shares(ensemble: Ensemble) -> list[Float[np.ndarray, " G"]]:
    """Share of every group in the law of fresh pairs or in a fixed set; raises EmptyGroup if one is
    0.
    """
    worlds = ensemble.worlds
    if ensemble.recipe.n is not None:
        numbers = _groups(fixed_set(ensemble), worlds)
        return [
            group_counts(groups, world) / len(groups)
            for groups, world in zip(numbers, worlds, strict=True)
        ]
    for world in worlds:
        check_shares(world)
    return [world.joint_law().ravel() for world in worlds]
