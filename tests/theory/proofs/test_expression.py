"""Formulas recorded from theory's functions equal them in floats and in symbols, and so do their
derivatives.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from scipy.special import ndtr, ndtri

from theory import theorems
from theory.proofs.expression import (
    BINARY,
    FLOATS,
    NotExpressible,
    constant,
    digest,
    evaluate,
    gradient,
    in_order,
    variable,
    variables,
)
from theory.published import corrected_kappas, data_model_1_accuracies, theorem_62_kappas

p = variable("p")
mu = variable("mu")
si = variable("si")
ss = variable("ss")
AT = {"p": 0.8, "mu": 1.7, "si": 1.3, "ss": 0.4}

FORMULAS = {
    "theorem 6.2": lambda *x: ndtr(-theorem_62_kappas(*x)[0]),
    "corrected law": lambda *x: corrected_kappas(*x)[0],
    "data model 1": lambda p, mu, si, ss: data_model_1_accuracies(p, si, ss)[0],
    "mean prompt": lambda p, mu, si, ss: theorems.reliance_mean(1.0, mu, si, ss, 2 * p - 1),
    "many classes": lambda p, mu, si, ss: theorems.many_class_reliance_name(1.0, mu, si, p, 7),
    "T4": lambda p, mu, si, ss: theorems.least_squares_margin(1.0, mu, si, ss, 1.0),
    "powers": lambda p, mu, si, ss: mu**1.5 + si**-2 + ss**-0.5 + mu**p + 2.0**si + p**0.3,
    "a high power": lambda p, mu, si, ss: mu**100,
    "ufuncs": (
        lambda p, mu, si, ss: (
            np.exp(-p) + np.exp(mu) ** 3 - np.log(si) / ndtr(ss) + np.square(p) - (-mu)
        )
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_recorded_formula_is_the_function_and_its_derivatives_are_those_of_sympy(name):
    recorded = constant(FORMULAS[name](p, mu, si, ss))
    (value,) = evaluate([recorded], FLOATS, AT)
    assert value == pytest.approx(float(FORMULAS[name](*AT.values())), rel=1e-14)
    rules = {
        "power": FLOATS["power"],
        "constant": lambda q: sympy.Rational(q.numerator, q.denominator),
        **{op: function for op, (_, function) in BINARY.items()},
        **{op: getattr(sympy, op) for op in ("sqrt", "exp", "log")},
        "ndtr": lambda x: (1 + sympy.erf(x / sympy.sqrt(2))) / 2,
    }
    symbols = {name: sympy.Symbol(name) for name in AT}
    (written,) = evaluate([recorded], rules, symbols)
    ours = evaluate(gradient(recorded, AT), FLOATS, AT)
    at = {symbols[name]: value for name, value in AT.items()}
    for name, value in zip(AT, ours, strict=True):
        assert float(value) == pytest.approx(
            float(sympy.diff(written, symbols[name]).evalf(subs=at)), rel=1e-12, abs=1e-14
        )


def test_equal_formulas_are_one_object_and_constants_are_exact():
    assert (p + mu) * si is (p + mu) * si
    assert constant(0.1).value == Fraction(0.1) != Fraction(1, 10)
    assert (constant(0.1) + constant(0.2)).value == Fraction(0.1) + Fraction(0.2)
    assert 1 - ndtr(p) is ndtr(-p)
    assert ndtri(ndtr(p)) is p
    assert p * 0 is constant(0)
    assert variables(0 * p + 1 * mu) == ["mu"]
    assert np.square(p) is p * p
    assert p**0.5 is np.sqrt(p)


def test_different_formulas_have_different_digests():
    assert digest([p + mu]) == digest([p + mu])
    assert len({digest([e]) for e in (p + mu, mu + p, p - mu, p + 2 * mu, p + si)}) == 5


@pytest.mark.parametrize(
    ("branching", "words"),
    [
        (lambda x: x if x > 0 else -x, "branches on a value"),
        (lambda x: 1.0 if x else 0.0, "branches"),
        (lambda x: np.where(x > 0, x, 0), "branches on a value"),
        (lambda x: abs(x), "absolute has no rule of proof"),
        (lambda x: np.concatenate([x, x]).sum(), "numpy.concatenate"),
        (lambda x: x * np.ones(3), "arrays"),
        (lambda x: np.arctan(x), "arctan has no rule of proof"),
        (lambda x: float(x), "a field to a float or an array"),
        (lambda x: math.sqrt(x), "sqrt, exp and Phi of theory take"),
        (lambda x: x + float("nan"), "not a finite number"),
        (lambda x: x + "1", "not a finite number"),
    ],
)
def test_formulas_that_are_not_arithmetic_are_refused_with_a_reason(branching, words):
    with pytest.raises(NotExpressible, match=words):
        branching(p)


def test_too_long_formulas_are_refused(monkeypatch):
    monkeypatch.setattr("theory.proofs.expression.MOST_NODES", 20)
    e = p
    for _ in range(30):
        e = e + mu
    with pytest.raises(NotExpressible, match="more than 20"):
        in_order([e])
