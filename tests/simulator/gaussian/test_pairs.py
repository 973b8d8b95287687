"""Drawn pairs follow the structural equations however they are read; Sobol points do, too, and fill
the law evenly.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch
from gaussian_worlds import WORLDS
from reference import latent_cross_covariance, structural_pairs
from stattest import assert_mean, assert_same_law, law_size, mean_size

from simulator.gaussian import sobol
from simulator.gaussian.pairs import (
    Pairs,
    contradicted,
    dictionaries,
    draw_block,
    draw_latents,
    orthonormal_dictionary,
)
from simulator.gaussian.sobol import coordinates, even, points
from simulator.pixels.views import Pixels
from simulator.streams import numpy_stream
from simulator.views import shown
from simulator.world import Attribute, World


def test_dictionaries_are_orthonormal_and_uniform_over_frames():
    """Haar measure: every entry is symmetric and has variance 1/d. QR alone fixes the signs of R's
    diagonal.
    """
    rng = numpy_stream(0, "test/haar")
    size = mean_size(0.15, false_alarm=1e-7)
    frames = np.stack([orthonormal_dictionary(3, 2, rng) for _ in range(size)])
    for D in (
        *frames,
        *(orthonormal_dictionary(*shape, rng) for shape in ((2, 2), (64, 9), (3, 1))),
    ):
        assert pytest.approx(np.eye(D.shape[1]), abs=1e-13) == D.T @ D
    assert not np.allclose(*dictionaries(World(dim_image=5, dim_text=5), 1)), (
        "one dictionary for both views"
    )
    frames = frames.reshape(size, -1)
    assert_mean(np.sign(frames), 0.0, effect=0.15, what="signs of the entries")
    assert_mean(frames**2, 1 / 3, effect=0.15, what="squares of the entries")


@pytest.mark.parametrize(
    "world", [WORLDS["paper"], WORLDS["bare"], World(classes=3, mention_spu=0.5, views=Pixels())]
)
def test_a_prefix_does_not_depend_on_the_number_of_pairs(world):
    size = shown(world).block_size(world)
    whole = world.draw(2 * size + 5)
    assert not torch.equal(whole.images[:5], whole.images[size : size + 5])
    for n in (1, 7, size, size + 1):
        part = world.draw(n)
        for name in Pairs._fields:
            assert torch.equal(getattr(part, name), getattr(whole, name)[:n]), name


@pytest.mark.parametrize("name", WORLDS)
def test_pairs_follow_the_structural_equations(name):
    """The law equals that of the plain numpy sampler: both views, their products, the group, and
    both given it.
    """
    world = WORLDS[name]
    size = law_size(0.1, false_alarm=1e-8)
    D = dictionaries(world, 0)
    ours = world.draw(size)
    theirs = structural_pairs(world, (size,), numpy_stream(0, "test/structural"), D)

    def features(images, texts, labels, backgrounds):
        image = images @ D[0]
        text = texts @ D[1]
        own = (
            image[np.arange(len(image)), labels]
            if world.classes > 2
            else image[:, 0] * (1 - 2 * labels)
        )
        columns = [image, text, image * text, image[:, :1] * text, own, images[:, 0], texts[:, -1]]
        return np.column_stack(
            [*columns, texts[:, -1] * (labels == backgrounds), labels, backgrounds]
        )

    drawn = features(
        ours.images.numpy(), ours.texts.numpy(), ours.labels.numpy(), ours.backgrounds[:, 0].numpy()
    )
    assert_same_law(drawn, features(*theirs), effect=0.1, what="drawn pairs")
    for further, a in zip(ours.backgrounds[:, 1:].T, world.attribute, strict=True):
        share = (further == ours.labels).double().mean()
        assert abs(share - a.p) < 6 * np.sqrt(a.p * (1 - a.p) / size)


# Contradicted captions name a uniform background and keep their object.


@pytest.mark.parametrize(
    ("K", "law"),
    [
        (2, {"p_spu": 0.95}),
        (3, {"classes": 3, "p_spu": 0.95}),
        (3, {"table": WORLDS["table"].table}),
    ],
)
def test_the_background_alone_is_exchanged_for_one_by_chance(K, law):
    world = World(**law, mu_spu=3.0, sigma_spu=0.0, sigma_xi_text=0.0, dim_image=9, dim_text=9)
    drawn = world.draw(4000)
    pairs = Pairs(*(getattr(drawn, name)[None] for name in Pairs._fields))
    D = torch.as_tensor(drawn.frames[1])
    texts = contradicted(pairs, world, drawn.frames[1], 0, 0, streams=("pairs",)).texts[0]
    before = drawn.texts @ D
    after = texts @ D
    width = 1 if world.classes == 2 else K
    assert torch.allclose(before[:, :width], after[:, :width], atol=1e-12), "the object stays"
    assert torch.allclose(before.sort(dim=1).values, after.sort(dim=1).values, atol=1e-9) or K == 2
    block = after[:, width:]
    named = (block[:, 0] < 0).long() if K == 2 else block.argmax(1)
    assert torch.allclose(block.abs().sum(1), torch.full((4000,), 3.0, dtype=torch.float64))
    # Each background is named equally often for any image: six deviations of a share, among all and
    # those that agree.
    shares = torch.bincount(named, minlength=K) / 4000
    agree = (named == drawn.backgrounds[:, 0]).double().mean()
    assert (shares - 1 / K).abs().max() < 6 * np.sqrt((K - 1) / K**2 / 4000)
    assert abs(agree - 1 / K) < 6 * np.sqrt((K - 1) / K**2 / 4000)


# Sobol points: each obeys its world's law, together they fill it evenly, and point i never changes.

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=3, dim_text=2)
FURTHER = (Attribute(p=0.4, mention=0.5),)
RICH = World(
    classes=3, p_inv=0.7, p_spu=0.6, mention_inv=0.8, attribute=FURTHER, dim_image=9, dim_text=10
)


@pytest.mark.parametrize("world", [WORLD, RICH], ids=["binary", "rich"])
@pytest.mark.parametrize("index", [0, 3])
def test_any_block_is_a_net(world, index):
    """1024 points: one in every 1024th part of every axis."""
    u = points(world, 1024, 7, "train/0", index)
    assert u.shape == (1024, coordinates(world)["object"].stop)
    assert (np.sort(np.floor(1024 * u), axis=0) == np.arange(1024)[:, None]).all()


def test_a_point_is_the_same_in_whatever_order_it_is_read():
    read = {(s, k): points(RICH, 100, 7, s, k) for k in range(4) for s in ("a", "b")}
    with ThreadPoolExecutor(4) as pool:  # the threads share the generators that are cached
        again = dict(
            zip(
                reversed(read),
                pool.map(lambda key: points(RICH, 100, 7, *key), reversed(read)),
                strict=True,
            )
        )
    whole = points(RICH, 400, 7, "a", 0)
    assert all(np.array_equal(values, again[key]) for key, values in read.items())
    # Up to order and the sequence's resolution, four blocks equal one block of four times the size.
    four = np.concatenate([read["a", k] for k in range(4)])
    assert np.abs(np.sort(four, axis=0) - np.sort(whole, axis=0)).max() < 2.0**-sobol.BITS
    assert not np.isclose(np.sort(read["a", 0], axis=0), np.sort(read["b", 0], axis=0)).all()


def test_a_small_batch_is_not_a_net():
    """Class counts among the first 16 pairs vary nearly like independent ones: the net's 4096
    points are shuffled.
    """
    size, batches = 4096, 64
    first = np.concatenate(
        [points(WORLD, size, 7, "a", k)[: 16 * batches, 0] for k in range(4)]
    ).reshape(-1, 16)
    # hypergeometric: variance 4 (1 - 15/4095); in the sequence's own order it is 0
    counts = (first < 0.5).sum(1)
    assert_mean(
        (counts - 8.0) ** 2,
        4 * (1 - 15 / 4095),
        effect=0.5,
        what="variance of the number of a class",
    )


def test_a_single_pair_obeys_its_world():
    """A pair of many sequences against the structural equations, number by number."""
    world = RICH.replace(sigma_xi=0.0, mismatch=0.3, detail_inv=0.4, bare=0.3)
    effect = 0.2
    frames = dictionaries(world, 0)
    columns = 4 + 2 * world.latents
    n = law_size(effect, false_alarm=1e-7 / columns)
    source = even(
        (world,) * n,
        tuple(map(torch.from_numpy, frames)),
        8,
        0,
        0,
        [f"train/{k}" for k in range(n)],
    )
    drawn = draw_latents((world,) * n, 8, source, device="cpu", dtype=torch.float64)
    y, a, image, text = (values[:, 5].numpy() for values in drawn)
    known = structural_pairs(world, (n,), numpy_stream(0, "test/nets"), frames)
    # last the mark of bare captions
    latents = (known.images @ frames[0], known.texts @ frames[1], known.texts[:, -1])
    expected = np.column_stack(
        [known.labels, known.backgrounds, known.backgrounds == known.labels, *latents]
    )
    found = np.column_stack([y, a[:, 0], a[:, 0] == y, image, text])
    # Rounded: omitted blocks of captions are 0 on both sides.
    assert_same_law(
        found.round(12), expected.round(12), effect=effect, share=1e-7, what="groups and latents"
    )


def test_together_they_fill_the_law():
    """Frequencies are exact to one point. Second moments err by less than a fifth of independent
    pairs' error.
    """
    n = 4096
    frames = dictionaries(WORLD, 0)
    blocks = [
        draw_block((WORLD,), frames, 0, k, streams=("train/0",), points="sobol") for k in range(4)
    ]
    labels, backgrounds = (
        torch.cat([getattr(b, f)[0] for b in blocks]) for f in ("labels", "backgrounds")
    )
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
    """In wide views sums along the dictionary hardly vary, others do, and one pair's noise is N(0,
    I).
    """
    models = 1000
    n = 256
    frames = dictionaries(WORLD, 0)
    streams = [f"train/{k}" for k in range(models)]
    source = even((WORLD,) * models, tuple(map(torch.from_numpy, frames)), n, 0, 0, streams)
    noise = source(torch.empty(models, n, 3, dtype=torch.float64), "image-noise", "normal").numpy()
    along = frames[0]
    across = np.linalg.svd(along.T)[2][2]
    assert ((noise @ along).sum(1) ** 2 / n).mean(0).max() < 0.02
    one = noise[:, 7]  # independent pairs, one per model
    products = [one[:, i] * one[:, j] for i, j in combinations_with_replacement(range(3), 2)]
    found = np.column_stack([(noise @ across).sum(1) ** 2 / n, *products])
    assert_mean(
        found,
        [1.0, *np.eye(3)[np.triu_indices(3)]],
        effect=0.25,
        what="a sum across, a pair's covariances",
    )
