"""Conditions on rational functions, decided exactly on the closed unit cube with flint's
polynomials.

A rational function is a reduced pair of polynomials. Substituting x = 1/(1 + t), t >= 0, turns a
sign on the closed cube into a sign of coefficients: those of Bernstein's basis, up to positive
factors. Every divisor is shown to have no zero in the closed cube, so no edge is left out. Common
factors cancel only between top and bottom of a condition, where this is what the condition says
(`theory.proofs.obligations`).
"""

from collections.abc import Callable
from functools import partial
from math import comb, inf, prod
from time import perf_counter
from typing import Any

from flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx

from theory.proofs.expression import MOST_BITS, evaluate
from theory.proofs.obligations import Condition, Route

Fraction = tuple[fmpq_mpoly, fmpq_mpoly]
MOST_PRODUCTS = 1_000_000
COMBINED = {  # numerator and denominator of n/d op m/e
    "add": lambda n, d, m, e: (n * e + m * d, d * e),
    "subtract": lambda n, d, m, e: (n * e - m * d, d * e),
    "multiply": lambda n, d, m, e: (n * m, d * e),
    "divide": lambda n, d, m, e: (n * e, d * m),
}


class _NotShown(ArithmeticError):
    """A condition is not shown: a divisor may vanish, or an operation is too large."""


class Conditions:
    """Decides conditions in these coordinates.

    A condition is not shown if an operation needs more than `most_products` products of terms, or
    after the deadline.
    """

    def __init__(
        self, coordinates: list[str], most_products: int = MOST_PRODUCTS, deadline: float = inf
    ):
        ring = fmpq_mpoly_ctx.get(coordinates or ["unused"], "lex")
        one = ring.constant(1)
        self.most_products, self.deadline = most_products, deadline
        self.values = {name: (x, one) for name, x in zip(coordinates, ring.gens(), strict=False)}
        self.rules: dict[str, Callable[..., Any]] = {
            "constant": lambda q: (ring.constant(fmpq(q.numerator, q.denominator)), one),
            "power": self._power,
            "divide": self._divided,
        } | {op: partial(self._combined, op) for op in ("add", "subtract", "multiply")}
        self.known: dict[Condition, bool] = {}

    def show(self, route: Route) -> bool:
        """Whether all conditions of a route hold."""
        return all(map(self.holds, route.conditions))

    def holds(self, condition: Condition) -> bool:
        """Whether a condition is shown on the whole closed cube."""
        if condition not in self.known:
            try:
                self.known[condition] = self._holds(condition)
            except (_NotShown, KeyError, ZeroDivisionError):
                # KeyError: an operation that is not rational
                self.known[condition] = False
        return self.known[condition]

    def _holds(self, condition: Condition) -> bool:
        top, bottom = evaluate([condition.top, condition.bottom], self.rules, self.values)
        n, d = self._combined("divide", top, bottom)
        for p in (n, d):
            self._check_size(_coefficients(p))
            if (
                max((int(part).bit_length() for c in p.coeffs() for part in (c.p, c.q)), default=0)
                > MOST_BITS
            ):
                raise _NotShown  # to factor it would take minutes
        if condition.kind == "negative":
            return sign(n) * sign(d) < 0
        if n == 0 or condition.kind == "zero":
            return n == 0
        return sign(d) != 0 and sign_but_squares(n) * sign(d) < 0

    def _check_size(self, products: int) -> None:
        if products > self.most_products or perf_counter() > self.deadline:
            raise _NotShown

    def _combined(self, op: str, a: Fraction, b: Fraction) -> Fraction:
        """a op b without common factors."""
        self._check_size(max(map(len, a)) * max(map(len, b)))
        n, d = COMBINED[op](*a, *b)
        common = n.gcd(d)
        return n // common, d // common

    def _divided(self, a: Fraction, b: Fraction) -> Fraction:
        self._check_size(_coefficients(b[0]))
        if sign(b[0]) == 0:
            raise _NotShown
        return self._combined("divide", a, b)

    def _power(self, a: Fraction, n: int) -> Fraction:
        self._check_size(
            max(min(comb(len(p) + n - 1, n), _coefficients(p) * n ** len(p.degrees())) for p in a)
        )
        return a[0] ** n, a[1] ** n


def _coefficients(p: fmpq_mpoly) -> int:
    """How many coefficients a polynomial of these degrees may have."""
    return prod(int(n) + 1 for n in p.degrees())


def sign_but_squares(p: fmpq_mpoly) -> int:
    """The sign of p where it does not vanish; even powers of factors have no effect on it."""
    scale, factors = p.factor_squarefree()
    return (1 if scale > 0 else -1) * prod(sign(f, strict=False) for f, n in factors if n % 2)


def sign(p: fmpq_mpoly, strict: bool = True) -> int:
    """1 or -1 if p has that sign on the closed cube, where it may vanish unless strict; 0 if
    neither is shown.
    """
    ring, degrees = p.context(), p.degrees()
    turned = {
        tuple(n - k for n, k in zip(degrees, powers, strict=True)): c
        for powers, c in p.to_dict().items()
    }
    # (1 + t)^n p(1/(1 + t))
    terms = ring.from_dict(turned).compose(*(x + 1 for x in ring.gens()), ctx=ring).coeffs()
    signs = (
        {1 if c > 0 else -1 for c in terms}
        if not strict or len(terms) == prod(n + 1 for n in degrees)
        else ()
    )
    return min(signs) if len(signs) == 1 else 0
