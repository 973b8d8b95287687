"""Contradicting captions name a background by chance and keep their object."""

import numpy as np
import pytest
import torch

from simulator.gaussian.fit import fit
from simulator.gaussian.pairs import Pairs
from simulator.gaussian.resampling import contradicted, resample
from simulator.world import World
from theory.learners import named


def swapped(world: World, n: int, seed: int = 0):
    """(drawn pairs, the same contradicted), latents of their captions."""
    drawn = world.draw(n, seed)
    pairs = Pairs(*(x[None] for x in (drawn.images, drawn.texts, drawn.labels, drawn.backgrounds)))
    texts = contradicted(pairs, world.classes, drawn.frames[1], seed, 0, streams=("pairs",)).texts[0]
    D = torch.as_tensor(drawn.frames[1])
    return drawn, drawn.texts @ D, texts @ D


@pytest.mark.parametrize("K", [2, 3])
def test_the_background_alone_is_exchanged_for_one_by_chance(K):
    world = World(classes=K, p_spu=0.95, mu_spu=3.0, sigma_spu=0.0, sigma_xi_text=0.0, dim_image=9, dim_text=9)
    drawn, before, after = swapped(world, 4000)
    width = 1 if K == 2 else K
    assert torch.allclose(before[:, :width], after[:, :width], atol=1e-12), "the object stays"
    assert torch.allclose(before.sort(dim=1).values, after.sort(dim=1).values, atol=1e-9) or K == 2
    block = after[:, width : 2 * width]
    named_class = (block[:, 0] < 0).long() if K == 2 else block.argmax(1)
    assert torch.allclose(block.abs().sum(1), torch.full((4000,), 3.0, dtype=torch.float64))
    # Every class is named as often, whatever is shown: six deviations of a share among 4000 and of those that agree.
    shares = torch.bincount(named_class, minlength=K) / 4000
    agree = (named_class == drawn.backgrounds[:, 0]).double().mean()
    assert (shares - 1 / K).abs().max() < 6 * np.sqrt((K - 1) / K**2 / 4000)
    assert abs(agree - 1 / K) < 6 * np.sqrt((K - 1) / K**2 / 4000)


def test_silent_captions_stay_silent():
    _, before, after = swapped(World(mention_spu=0.0, sigma_xi_text=0.0, dim_image=4, dim_text=4), 100)
    assert torch.allclose(before, after, atol=1e-12)


def test_linear_clip_learns_of_no_background():
    """Random backgrounds say as little as captions that are silent about them: S has no background block."""
    world = World(p_spu=0.95, mu_spu=2.0, dim_image=2, dim_text=2)
    drawn = world.draw(100_000)
    silent = named("linear", prompt="mean").accuracy(world.model_copy(update={"mention_spu": 0.0}))
    found = fit("linear", resample(drawn, "contradicted")).accuracy("mean")
    assert found.counter == pytest.approx(silent.counter, abs=0.02)
