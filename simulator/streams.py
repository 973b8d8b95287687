"""Named random streams: (root seed, stream name, index) -> generator.

A stream depends on nothing else, so adding one leaves the others bit-identical, and the order, chunk size or
process in which they are read cannot matter. Global random state is never touched.
"""

from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _sequence(seed: int, name: str, index: int) -> np.random.SeedSequence:
    if seed < 0:
        raise ValueError(f"seed = {seed} is negative; the nearest valid value is 0")
    word = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
    return np.random.SeedSequence(entropy=seed, spawn_key=(word, index))


def numpy_stream(seed: int, name: str, index: int = 0) -> np.random.Generator:
    """The numpy generator of stream `name` under root `seed`; `index` numbers its replicates or blocks.

    >>> a, b = numpy_stream(0, "labels", 3), numpy_stream(0, "labels", 3)
    >>> bool(a.random() == b.random())
    True
    """
    return np.random.default_rng(_sequence(seed, name, index))


def torch_stream(seed: int, name: str, index: int = 0, device: str = "cpu") -> "torch.Generator":
    """The torch generator of the same stream on `device` (equal in law, not in bits, across devices)."""
    import torch

    generator = torch.Generator(device=device)
    return generator.manual_seed(int(_sequence(seed, name, index).generate_state(1, np.uint64)[0] >> 1))
