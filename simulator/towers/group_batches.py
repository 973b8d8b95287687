"""Batches of an ensemble, after its sampler: fresh pairs or minibatches of a fixed set, and the weights of groups."""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import torch
from jaxtyping import Float, Int

from simulator.gaussian.pairs import Pairs, contradicted, dictionaries
from simulator.samplers import EmptyGroup, Sampler, check_shares, group_counts, group_numbers, group_shares
from simulator.streams import numpy_stream
from simulator.towers.distributed import ALONE, Group, rows
from simulator.towers.ensemble import Ensemble
from simulator.world import World


def draw_batches(ensemble: Ensemble, first: int, group: Group = ALONE) -> Iterator[Pairs]:
    """This process's rows of the batches of step `first`, `first` + 1, ... with a leading model axis.

    Fresh pairs: step t takes pairs [t B, (t + 1) B) of each model's stream. A fixed set: its first n pairs in a new
    order every epoch, the remainder of an epoch left out. The recipe's sampler chooses among either. The next batch may
    be written over this one.
    """
    recipe, part = ensemble.recipe, rows(group, ensemble.recipe.batch_size)
    if recipe.n is None:
        return fresh_batches(ensemble, recipe.batch_size, part, first)
    return fixed_batches(ensemble, recipe.n, recipe.batch_size, part, first)


def pair_block(ensemble: Ensemble, index: int, over: Pairs | None = None) -> Pairs:
    """Block `index` of every model's training stream."""
    worlds, sampler = ensemble.worlds, ensemble.sampler
    if ensemble.recipe.n is None and sampler.rows is not None:  # an endless stream is cut to the balanced law
        worlds = tuple(sampler.law(world) for world in worlds)
    block = ensemble.views.block(ensemble._replace(worlds=worlds), "train", index, over)
    if not sampler.swaps:
        return block
    _, D = dictionaries(worlds[0], ensemble.seed)
    streams = [f"train/{k}" for k in ensemble.models]
    return contradicted(block, worlds[0].classes, D, ensemble.seed, index, streams=streams)


def fresh_batches(ensemble: Ensemble, size: int, part: tuple[int, int], first: int) -> Iterator[Pairs]:
    """Rows `part` of consecutive batches of the endless stream, each pair used once."""
    block, held, held_index = ensemble.views.block_size(ensemble.worlds[0]), None, -1
    for step in count(first):
        pieces, position, end = [], step * size + part[0], step * size + part[1]
        while position < end:
            index, offset = divmod(position, block)
            if index != held_index:
                over = None if pieces else held  # this batch still reads the rows that it began with
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
    n, size = ensemble.recipe.n, ensemble.views.block_size(ensemble.worlds[0])
    blocks = [pair_block(ensemble, index) for index in range(-(-n // size))]
    return Pairs(*(torch.cat(field, dim=1)[:, :n] for field in zip(*blocks, strict=True)))


def check_groups(ensemble: Ensemble) -> None:
    """Refuse groups without a pair before training begins. This draws a fixed set."""
    recipe = ensemble.recipe
    if ensemble.sampler.balances:
        next(draw_batches(weighed(ensemble), 0))
    if recipe.objective.ascent:  # GroupDRO needs the loss of every group
        shares(ensemble.worlds, None if recipe.n is None else fixed_set(ensemble))


def weighed(ensemble: Ensemble) -> Ensemble:
    """The ensemble with its sampler's weights of groups; raises EmptyGroup as `shares` does."""
    sampler = ensemble.sampler
    if sampler.weights is None:
        return ensemble
    held = None if ensemble.recipe.n is None else fixed_set(ensemble)
    weights = np.stack([sampler.weights(own) for own in shares(ensemble.worlds, held)])
    return ensemble._replace(group_weights=torch.tensor(weights, dtype=ensemble.dtype, device=ensemble.device))


def shares(worlds: Sequence[World], held: Pairs | None) -> list[Float[np.ndarray, " G"]]:
    """Share of every group, by the law of fresh pairs or its count in a fixed set; EmptyGroup where one is 0."""
    if held is not None:
        return [group_counts(g, world) / len(g) for g, world in zip(_groups(held, worlds), worlds, strict=True)]
    for world in worlds:
        check_shares(world)
    return [group_shares(world) for world in worlds]


def pair_weights(weights: Float[torch.Tensor, "E G"], batch: Pairs, classes: int) -> Float[torch.Tensor, "E b"]:
    """Weight of every pair of a batch."""
    return weights.gather(1, group_numbers(batch.labels, batch.backgrounds, classes))


def _groups(held: Pairs, worlds: Sequence[World]) -> Int[np.ndarray, "E n"]:
    return group_numbers(held.labels, held.backgrounds, worlds[0].classes).cpu().numpy()


def orders(
    sampler: Sampler,
    worlds: Sequence[World],
    models: Sequence[int],
    held: Pairs,
    seed: int,
    size: int,
    first: int,
) -> Iterator[Int[torch.Tensor, "E size"]]:
    """Rows of its fixed set that every model visits at step `first`, `first` + 1, ...

    Every epoch has its own order, and its remainder is left out. Models whose sets are cut differ in their epochs.

    Raises EmptyGroup where a group has no pair, or a cut set has fewer pairs than a batch.
    """
    groups = [None] * len(models) if sampler.rows is None else _groups(held, worlds)
    kept = [_kept(sampler, *each, seed, size) for each in zip(groups, worlds, models, strict=True)]
    n, known = held.labels.shape[1], [(-1, None)] * len(models)
    for step in count(first):
        rows = []
        for k, model in enumerate(models):
            length = n if kept[k] is None else len(kept[k])
            epoch, place = divmod(step, length // size)
            if known[k][0] != epoch:
                known[k] = epoch, _order(sampler, groups[k], worlds[k], kept[k], n, seed, model, epoch)
            rows.append(known[k][1][place * size : (place + 1) * size])
        yield torch.from_numpy(np.stack(rows)).to(held.labels.device)


def _kept(sampler: Sampler, groups, world: World, model: int, seed: int, size: int) -> Int[np.ndarray, " m"] | None:
    """Rows of a set that is cut once; None for all."""
    if sampler.rows is None:
        return None
    counts = group_counts(groups, world)
    if sampler.anew:
        return None
    kept = sampler.rows(groups, len(counts), numpy_stream(seed, f"{sampler.name}/{model}"))
    if len(kept) < size:
        least = int(np.ceil(size / sampler.effective(world)))
        raise EmptyGroup(
            f"sampler = {sampler.name!r} leaves {len(kept)} of n = {len(groups)} pairs, fewer than "
            f"batch_size = {size}; about n = {least} leave as many"
        )
    return kept


def _order(sampler: Sampler, groups, world: World, kept, n: int, seed: int, model: int, epoch: int):
    """The order of an epoch, drawn on the CPU."""
    if sampler.anew:
        return sampler.rows(groups, world.classes**2, numpy_stream(seed, f"{sampler.name}/{model}", epoch))
    order = numpy_stream(seed, f"order/{model}", epoch).permutation(n if kept is None else len(kept))
    return order if kept is None else kept[order]
