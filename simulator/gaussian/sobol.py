"""Pairs that fill their law evenly: a block of a stream is a run of a scrambled Sobol sequence, a number a coordinate,
but for the noise of a view across its dictionary.

A scrambled point is uniform on the cube, so that every single pair obeys its world's law, exactly. Together they are
not independent: any 2^k of them that begin at a multiple of 2^k have one point in each of many boxes of volume 2^-k,
and means of smooth functions over n points err by less than the order of 1/sqrt(n) (Owen 1997,
doi:10.1214/aos/1031594731). Training sees that as less noise in its gradients (Buchholz, Wenzel and Mandt 2018, arXiv
1807.01604), above all in their sum over a run: points of a sequence anew every 4096 pairs leave models that scatter by
name as those of independent pairs do.

Points of many coordinates can be worse than independent ones. Of the first 13 coordinates no four have signs whose
product is constant over 4096 points, of 19 one set of four has, of 25 nine. So many are the numbers of a pair with two
classes in two dimensions, with three classes, and with two in eight dimensions if all of its noise is counted. Which
coordinates matter is known, so they come first, and the rest are independent, as points of high dimension are padded
(Owen 1998, doi:10.1145/272991.273010): of a view's noise the part along its dictionary D, eta, is the points', and xi =
zeta + D (eta - D' zeta), zeta independent, has the law of zeta. With all of the noise from the points InfoNCE towers at
d = 64 scattered five times as much as on independent pairs.

The points of a block come in random order. In the sequence's own, 16 pairs would be a net: eight of each class, so that
of the others in a batch 7/15 share a pair's class and not half, which moves the optimum of a contrastive loss. Of a
block's others 2047/4095 do. A fixed set of less than a block is no more even than an independent one.
"""

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import qmc

from simulator.streams import Law, Source, independent, numpy_stream

if TYPE_CHECKING:
    from simulator.world import World

BITS = 32  # scipy's sequences of more cannot be entered in their midst; below them a number is independent and uniform
LONGEST = 2**BITS  # points
LARGEST_DIMENSION = qmc.Sobol.MAXDIM
KEPT = 4096  # sequences that are remembered where they stand; after 2^22 points it takes .02 s to find the place again

_standing = Lock()


def coordinates(world: "World") -> dict[str, slice]:
    """Which coordinates of a point every field of a pair takes; the first fill the cube best.

    Of a view's noise they are those along its dictionary.
    """
    J = len(world.attribute) + 1
    numbers = {
        "label": 1,
        "agreement": J,
        "latent": world.latents,
        "image-noise": world.latents,
        "text-noise": world.latents,
        "background": J,
        "mention": J + 1,
        "object-agreement": 1,
        "object": 1,
    }
    ends = np.cumsum(list(numbers.values())).tolist()
    return {name: slice(end - count, end) for (name, count), end in zip(numbers.items(), ends, strict=True)}


def _dimension(world: "World") -> int:
    return max(place.stop for place in coordinates(world).values())


def refuse_beyond(world: "World", n: int) -> None:
    """Refuse pairs of which no sequence has as many, or as large ones."""
    if (dimension := _dimension(world)) > LARGEST_DIMENSION:
        raise ValueError(
            f"points = 'sobol' has {LARGEST_DIMENSION} coordinates at most, and a pair of {world.latents} latents "
            f"takes {dimension}; the nearest valid choice is points = 'random'"
        )
    if n > LONGEST:
        raise ValueError(
            f"points = 'sobol' has 2^{BITS} pairs at most, and {n} would be drawn; the nearest valid choice is "
            "points = 'random'"
        )


def points(world: "World", size: int, seed: int, stream: str, index: int) -> Float[np.ndarray, "size D"]:
    """Points [index size, (index + 1) size) of a stream's sequence, strictly inside the cube, in random order."""
    first, dimension = index * size, _dimension(world)
    alone = int(first == 0)  # the first point, or scipy warns of a first run that is not a power of two
    with _standing:  # a sequence is read by one thread at a time
        sequence = _sequence(dimension, seed, stream)
        if sequence.num_generated != first:
            sequence.reset()
            if first:  # scipy refuses to go nowhere
                sequence.fast_forward(first)
        net = [sequence.random(count) for count in (alone, size - alone) if count]
    rng = numpy_stream(seed, f"{stream}/cell", index)
    within = rng.random((size, dimension)) + 2.0**-54
    return rng.permutation(np.concatenate(net) + within / LONGEST)


@lru_cache(maxsize=KEPT)
def _sequence(dimension: int, seed: int, stream: str) -> qmc.Sobol:
    return qmc.Sobol(dimension, bits=BITS, rng=numpy_stream(seed, f"{stream}/net"))


def even(
    worlds: Sequence["World"],
    frames: tuple[torch.Tensor, torch.Tensor],
    size: int,
    seed: int,
    index: int,
    streams: Sequence[str],
) -> Source:
    """One block of every world's points as a source of numbers, on the CPU."""
    places, rest = coordinates(worlds[0]), independent(seed, index, streams)
    u = np.stack([points(world, size, seed, stream, index) for world, stream in zip(worlds, streams, strict=True)])
    along = dict(zip(("image-noise", "text-noise"), frames, strict=True))
    return lambda rows, field, law, high=0: (
        _along(along[field], u[..., places[field]], rest(rows, field, law))
        if field in along
        else _pushed(u[..., places[field]], rows, law, high)
    )


def _along(D: Float[torch.Tensor, "d l"], u: Float[np.ndarray, "E n l"], zeta: torch.Tensor) -> torch.Tensor:
    """Noise (E, n, d) of a view, whose part along its dictionary D becomes that of points of the cube."""
    eta = _pushed(u, zeta.new_empty(u.shape), "normal", 0)
    return zeta.add_((eta - zeta @ D) @ D.T)


def _pushed(u: Float[np.ndarray, "E n c"], rows: torch.Tensor, law: Law, high: int) -> torch.Tensor:
    """Rows (E, n, ...), filled with what points of the cube become under a law."""
    if law == "normal":
        values = ndtri(u)
    elif law == "uniform":
        values = u
    else:
        values = np.minimum(np.floor(u * high), high - 1)  # a product may round up to `high`
    return rows.copy_(torch.from_numpy(values).reshape(rows.shape))
