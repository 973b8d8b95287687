"""Named random streams: (root seed, stream name, index) -> generator.

A stream depends on nothing else, so adding one leaves the others bit-identical, and the order, chunk size or
process in which they are read cannot matter. Global random state is never touched.

Streams are as wide as their seeds. torch's CPU generator keeps 32 bits of a seed, so that of 64 models x 1000 blocks x
7 fields 26 pairs would share their numbers; tensors on the CPU are therefore filled by numpy's generators, whose state
comes whole from the SeedSequence. On other devices 64 bits of it are the key of a counter-based stream.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

Law = Literal["normal", "uniform", "integer"]
Points = Literal["random", "sobol"]  # independent numbers, or those of simulator.gaussian.nets

# Numbers that one pass over float32 normals makes: few enough for the second-level cache.
PASS = 2**15 - 64
SHARED_NUMBERS = 2**18  # fewer take less time to draw than threads take to start
LONG_ROW = 2**15  # numbers that take longer to draw than a thread to get its turn


def _sequence(seed: int, name: str, index: int) -> np.random.SeedSequence:
    if seed < 0:
        raise ValueError(f"seed = {seed} is negative; the nearest valid value is 0")
    word = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
    return np.random.SeedSequence(entropy=seed, spawn_key=(word, index))


def numpy_stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """A numpy generator of a named stream."""
    return np.random.default_rng(_sequence(seed, name, index))


def fill(row: "torch.Tensor", seed: int, name: str, index: int = 0, *, law: Law, high: int = 0) -> "torch.Tensor":
    """Draw a contiguous tensor in place from a stream, on its own device, and return it.

    Equal in law, not in bits, across devices and precisions.
    """
    fill_rows(row[None], seed, [name], index, law=law, high=high)
    return row


def fill_rows(
    rows: "torch.Tensor", seed: int, names: Sequence[str], index: int, *, law: Law, high: int = 0
) -> "torch.Tensor":
    """The same for rows, each of its own stream, and therefore what it would be alone.

    On a CPU many numbers are shared out over the threads that torch may use, where that gains time. Short calls gain
    nothing by threads of Python's, which wait for each other's turn with its lock. So float32 normals, a dozen short
    calls a row, are made of the words of all rows at once, as many bytes as the rows, by torch's threads; other numbers
    of long rows are drawn in threads of Python's, since the generators need no lock. Elsewhere one call fills all rows
    (`simulator.counters`).
    """
    import torch

    if rows.device.type != "cpu":
        from simulator.counters import fill as fill_at_once

        keys = torch.tensor([_key(seed, name) for name in names], device=rows.device)
        return fill_at_once(rows, keys, index, law, high)
    streams, numbers = [numpy_stream(seed, name, index) for name in names], rows[0].numel()
    workers = min(len(rows), torch.get_num_threads()) if rows.numel() >= SHARED_NUMBERS else 1
    if workers > 1 and law == "normal" and rows.dtype == torch.float32:
        words = torch.empty(len(rows), numbers, dtype=torch.int32, device=rows.device)
        for row, rng in zip(words, streams, strict=True):
            for part in row.split(PASS):
                part.copy_(_words(len(part), rng))
        normals(words.view(-1), rows.view(-1))
    elif workers > 1 and numbers >= LONG_ROW:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda row, rng: _fill_on_cpu(row, rng, law, high), rows, streams))
    else:
        for row, rng in zip(rows, streams, strict=True):
            _fill_on_cpu(row, rng, law, high)
    return rows


@lru_cache(maxsize=2**16)
def _key(seed: int, name: str) -> tuple[int, int]:
    """Two words of 32 bits: all that a counter-based stream keeps of its seed and name."""
    first, second = _sequence(seed, name, 0).generate_state(2).tolist()
    return first, second


def _fill_on_cpu(row: "torch.Tensor", rng: np.random.Generator, law: Law, high: int) -> None:
    import torch

    values = row.numpy()
    if law == "integer":
        values[...] = rng.integers(high, size=values.shape)
    elif law == "uniform":
        rng.random(dtype=values.dtype, out=values)
    elif row.dtype == torch.float32:
        for part in row.view(-1).split(PASS):
            normals(_words(len(part), rng), part)
    else:
        rng.standard_normal(dtype=values.dtype, out=values)


def _words(count: int, rng: np.random.Generator) -> "torch.Tensor":
    """Random int32 words."""
    import torch

    return torch.from_numpy(rng.bit_generator.random_raw((count + 1) // 2).view(np.int32))[:count]


def normals(words: "torch.Tensor", out: "torch.Tensor") -> "torch.Tensor":
    """Standard normals from as many random words, by the inverse of Phi."""
    size, b = 8 * words.element_size(), 24 if words.element_size() == 4 else 52
    return out.copy_(words.bitwise_right_shift_(size - b)).add_(0.5).mul_(2.0 ** (1 - b)).erfinv_().mul_(2**0.5)
