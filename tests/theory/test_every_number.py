"""Every number of a world reaches every law. A field that is added to World is tried here without a further line."""

from typing import get_type_hints

import numpy as np
import pytest
import torch
from reference import joint_covariance, log_densities, optimum_by_groups
from stattest import assert_mean

from simulator.gaussian.critic import gaussian_points
from simulator.gaussian.statistics import projected_scatter
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


@pytest.mark.parametrize("name", SCALARS)
def test_every_field_changes_what_is_drawn(name):
    """A field without effect would pass all tests below."""
    base = TELLING.replace(dim_image=6, dim_text=6)
    world = in_the_middle(name) if name in NUMBERS else base.replace(**{name: getattr(base, name) + 1})
    one, other = (each.draw(200, seed=1) for each in (TELLING if name in NUMBERS else base, world))
    assert not torch.equal(one.images, other.images) or not torch.equal(one.texts, other.texts)


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


def test_exact_scatters_have_the_covariance_of_the_groups():
    scatters, expected = [], []
    for name in NUMBERS:
        world = in_the_middle(name)
        (scatter,) = projected_scatter(world, 200, 64, 5)
        scatters.append(scatter.reshape(len(scatter), -1))
        expected.append(joint_covariance(world).ravel())
    assert_mean(np.hstack(scatters), np.hstack(expected), effect=1.2, what="exact scatters")


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "p_spu"])
def test_a_world_with_a_table_is_the_same_world(name):
    """Accuracies of linear rules, and the order of the PMI's scores, by a table of p_spu in place of the number."""
    world = in_the_middle(name)
    own = {field: getattr(world, field) for field in world.model_fields_set - {"p_spu", "classes"}}
    table = World(**own, table=world.joint_law())
    for rule in (LinearCLIP("mean"), GaussianPMI("name")):
        assert [*rule.accuracy(table)] == pytest.approx([*rule.accuracy(world)], abs=1e-9)
    images = gaussian_points(2, 8, 0) * 2
    for prompt in ("name", "mean"):
        joint = [log_densities(world, images, np.tile(q, (len(images), 1))) for q in world.prompts(prompt)]
        gap = np.subtract(*(np.logaddexp.reduce(each, axis=1) for each in joint))
        for one in (world, table):
            scores = InfoNCE(prompt).scores(one, images)
            assert np.array_equal(scores[:, 0] > scores[:, 1], gap > 0)
