"""Exact proofs: conditions on rational functions, shown by coefficients, with no tolerance and no boxes.

A polynomial on the unit cube lies between the least and the largest of its coefficients in Bernstein's basis; so one
whose coefficients have one sign has that sign everywhere, also on edges where it vanishes. All arithmetic is that of
sympy's field of rational functions over the rationals.

Every denominator is shown to have no zero in the closed cube: no edge is left out, or taken by continuity. Only between
top and bottom of a condition factors may cancel, where that is what is claimed (`theory.proofs.obligations`).
"""

from math import comb

import numpy as np

from theory.proofs.expression import derivative, evaluate
from theory.proofs.obligations import Condition, Obligation

LARGEST_TENSOR = 200_000  # coefficients in Bernstein's basis


class _NotShown(Exception):
    """A denominator that may vanish, or an operation that is not rational."""


def settled(obligation: Obligation) -> str | None:
    """The first route that settles the obligation exactly; None if none does."""
    from sympy import QQ
    from sympy.polys.fields import field

    names = obligation.coordinates
    rational, *generators = field(names or ["unused"], QQ)
    values = dict(zip(names, generators, strict=False))
    for route in obligation.routes(derivative):
        try:
            if all(_holds(condition, rational, values) for condition in route.conditions):
                return route.name
        except (_NotShown, ZeroDivisionError):
            continue
    return None


def _holds(condition: Condition, rational, values: dict) -> bool:
    rules = {
        "constant": lambda q: rational.one * rational.domain(q.numerator, q.denominator),
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": _divided,
        "power": lambda a, n: a**n,
    }
    try:
        top, bottom = evaluate([condition.top, condition.bottom], rules, values)
    except KeyError:
        raise _NotShown from None
    ratio = top / bottom
    if condition.kind == "zero":
        return ratio == 0
    numerator, denominator = _one_sign(ratio.numer, condition.kind == "positive"), _one_sign(ratio.denom)
    if numerator is None or denominator is None:
        return False
    return numerator * denominator == 1 if condition.kind == "positive" else numerator * denominator <= 0


def _divided(a, b):
    if _one_sign(b.numer) is None:
        raise _NotShown
    return a / b


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
