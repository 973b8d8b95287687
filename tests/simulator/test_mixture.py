"""The groups of a world written out: the test law, tables and their names, and prompts, which are
means over groups.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import prompt_by_mixture

from simulator.mixture import COMMON, COUNTER, UNSEEN, cell_groups, common_backgrounds
from simulator.prompts import LINEAR
from simulator.strategies import quantity, table_worlds, tables, worlds
from simulator.tables import compositional, diagonal, leave_one_domain_out, long_tail, named
from simulator.tables import mixture as mixed
from simulator.world import World


@given(worlds(most_attributes=2))
def test_test_weights_are_the_training_weights_of_the_test_law(world):
    mixture = world.mixture()
    objects = world.p_inv < 1
    assert mixture.test_weights == pytest.approx(
        world.test_law().mixture(objects).weights, abs=1e-14
    )
    assert ((mixture.test_groups == COMMON) == (mixture.backgrounds[:, 0] == mixture.labels)).all()


@pytest.mark.parametrize("p_inv", [0.0, 0.5, 1.0])
def test_without_objects_all_labels_and_backgrounds_keep_their_shares(p_inv):
    """At p_inv = 0 none was left, and averages over groups were nan."""
    cells = World(p_inv=p_inv, table=[[0.3, 0.1, 0.0], [0.2, 0.2, 0.2]]).mixture(objects=False)
    assert cells.weights == pytest.approx([0.3, 0.1, 0.0, 0.2, 0.2, 0.2])
    assert cells.group_average(np.ones(6)) == pytest.approx([1, 1, 1])


@given(tables(), st.integers(0, 2**16))
def test_group_averages_of_a_table_are_over_classes_and_then_their_cells(table, seed):
    world = World(table=table)
    values = np.random.default_rng(seed).random((len(table), len(table[0])))
    mixture = world.mixture()
    means = {COMMON: [], COUNTER: [], UNSEEN: []}
    for y, row in enumerate(table):
        kind = {
            a: COMMON if np.isclose(w, max(row)) else UNSEEN if w == 0 else COUNTER
            for a, w in enumerate(row)
        }
        for group, of_classes in means.items():
            own = [values[y, a] for a in kind if kind[a] == group]
            of_classes += [np.mean(own)] if own else []
    expected = [np.mean(found) if found else np.nan for found in means.values()]
    found = mixture.group_average(values[mixture.labels, mixture.backgrounds[:, 0]])
    assert found == pytest.approx(expected[: len(found)], abs=1e-14, nan_ok=True)
    assert len(found) == (3 if means[UNSEEN] else 2)
    assert (np.bincount(cell_groups(table).ravel(), minlength=3)[UNSEEN] > 0) == bool(means[UNSEEN])


def test_entries_that_differ_by_rounding_are_both_common():
    assert common_backgrounds(((0.1 + 0.2, 0.3), (0.3, 0.1 + 0.2), (0.3, 0.3 - 1e-6))) == (
        (0, 1),
        (0, 1),
        (0,),
    )


@given(st.integers(2, 5), quantity("p_spu", 0.0, 1.0), quantity("p_inv"))
def test_a_world_without_a_table_is_one_with_its_own_joint_law(K, p, p_inv):
    """The same list of groups, bit by bit where the object is certain, if backgrounds match more
    than by chance.
    """
    p = min(1 / K + 1e-3 + p * (1 - 1 / K), 0.999)
    world = World(classes=K, p_spu=p, p_inv=p_inv, mu_spu=2.0)
    other = world.mixture()
    found = World(table=world.joint_law(), p_inv=p_inv, mu_spu=2.0).mixture()
    for name in ("labels", "objects", "backgrounds", "means", "variances", "block", "test_groups"):
        assert np.array_equal(getattr(found, name), getattr(other, name)), name
    assert found.weights == pytest.approx(other.weights, abs=0 if p_inv == 1 else 1e-16)
    values = np.random.default_rng(0).random(len(found.labels))
    assert found.group_average(values) == pytest.approx(other.group_average(values), abs=1e-14)


@given(worlds(most_attributes=2) | table_worlds())
def test_single_captions_are_means_over_groups(world):
    for prompt in LINEAR:
        q = world.prompts(prompt)
        slow = prompt_by_mixture(world, prompt)
        size = 1 + np.abs(slow).max()
        np.testing.assert_allclose(q, slow, rtol=0, atol=1e-12 * size, err_msg=prompt)
        if world.table is None:
            own = world.prompt(prompt)
            pattern = q.reshape(world.classes, len(own), -1)
            gap = pattern[0, :, 0] - pattern[1, :, 0]
            np.testing.assert_allclose(
                gap, own * (2 if world.classes == 2 else 1), rtol=0, atol=1e-12 * size
            )


# Named tables: their sums, their empty cells, and the texts that name them.

sizes = st.integers(2, 7)
SHARE = st.floats(0, 1, allow_subnormal=False)


@given(sizes, sizes, st.data())
def test_every_table_is_a_law_that_shows_every_class(K, A, data):
    hole = data.draw(st.integers(0, A - 1))
    domain = data.draw(st.integers(0, A - 1))
    cut = compositional(K, A, hole)
    absent = leave_one_domain_out(K, A, domain)
    tail = long_tail(data.draw(SHARE), K, A)
    both = mixed([cut, tail], [data.draw(SHARE), 1.0])
    for table in (cut, absent, tail, both, diagonal(data.draw(SHARE), K)):
        assert table.min() >= 0
        assert table.sum() == pytest.approx(1, abs=1e-12)
        assert table.any(axis=1).all()
    for y in range(K):
        assert set(np.flatnonzero(cut[y] == 0)) == {(y + i) % A for i in range(hole)}
        assert np.flatnonzero(absent[y] == 0).tolist() == [domain]
    for table in (cut, absent):
        assert np.unique(table[table > 0]).size == 1


def test_a_diagonal_is_p_spu_and_a_tail_a_power():
    np.testing.assert_allclose(
        diagonal(0.7, 3), np.full((3, 3), 0.05) + np.eye(3) * (0.7 / 3 - 0.05), rtol=1e-14
    )
    rows = np.array([1, 1 / 4, 1 / 9]) / (1 + 1 / 4 + 1 / 9)
    np.testing.assert_allclose(long_tail(2, 3, 2), np.stack([rows, rows], axis=1) / 2, rtol=1e-14)
    np.testing.assert_allclose(
        mixed([diagonal(1), diagonal(0)], [3, 1]), diagonal(0.75), rtol=1e-14
    )


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("diagonal(0.9)", diagonal(0.9)),
        (" compositional(2,3, hole=1)", compositional(2, 3, 1)),
        ("leave-one-domain-out(2, 3)", leave_one_domain_out(2, 3)),
        ("long_tail(1e-1, 3, 2)", long_tail(0.1, 3, 2)),
        (
            "mixture([diagonal(1), long-tail(0, 2, 2)], [0.5, 2])",
            mixed([diagonal(1), long_tail(0, 2, 2)], [0.5, 2]),
        ),
    ],
)
def test_a_text_names_a_table(text, table):
    np.testing.assert_array_equal(named(text), table)
