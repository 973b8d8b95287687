"""The groups of a world written out: objects that are another class's, the test law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import latent_cross_covariance

from simulator.mixture import LARGEST_MIXTURE
from simulator.strategies import worlds
from simulator.world import Attribute, World, Worlds
from theory.population import block_covariance

ANY = worlds(most_attributes=2)
SURE = ANY.map(lambda world: world.model_copy(update={"p_inv": 1.0}))


@given(ANY)
def test_weights_are_the_training_law_of_objects_too(world):
    mixture = world.mixture()
    own = mixture.objects == mixture.labels
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-12)
    assert mixture.weights[own].sum() == pytest.approx(world.p_inv, abs=1e-12)
    for j, p in enumerate(Worlds.of(world).agreement[1:]):  # object and attributes are independent given the label
        both = own & (mixture.backgrounds[:, j] == mixture.labels)
        assert mixture.weights[both].sum() == pytest.approx(world.p_inv * p, abs=1e-12)
    for y in range(world.classes):
        for o in range(world.classes):
            expected = (world.p_inv if o == y else (1 - world.p_inv) / (world.classes - 1)) / world.classes
            part = (mixture.labels == y) & (mixture.objects == o)
            assert mixture.weights[part].sum() == pytest.approx(expected, abs=1e-12)


@given(ANY)
def test_test_weights_are_the_training_weights_of_the_test_law(world):
    objects = world.p_inv < 1
    expected = world.test_law().mixture(objects).weights
    assert world.mixture().test_weights == pytest.approx(expected, abs=1e-14)


@given(SURE, st.integers(0, 2**16))
def test_a_certain_object_may_be_listed_or_not(world, seed):
    """p_inv = 1 with the other objects written out is the world of the papers."""
    short, long = world.mixture(), world.mixture(objects=True)
    assert len(long.weights) == world.classes * len(short.weights)
    assert (short.objects == short.labels).all()
    own = long.objects == long.labels
    for name in ("labels", "backgrounds", "weights", "test_weights", "means"):
        assert getattr(long, name)[own] == pytest.approx(getattr(short, name), abs=1e-15), name
    assert not long.weights[~own].any()
    assert not long.test_weights[~own].any()
    values = np.random.default_rng(seed).random(len(own))
    assert long.group_average(values) == pytest.approx(short.group_average(values[own]), abs=1e-14)


@given(ANY, st.integers(0, 2**16))
def test_group_averages_are_means_under_the_test_law(world, seed):
    """One for one; the object's share is p_inv in both groups; the rest by summing group after group."""
    mixture = world.mixture()
    own = (mixture.objects == mixture.labels).astype(float)
    assert mixture.group_average(np.ones_like(own)) == pytest.approx([1, 1], abs=1e-13)
    assert mixture.group_average(own) == pytest.approx([world.p_inv] * 2, abs=1e-13)
    values = np.random.default_rng(seed).random((3, len(own)))
    for column, wanted in enumerate((True, False)):
        total, mass = np.zeros(3), 0.0
        for g in range(len(own)):
            if (mixture.backgrounds[g, 0] == mixture.labels[g]) == wanted:
                total, mass = total + mixture.test_weights[g] * values[:, g], mass + mixture.test_weights[g]
        assert mixture.group_average(values)[:, column] == pytest.approx(total / mass, abs=1e-13)


def test_the_covariance_of_an_uncertain_object_by_hand():
    """Object right in 3 of 4, background in 9 of 10: the two agree with .75 .9 + .25 .1 = .7."""
    world = World(p_inv=0.75, p_spu=0.9, mu_inv=2.0, mu_spu=3.0, sigma_inv=1.0, sigma_spu=0.5)
    expected = [[2**2 + 1, 2 * 3 * (2 * 0.7 - 1)], [2 * 3 * (2 * 0.7 - 1), 3**2 + 0.25]]
    assert latent_cross_covariance(world) == pytest.approx(np.array(expected), abs=1e-12)
    assert block_covariance(Worlds.of(world)) == pytest.approx(np.array(expected), abs=1e-12)


def test_objects_count_towards_the_largest_mixture():
    with pytest.raises(ValueError, match=r"classes = 60 .* 216,000 groups .* that fits is 47$"):
        World(classes=60, p_inv=0.9, dim_image=120, dim_text=120).mixture()
    assert 47**3 * 94 <= LARGEST_MIXTURE < 48**3 * 96
    assert len(World(classes=47, p_inv=0.9, dim_image=94, dim_text=94).mixture().weights) == 47**3


def test_further_attributes_do_not_make_a_group_common():
    mixture = World(attribute=(Attribute(p=0.9),)).mixture()
    assert (mixture.common == (mixture.backgrounds[:, 0] == mixture.labels)).all()
    assert mixture.common.sum() == len(mixture.labels) / 2
