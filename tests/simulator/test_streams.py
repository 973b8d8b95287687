"""Named streams depend on their name alone, and nothing touches global random state."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from stattest import assert_mean

from simulator import streams
from simulator.gaussian.pairs import dictionaries, draw_pairs
from simulator.gaussian.statistics import cross_covariance, projected_critics
from simulator.streams import fill_rows, numpy_stream
from simulator.world import World

KEYS = [(0, "label", 0), (0, "label", 1), (0, "labels", 0), (1, "label", 0), (0, "", 0), (0, "pairs/label", 0)]


def numpy_bits(key):
    return numpy_stream(*key).integers(2**63, size=4).tolist()


def fill(row: torch.Tensor, seed: int, name: str, index: int = 0, **law) -> torch.Tensor:
    return fill_rows(row[None], seed, [name], index, **law)[0]


def torch_bits(key):
    return fill(torch.empty(4, dtype=torch.int64), *key, law="integer", high=2**63 - 1).tolist()


def torch_normals(key, size: int, dtype=torch.float32):
    return fill(torch.empty(size, dtype=dtype), *key, law="normal").numpy()


@pytest.mark.parametrize("bits", [numpy_bits, torch_bits])
def test_seed_name_and_index_each_select_a_stream(bits):
    drawn = [bits(key) for key in KEYS]
    assert len({tuple(d) for d in drawn}) == len(KEYS)
    assert drawn == [bits(key) for key in KEYS]


def test_streams_are_wider_than_32_bits():
    """The seeds of these two streams agree in their low 32 bits; torch's CPU generator keeps no others."""
    first, second = torch_normals((0, "train/13/latent", 43), 8), torch_normals((0, "train/47/latent", 335), 8)
    assert not np.array_equal(first, second)


def test_float32_normals_are_quantiles_of_their_words():
    """Every 997th of the 2^24 values and both ends, which no sample reaches, against scipy's inverse of Phi."""
    upper = np.r_[-(2**23), np.arange(-(2**23), 2**23, 997), 2**23 - 1].astype(np.int32)
    found = streams._normals(torch.from_numpy(upper << 8), torch.empty(len(upper))).numpy()
    assert np.allclose(found, ndtri((upper + 2.0**23 + 0.5) / 2**24), rtol=2e-6, atol=1e-7)
    assert found[0] == -found[-1]


@pytest.mark.parametrize("size", [1, 7, 2**15 + 1])
def test_a_fill_is_a_prefix_of_a_longer_one(size):
    long = torch_normals((2, "prefix", 1), 2**16)
    assert np.array_equal(torch_normals((2, "prefix", 1), size), long[:size])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fills_have_their_law(dtype):
    """First four moments of normals, first two of uniforms, chances of integers."""
    n = 40_000
    z = torch_normals((0, f"law/{dtype}", 0), n, dtype).astype(float)
    assert_mean(np.stack([z, z**2, z**3, z**4], 1), [0, 1, 0, 3], effect=0.05, what="normals")
    u = fill(torch.empty(n, dtype=dtype), 0, "law/uniform", law="uniform").numpy().astype(float)
    assert 0 <= u.min() < u.max() < 1
    assert_mean(np.stack([u, u**2], 1), [1 / 2, 1 / 3], effect=0.05, what="uniforms")
    k = fill(torch.empty(n, dtype=torch.int64), 0, "law/integer", law="integer", high=3).numpy()
    assert_mean(k[:, None] == np.arange(3), [1 / 3] * 3, effect=0.05, what="integers")


def test_global_random_state_is_untouched():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    before = torch.get_rng_state()
    world = World(dim_image=3, dim_text=4, mention_spu=0.5)
    list(draw_pairs(world, dictionaries(world, 0), 10, 0))
    list(projected_critics(world, "mean", 10, 3, 0))
    cross_covariance(world, 10, 1, numpy_stream(0, "full"))
    after = np.random.get_state()  # noqa: NPY002
    assert (kind, keys.tolist(), *rest) == (after[0], after[1].tolist(), *after[2:])
    assert torch.equal(before, torch.get_rng_state())


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("size", [1, 7, 3 * 2**17])  # odd, and enough for torch's threads
@pytest.mark.parametrize(
    ("device", "threads"), [("cpu", 1), ("cpu", 2), pytest.param("cuda", 1, marks=[pytest.mark.gpu, GPU])]
)
def test_rows_shared_out_over_threads_are_each_row_alone(dtype, size, device, threads):
    law = {"law": "integer", "high": 10} if dtype == torch.int64 else {"law": "normal"}
    names, shared = [f"pairs/{k}" for k in range(5)], torch.empty(5, size, dtype=dtype, device=device)
    alone = torch.stack([fill(torch.empty_like(shared[0]), 3, name, 7, **law) for name in names])
    torch.set_num_threads(threads)  # a fixture sets it back
    assert torch.equal(fill_rows(shared, 3, names, 7, **law), alone)
    assert size == 1 or not torch.equal(shared[0], shared[1])
