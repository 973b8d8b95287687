"""Named tables: their sums, their empty cells, and the texts that name them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.tables import compositional, diagonal, leave_one_domain_out, long_tail, mixture, named

sizes = st.integers(2, 7)
SHARE = st.floats(0, 1, allow_subnormal=False)


@given(sizes, sizes, st.data())
def test_every_table_is_a_law_that_shows_every_class(K, A, data):
    hole, domain = data.draw(st.integers(0, A - 1)), data.draw(st.integers(0, A - 1))
    cut, absent, tail = compositional(K, A, hole), leave_one_domain_out(K, A, domain), long_tail(data.draw(SHARE), K, A)
    both = mixture([cut, tail], [data.draw(SHARE), 1.0])
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
    np.testing.assert_allclose(diagonal(0.7, 3), np.full((3, 3), 0.05) + np.eye(3) * (0.7 / 3 - 0.05), rtol=1e-14)
    rows = np.array([1, 1 / 4, 1 / 9]) / (1 + 1 / 4 + 1 / 9)
    np.testing.assert_allclose(long_tail(2, 3, 2), np.stack([rows, rows], axis=1) / 2, rtol=1e-14)
    np.testing.assert_allclose(mixture([diagonal(1), diagonal(0)], [3, 1]), diagonal(0.75), rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("diagonal(0.9)", diagonal(0.9)),
        (" compositional(2,3, hole=1)", compositional(2, 3, 1)),
        ("leave-one-domain-out(2, 3)", leave_one_domain_out(2, 3)),
        ("long_tail(1e-1, 3, 2)", long_tail(0.1, 3, 2)),
        ("mixture([diagonal(1), long-tail(0, 2, 2)], [0.5, 2])", mixture([diagonal(1), long_tail(0, 2, 2)], [0.5, 2])),
    ],
)
def test_a_text_names_a_table(text, table):
    np.testing.assert_array_equal(named(text), table)
