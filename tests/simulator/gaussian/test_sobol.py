"""Sobol points as pairs: each obeys its world's law, together they fill it evenly, and point i never changes."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch
from reference import latent_cross_covariance, structural_pairs
from stattest import assert_mean, assert_same_law, law_size

from simulator.gaussian import sobol
from simulator.gaussian.pairs import dictionaries, draw_block, draw_latents
from simulator.gaussian.sobol import coordinates, even, points
from simulator.streams import numpy_stream
from simulator.world import Attribute, World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=3, dim_text=2)
FURTHER = (Attribute(p=0.4, mention=0.5),)
RICH = World(classes=3, p_inv=0.7, p_spu=0.6, mention_inv=0.8, attribute=FURTHER, dim_image=9, dim_text=10)


def tensors(frames) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.from_numpy(D) for D in frames)


@pytest.mark.parametrize("world", [WORLD, RICH], ids=["binary", "rich"])
@pytest.mark.parametrize("index", [0, 3])
def test_any_block_is_a_net(world, index):
    """1024 points: one in every 1024th part of every axis."""
    u = points(world, 1024, 7, "train/0", index)
    assert u.shape == (1024, coordinates(world)["object"].stop)
    assert (np.arange(1024) == np.sort(np.floor(1024 * u), axis=0).T).all()


def test_a_point_is_the_same_in_whatever_order_it_is_read():
    read = {(s, k): points(RICH, 100, 7, s, k) for k in range(4) for s in ("a", "b")}
    with ThreadPoolExecutor(4) as pool:  # the threads share the generators that are cached
        again = dict(zip(reversed(read), pool.map(lambda key: points(RICH, 100, 7, *key), reversed(read)), strict=True))
    whole = points(RICH, 400, 7, "a", 0)
    assert all(np.array_equal(values, again[key]) for key, values in read.items())
    # Up to order and the sequence's resolution, four blocks equal one block of four times the size.
    four = np.concatenate([read["a", k] for k in range(4)])
    assert np.abs(np.sort(four, axis=0) - np.sort(whole, axis=0)).max() < 2.0**-sobol.BITS
    assert not np.isclose(np.sort(read["a", 0], axis=0), np.sort(read["b", 0], axis=0)).all()


def test_a_small_batch_is_not_a_net():
    """Class counts among the first 16 pairs vary nearly like independent ones: the net's 4096 points are shuffled."""
    size, batches = 4096, 64
    first = np.concatenate([points(WORLD, size, 7, "a", k)[: 16 * batches, 0] for k in range(4)]).reshape(-1, 16)
    counts = (first < 0.5).sum(1)  # hypergeometric: variance 4 (1 - 15/4095); in the sequence's own order it is 0
    assert_mean((counts - 8.0) ** 2, 4 * (1 - 15 / 4095), effect=0.5, what="variance of the number of a class")


def test_a_single_pair_obeys_its_world():
    """A pair of many sequences against the structural equations, number by number."""
    world, effect = RICH.replace(sigma_xi=0.0, mismatch=0.3, detail_inv=0.4, bare=0.3), 0.2
    frames, columns = dictionaries(world, 0), 4 + 2 * world.latents
    n = law_size(effect, false_alarm=1e-7 / columns)
    source = even((world,) * n, tensors(frames), 8, 0, 0, [f"train/{k}" for k in range(n)])
    drawn = draw_latents((world,) * n, 8, source, device="cpu", dtype=torch.float64)
    y, a, image, text = (values[:, 5].numpy() for values in drawn)
    known = structural_pairs(world, (n,), numpy_stream(0, "test/nets"), frames)
    latents = (known.images @ frames[0], known.texts @ frames[1], known.texts[:, -1])  # last the mark of bare captions
    expected = np.column_stack([known.labels, known.backgrounds, known.backgrounds == known.labels, *latents])
    found = np.column_stack([y, a[:, 0], a[:, 0] == y, image, text])
    # Rounded: omitted blocks of captions are 0 on both sides.
    assert_same_law(found.round(12), expected.round(12), effect=effect, share=1e-7, what="groups and latents")


@pytest.mark.parametrize("law", ["integer", "uniform", "normal"])
def test_the_last_point_stays_inside(law, monkeypatch):
    """The number nearest to 1 gives a valid class and a finite normal."""
    monkeypatch.setattr(sobol, "points", lambda *block: np.full((1, coordinates(WORLD)["object"].stop), 1 - 2.0**-53))
    kind = torch.int64 if law == "integer" else torch.float64
    source = even((WORLD,), tensors(dictionaries(WORLD, 0)), 1, 0, 0, ("train/0",))
    value = float(source(torch.empty(1, 1, dtype=kind), "label", law, 3))
    assert value == 2 if law == "integer" else np.isfinite(value)


def test_together_they_fill_the_law():
    """Frequencies are exact to one point. Second moments err by less than a fifth of independent pairs' error."""
    n, frames = 4096, dictionaries(WORLD, 0)
    blocks = [draw_block((WORLD,), frames, 0, k, streams=("train/0",), points="sobol") for k in range(4)]
    labels, backgrounds = (torch.cat([getattr(b, f)[0] for b in blocks]) for f in ("labels", "backgrounds"))
    assert int((labels == 0).sum()) == 2 * n
    assert abs(int((labels == backgrounds[:, 0]).sum()) - 0.9 * 4 * n) <= 1
    image, text = (
        torch.cat([getattr(b, view)[0] for b in blocks]).numpy() @ D
        for view, D in zip(("images", "texts"), frames, strict=True)
    )
    products = image[:, :, None] * text[:, None]
    off = products.mean(0) - latent_cross_covariance(WORLD)
    assert (np.abs(off) < products.std(0) / np.sqrt(4 * n) / 5).all()


def test_a_views_noise_is_the_points_along_its_dictionary_and_independent_across():
    """In wide views sums along the dictionary hardly vary, others do, and one pair's noise is N(0, I)."""
    models, n, frames = 1000, 256, dictionaries(WORLD, 0)
    source = even((WORLD,) * models, tensors(frames), n, 0, 0, [f"train/{k}" for k in range(models)])
    noise = source(torch.empty(models, n, 3, dtype=torch.float64), "image-noise", "normal").numpy()
    along = frames[0]
    across = np.linalg.svd(along.T)[2][2]
    assert ((noise @ along).sum(1) ** 2 / n).mean(0).max() < 0.02
    one = noise[:, 7]  # independent pairs, one per model
    products = [one[:, i] * one[:, j] for i, j in combinations_with_replacement(range(3), 2)]
    found = np.column_stack([(noise @ across).sum(1) ** 2 / n, *products])
    assert_mean(found, [1.0, *np.eye(3)[np.triu_indices(3)]], effect=0.25, what="a sum across, a pair's covariances")
