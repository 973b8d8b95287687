"""Counter-based streams: the published numbers, the laws, and that a row is the same whatever is drawn beside it."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from stattest import assert_mean

from simulator import counters
from simulator.compiling import compiled
from simulator.counters import fill, philox, words
from simulator.streams import _key, fill_rows

# Random123's known answers (philox4x32, 10 rounds): counter, key, words.
KNOWN = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
KEYS = torch.tensor([[1, 2], [2, 1], [0xFFFFFFFF, 7]])
LAWS = [
    (torch.float32, "normal", 0), (torch.float64, "normal", 0), (torch.float32, "uniform", 0),
    (torch.float64, "uniform", 0), (torch.int64, "integer", 3),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, expected):
    assert [int(word) for word in philox(tuple(map(torch.tensor, counter)), tuple(map(torch.tensor, key)))] == expected


def test_a_stream_s_words_are_those_of_its_places_in_a_row():
    index = 5 + (3 << 32)
    found = words(KEYS, torch.tensor(index), 10)
    for k, key in enumerate(KEYS):
        for place in range(3):
            counter = tuple(map(torch.tensor, (place, 0, 5, 3)))
            assert found[k, 4 * place : 4 * place + 4].tolist() == [int(w) for w in philox(counter, tuple(key))]


@pytest.mark.deep  # the compiler takes ten seconds and more
def test_compiled_words_are_the_same():
    fast = compiled(words, dynamic=True)
    for count in (10, 700):
        assert torch.equal(fast(KEYS, torch.tensor(9), count), words(KEYS, torch.tensor(9), count))


@pytest.mark.parametrize(("dtype", "law", "high"), LAWS)
def test_rows_are_drawn_as_they_would_be_alone(dtype, law, high, monkeypatch):
    """Also where not all of them are made at a time; blocks, keys and rows differ."""
    together = fill(torch.empty(3, 5, 7, dtype=dtype), KEYS, 4, law, high)
    monkeypatch.setattr(counters, "TOGETHER", 70)
    assert torch.equal(fill(torch.empty(3, 5, 7, dtype=dtype), KEYS, 4, law, high), together)
    for k in range(3):
        assert torch.equal(fill(torch.empty(1, 5, 7, dtype=dtype), KEYS[k : k + 1], 4, law, high)[0], together[k])
    other = fill(torch.empty(3, 5, 7, dtype=dtype), KEYS, 5, law, high)
    assert len({tuple(row.flatten().tolist()) for row in [*together, *other]}) == 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_they_have_their_law(dtype):
    """First four moments of normals, two of uniforms, chances of integers; neighbours and rows are uncorrelated."""
    n = 40_000
    draw = lambda law, high=0, kind=dtype: fill(torch.empty(2, n // 2, dtype=kind), KEYS[:2], 0, law, high)  # noqa: E731
    z = draw("normal").numpy().astype(float)
    moments = np.stack([z, z**2, z**3, z**4], -1).reshape(n, 4)
    assert_mean(moments, [0, 1, 0, 3], effect=0.05, what="counted normals")
    products = np.stack([(z[:, 0::2] * z[:, 1::2]).reshape(n // 2), z[0] * z[1]], 1)
    assert_mean(products, [0, 0], effect=0.07, what="pairs of counted normals")
    u = draw("uniform").numpy().astype(float).reshape(n)
    assert 0 <= u.min() < u.max() < 1
    assert_mean(np.stack([u, u**2], 1), [1 / 2, 1 / 3], effect=0.05, what="counted uniforms")
    k = draw("integer", 3, torch.int64).numpy().reshape(n)
    assert_mean(k[:, None] == np.arange(3), [1 / 3] * 3, effect=0.05, what="counted integers")


def test_numbers_are_made_of_the_upper_bits_of_their_words():
    """In double precision from two words each, the first the upper one; the largest word leaves uniforms below 1."""
    word = words(KEYS, torch.tensor(0), 8).tolist()[0]
    long = [(a << 32) + b for a, b in zip(word[::2], word[1::2], strict=True)]
    draw = lambda law, dtype, high=0: fill(torch.empty(1, 4, dtype=dtype), KEYS[:1], 0, law, high)[0].tolist()  # noqa: E731
    assert draw("uniform", torch.float64) == [(w >> 11) / 2**53 for w in long]
    assert draw("uniform", torch.float32) == [(w >> 8) / 2**24 for w in word[:4]]
    assert draw("integer", torch.int64, 10**12) == [(w % 2**63) % 10**12 for w in long]
    signed = [(w >> 12) - 2**52 * (w >> 63) for w in long]
    assert draw("normal", torch.float64) == pytest.approx([ndtri(0.5 + (s + 0.5) / 2**52) for s in signed], rel=1e-12)
    centred = [(w - 2**31 >> 8) / 2**24 + 2**-25 for w in word[:4]]
    assert draw("normal", torch.float32) == pytest.approx([ndtri(0.5 + c) for c in centred], rel=1e-5)


def test_other_devices_than_a_cpu_take_them(monkeypatch):
    """A key a name and seed, all rows in one call."""
    asked = []
    monkeypatch.setattr(counters, "fill", lambda rows, keys, *rest: asked.append((rows.shape, keys.shape, rest)))
    fill_rows(torch.empty(3, 4, device="meta"), 0, ["a", "b", "c"], 5, law="normal")
    assert asked == [((3, 4), (3, 2), (5, "normal", 0))]
    assert len({_key(seed, name) for seed in (0, 1) for name in ("a", "b", "")}) == 6


def test_what_is_no_device_of_ours_runs_through():
    """Every tensor follows its inputs; one of the CPU would be an error."""
    assert fill(torch.empty(3, 4, device="meta"), KEYS.to("meta"), 1, "normal").is_meta


def test_integers_need_a_tensor_of_integers():
    with pytest.raises(TypeError, match="integers are drawn into tensors of integers"):
        fill(torch.empty(3, 4), KEYS, 0, "integer", 3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("dtype", "law", "high"), LAWS)
def test_a_gpu_draws_the_numbers_of_a_cpu(dtype, law, high):
    """Words are the same, compiled; what float arithmetic makes of them is to rounding."""
    here = fill(torch.empty(3, 1000, dtype=dtype), KEYS, 4, law, high)
    there = fill(torch.empty(3, 1000, dtype=dtype, device="cuda"), KEYS.to("cuda"), 4, law, high)
    assert torch.allclose(there.cpu(), here, rtol=1e-5, atol=1e-6)
