"""Enclosures: the value of a formula at a point of a box lies in the formula's interval over the
box.
"""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from theory.proofs import intervals
from theory.proofs.intervals import RULES, Enclosure, constant

TINY = 5e-324
HUGE = np.finfo(float).max
ENDS = st.one_of(
    st.floats(-4, 4),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, TINY, -TINY, HUGE, -HUGE]),
)


@st.composite
def points_in_intervals(draw):
    """(interval, exact point inside it): wide, narrow, without width, around 0, at the ends of the
    float range.
    """
    a, b = sorted((draw(ENDS), draw(ENDS)))
    if draw(st.booleans()):
        b = a
    share = Fraction(draw(st.integers(0, 8)), 8)
    return (
        Enclosure(np.array([a]), np.array([b])),
        Fraction(a) + (Fraction(b) - Fraction(a)) * share,
    )


def holds(enclosure: Enclosure, value: Fraction) -> bool:
    low, high = (float(np.reshape(e, -1)[0]) for e in enclosure)
    return (unbounded(-low) or Fraction(low) <= value) and (
        unbounded(high) or value <= Fraction(high)
    )


def unbounded(high: float) -> bool:
    return np.isnan(high) or high == np.inf


@given(points_in_intervals(), points_in_intervals())
@example(
    (Enclosure(np.array([TINY]), np.array([TINY])), Fraction(TINY)),
    (Enclosure(np.array([0.5]), np.array([0.5])), Fraction(1, 2)),
)
@example(
    (Enclosure(np.array([-TINY]), np.array([TINY])), Fraction(0)),
    (Enclosure(np.array([-0.1]), np.array([0.1])), Fraction(0.1)),
)
def test_arithmetic_encloses_the_exact_result(one, two):
    (a, x), (b, y) = one, two
    with np.errstate(all="ignore"):
        assert holds(RULES["add"](a, b), x + y)
        assert holds(RULES["subtract"](a, b), x - y)
        assert holds(intervals.multiply(a, b), x * y)
        for n in (2, 3, 4, 5):
            assert holds(intervals.power(a, n), x**n)
        if y != 0:
            assert holds(intervals.divide(a, b), x / y)
        if x >= 0:
            low, high = (float(e[0]) for e in intervals.sqrt(a))
            assert unbounded(-low) or low <= 0 or Fraction(low) ** 2 <= x
            assert unbounded(high) or Fraction(high) ** 2 >= x


@given(points_in_intervals())
def test_functions_enclose_what_mpmath_says(one):
    a, x = one
    with np.errstate(all="ignore"), mpmath.workdps(60):
        for name, function in {
            "exp": lambda v: mpmath.exp(v),
            "ndtr": mpmath.ncdf,
            "density": mpmath.npdf,
            "log": lambda v: mpmath.log(v) if v > 0 else None,
        }.items():
            v = mpmath.mpf(x.numerator) / x.denominator
            if abs(v) > 1e3 and name != "log":
                continue  # mpmath cannot handle exponents of 1e300
            value = function(v)
            low, high = (float(e[0]) for e in RULES[name](a))
            assert not low > high
            if value is None:
                assert np.isnan(high)
            else:
                assert unbounded(-low) or mpmath.mpf(low) <= value
                assert unbounded(high) or value <= mpmath.mpf(high)


def test_undefined_values_have_no_bounds():
    """A square of an unknown number is unknown, not positive: it may have no value."""
    around = Enclosure(np.array([-1.0, 0.0, -2.0]), np.array([1.0, 1.0, -1.0]))
    with np.errstate(all="ignore"):
        low, high = intervals.divide(constant(Fraction(1)), around)
        assert np.isnan([low[:2], high[:2]]).all()
        assert low[2] == pytest.approx(-1)
        for name in ("sqrt", "log"):
            unknown = RULES[name](around)
            assert np.isnan(unknown)[:, [0, 2]].all()
            for after in ("exp", "ndtr", "density", "sqrt", "log"):
                assert np.isnan(RULES[after](unknown))[:, [0, 2]].all()
            for n in (2, 3):
                assert np.isnan(intervals.power(unknown, n))[:, [0, 2]].all()
            for with_others in ("add", "subtract", "multiply", "divide"):
                assert np.isnan(RULES[with_others](constant(Fraction(0)), unknown))[:, [0, 2]].all()


def test_constants_are_enclosed_as_narrowly_as_floats_allow():
    third = constant(Fraction(1, 3))
    assert Fraction(float(third.low)) < Fraction(1, 3) < Fraction(float(third.high))
    assert np.nextafter(third.low, 1) == third.high
    assert constant(Fraction(0.1)) == (0.1, 0.1)


def test_intervals_are_tight():
    """Width of a few units in the last place; too wide enclosures would pass the tests above."""
    x = Enclosure(np.array([0.3]), np.array([0.3]))
    for name in ("exp", "log", "ndtr", "density", "sqrt"):
        low, high = RULES[name](x)
        assert high - low <= 8 * np.spacing(np.abs(high)), name
    for each in (x, RULES["subtract"](constant(Fraction(0)), x)):
        for low, high in (*(intervals.power(each, n) for n in (2, 3)), intervals.multiply(each, x)):
            assert high - low <= 1e-14 * np.abs(high)
    for name in ("add", "divide"):
        low, high = RULES[name](x, x)
        assert high - low <= 1e-14 * high, name
