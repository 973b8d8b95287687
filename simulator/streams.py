"""Named random streams: (root seed, stream name, index) -> generator.

A stream depends on nothing else. Adding one changes no other, and the order, chunk size or process
in which streams are read changes no number. Global random state is never touched.

torch's CPU generator keeps only 32 bits of a seed: among the streams of 64 models x 1000 blocks x 7
fields, 26 pairs would share their numbers. Tensors on the CPU are therefore filled by numpy's
generators.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulator.naming import outside

if TYPE_CHECKING:
    import torch

Law = Literal["normal", "uniform", "integer"]
# independent numbers, or scrambled points of simulator.gaussian.sobol
Points = Literal["random", "sobol"]
# (rows, field, law, high=0) -> rows, each world's filled in place
Source = Callable[..., "torch.Tensor"]


def _sequence(seed: int, name: str, index: int) -> np.random.SeedSequence:
    if seed < 0:
        raise ValueError(f"seed = {outside(seed, 0)}")
    word = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
    return np.random.SeedSequence(entropy=seed, spawn_key=(word, index))


def numpy_stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """A numpy generator of a named stream."""
    return np.random.default_rng(_sequence(seed, name, index))


def independent(seed: int, index: int | Sequence[int], streams: Sequence[str]) -> Source:
    """Independent numbers for blocks of several worlds, each from the streams that it reads
    alone.
    """
    return lambda rows, field, law, high=0: fill_rows(
        rows, seed, [f"{stream}/{field}" for stream in streams], index, law=law, high=high
    )


def fill_rows(
    rows: "torch.Tensor",
    seed: int,
    names: Sequence[str],
    index: int | Sequence[int],
    *,
    law: Law,
    high: int = 0,
) -> "torch.Tensor":
    """Fill each row in place from its own stream; equal in law, not in bits, across devices and
    precisions.

    On a CPU torch's threads turn the words of all rows into float32 normals at once: Python's would
    wait for a lock.
    """
    import torch  # here for start-up time: most readers of streams need no torch

    indices = np.broadcast_to(index, len(names)).tolist()
    sequences = [_sequence(seed, *place) for place in zip(names, indices, strict=True)]
    if rows.device.type != "cpu":
        for row, sequence in zip(rows, sequences, strict=True):
            generator = torch.Generator(row.device).manual_seed(
                int(sequence.generate_state(1, np.uint64)[0])
            )
            if law == "integer":
                row.random_(0, high, generator=generator)
            elif law == "uniform":
                row.uniform_(generator=generator)
            else:
                row.normal_(generator=generator)
        return rows
    streams = [np.random.default_rng(sequence) for sequence in sequences]
    if law == "normal" and rows.dtype == torch.float32:
        size = rows[0].numel()
        words = np.stack(
            [rng.bit_generator.random_raw((size + 1) // 2).view(np.int32)[:size] for rng in streams]
        )
        return _normals(torch.from_numpy(words).view(rows.shape), rows)
    for row, rng in zip(rows.numpy(), streams, strict=True):
        if law == "integer":
            row[...] = rng.integers(high, size=row.shape)
        elif law == "uniform":
            rng.random(dtype=row.dtype, out=row)
        else:
            rng.standard_normal(dtype=row.dtype, out=row)
    return rows


def _normals(words: "torch.Tensor", out: "torch.Tensor") -> "torch.Tensor":
    """Float32 standard normals from as many int32 words, by the inverse of Phi at 24 bits."""
    return out.copy_(words.bitwise_right_shift_(8)).add_(0.5).mul_(2.0**-23).erfinv_().mul_(2**0.5)
