"""Roots along an axis: all of them, each enclosed once, nothing claimed where nothing is known."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from theory.proofs.expression import constant, variable
from theory.proofs.roots import WIDTH, roots

x, a = variable("x"), variable("a")


def product(*where):
    f = constant(1)
    for root in where:
        f = f * (x - root)
    return f


def holds(pieces, root) -> int:
    """How many of the pieces hold an exact root."""
    return sum(Fraction(low) <= root <= Fraction(high) for _, low, high in zip(*pieces, strict=True))


@given(st.lists(st.integers(1, 2**12 - 1), min_size=0, max_size=4, unique=True))
@example([2**10, 2**11, 3 * 2**10])
@example([1995])  # the first cut is next to it
def test_every_root_is_enclosed_once_and_nothing_else_is(numerators):
    where = [Fraction(n, 2**12) for n in numerators]
    found = roots(product(*where), "x", 0.0, 1.0, {})
    assert len(found.undecided) == 0
    assert [holds(found.enclosed, root) for root in where] == [1] * len(where)
    assert len(found.enclosed) == len(where)
    assert np.all(found.enclosed.high - found.enclosed.low <= WIDTH)


def test_a_root_where_two_pieces_meet_is_enclosed():
    cut = Fraction(0.4871 * 1.0)
    found = roots(product(cut), "x", 0.0, 1.0, {})
    assert (holds(found.enclosed, cut), len(found.enclosed), len(found.undecided)) == (1, 1, 0)


def test_a_line_an_entry():
    """x^2 = a has a root in [0, 1] where a does not exceed 1; at both ends nothing is claimed."""
    values = np.array([0.0, 0.25, 0.5, 1.0, 2.0])
    found = roots(x**2 - a, "x", 0.0, 1.0, {"a": values})
    assert found.enclosed.line.tolist() == [1, 2]
    assert np.allclose(found.enclosed.middle, np.sqrt(values[1:3]), atol=WIDTH)
    assert found.undecided.line.tolist() == [0, 3]
    assert (found.undecided.low[0], found.undecided.high[1]) == (0.0, 1.0)


@pytest.mark.parametrize("root", [0.3, 0.5, 1 / 3])
def test_a_double_root_is_left_undecided_and_the_rest_is_free(root):
    found = roots(product(root, root), "x", 0.0, 1.0, {})
    assert len(found.enclosed) == 0
    assert holds(found.undecided, Fraction(root)) == len(found.undecided) == 1
    assert found.undecided.high - found.undecided.low < 10 * WIDTH


def test_roots_closer_than_the_width_are_not_told_apart_or_not_lost():
    near = [Fraction(1, 2), Fraction(1, 2) + Fraction(1, 2**23)]
    found = roots(product(*near), "x", 0.0, 1.0, {})
    for root in near:
        assert holds(found.enclosed, root) + holds(found.undecided, root) == 1


def test_a_formula_that_vanishes_everywhere_is_undecided_everywhere():
    found = roots(a * (x - 0.5), "x", 0.0, 1.0, {"a": np.array([0.0, 1.0])})
    assert found.enclosed.line.tolist() == [1]
    assert set(found.undecided.line.tolist()) == {0}
    assert (found.undecided.low.min(), found.undecided.high.max()) == (0.0, 1.0)


def test_functions_beyond_algebra():
    from theory import Phi, exp, sqrt

    found = roots(Phi(x) - exp(-x) * sqrt(a), "x", 0.0, 2.0, {"a": np.array([1.0, 3.0, 0.01])})
    assert found.enclosed.line.tolist() == [0, 1]
    middle = found.enclosed.middle
    assert np.allclose(Phi(middle), np.exp(-middle) * np.sqrt([1.0, 3.0]), atol=WIDTH)


def test_a_pole_is_no_root():
    """1/(x - 1/3) changes its sign without a zero: the pole stays undecided."""
    found = roots(1 / (x - Fraction(1, 3)), "x", 0.0, 1.0, {})
    assert len(found.enclosed) == 0
    assert holds(found.undecided, Fraction(1, 3)) == len(found.undecided)
