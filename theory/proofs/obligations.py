"""Obligations: inequalities of which one holds at every point of the cube, and exact conditions that imply them.

Wherever roots can be cleared (`theory.proofs.squaring`), conditions on rational functions settle the matter without the
tolerance. A route is a tuple of conditions that together imply an obligation:

    sign        f <= 0, in one of the ways of `not_positive`
    opposite    f <= 0 or g <= 0      if g = r f with r <= 0: where f > 0, g <= 0. Common factors of g and f cancel
    lemma       what a theorem says implies the obligation's last alternative: g <= 0 in its place, if premises hold
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from theory.proofs.expression import Expression, variables
from theory.proofs.squaring import Condition, Met, cleared, not_positive


class Inequality(NamedTuple):
    """f <= limit, or f < limit; with `along`, its derivative along that coordinate."""

    f: Expression
    limit: Fraction = Fraction(0)
    strict: bool = False
    along: str | None = None

    def bounded(self, gradient: Callable[[Expression, list[str]], list[Expression]]) -> Expression:
        """What the limit bounds; the gradient is the caller's own, so that prover and checker differ in it."""
        return self.f if self.along is None else gradient(self.f, [self.along])[0]


class Lemma(NamedTuple):
    """A theorem: where no premise is positive (those of `negative` are below 0), `instead` implies an inequality."""

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
        used += [*self.lemma.negative, *self.lemma.not_positive, self.lemma.instead.f] if self.lemma else []
        return sorted(set(variables(*used)))

    def routes(self, gradient: Callable[[Expression, list[str]], list[Expression]]) -> list[Route]:
        """Exact routes; the gradient is the caller's own."""
        fs = [each.bounded(gradient) for each in self.alternatives]
        ways = [
            way
            for f, each in zip(fs, self.alternatives, strict=True)
            if each.limit >= 0
            for way in not_positive(f, each.strict)
        ]
        if len(fs) == 2 and not self.alternatives[1].strict and min(each.limit for each in self.alternatives) >= 0:
            ways += _opposite(*fs)
        found = [Route(f"way {number}", way) for number, way in enumerate(ways)]
        return found + (self._by_lemma(gradient) if self.lemma else [])

    def _by_lemma(self, gradient) -> list[Route]:
        name, negative, others, instead = self.lemma
        due = [not_positive(e, strict=True) for e in negative] + [not_positive(e) for e in others]
        premises = [()]
        for ways in due:
            premises = [(*before, *way) for before in premises for way in ways]
        rest = replace(self, alternatives=(*self.alternatives[:-1], instead), lemma=None).routes(gradient)
        return [
            Route(f"{name}, premises {number}, {route.name}", (*route.conditions, *premise))
            for route in rest
            for number, premise in enumerate(premises)
        ]


def _opposite(f: Expression, g: Expression) -> list[tuple[Condition, ...]]:
    """Of terms c sqrt(r) with positive radicands only the coefficients matter."""
    met: Met = {}
    terms = [cleared(e, met) for e in (f, g)]
    if any(each is None or len(each) != 1 for each in terms):
        return []
    c, d = (coefficient for each in terms for coefficient in each.values())
    return [(*(Condition("negative", -r) for r in met), Condition("not positive", d, c))]
