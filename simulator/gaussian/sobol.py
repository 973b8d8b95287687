"""Pairs that fill their law evenly: scrambled Sobol points (`points = "sobol"`).

A block of a stream is a run of one scrambled Sobol sequence, and each number of a pair is one
coordinate. Every point is uniform on the cube, so every single pair obeys its world's law. Means of
smooth functions over n points converge faster than 1/sqrt(n) (Owen 1997,
doi:10.1214/aos/1031594731), and gradients have less noise (Buchholz, Wenzel and Mandt 2018, arXiv
1807.01604).

Points of many coordinates can be worse than independent ones. The important coordinates come first,
and the others are independent numbers (padding; Owen 1998, doi:10.1145/272991.273010). The points
give only the part eta of a view's noise along its dictionary D: xi = zeta + D (eta - D' zeta), zeta
independent, has the law of zeta. With all noise from the points InfoNCE towers at d = 64 scattered
five times as much as with independent pairs.

The points of a block are shuffled. In the sequence's order 16 pairs would have exactly eight of
each class, and 7/15 of a pair's negatives its class, which moves the optimum of a contrastive loss.
With the shuffle it is 2047/4095.
"""

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import qmc

from simulator.streams import Law, Source, independent, numpy_stream
from simulator.world import World

BITS = 32  # scipy cannot fast-forward sequences with more; lower bits are independent and uniform
LONGEST = 2**BITS  # points
LARGEST_DIMENSION = qmc.Sobol.MAXDIM
KEPT = 4096  # sequences whose position is cached; to find a position after 2^22 points takes .02 s

_position = Lock()


def coordinates(world: World) -> dict[str, slice]:
    """Coordinates of a point for every field of a pair, the most important ones first."""
    J = len(world.attribute) + 1
    group = {"label": 1, "agreement": J} if world.table is None else {"cell": 1}
    numbers = {
        **group,
        "latent": world.latents,
        **({"caption-latent": world.latents} if (world.detail < 1).any() else {}),
        "image-noise": world.latents,
        "text-noise": world.latents,
        "background": J,
        "mention": J + 1,
        "object-agreement": 1,
        "object": 1,
        **({"bare": 1} if world.bare else {}),
    }
    ends = np.cumsum(list(numbers.values())).tolist()
    return {
        name: slice(end - count, end)
        for (name, count), end in zip(numbers.items(), ends, strict=True)
    }


def _dimension(world: World) -> int:
    return max(place.stop for place in coordinates(world).values())


def check_sobol(world: World, n: int) -> None:
    """Raise ValueError if pairs have too many coordinates, or are too many, for a sequence."""
    if (dimension := _dimension(world)) > LARGEST_DIMENSION:
        raise ValueError(
            f"points = 'sobol' has {LARGEST_DIMENSION} coordinates at most, and a pair of"
            f" {world.latents} latents needs {dimension}; the nearest valid choice is points ="
            " 'random'"
        )
    if n > LONGEST:
        raise ValueError(
            f"points = 'sobol' has 2^{BITS} pairs at most, and {n} are needed; the nearest valid"
            " choice is points = 'random'"
        )


def points(
    world: World, size: int, seed: int, stream: str, index: int
) -> Float[np.ndarray, "size D"]:
    """Points [index size, (index + 1) size) of a stream's sequence, strictly inside the cube, in
    random order.
    """
    first = index * size
    dimension = _dimension(world)
    # the first point by itself: scipy warns if the first run is not a power of two
    alone = int(first == 0)
    with _position:  # a sequence is read by one thread at a time
        sequence = _sequence(dimension, seed, stream)
        if sequence.num_generated != first:
            sequence.reset()
            if first:  # scipy refuses to go forward by 0
                sequence.fast_forward(first)
        net = [sequence.random(count) for count in (alone, size - alone) if count]
    rng = numpy_stream(seed, f"{stream}/cell", index)
    within = rng.random((size, dimension)) + 2.0**-54
    return rng.permutation(np.concatenate(net) + within / LONGEST)


@lru_cache(maxsize=KEPT)
def _sequence(dimension: int, seed: int, stream: str) -> qmc.Sobol:
    return qmc.Sobol(dimension, bits=BITS, rng=numpy_stream(seed, f"{stream}/net"))


def even(
    worlds: Sequence[World],
    frames: tuple[torch.Tensor, torch.Tensor],
    size: int,
    seed: int,
    index: int | Sequence[int],
    streams: Sequence[str],
) -> Source:
    """A source of numbers for one block of every world's pairs, on the CPU; see `independent`."""
    rest = independent(seed, index, streams)
    places = [coordinates(world) for world in worlds]
    each = zip(worlds, streams, np.broadcast_to(index, len(worlds)).tolist(), strict=True)
    cubes = [points(world, size, seed, stream, block) for world, stream, block in each]
    along = dict(
        zip(
            ("image-noise", "text-noise"), (frames[0], frames[1][: worlds[0].dim_text]), strict=True
        )
    )

    def draw(rows: torch.Tensor, field: str, law: Law, high: int = 0) -> torch.Tensor:
        if field in along or not all(field in place for place in places):
            rest(rows, field, law, high)
        for row, place, u in zip(rows, places, cubes, strict=True):
            # transformed points replace the part of the noise along the dictionary
            if field in along:
                D = along[field]
                eta = row.new_empty(size, along[field].shape[1])
                _pushed(u[:, place[field]], eta, "normal", 0)
                row.add_((eta - row @ D) @ D.T)
            elif field in place:  # a world may lack what another has, such as bare captions
                _pushed(u[:, place[field]], row, law, high)
        return rows

    return draw


def _pushed(u: Float[np.ndarray, "n c"], rows: torch.Tensor, law: Law, high: int) -> None:
    """Fill `rows` (n, ...) with points of the cube, transformed to a law."""
    if law == "normal":
        values = ndtri(u)
    elif law == "uniform":
        values = u
    else:
        values = np.minimum(np.floor(u * high), high - 1)  # a product may round up to `high`
    rows.copy_(torch.from_numpy(values).reshape(rows.shape))
