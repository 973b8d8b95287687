"""Named streams depend on their name alone, and nothing touches global random state."""

import numpy as np
import pytest
import torch
from stattest import assert_mean

from simulator.gaussian.pairs import dictionaries, draw_pairs
from simulator.gaussian.statistics import cross_covariance, projected_critics
from simulator.streams import numpy_stream, torch_stream
from simulator.world import World

KEYS = [(0, "label", 0), (0, "label", 1), (0, "labels", 0), (1, "label", 0), (0, "", 0), (0, "pairs/label", 0)]


def numpy_bits(key):
    return numpy_stream(*key).integers(2**63, size=4).tolist()


def torch_bits(key):
    return torch.randint(2**63 - 1, (4,), generator=torch_stream(*key)).tolist()


@pytest.mark.parametrize("bits", [numpy_bits, torch_bits])
def test_seed_name_and_index_each_select_a_stream(bits):
    drawn = [bits(key) for key in KEYS]
    assert len({tuple(d) for d in drawn}) == len(KEYS)
    assert drawn == [bits(key) for key in KEYS]


def test_a_stream_is_the_same_whatever_else_is_drawn():
    alone = numpy_stream(3, "latent", 5).random(8)
    others = [numpy_stream(3, name, 5) for name in ("added", "latent/2")]
    stream = numpy_stream(3, "latent", 5)
    interleaved = []
    for _ in range(8):
        for other in others:
            other.random(3)
        interleaved.append(stream.random())
    assert alone.tolist() == interleaved


def test_streams_are_uncorrelated():
    # Products of independent standard normals have mean 0 and standard deviation 1.
    n = 20_000
    draws = np.stack([numpy_stream(*key).standard_normal(n) for key in KEYS])
    i, j = np.triu_indices(len(KEYS), k=1)
    assert_mean((draws[i] * draws[j]).T, 0.0, effect=0.06, what="numpy streams")
    draws = np.stack([torch.randn(n, generator=torch_stream(*key)).numpy() for key in KEYS])
    assert_mean((draws[i] * draws[j]).T, 0.0, effect=0.06, what="torch streams")


def test_global_random_state_is_untouched():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    before = torch.get_rng_state()
    world = World(dim_image=3, dim_text=4, mention_spu=0.5)
    list(draw_pairs(world, dictionaries(world, 0), 10, 0))
    list(projected_critics(world, "mean", 10, 3, 0))
    cross_covariance(world, 10, numpy_stream(0, "full"))
    after = np.random.get_state()  # noqa: NPY002
    assert (kind, keys.tolist(), *rest) == (after[0], after[1].tolist(), *after[2:])
    assert torch.equal(before, torch.get_rng_state())


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed = -1 is negative; the nearest valid value is 0"):
        numpy_stream(-1, "label")
