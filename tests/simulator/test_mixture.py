"""The groups of a world written out: objects of other classes, the test law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.strategies import worlds
from simulator.world import Worlds

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
    """With p_inv = 1 and all objects listed, it is the world of the papers."""
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
    """The average of 1 is 1. The label's object has share p_inv in both groups. Other values: a sum over groups."""
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
