"""Conditions on rational functions, decided exactly on the closed unit cube with flint's polynomials.

A rational function is a reduced pair of polynomials. Substituting x = 1/(1 + t), t >= 0, turns a sign on the closed
cube into a sign of coefficients: those of Bernstein's basis, up to positive factors. Every divisor is shown to have no
zero in the closed cube, so no edge is left out. Common factors cancel only between top and bottom of a condition, where
this is what the condition says (`theory.proofs.obligations`).
"""

from math import prod

from flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx

from theory.proofs.expression import evaluate
from theory.proofs.obligations import Condition, Route

Fraction = tuple[fmpq_mpoly, fmpq_mpoly]


class _NotShown(ArithmeticError):
    """A condition is not shown: a divisor may vanish, or an operation is too large."""


class Conditions:
    """Decides conditions in these coordinates.

    `most_products` bounds the products of terms in one operation; a condition that needs more is not shown.
    """

    def __init__(self, coordinates: list[str], most_products: float = float("inf")):
        ring = fmpq_mpoly_ctx.get(coordinates or ["unused"], "lex")
        self.one, self.most_products = ring.constant(1), most_products
        self.values = {name: (x, self.one) for name, x in zip(coordinates, ring.gens(), strict=False)}
        self.rules = {
            "constant": lambda q: (ring.constant(fmpq(q.numerator, q.denominator)), self.one),
            "add": lambda a, b: self._reduced(a, b, a[0] * b[1] + b[0] * a[1], a[1] * b[1]),
            "subtract": lambda a, b: self._reduced(a, b, a[0] * b[1] - b[0] * a[1], a[1] * b[1]),
            "multiply": lambda a, b: self._reduced(a, b, a[0] * b[0], a[1] * b[1]),
            "divide": self._divided,
            "power": lambda a, n: (a[0] ** n, a[1] ** n),
        }
        self.known: dict[Condition, bool] = {}

    def show(self, route: Route) -> bool:
        """Whether all conditions of a route hold."""
        return all(map(self.holds, route.conditions))

    def holds(self, condition: Condition) -> bool:
        """Whether a condition is shown on the whole closed cube."""
        if condition not in self.known:
            try:
                self.known[condition] = self._holds(condition)
            except (_NotShown, KeyError, ZeroDivisionError):  # KeyError: an operation that is not rational
                self.known[condition] = False
        return self.known[condition]

    def _holds(self, condition: Condition) -> bool:
        top, bottom = evaluate([condition.top, condition.bottom], self.rules, self.values)
        n, d = self._reduced(top, bottom, top[0] * bottom[1], top[1] * bottom[0])
        if condition.kind == "negative":
            return sign(n) * sign(d) < 0
        if n == 0 or condition.kind == "zero":
            return n == 0
        return sign(d) != 0 and sign_but_squares(n) * sign(d) < 0

    def _divided(self, a: Fraction, b: Fraction) -> Fraction:
        if sign(b[0]) == 0:
            raise _NotShown
        return self._reduced(a, b, a[0] * b[1], a[1] * b[0])

    def _reduced(self, a: Fraction, b: Fraction, n: fmpq_mpoly, d: fmpq_mpoly) -> Fraction:
        """n/d, made of a and b, without common factors."""
        if max(map(len, a)) * max(map(len, b)) > self.most_products:
            raise _NotShown
        common = n.gcd(d)
        return n // common, d // common


def sign_but_squares(p: fmpq_mpoly) -> int:
    """The sign of p where it does not vanish; even powers of factors have no effect on it."""
    scale, factors = p.factor_squarefree()
    return (1 if scale > 0 else -1) * prod(sign(f, strict=False) for f, n in factors if n % 2)


def sign(p: fmpq_mpoly, strict: bool = True) -> int:
    """1 or -1 if p has that sign on the closed cube, where it may vanish unless strict; 0 if neither is shown."""
    ring, degrees = p.context(), p.degrees()
    turned = {tuple(n - k for n, k in zip(degrees, powers, strict=True)): c for powers, c in p.to_dict().items()}
    found = ring.from_dict(turned).compose(*(x + 1 for x in ring.gens()), ctx=ring).coeffs()  # (1 + t)^n p(1/(1 + t))
    seen = {1 if c > 0 else -1 for c in found} if not strict or len(found) == prod(n + 1 for n in degrees) else ()
    return min(seen) if len(seen) == 1 else 0
