"""Signs in Coq: polynomials on a claim's domain, as texts and as the steps that show their signs.

A field is a polynomial of coordinates u of the unit cube. A polynomial's sign is seen from coefficients of one sign in
powers of u, of 1 - u, or of both. If a bound holds a root, the field is the lower bound plus a number that is not
negative, and the root is a coordinate s, where s^2 is replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx
from scipy.special import ndtr

from theory.proofs.exact import COMBINED
from theory.proofs.expression import BINARY, FLOATS, Expression, NotExpressible, constant, evaluate, in_order, variable
from theory.proofs.obligations import ONE, ZERO

MOST_TERMS = 1000  # of a polynomial in the coordinates
# The formula of each operation on formulas.
REBUILT = {op: getattr(np, op) for op in (*BINARY, "power", "sqrt", "exp", "log")}
CALLS = {"ndtr": "Phi", "log": "ln", "sqrt": "sqrt", "exp": "exp"}  # functions of one argument in Coq
REBUILT |= {"ndtr": ndtr, "constant": constant}

Bounds = dict[str, tuple[Expression, Expression]]  # of fields
Rational = tuple[fmpq_mpoly, fmpq_mpoly]


class Unseen(NotExpressible):
    """A sign is not seen."""


class Named(dict):
    """A name that has no value stands for itself."""

    def __missing__(self, name: str) -> Expression:
        return variable(name)


def substituted(e: Expression, values: dict[str, Expression]) -> Expression:
    """e with formulas in place of variables."""
    return evaluate([e], REBUILT, Named(values))[0]


# Text.


def text(e: Expression, names: dict[Expression, str] | None = None) -> str:
    """A formula in Coq; `names` has formulas that are written as calls of definitions."""
    parts = dict(names or {})
    for node in in_order([e]):
        if node in parts:
            continue
        a = [parts[arg] for arg in node.args]
        if node.op in ("variable", "constant"):
            parts[node] = node.value if node.op == "variable" else number(node.value)
        elif node.op == "power":
            parts[node] = f"({a[0]} ^ {node.value})"
        elif node.op in CALLS:
            parts[node] = f"({CALLS[node.op]} {a[0]})"
        else:
            parts[node] = f"({a[0]} {BINARY[node.op][0]} {a[1]})"
    return parts[e]


def number(q: Fraction | fmpq) -> str:
    """A rational number in Coq."""
    n, d = (int(q.p), int(q.q)) if isinstance(q, fmpq) else (q.numerator, q.denominator)
    words = f"{abs(n)}" if d == 1 else f"{abs(n)} / {d}"
    return f"(- ({words}))" if n < 0 else f"({words})" if d != 1 else words


def polynomial(p: fmpq_mpoly) -> Expression:
    """A polynomial as a formula."""
    found = ZERO
    for powers, c in p.to_dict().items():
        term = constant(Fraction(int(c.p), int(c.q)))
        for name, n in zip(p.context().names(), powers, strict=True):
            term = term * variable(str(name)) ** int(n) if n else term
        found = found + term
    return found


# Rational functions of fields and roots.


def plain(e: Expression, names: list[str]) -> Rational:
    """The reduced numerator and denominator of a rational function."""
    ring = fmpq_mpoly_ctx.get(names or ["unused"], "lex")
    one = ring.constant(1)
    rules = {op: lambda a, b, op=op: _reduced(*COMBINED[op](*a, *b)) for op in BINARY}
    rules["constant"] = lambda q: (ring.constant(fmpq(q.numerator, q.denominator)), one)
    rules["power"] = lambda a, n: (a[0] ** n, a[1] ** n)
    values = {name: (x, one) for name, x in zip(names, ring.gens(), strict=False)}
    try:
        return evaluate([e], rules, values)[0]
    except KeyError:
        raise Unseen("a root lies within a root, or beside exp, log or Phi") from None


def _reduced(n: fmpq_mpoly, d: fmpq_mpoly) -> Rational:
    if d == 0:
        raise Unseen("a divisor is 0 everywhere")
    common = n.gcd(d)
    return n // common, d // common


@dataclass(frozen=True)
class Domain:
    """Fields as polynomials of coordinates that are not negative, and the steps that introduce them.

    coordinates: "unit" ends at 1, "ray" does not end, "root" is a root, whose square is in `squares`.
    """

    bounds: Bounds
    coordinates: dict[str, str]
    places: dict[str, Expression]  # of fields, in the coordinates
    squares: dict[str, Expression]
    steps: list[str]

    def values(self, formulas: Sequence[Expression]) -> np.ndarray:
        """The values of formulas of the fields at some points of the domain."""
        d = len(self.bounds)
        unit = np.vstack([np.array(list(product((0, 1), repeat=d))), np.random.default_rng(0).random((256, d))])
        at: dict[str, Any] = {}
        for column, (x, ends) in zip(unit.T, self.bounds.items(), strict=True):
            low, high = evaluate(list(ends), FLOATS, at)
            at[x] = low + (high - low) * column
        return np.array([np.broadcast_to(value, len(unit)) for value in evaluate(list(formulas), FLOATS, at)])

    def vanishes(self, e: Expression) -> bool:
        """Whether e, a rational function of fields and roots, is 0."""
        return self._in_coordinates(plain(e, [*self.bounds, *self.squares])[0])[0] == 0

    def _in_coordinates(self, p: fmpq_mpoly) -> tuple[fmpq_mpoly, dict[str, fmpq_mpoly]]:
        """(a, b) with p = a + sum of (s^2 - q) b[s]: a polynomial of coordinates, without powers of a root s."""
        names = list(self.coordinates)
        a, d = plain(substituted(polynomial(p), self.places), names)
        if not d.is_constant():
            raise Unseen("its domain has bounds with divisors")
        a, multiples = a / d.leading_coefficient(), {}
        for name, square in self.squares.items():
            i, (q, _) = names.index(name), plain(substituted(square, self.places), names)
            ring, before = a.context(), a
            a = ring.constant(0)
            for powers, c in before.to_dict().items():
                odd = tuple(k % 2 if j == i else k for j, k in enumerate(powers))
                a += ring.from_dict({odd: c}) * q ** int(powers[i] // 2)
            if before != a:
                multiples[name] = (before - a) / (ring.gens()[i] ** 2 - q)
        return a, multiples

    def shown(self, p: fmpq_mpoly, strict: bool) -> tuple[int, str, str]:
        """The sign s of p on the domain, the text of s p, and the steps that show that sign."""
        if p.is_constant():
            s = 1 if p.leading_coefficient() > 0 else -1
            return s, number(s * p.leading_coefficient()), "lra."
        here, multiples = self._in_coordinates(p)
        if prod(int(n) + 1 for n in here.degrees()) > MOST_TERMS:
            raise Unseen("its polynomials have thousands of terms")
        for s in (1, -1):
            margins = [fmpq(0)]
            if strict:
                axes = product((fmpq(0), fmpq(1, 2), fmpq(1)), repeat=len(self.coordinates))
                least = min((s * here)(*point) for point in axes)
                margins = [least / 2, least / 16] if least > 0 else []
            for margin in margins:
                terms = _positive_terms(s * here - margin, list(self.coordinates.values()))
                if terms is not None:
                    words, total = text(polynomial(s * p)), " + ".join(terms) or "0"
                    rest = ""
                    for name, multiple in multiples.items():
                        zero = f"({name} ^ 2 - {text(self.squares[name])})"
                        total += f" + {zero} * {text(polynomial(s * multiple))}"
                        rest += f"replace {zero} with 0 by lra. rewrite Rmult_0_l, Rplus_0_r. "
                    if strict:
                        how = f"({number(margin)} + ({total})) by (subst; field). {rest}"
                        return s, words, f"replace {words} with {how}apply Rplus_lt_le_0_compat; [lra|nonneg]."
                    return s, words, f"replace {words} with ({total}) by (subst; field). {rest}nonneg."
        raise Unseen("the sign of a polynomial is not seen")


def domain_of(bounds: Bounds) -> Domain:
    """The domain of fields within bounds."""
    domain = Domain(bounds, {}, {}, {}, [])
    for k, (x, (low, high)) in enumerate(bounds.items()):
        before = len(domain.squares)
        domain, low, high = rooted(domain, low, high)
        rational = len(domain.squares) == before
        kind, name, lemma = ("unit", f"u{k}", "in_unit") if rational else ("ray", f"y{k}", "from_low")
        start = substituted(low, domain.places)
        width = substituted(high, domain.places) - start if kind == "unit" else ONE
        domain.coordinates[name], domain.places[x] = kind, start + width * variable(name)
        domain.steps.append(f"destruct ({lemma} _ _ _ H{x}) as [{name} [H{name} E{name}]].")
    return domain


def rooted(domain: Domain, *formulas: Expression) -> tuple[Any, ...]:
    """The domain with every root in the formulas as a coordinate, and the formulas with these names."""
    squares, coordinates, steps = dict(domain.squares), dict(domain.coordinates), list(domain.steps)
    named = {q: variable(name) for name, q in squares.items()}
    for node in in_order(formulas):
        if node.op == "sqrt" and node.args[0] not in named:
            name, (q,) = f"s{len(squares)}", node.args
            named[q], squares[name], coordinates[name] = variable(name), q, "root"
            known = f"[{name} [H{name} [E{name} R{name}]]]"
            steps.append(f"destruct (root {text(q)} ltac:(nonneg)) as {known}. rewrite R{name} in *.")
    rules = {**REBUILT, "sqrt": lambda q: named.get(q, np.sqrt(q))}
    found = evaluate(list(formulas), rules, Named())
    return replace(domain, squares=squares, coordinates=coordinates, steps=steps), *found


def _positive_terms(p: fmpq_mpoly, kinds: list[str]) -> list[str] | None:
    """Terms of p in powers of u, of 1 - u, or of both, for each u, none of which is negative on the domain."""
    ring, names, degrees = p.context(), [str(x) for x in p.context().names()], [int(n) for n in p.degrees()]
    used = [i for i, n in enumerate(degrees) if n]
    choices = product(*("u1b" if kinds[i] == "unit" else "u" for i in used))
    by_length = sorted(choices, key=lambda bases: bases.count("b"))
    for number_, bases in enumerate([by_length[-1], *by_length]):  # if the last shows no sign, none does
        chosen = dict(zip(used, bases, strict=True))
        gens = list(ring.gens())
        q = p.compose(*(1 - x if chosen.get(i) == "1" else x for i, x in enumerate(gens)), ctx=ring)
        both = [i for i in used if chosen[i] == "b"]
        if both:  # (1 + t)^n q(t/(1 + t))
            found = {}
            for powers, c in q.to_dict().items():
                found[tuple(degrees[i] - k if i in both else k for i, k in enumerate(powers))] = c
            q = ring.from_dict(found).compose(*(x + 1 if i in both else x for i, x in enumerate(gens)), ctx=ring)
        terms = q.to_dict()
        positive = all(c >= 0 for c in terms.values())
        if not positive and number_ == 0:
            return None
        if positive and number_ > 0:
            return [_term(powers, c, names, chosen, degrees) for powers, c in terms.items()]
    return None


def _term(powers, c: fmpq, names: list[str], chosen: dict[int, str], degrees: list[int]) -> str:
    parts = [number(c)]
    for i, name in enumerate(names):
        n, basis = int(powers[i]), chosen.get(i)
        if basis == "b":  # u^(degree - n) (1 - u)^n
            parts += [f"{name} ^ {degrees[i] - n}"] * (degrees[i] > n) + [f"(1 - {name}) ^ {n}"] * (n > 0)
        elif n:
            parts.append(f"(1 - {name}) ^ {n}" if basis == "1" else f"{name} ^ {n}")
    return " * ".join(parts)
