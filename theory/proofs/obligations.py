"""Obligations: at every point of the cube one of several inequalities holds. Exact conditions that
imply this.

A route is a set of conditions on rational functions that together imply an obligation, without its
tolerance:

    way         f <= 0, in one of the ways of `not_positive`
    opposite    f <= 0 or g <= 0, since g = r f with r <= 0: where f > 0, g <= 0. Common factors of
                g and f cancel
    lemma       a theorem says that g <= 0 implies the obligation's last alternative, if its
                premises hold

Square roots are cleared first. An expression of +, -, *, / and roots of rational functions is a sum
of terms c r^(+-1/2) s^(+-1/2) ..., c rational. Multiplied by the roots that divide, which are
positive, it is A + B sqrt(r). Squaring decides where signs are known:

    A + B sqrt(r) <= 0    if A, B <= 0;    if A <= 0 <= B and B^2 r <= A^2;    if B <= 0 <= A and
                          A^2 <= B^2 r

A and B may contain other roots, which are cleared in the same way. A sum of two terms may also
vanish where neither has a sign: a sqrt(r) + b sqrt(s) = 0 if a/b < 0 and a^2 r = b^2 s. Every
radicand is shown to be positive, or not negative if its root divides nothing and e may vanish.
`theory.proofs.exact` shows that no other divisor vanishes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, product, starmap
from typing import Literal, NamedTuple

from theory.proofs.expression import UNARY, Expression, constant, digest, in_order, variables

ZERO, ONE = constant(0), constant(1)
# Ways in which signs may add up, roots and terms of an expression: two roots have a hundred ways,
# four have billions.
MOST_WAYS, MOST_ROOTS, MOST_TERMS = 60, 3, 16


class Condition(NamedTuple):
    """The sign of top/bottom, a rational function whose common factors are cancelled, on the whole
    closed cube.
    """

    kind: Literal["negative", "not positive", "zero"]
    top: Expression
    bottom: Expression = ONE


Roots = frozenset[tuple[Expression, int]]  # (radicand, 1 or -1): half of that is its exponent
Terms = dict[Roots, Expression]  # with their coefficients
Ways = list[tuple[Condition, ...]]  # each suffices
# every radicand in an expression, and whether its root divides somewhere
Met = dict[Expression, bool]
NO_ROOTS: Roots = frozenset()


class Inequality(NamedTuple):
    """f <= limit, or f < limit; with `along`, its derivative along that coordinate."""

    f: Expression
    limit: Fraction = Fraction(0)
    strict: bool = False
    along: str | None = None

    def left_side(
        self, gradient: Callable[[Expression, list[str]], list[Expression]]
    ) -> Expression:
        """The expression that the limit bounds. Prover and checker pass gradients of their own."""
        return self.f if self.along is None else gradient(self.f, [self.along])[0]


class Lemma(NamedTuple):
    """A theorem: where no premise is positive (those of `negative` are below 0), `instead` implies
    an inequality.
    """

    name: str
    negative: tuple[Expression, ...]
    not_positive: tuple[Expression, ...]
    instead: Inequality


class Route(NamedTuple):
    """Conditions that together imply an obligation."""

    name: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Obligation:
    """At every point of the cube one of the alternatives holds."""

    words: str
    alternatives: tuple[Inequality, ...]
    lemma: Lemma | None = None  # about the last alternative

    @property
    def coordinates(self) -> list[str]:
        """The coordinates that occur, in the order of their names."""
        used = [each.f for each in self.alternatives]
        used += (
            [*self.lemma.negative, *self.lemma.not_positive, self.lemma.instead.f]
            if self.lemma
            else []
        )
        return sorted(set(variables(*used)))

    def routes(self, gradient: Callable[[Expression, list[str]], list[Expression]]) -> list[Route]:
        """Exact routes. Prover and checker pass gradients of their own."""
        fs = [each.left_side(gradient) for each in self.alternatives if each.limit >= 0]
        strict = [each.strict for each in self.alternatives if each.limit >= 0]
        ways = [way for f, below in zip(fs, strict, strict=True) for way in not_positive(f, below)]
        if len(fs) == len(self.alternatives) == 2 and not strict[1]:
            ways += _opposite(*fs)
        routes = [Route(f"way {number}", way) for number, way in enumerate(ways)]
        return routes + (self._by_lemma(self.lemma, gradient) if self.lemma else [])

    def _by_lemma(self, lemma: Lemma, gradient) -> list[Route]:
        name, negative, others, instead = lemma
        premises = _all(
            *(not_positive(e, strict=True) for e in negative), *(not_positive(e) for e in others)
        )
        rest = replace(self, alternatives=(*self.alternatives[:-1], instead), lemma=None).routes(
            gradient
        )
        return [
            Route(f"{name}, premises {number}, {route.name}", (*route.conditions, *premise))
            for route in rest
            for number, premise in enumerate(premises)
        ]


def probit(e: Expression) -> Expression | None:
    """z where e is Phi(z), which is 0 for 1/2; None for other formulas."""
    return e.args[0] if e.op == "ndtr" else ZERO if e is constant(0.5) else None


def _opposite(f: Expression, g: Expression) -> list[tuple[Condition, ...]]:
    """Terms c sqrt(r) with positive radicands have the signs of their coefficients."""
    met: Met = {}
    terms = [root_terms(e, met) or {} for e in (f, g)]
    if any(len(each) != 1 for each in terms):
        return []
    c, d = (coefficient for each in terms for coefficient in each.values())
    return [(*(Condition("negative", -r) for r in met), Condition("not positive", d, c))]


def not_positive(e: Expression, strict: bool = False) -> Ways:
    """Ways to show that e <= 0 (e < 0 if strict) everywhere; none if e is not rational but for few
    roots.
    """
    met: Met = {}
    terms = root_terms(e, met)
    if terms is None or len(met) > MOST_ROOTS:
        return []
    radicands = sorted(met, key=lambda r: digest([r]))
    below = {r for S in terms for r, exponent in S if exponent < 0}
    for r in radicands:
        if r in below:
            terms = _times(terms, {frozenset([(r, 1)]): ONE})
    # A root that may vanish makes no term of one sign negative.
    conditions = tuple(
        Condition("negative" if strict or met[r] else "not positive", -r) for r in radicands
    )
    return [(*conditions, *way) for way in _below(terms, strict)]


def _below(terms: Terms, strict: bool) -> Ways:
    if not terms:
        return [] if strict else [()]
    if len(terms) == 1:
        return [(Condition("negative" if strict else "not positive", *terms.values()),)]
    A, B, r = _split(terms)
    if not A:
        return _below(B, strict)
    excess = _excess(A, B, r)
    ways = []
    if len(A) == len(B) == 1 and not strict:
        ((a,), (b,)), zero = (A.values(), B.values()), excess.values()
        ways.append((Condition("negative", a, b), *(Condition("zero", c) for c in zero)))
    cases = [
        ((A, strict), (B, False)),
        ((A, False), (_minus(B), False), (_minus(excess), strict)),
        ((_minus(A), False), (B, False), (excess, strict)),
    ]
    return [*ways, *(way for case in cases for way in _all(*starmap(_below, case)))][:MOST_WAYS]


def _all(*parts: Ways) -> Ways:
    return [sum(ways, ()) for ways in islice(product(*parts), MOST_WAYS)]


def root_terms(e: Expression, met: Met) -> Terms | None:
    """The terms of e; None if it is not made of rational functions and roots. Adds their radicands
    to `met`.
    """
    terms_of: dict[Expression, Terms] = {}
    rooted: set[Expression] = set()
    for node in in_order([e]):
        if node.op in (*UNARY, "density") or not rooted.isdisjoint(node.args):
            rooted.add(node)
            terms = _terms_of(node, [terms_of[a] for a in node.args], met)
            if terms is None or len(terms) > MOST_TERMS:
                return None
            terms_of[node] = terms
        else:
            terms_of[node] = {NO_ROOTS: node}
    return terms_of[e]


def _terms_of(node: Expression, parts: list[Terms], met: Met) -> Terms | None:
    match node.op:
        case "add":
            return _sum(*parts)
        case "subtract":
            return _sum(parts[0], _minus(parts[1]))
        case "multiply":
            return _times(*parts)
        case "divide" if parts[1] and len({r for S in parts[1] for r, _ in S}) <= MOST_ROOTS:
            return _times(parts[0], _inverse(parts[1], met))
        case "power":
            terms = parts[0]
            for _ in range(node.value - 1):
                if len(terms) > MOST_TERMS:
                    return None
                terms = _times(terms, parts[0])
            return terms
        case "sqrt" if set(parts[0]) == {NO_ROOTS}:
            met.setdefault(parts[0][NO_ROOTS], False)
            return {frozenset([(parts[0][NO_ROOTS], 1)]): ONE}
    return None


def _sum(a: Terms, b: Terms) -> Terms:
    both = {S: a.get(S, ZERO) + b.get(S, ZERO) for S in {**a, **b}}
    return {S: c for S, c in both.items() if c is not ZERO}


def _minus(a: Terms) -> Terms:
    return {S: -c for S, c in a.items()}


def _times(a: Terms, b: Terms) -> Terms:
    result: Terms = {}
    for (S, c), (T, d) in product(a.items(), b.items()):
        roots, factor = dict(S), c * d
        for r, exponent in T:
            roots[r] = roots.get(r, 0) + exponent
            if roots[r] in (2, -2):
                factor = factor * r if roots[r] > 0 else factor / r
        result = _sum(result, {frozenset((r, n) for r, n in roots.items() if n in (1, -1)): factor})
    return result


def _inverse(a: Terms, met: Met) -> Terms:
    """1/a: by the conjugate where a has two terms or more."""
    if len(a) == 1:
        ((S, c),) = a.items()
        met.update(dict.fromkeys((r for r, _ in S), True))
        return {frozenset((r, -exponent) for r, exponent in S): 1 / c}
    A, B, r = _split(a)
    conjugate = _sum(A, _times(_minus(B), {frozenset([(r, 1)]): ONE}))
    return _times(conjugate, _inverse(_excess(A, B, r), met))


def _split(terms: Terms) -> tuple[Terms, Terms, Expression]:
    """(A, B, r) with A + B sqrt(r), neither of which holds sqrt(r); the same r in every process."""
    r = min((r for S in terms for r, _ in S), key=lambda radicand: digest([radicand]))
    A, B = (
        {S: c for S, c in terms.items() if any(r is s for s, _ in S) is held}
        for held in (False, True)
    )
    return A, _times(B, {frozenset([(r, -1)]): ONE}), r


def _excess(A: Terms, B: Terms, r: Expression) -> Terms:
    """A^2 - B^2 r."""
    return _sum(_times(A, A), _times(_times(B, B), {NO_ROOTS: -r}))
