"""Named random streams: (root seed, stream name, index) -> generator.

A stream depends on nothing else, so adding one leaves the others bit-identical, and the order, chunk size or
process in which they are read cannot matter. Global random state is never touched.

Streams are as wide as their seeds. torch's CPU generator keeps 32 bits of a seed, so that of 64 models x 1000 blocks x
7 fields 26 pairs would share their numbers; tensors on the CPU are therefore filled by numpy's generators, whose state
comes whole from the SeedSequence. On other devices torch's counter-based generators (Philox) take 64 bits.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

Law = Literal["normal", "uniform", "integer"]
Points = Literal["random", "sobol"]  # independent numbers, or those of simulator.gaussian.nets

# Numbers that one pass over float32 normals makes: few enough for the second-level cache.
PASS = 2**15 - 64


def _sequence(seed: int, name: str, index: int) -> np.random.SeedSequence:
    if seed < 0:
        raise ValueError(f"seed = {seed} is negative; the nearest valid value is 0")
    word = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
    return np.random.SeedSequence(entropy=seed, spawn_key=(word, index))


def numpy_stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """A numpy generator of a named stream.

    Parameters
    ----------
    seed
        Root of all streams, 0 or larger.
    name
        Name of the stream.
    index
        Number of a replicate or block within it.

    Raises
    ------
    ValueError
        For a negative seed.

    Examples
    --------
    >>> a, b = numpy_stream(0, "labels", 3), numpy_stream(0, "labels", 3)
    >>> bool(a.random() == b.random())
    True
    """
    return np.random.default_rng(_sequence(seed, name, index))


def fill(row: "torch.Tensor", seed: int, name: str, index: int = 0, *, law: Law, high: int = 0) -> "torch.Tensor":
    """Draw a contiguous tensor in place from a stream, on its own device, and return it.

    Equal in law, not in bits, across devices and precisions. On the CPU it runs on one thread, most of the time
    without Python's lock.

    Parameters
    ----------
    row
        What is drawn; contiguous.
    seed, name, index
        The stream, as of `numpy_stream`.
    law
        "normal" (standard), "uniform" on [0, 1) or "integer" on 0, 1, ..., high - 1.
    high
        Number of integers.

    Raises
    ------
    ValueError
        For a negative seed.
    """
    if row.device.type == "cpu":
        _fill_on_cpu(row, numpy_stream(seed, name, index), law, high)
        return row
    generator = _torch_stream(seed, name, index, row.device)
    if law == "integer":
        return row.random_(0, high, generator=generator)
    return row.uniform_(generator=generator) if law == "uniform" else row.normal_(generator=generator)


def _torch_stream(seed: int, name: str, index: int, device: "torch.device") -> "torch.Generator":
    import torch

    return torch.Generator(device=device).manual_seed(int(_sequence(seed, name, index).generate_state(1, np.uint64)[0]))


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


def fill_rows(
    rows: "torch.Tensor", seed: int, names: Sequence[str], index: int, workers: int, *, law: Law, high: int = 0
) -> None:
    """The same for rows on the CPU, each of its own stream, shared out over threads.

    The generators need no lock of Python's, but what makes float32 normals of their words is a dozen short calls that
    do: threads take turns in them, and take longer than one of them alone. So threads draw the words, and torch shares
    out the arithmetic. The words of all rows are held at once, as many bytes as the rows.

    Parameters
    ----------
    rows
        What is drawn; contiguous.
    seed
        Root of the streams.
    names
        Of the streams, one a row.
    index
        As of `fill`.
    workers
        Number of threads.
    law, high
        As of `fill`.
    """
    import torch

    streams = [numpy_stream(seed, name, index) for name in names]
    with ThreadPoolExecutor(workers) as pool:
        if law != "normal" or rows.dtype != torch.float32:
            list(pool.map(lambda row, rng: _fill_on_cpu(row, rng, law, high), rows, streams))
            return
        drawn = list(pool.map(lambda rng: _words(rows[0].numel(), rng), streams))
    for row, words in zip(rows, drawn, strict=True):
        normals(words, row.view(-1))


def _words(count: int, rng: np.random.Generator) -> "torch.Tensor":
    """Random int32 words."""
    import torch

    return torch.from_numpy(rng.bit_generator.random_raw((count + 1) // 2).view(np.int32))[:count]


def normals(words: "torch.Tensor", out: "torch.Tensor") -> "torch.Tensor":
    """Standard normals in float32 from as many random words, by the inverse of Phi.

    Parameters
    ----------
    words
        Random, int32; they are used up.
    out
        Where the normals end.

    Notes
    -----
    The 24 upper bits k = -2^23, ..., 2^23 - 1 of a word make u = (2k + 1)/2^24 in (-1, 1), which float32 holds exactly,
    and z = sqrt(2) erfinv(u), |z| < 5.5. This takes 2.8 ns a number on one core, as torch's own generator does; numpy's
    float32 ziggurat takes 6.6.
    """
    return out.copy_(words.bitwise_right_shift_(8)).add_(0.5).mul_(2.0**-23).erfinv_().mul_(2**0.5)
