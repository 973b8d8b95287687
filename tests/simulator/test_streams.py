"""Named streams depend on their name alone. (`towers/test_training.py`: global random state is
untouched.)
"""

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from stattest import assert_mean

from simulator import streams
from simulator.streams import fill_rows, numpy_stream

KEYS = [
    (0, "label", 0),
    (0, "label", 1),
    (0, "labels", 0),
    (1, "label", 0),
    (0, "", 0),
    (0, "pairs/label", 0),
]


def numpy_bits(key):
    return numpy_stream(*key).integers(2**63, size=4).tolist()


def fill(row: torch.Tensor, seed: int, name: str, index: int = 0, **law) -> torch.Tensor:
    return fill_rows(row[None], seed, [name], index, **law)[0]


def torch_bits(key):
    return fill(torch.empty(4, dtype=torch.int64), *key, law="integer", high=2**63 - 1).tolist()


def torch_normals(key, size: int):
    return fill(torch.empty(size), *key, law="normal").numpy()


@pytest.mark.parametrize("bits", [numpy_bits, torch_bits])
def test_seed_name_and_index_each_select_a_stream(bits):
    drawn = [bits(key) for key in KEYS]
    assert len({tuple(d) for d in drawn}) == len(KEYS)
    assert drawn == [bits(key) for key in KEYS]


def test_streams_are_wider_than_32_bits():
    """The seeds of these two streams agree in their low 32 bits; torch's CPU generator keeps no
    others.
    """
    first = torch_normals((0, "train/13/latent", 43), 8)
    second = torch_normals((0, "train/47/latent", 335), 8)
    assert not np.array_equal(first, second)


def test_float32_normals_are_quantiles_of_their_words():
    """Every 997th of the 2^24 values and both ends, which no sample reaches, against scipy's
    inverse of Phi.
    """
    upper = np.r_[-(2**23), np.arange(-(2**23), 2**23, 997), 2**23 - 1].astype(np.int32)
    found = streams._normals(torch.from_numpy(upper << 8), torch.empty(len(upper))).numpy()
    assert np.allclose(found, ndtri((upper + 2.0**23 + 0.5) / 2**24), rtol=2e-6, atol=1e-7)
    assert found[0] == -found[-1]


def test_float32_normals_have_the_moments_of_normals():
    """Other laws and precisions are numpy's."""
    z = torch_normals((0, "law", 0), 40_000).astype(float)
    assert_mean(np.stack([z, z**2, z**3, z**4], 1), [0, 1, 0, 3], effect=0.05, what="normals")


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("size", [1, 7, 3 * 2**17])  # odd, and enough for torch's threads
@pytest.mark.parametrize(
    ("device", "threads"),
    [("cpu", 1), ("cpu", 2), pytest.param("cuda", 1, marks=[pytest.mark.gpu, GPU])],
)
def test_rows_shared_out_over_threads_are_each_row_alone(dtype, size, device, threads):
    law = {"law": "integer", "high": 10} if dtype == torch.int64 else {"law": "normal"}
    names = [f"pairs/{k}" for k in range(5)]
    shared = torch.empty(5, size, dtype=dtype, device=device)
    alone = torch.stack([fill(torch.empty_like(shared[0]), 3, name, 7, **law) for name in names])
    torch.set_num_threads(threads)  # a fixture sets it back
    assert torch.equal(fill_rows(shared, 3, names, 7, **law), alone)
    assert size == 1 or not torch.equal(shared[0], shared[1])
