"""Exact proofs: conditions on rational functions, shown by coefficients, with no tolerance and no boxes.

A polynomial on the unit cube lies between the least and the largest of its coefficients in Bernstein's basis; so one
whose coefficients have one sign has that sign everywhere, also on edges where it vanishes. All arithmetic is that of
sympy's field of rational functions over the rationals.

Every denominator is shown to have no zero in the closed cube: no edge is left out, or taken by continuity. Only between
top and bottom of a condition factors may cancel, where that is what is claimed (`theory.proofs.obligations`).
"""

from math import comb

import numpy as np

from theory.proofs.expression import Expression, gradient, in_order, variable
from theory.proofs.obligations import Obligation
from theory.proofs.squaring import Condition

LARGEST_TENSOR = 200_000  # coefficients in Bernstein's basis
MOST_PRODUCTS = (20_000, 1_000_000)  # of terms in one operation: all that is cheap comes before what takes seconds


class _NotShown(Exception):
    """A denominator that may vanish, or an operation that is not rational."""


def settled(obligation: Obligation) -> str | None:
    """The first route that settles the obligation exactly; None if none does."""
    routes = obligation.routes(gradient)
    for most_products in MOST_PRODUCTS:
        shown = _Conditions(obligation.coordinates, most_products)
        for route in routes:
            if all(map(shown, route.conditions)):
                return route.name
    return None


class _Conditions:
    """Whether a condition holds; what was found for one route serves the others."""

    def __init__(self, names: list[str], most_products: int):
        from sympy import QQ
        from sympy.polys.fields import field

        self.rational, *generators = field(names or ["unused"], QQ)
        self.most_products = most_products
        self.known: dict[Condition, bool] = {}
        self.nodes: dict[Expression, object] = {variable(name): x for name, x in zip(names, generators, strict=False)}

    def __call__(self, condition: Condition) -> bool:
        if condition not in self.known:
            try:
                self.known[condition] = self._holds(condition)
            except (_NotShown, ZeroDivisionError):
                self.known[condition] = False
        return self.known[condition]

    def _holds(self, condition: Condition) -> bool:
        ratio = self._value(condition.top) / self._value(condition.bottom)
        if condition.kind == "zero" or ratio == 0:
            return ratio == 0 and condition.kind != "negative"
        numerator, denominator = _one_sign(ratio.numer, condition.kind == "negative"), _one_sign(ratio.denom)
        if numerator is None and condition.kind == "not positive":
            numerator = _one_sign_but_squares(ratio.numer)
        return None not in (numerator, denominator) and numerator * denominator < 0

    def _value(self, e: Expression):
        for node in in_order([e]):
            if node not in self.nodes:
                self.nodes[node] = self._node(node, *(self.nodes[a] for a in node.args))
        return self.nodes[e]

    def _node(self, node: Expression, *x):
        if len(x) == 2 and max(map(_terms, x)) * min(map(_terms, x)) > self.most_products:
            raise _NotShown
        match node.op:
            case "constant":
                return self.rational.one * self.rational.domain(node.value.numerator, node.value.denominator)
            case "add":
                return x[0] + x[1]
            case "subtract":
                return x[0] - x[1]
            case "multiply":
                return x[0] * x[1]
            case "divide":
                return _divided(*x)
            case "power":
                return x[0] ** node.value
        raise _NotShown


def _terms(a) -> int:
    return max(len(a.numer), len(a.denom))


def _divided(a, b):
    if _one_sign(b.numer) is None:
        raise _NotShown
    return a / b


def _one_sign_but_squares(polynomial) -> int | None:
    """The same where even powers of factors, which may vanish anywhere, are left out."""
    sign, factors = polynomial.sqf_list()
    sign = 1 if sign > 0 else -1
    if len(factors) == 1 and factors[0][1] == 1:  # no more than was known
        return None
    for factor, power in factors:
        one = _one_sign(factor, strict=False) if power % 2 else 1
        if one is None:
            return None
        sign *= one
    return sign


def _one_sign(polynomial, strict: bool = True) -> int | None:
    """1 or -1 if all coefficients in Bernstein's basis have that sign (or are 0, unless strict), else None; 0 for 0."""
    terms = polynomial.terms()
    if not terms:
        return None if strict else 0
    degrees = np.max([powers for powers, _ in terms], axis=0)
    if np.prod(degrees + 1.0) > LARGEST_TENSOR:
        return None
    tensor = np.full(degrees + 1, 0 * terms[0][1], object)
    for powers, coefficient in terms:
        tensor[powers] = coefficient
    for axis, n in enumerate(degrees):
        # sum_j a_j x^j = sum_i b_i B_i^n(x) with b_i = sum_{j <= i} C(i, j)/C(n, j) a_j
        rows = np.moveaxis(tensor, axis, 0).copy()
        one = terms[0][1] ** 0
        tensor = np.moveaxis(
            np.array([sum((one * comb(i, j) / comb(int(n), j)) * rows[j] for j in range(i + 1)) for i in range(n + 1)]),
            0,
            axis,
        )
    flat = tensor.ravel()
    for sign in (1, -1):
        if all(sign * c > 0 or (not strict and c == 0) for c in flat):
            return sign
    return None
