"""Exact conditions against coefficients in Bernstein's basis from sympy, and against values at
points.
"""

from itertools import product
from math import comb

import numpy as np
import pytest
import sympy

from theory.proofs.exact import Conditions
from theory.proofs.expression import FLOATS, constant, evaluate, variable
from theory.proofs.obligations import Condition

u = variable("u")
v = variable("v")
SYMBOLS = sympy.symbols("u v")
HOLDS = {"negative": np.less, "not positive": np.less_equal, "zero": np.equal}


def bernstein(polynomial) -> np.ndarray:
    """Coefficients in Bernstein's basis: sum_j a_j x^j = sum_i b_i B_i^n(x), b_i = sum_{j <= i}
    C(i, j)/C(n, j) a_j.
    """
    poly = sympy.Poly(polynomial, *SYMBOLS)
    n, m = (poly.degree(x) for x in SYMBOLS)
    tensor = np.zeros((n + 1, m + 1), object)
    for (i, j), k, l in product(poly.monoms(), range(n + 1), range(m + 1)):
        if k >= i and l >= j:
            share = sympy.Rational(comb(k, i), comb(n, i)) * sympy.Rational(comb(l, j), comb(m, j))
            tensor[k, l] += poly.coeff_monomial((i, j)) * share
    return tensor.ravel()


def polynomials(count: int):
    """Pairs of polynomials of degree up to 3, as expression and in sympy; half are shifted to one
    sign.
    """
    draw = np.random.default_rng(0)
    for number in range(count):
        a = draw.integers(-3, 4, (4, 4)) if number % 2 else draw.integers(0, 4, (4, 4))
        terms = [(int(a[i, j]), i, j) for i in range(4) for j in range(4) if a[i, j]]
        made = lambda x, y: sum(c * x**i * y**j for c, i, j in terms) + number % 3 - 4 * (1 - x) * y  # noqa: B023, E731
        yield made(u, v), made(*SYMBOLS)


def test_signs_are_those_of_bernstein_coefficients():
    conditions = Conditions(["u", "v"])
    seen = 0
    for recorded, polynomial in polynomials(60):
        found = conditions.holds(Condition("negative", -recorded))
        assert found == all(c > 0 for c in bernstein(polynomial))
        seen += found
    assert 5 < seen < 55


@pytest.mark.parametrize(
    ("kind", "top", "bottom", "holds"),
    [
        ("negative", -1 - u, constant(1), True),
        ("negative", -u, constant(1), False),  # zero at an edge
        ("not positive", -u, constant(1), True),
        ("not positive", -((u - v) ** 2), constant(1), True),  # an even power may be zero inside
        ("not positive", u - v, constant(1), False),
        ("not positive", -u, u - v, False),  # a divisor that may be zero
        ("negative", (u - v) * (-1 - u), u - v, True),  # a common factor cancels
        ("zero", (u + v) ** 2 - u**2 - 2 * u * v - v**2, constant(1), True),
        ("zero", u - v, constant(1), False),
        ("not positive", -1 / (1 + u), constant(1), True),
        ("not positive", -1 / u, constant(1), False),
        ("not positive", -np.sqrt(1 + u), constant(1), False),  # not a rational function
    ],
)
def test_conditions(kind, top, bottom, holds):
    condition = Condition(kind, top, bottom)
    assert Conditions(["u", "v"]).holds(condition) == holds
    if holds:
        draw = np.random.default_rng(1)
        a, b = evaluate([top, bottom], FLOATS, {"u": draw.random(500), "v": draw.random(500)})
        assert HOLDS[kind](np.round(a / b, 12), 0).all()


def test_a_condition_with_too_many_terms_is_not_shown():
    condition = Condition("negative", -((1 + u + v) ** 8) * (2 + u * v) ** 8)
    assert Conditions(["u", "v"]).holds(condition)
    assert not Conditions(["u", "v"], most_products=20).holds(condition)
