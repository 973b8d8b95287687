"""Every number of a world reaches every law. A field that is added to World is tried here without a further line."""

from typing import get_type_hints

import numpy as np
import pytest
from reference import joint_covariance, optimum_by_groups
from stattest import assert_mean

from simulator.quantities import domain_of
from simulator.world import SCALARS, World
from theory.learners import GaussianPMI, InfoNCE, LinearCLIP
from theory.learners.base import block_weights

TELLING = World(
    p_spu=0.8, mu_spu=1.5, sigma_spu=0.7, dim_image=2, dim_text=2, mention_inv=0.9, mention_spu=0.8, p_inv=0.95,
    detail_inv=0.7, detail_spu=0.8,
)  # fmt: skip
NUMBERS = [name for name in SCALARS if not isinstance(getattr(World(), name), int)]


def in_the_middle(name: str) -> World:
    """A world whose number is away from the default: in the middle of a bounded domain, 1.2 units of an open one."""
    low, high = domain_of(get_type_hints(World, include_extras=True)[name])
    return TELLING.replace(**{name: (low + high) / 2 if high <= 1 else 1.2})


@pytest.mark.parametrize("prompt", ["name", "mean"])
@pytest.mark.parametrize("name", NUMBERS)
def test_infonce_is_the_pmi_of_the_groups_of_pairs(name, prompt):
    world = in_the_middle(name)
    found = np.array([*InfoNCE(prompt).accuracy(world)])
    assert np.abs(found - optimum_by_groups(world, prompt, 12)).max() < 2e-3


@pytest.mark.parametrize("rule", [LinearCLIP, GaussianPMI])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_linear_rule_is_that_of_the_groups_of_pairs(name, rule):
    """Its closed form for grids of worlds, and its critic from the sums over groups, agree up to a factor."""
    world = in_the_middle(name)
    for prompt in ("name", "mean", "background"):
        grid, groups = rule(prompt).direction(world), block_weights(rule(prompt).critic(world).inside[0])
        assert grid / np.linalg.norm(grid) == pytest.approx(groups / np.linalg.norm(groups), abs=1e-12)


def test_drawn_pairs_have_the_covariance_of_the_groups():
    products, expected = [], []
    for name in NUMBERS:
        world = in_the_middle(name)
        pairs, mixture = world.draw(5000, seed=1), world.mixture()
        views = zip((pairs.images, pairs.texts), pairs.frames, strict=True)
        rows = np.concatenate([view.numpy() @ D for view, D in views], axis=1)
        rows = rows - sum(part.weights @ part.means for part in mixture.pairs)
        products.append((rows[:, :, None] * rows[:, None]).reshape(len(rows), -1))
        expected.append(joint_covariance(world).ravel())
    assert_mean(np.hstack(products), np.hstack(expected), effect=0.2, what="covariances of drawn pairs")
