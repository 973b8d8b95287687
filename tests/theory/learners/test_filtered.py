"""Pairs that a teacher keeps: the law against drawn pairs that are scored one by one."""

import numpy as np
import pytest

from simulator.gaussian.pairs import draw_pairs
from simulator.gaussian.statistics import first_coordinates
from simulator.world import World
from theory.learners import LinearCLIP
from theory.learners.filtered import Filtered
from theory.population import latent_cross_covariance

SIZE = {"dim_image": 2, "dim_text": 2}
TOLD = {"mention_spu": 0.6, "detail_inv": 0.4, "bare": 0.4, "sigma_xi_text": 2.5}  # bare captions have no noise
WORLDS = (
    World(mu_spu=1.5, sigma_xi=0.8, mismatch=0.5, **SIZE),
    World(mu_spu=1.2, sigma_xi=0.5, mismatch=0.3, **TOLD, **SIZE),
)


@pytest.mark.parametrize("world", WORLDS)
def test_the_law_is_that_of_drawn_pairs(world):
    """200,000 pairs: reliance scatters by about .005, and the law's points are off by as much."""
    blocks = [[x.numpy() for x in b] for b in draw_pairs(world, first_coordinates(world), 200_000, 0, stream="test")]
    images, texts, labels, backgrounds, *_ = (np.concatenate(part) for part in zip(*blocks, strict=True))
    texts, C = texts[:, :2], latent_cross_covariance(world)  # without the mark of bare captions
    score = ((images @ C) * texts).sum(axis=1)
    kept = score > np.median(score)
    own = Filtered(kept=0.5)
    assert (labels == backgrounds[:, 0])[kept].mean() == pytest.approx(own.purity(world)[0], abs=0.006)
    S = np.cov(images[kept].T, texts[kept].T)[:2, 2:]
    u = own.direction(world)
    assert S[1, 0] / S[0, 0] == pytest.approx(u[1] / u[0], abs=0.03)


def test_a_filter_that_keeps_all_changes_nothing():
    for world in WORLDS:
        u, v = Filtered(kept=1.0).direction(world), LinearCLIP().direction(world)
        assert u[1] / u[0] == pytest.approx(v[1] / v[0], abs=0.01)


@pytest.mark.parametrize("mismatch", [0.0, 0.4])
def test_without_a_filter_purity_is_the_training_law(mismatch):
    assert Filtered(kept=1.0).purity(World(p_spu=0.8, mismatch=mismatch)) == pytest.approx(
        (0.8, 1 - mismatch), abs=1e-9
    )


def test_an_object_without_any_noise_is_the_limit_of_little_noise():
    """Its critic was nan."""
    none, little = (World(mu_spu=2.0, sigma_inv=sigma, sigma_xi=0.0) for sigma in (0.0, 1e-5))
    assert [*Filtered().accuracy(none)] == pytest.approx([*Filtered().accuracy(little)], abs=1e-4)
