"""The groups of a world written out: objects of other classes, the test law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.mixture import COMMON, COUNTER, UNSEEN, cell_groups, common_backgrounds
from simulator.strategies import quantity, table_worlds, tables, worlds
from simulator.world import World

ANY = worlds(most_attributes=2)
SURE = ANY.map(lambda world: world.model_copy(update={"p_inv": 1.0}))


@given(ANY)
def test_weights_are_the_training_law_of_objects_too(world):
    mixture = world.mixture()
    own = mixture.objects == mixture.labels
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-12)
    assert mixture.weights[own].sum() == pytest.approx(world.p_inv, abs=1e-12)
    for j, p in enumerate(world.agreement[1:]):  # object and attributes are independent given the label
        both = own & (mixture.backgrounds[:, j] == mixture.labels)
        assert mixture.weights[both].sum() == pytest.approx(world.p_inv * p, abs=1e-12)
    for y in range(world.classes):
        for o in range(world.classes):
            expected = (world.p_inv if o == y else (1 - world.p_inv) / (world.classes - 1)) / world.classes
            part = (mixture.labels == y) & (mixture.objects == o)
            assert mixture.weights[part].sum() == pytest.approx(expected, abs=1e-12)


@given(ANY)
def test_test_weights_are_the_training_weights_of_the_test_law(world):
    mixture, objects = world.mixture(), world.p_inv < 1
    assert mixture.test_weights == pytest.approx(world.test_law().mixture(objects).weights, abs=1e-14)
    assert ((mixture.test_groups == COMMON) == (mixture.backgrounds[:, 0] == mixture.labels)).all()


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


@pytest.mark.parametrize("p_inv", [0.0, 0.5, 1.0])
def test_without_objects_all_labels_and_backgrounds_keep_their_shares(p_inv):
    """At p_inv = 0 none was left, and averages over groups were nan."""
    cells = World(p_inv=p_inv, table=[[0.3, 0.1, 0.0], [0.2, 0.2, 0.2]]).mixture(objects=False)
    assert cells.weights == pytest.approx([0.3, 0.1, 0.0, 0.2, 0.2, 0.2])
    assert cells.group_average(np.ones(6)) == pytest.approx([1, 1, 1])


@given(table_worlds())
def test_a_table_is_the_law_of_labels_and_backgrounds(world):
    """Whatever object is shown; every cell's latents have the patterns of its object and its background."""
    mixture, K, A = world.mixture(), world.classes, world.background_count
    joint = np.zeros((K, A))
    np.add.at(joint, (mixture.labels, mixture.backgrounds[:, 0]), mixture.weights)
    assert joint == pytest.approx(np.array(world.table), abs=1e-14)
    assert world.joint_law() == pytest.approx(joint, abs=1e-14)
    assert world.background_law() == pytest.approx(joint / joint.sum(axis=1, keepdims=True), abs=1e-14)
    assert mixture.weights[mixture.objects == mixture.labels].sum() == pytest.approx(world.p_inv)
    objects, backgrounds = mixture.means[:, mixture.block == 0], mixture.means[:, mixture.block == 1]
    for part, count, mu, codes in (
        (objects, K, world.mu_inv, mixture.objects),
        (backgrounds, A, world.mu_spu, mixture.backgrounds[:, 0]),
    ):
        expected = (1 - 2 * codes)[:, None] if count == 2 else np.eye(count)[codes]
        assert part == pytest.approx(mu * expected, abs=0)
    assert mixture.means.shape[1] == world.latents


@given(tables(), st.integers(0, 2**16))
def test_group_averages_of_a_table_are_over_classes_and_then_their_cells(table, seed):
    world = World(table=table)
    values, mixture = np.random.default_rng(seed).random((len(table), len(table[0]))), world.mixture()
    means = {COMMON: [], COUNTER: [], UNSEEN: []}
    for y, row in enumerate(table):
        kind = {a: COMMON if np.isclose(w, max(row)) else UNSEEN if w == 0 else COUNTER for a, w in enumerate(row)}
        for group, of_classes in means.items():
            own = [values[y, a] for a in kind if kind[a] == group]
            of_classes += [np.mean(own)] if own else []
    expected = [np.mean(found) if found else np.nan for found in means.values()]
    found = mixture.group_average(values[mixture.labels, mixture.backgrounds[:, 0]])
    assert found == pytest.approx(expected[: len(found)], abs=1e-14, nan_ok=True)
    assert len(found) == (3 if means[UNSEEN] else 2)
    assert (np.bincount(cell_groups(table).ravel(), minlength=3)[UNSEEN] > 0) == bool(means[UNSEEN])


def test_entries_that_differ_by_rounding_are_both_common():
    assert common_backgrounds(((0.1 + 0.2, 0.3), (0.3, 0.1 + 0.2), (0.3, 0.3 - 1e-6))) == ((0, 1), (0, 1), (0,))


@given(st.integers(2, 5), quantity("p_spu", 0.0, 1.0), quantity("p_inv"))
def test_a_world_without_a_table_is_one_with_its_own_joint_law(K, p, p_inv):
    """The same list of groups, bit by bit where the object is certain, if backgrounds match more than by chance."""
    p = min(1 / K + 1e-3 + p * (1 - 1 / K), 0.999)
    world = World(classes=K, p_spu=p, p_inv=p_inv, mu_spu=2.0)
    other = world.mixture()
    found = World(table=world.joint_law(), p_inv=p_inv, mu_spu=2.0).mixture()
    for name in ("labels", "objects", "backgrounds", "means", "variances", "block", "test_groups"):
        assert np.array_equal(getattr(found, name), getattr(other, name)), name
    assert found.weights == pytest.approx(other.weights, abs=0 if p_inv == 1 else 1e-16)
    values = np.random.default_rng(0).random(len(found.labels))
    assert found.group_average(values) == pytest.approx(other.group_average(values), abs=1e-14)
