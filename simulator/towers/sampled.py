"""How a sampler of the table (`simulator.samplers`) acts on an ensemble: on streams, on fixed sets, on the loss."""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import torch
from jaxtyping import Float, Int

from simulator.gaussian.pairs import Pairs
from simulator.samplers import EmptyGroup, Sampler, group_counts, group_numbers, group_shares, refuse_certain
from simulator.streams import numpy_stream
from simulator.world import World


def streamed(sampler: Sampler, worlds: Sequence[World]) -> tuple[World, ...]:
    """The worlds from which an endless stream of fresh pairs comes: what is left of one whose rows are chosen.

    Raises EmptyGroup where groups that are to be balanced have no share.
    """
    return tuple(sampler.law(world) for world in worlds) if sampler.rows is not None else tuple(worlds)


def group_weights(
    sampler: Sampler, worlds: Sequence[World], held: Pairs | None, like: torch.Tensor
) -> Float[torch.Tensor, "E G"] | None:
    """What a pair of each group counts, by its share; None: all the same. Raises EmptyGroup as `shares` does."""
    if sampler.weights is None:
        return None
    return torch.as_tensor(np.stack([sampler.weights(each) for each in shares(worlds, held)])).to(like)


def shares(worlds: Sequence[World], held: Pairs | None) -> list[Float[np.ndarray, " G"]]:
    """Of every group, by its law (fresh pairs) or its count in a fixed set; EmptyGroup for a group that has none."""
    if held is not None:
        return [group_counts(g, world) / len(g) for g, world in zip(_groups(held, worlds), worlds, strict=True)]
    for world in worlds:
        refuse_certain(world)
    return [group_shares(world) for world in worlds]


def pair_weights(weights: Float[torch.Tensor, "E G"], batch: Pairs, classes: int) -> Float[torch.Tensor, "E b"]:
    """What every pair of a batch counts."""
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
    """Which rows of its fixed set every model visits at step `first`, `first` + 1, ...

    Every epoch has an order of its own, the remainder left out; models whose sets are cut differ in their epochs.

    Raises EmptyGroup where a group has no pair, or a cut set less than a batch.
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
    """The rows of a set that is cut once; None: all."""
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
