"""Signs of polynomials on a domain: what the steps for Coq say, read back and compared at points of the domain."""

import re
from fractions import Fraction

import numpy as np
import pytest

from theory.proofs.coq_signs import Unseen, domain_of, plain
from theory.proofs.expression import FLOATS, constant, evaluate, variable

x, y, z = (variable(name) for name in "xyz")
# Bounds with a divisor, and a root: coordinates u0 and u1 of the unit cube, the root s0, and y2 above a lower bound.
BOUNDS = {
    "x": (constant(Fraction(1, 2)), constant(Fraction(3, 4))),
    "y": (x / 3, constant(2)),
    "z": (2 * np.sqrt(1 + x), constant(9)),
}
DOMAIN = domain_of(BOUNDS)


def points() -> dict[str, np.ndarray]:
    """Coordinates at random, and the fields and the root there."""
    at = dict(zip(("u0", "u1", "y2"), np.random.default_rng(0).random((3, 200)), strict=True))
    at["x"] = 0.5 + at["u0"] / 4
    at["y"] = at["x"] / 3 + (2 - at["x"] / 3) * at["u1"]
    at["s0"] = np.sqrt(1 + at["x"])
    at["z"] = 2 * at["s0"] + at["y2"]
    return at


def said(words: str) -> np.ndarray:
    return eval(words.replace("^", "**"), points()) + np.zeros(200)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("e", "sign"),
    [
        (x - Fraction(1, 4), 1),
        (3 - x * y, 1),
        (-x - y, -1),
        (x - Fraction(1, 2), 1),  # 0 at an edge
        (y * y - x * y / 3, 1),
        (z * z - 4 * x - 4, 1),
        (x - Fraction(5, 8), None),
    ],
)
def test_a_sign_is_shown_by_an_equal_sum_of_terms_that_are_not_negative(e, sign, strict):
    p, denominator = plain(e, [*DOMAIN.bounds, *DOMAIN.squares])
    (value,) = evaluate([e], FLOATS, points())
    if sign is None or (strict and np.min(sign * value) < 0.1):
        with pytest.raises(Unseen):
            DOMAIN.shown(p, strict)
        return
    found, words, steps = DOMAIN.shown(p, strict)
    replaced, total = re.match(r"replace (.*?) with \((.*?)\) by \(subst; field\)\. ", steps).groups()
    assert (found, replaced) == (sign, words)
    for each in (words, total):
        assert said(each) == pytest.approx(sign * value * float(denominator.leading_coefficient()), abs=1e-12)
    assert "(- (" not in total.partition(" + (s0 ^ 2 -")[0], "a coefficient is negative"
    assert strict == steps.endswith("apply Rplus_lt_le_0_compat; [lra|nonneg].")
    assert not strict or np.all(said(total.partition(" + (")[0]) > 0), "the margin"


def test_values_run_from_bound_to_bound():
    for name, values in zip("xyz", DOMAIN.values([x, y, z]), strict=True):
        low, high = DOMAIN.values(list(BOUNDS[name]))
        assert np.all((low - 1e-12 <= values) & (values <= high + 1e-12))
        assert np.min(values - low) == pytest.approx(0, abs=1e-12)
        assert np.min(high - values) == pytest.approx(0, abs=1e-12)


def test_a_formula_vanishes_if_it_is_zero_at_every_point():
    s = variable("s0")
    assert DOMAIN.vanishes(s**2 - 1 - x)
    assert DOMAIN.vanishes(x * y / 3 - (y / 3) * x)
    assert not DOMAIN.vanishes(s**2 - x)
    assert not DOMAIN.vanishes(constant(1))
