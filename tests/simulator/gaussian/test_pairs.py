"""Drawn pairs follow the structural equations, and pair i does not depend on how pairs are read."""

import numpy as np
import pytest
import torch
from gaussian_worlds import WORLDS
from reference import structural_pairs
from stattest import assert_mean, assert_same_law, law_size, mean_size

from simulator.gaussian.pairs import Pairs, contradicted, dictionaries, orthonormal_dictionary
from simulator.pixels.views import Pixels
from simulator.streams import numpy_stream
from simulator.views import shown
from simulator.world import World


def test_dictionaries_are_orthonormal_and_uniform_over_frames():
    """Haar measure: every entry is symmetric and has variance 1/d. QR alone fixes the signs of R's diagonal."""
    rng, size = numpy_stream(0, "test/haar"), mean_size(0.15, false_alarm=1e-7)
    frames = np.stack([orthonormal_dictionary(3, 2, rng) for _ in range(size)])
    for D in (*frames, *(orthonormal_dictionary(*shape, rng) for shape in ((2, 2), (64, 9), (3, 1)))):
        assert pytest.approx(np.eye(D.shape[1]), abs=1e-13) == D.T @ D
    assert not np.allclose(*dictionaries(World(dim_image=5, dim_text=5), 1)), "one dictionary for both views"
    frames = frames.reshape(size, -1)
    assert_mean(np.sign(frames), 0.0, effect=0.15, what="signs of the entries")
    assert_mean(frames**2, 1 / 3, effect=0.15, what="squares of the entries")


@pytest.mark.parametrize("world", [WORLDS["paper"], WORLDS["bare"], World(classes=3, mention_spu=0.5, views=Pixels())])
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
    """The law equals that of the plain numpy sampler: both views, their products, the group, and both given it."""
    world = WORLDS[name]
    size, D = law_size(0.1, false_alarm=1e-8), dictionaries(world, 0)
    ours = world.draw(size)
    theirs = structural_pairs(world, (size,), numpy_stream(0, "test/structural"), D)

    def features(images, texts, labels, backgrounds):
        image, text = images @ D[0], texts @ D[1]
        own = image[np.arange(len(image)), labels] if world.classes > 2 else image[:, 0] * (1 - 2 * labels)
        columns = [image, text, image * text, image[:, :1] * text, own, images[:, 0], texts[:, -1]]
        return np.column_stack([*columns, texts[:, -1] * (labels == backgrounds), labels, backgrounds])

    drawn = features(ours.images.numpy(), ours.texts.numpy(), ours.labels.numpy(), ours.backgrounds[:, 0].numpy())
    assert_same_law(drawn, features(*theirs), effect=0.1, what="drawn pairs")
    for further, a in zip(ours.backgrounds[:, 1:].T, world.attribute, strict=True):
        share = (further == ours.labels).double().mean()
        assert abs(share - a.p) < 6 * np.sqrt(a.p * (1 - a.p) / size)


# Contradicted captions name a uniform background and keep their object.


@pytest.mark.parametrize(
    ("K", "law"), [(2, {"p_spu": 0.95}), (3, {"classes": 3, "p_spu": 0.95}), (3, {"table": WORLDS["table"].table})]
)
def test_the_background_alone_is_exchanged_for_one_by_chance(K, law):
    world = World(**law, mu_spu=3.0, sigma_spu=0.0, sigma_xi_text=0.0, dim_image=9, dim_text=9)
    drawn = world.draw(4000)
    pairs, D = Pairs(*(getattr(drawn, name)[None] for name in Pairs._fields)), torch.as_tensor(drawn.frames[1])
    texts = contradicted(pairs, world, drawn.frames[1], 0, 0, streams=("pairs",)).texts[0]
    before, after = drawn.texts @ D, texts @ D
    width = 1 if world.classes == 2 else K
    assert torch.allclose(before[:, :width], after[:, :width], atol=1e-12), "the object stays"
    assert torch.allclose(before.sort(dim=1).values, after.sort(dim=1).values, atol=1e-9) or K == 2
    block = after[:, width:]
    named = (block[:, 0] < 0).long() if K == 2 else block.argmax(1)
    assert torch.allclose(block.abs().sum(1), torch.full((4000,), 3.0, dtype=torch.float64))
    # Each background is named equally often for any image: six deviations of a share, among all and those that agree.
    shares = torch.bincount(named, minlength=K) / 4000
    agree = (named == drawn.backgrounds[:, 0]).double().mean()
    assert (shares - 1 / K).abs().max() < 6 * np.sqrt((K - 1) / K**2 / 4000)
    assert abs(agree - 1 / K) < 6 * np.sqrt((K - 1) / K**2 / 4000)
