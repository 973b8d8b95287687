"""Obligations: inequalities of which one holds at every point of the cube, and exact conditions that imply them.

Wherever f is N/sqrt(D), or a difference of two such, conditions on rational functions settle the matter without a root
and without the tolerance. A route is a tuple of conditions that together imply an obligation:

    sign        N/sqrt(D) <= 0                        if D > 0 and N <= 0
    equal       N/sqrt(D) = M/sqrt(E)                 if D, E > 0, k = N/M > 0 and N^2 E = M^2 D: then D = k^2 E
    opposite    N/sqrt(D) < 0 or M/sqrt(E) <= 0       if D, E > 0 and k = -N/M > 0: where N >= 0, M = -N/k <= 0
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

from theory.proofs.expression import Expression, constant, has_root, variables


class Inequality(NamedTuple):
    """f <= limit, or f < limit; with `along`, its derivative along that coordinate."""

    f: Expression
    limit: Fraction = Fraction(0)
    strict: bool = False
    along: str | None = None


class Condition(NamedTuple):
    """A rational function, top/bottom with its common factors cancelled, is so on the whole closed cube."""

    kind: Literal["positive", "not positive", "zero"]
    top: Expression
    bottom: Expression


class Route(NamedTuple):
    """Conditions that together imply an obligation."""

    name: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Obligation:
    """At every point of the cube one of the alternatives holds."""

    words: str
    alternatives: tuple[Inequality, ...]

    @property
    def coordinates(self) -> list[str]:
        """The coordinates that occur, in the order of their names."""
        return sorted(set(variables(*(each.f for each in self.alternatives))))

    def routes(self, derivative) -> list[Route]:
        """Exact routes; derivative(f, coordinate) is the caller's own, so that prover and checker differ in it."""
        forms = []
        for each in self.alternatives:
            f = each.f if each.along is None else derivative(each.f, each.along)
            forms.append(_over_roots(f) if each.limit >= 0 else None)
        found = []
        for each, terms in zip(self.alternatives, forms, strict=True):
            if terms and len(terms) == 1:
                (N, D), *_ = terms
                below = Condition("positive", -N, _ONE) if each.strict else Condition("not positive", N, _ONE)
                found.append(Route("sign", (_positive(D), below)))
            elif terms and not each.strict:
                (N, D), (M, E) = terms
                same = Condition("positive", N, M), Condition("zero", N**2 * E - M**2 * D, _ONE)
                found.append(Route("equal", (_positive(D), _positive(E), *same)))
        if len(forms) == 2 and all(terms and len(terms) == 1 for terms in forms) and not self.alternatives[1].strict:
            ((N, D),), ((M, E),) = forms
            found.append(Route("opposite", (_positive(D), _positive(E), Condition("positive", -N, M))))
        return found


_ONE = constant(1)


def _positive(D: Expression) -> Condition:
    return Condition("positive", D, _ONE)


def _over_roots(f: Expression) -> list[tuple[Expression, Expression]] | None:
    """[(N, D)] if f = N/sqrt(D), [(N, D), (M, E)] if it is N/sqrt(D) - M/sqrt(E), None if it is neither."""
    if f.op == "subtract" and has_root(f):
        terms = [_over_root(a) for a in f.args]
        if None in terms:
            return None
        (first, _), (M, E) = terms
        return [(-M, E)] if first is constant(0) else terms
    single = _over_root(f)
    return None if single is None else [single]


def _over_root(e: Expression) -> tuple[Expression, Expression] | None:
    if e.op == "multiply" and e.args[0].op == "constant":
        inner = _over_root(e.args[1])
        return None if inner is None else (e.args[0] * inner[0], inner[1])
    if e.op == "divide" and e.args[1].op == "sqrt":
        e, D = e.args[0], e.args[1].args[0]
        return None if has_root(e) or has_root(D) else (e, D)
    return None if has_root(e) else (e, _ONE)
