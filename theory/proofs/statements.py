"""A claim written as inequalities over the unit cube: the common starting point of prover and
checker.

A claim's axes are coordinates u in [0, 1]: a field is low + (high - low) u, exactly, where the
bounds may be formulas of fields before it; so the cube is the whole domain. Whole-numbered axes
give one case per value. The violation v of `Claim.violation` is recorded from theory's own
functions. The obligations imply v <= tau everywhere:

    >=, <=        v <= tau. For a difference of two accuracies, v = Phi(a) - Phi(b), a - b <= 5/2
                  tau: Phi' is at most 1/sqrt(2 pi) < 2/5, and no Phi is left. An accuracy against
                  1/2 is one against Phi(0).
    =             both v <= tau and -v <= tau
    iff           where the condition holds, v <= tau of one side; where it does not, of the other:
                  two obligations, each with the alternatives "the condition is otherwise" and "the
                  inequality holds"
    increasing    the derivative is nowhere negative: then v <= 0
    slope         as "=", of the least-squares slope on the grid

A claim says nothing where its formulas have no value. So there are obligations, too, that every
divisor has a sign, no root or logarithm is taken of a number that has none, and every field that is
a formula is valid in a world.

Counter accuracies of linear rules under one test law are also compared through their reliances, by
T1 (`theory.theorems.counter_score`): if no weight on the background is negative, more reliance
means less accuracy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, product
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from simulator.quantities import domain_of
from simulator.world import SCALARS, World, image_noise
from theory.claims.claim import SECOND, Axis, Claim, axis_or_number, in_words_of
from theory.claims.relations import Equivalence, Monotone, Slope, log_slope
from theory.learners.base import Learner
from theory.proofs.expression import (
    Expression,
    NotExpressible,
    constant,
    digest,
    in_order,
    variable,
    variables,
)
from theory.proofs.obligations import ONE, ZERO, Inequality, Lemma, Obligation, probit

PROBIT = Fraction(5, 2)  # below sqrt(2 pi)
MOST_CASES = 64
# of a function with a formula
UNRECORDED = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError)
COUNTER = 1  # the place of the group whose score falls with reliance (T1)
# the coordinate of a monotone claim's second point, between the first and the end of the axis
LATER = "later"


class Violation(NamedTuple):
    """v > tau contradicts the claim at a point where `where` is positive."""

    v: Expression
    where: Expression = ONE


@dataclass(frozen=True)
class Statement:
    """One case of a claim: the obligations, first one per violation, imply that no violation
    exceeds tau anywhere.
    """

    case: str
    tau: Fraction
    violations: tuple[Violation, ...]
    obligations: tuple[Obligation, ...]
    fields: dict[str, Expression]  # of the world at a point of the cube
    later: Expression | None = None  # the later value of a monotone claim's field

    @property
    def digest(self) -> str:
        """Hash of all formulas and limits."""
        lemmas = [o.lemma for o in self.obligations if o.lemma]
        every = [e for o in self.obligations for e in o.alternatives] + [
            lemma.instead for lemma in lemmas
        ]
        limits = [
            part
            for e in every
            for part in (constant(e.limit), constant(int(e.strict)), variable(str(e.along)))
        ]
        premises = [e for lemma in lemmas for e in (*lemma.negative, *lemma.not_positive)]
        formulas = [
            *chain(*self.violations),
            *(e.f for e in every),
            *premises,
            *self.fields.values(),
        ]
        return digest([*formulas, *limits, constant(self.tau)])


class Symbols(SimpleNamespace):
    """A world whose fields are formulas or numbers. It has the fields of World, but no arrays."""

    def __getattr__(self, name: str):
        raise NotExpressible(
            f"{name!r} is not a single field of a world; sqrt, exp and Phi of theory take fields as"
            " they are"
        )


def _exact(value):
    """Floats as exact constants; the root of a float would be rounded before it is recorded."""
    return constant(value) if isinstance(value, float) else value


def statements(claim: Claim) -> list[Statement]:
    """The claim's statements, one per case of its whole-numbered axes. Raises NotExpressible with
    the reason.
    """
    try:
        every = [_statement(claim, whole) for whole in cases(claim)]
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise NotExpressible(" ".join(str(error).split())) from error
    if not every:
        raise NotExpressible("its whole-numbered fields have no value")
    return every


DEFAULTS = {name: _exact(World.model_fields[name].default) for name in SCALARS}


def symbols(claim: Claim) -> Symbols:
    """The claim's world, with a variable for every field that varies."""
    varied = {
        k: variable(k) if callable(v) or isinstance(v, Axis) else constant(v)
        for k, v in claim.domain.items()
    }
    values = {**DEFAULTS, **{k: v for k, v in varied.items() if k in DEFAULTS}}
    second = {k.removeprefix(SECOND): v for k, v in varied.items() if k not in DEFAULTS}
    if values["classes"] is constant(2):
        values["classes"] = 2
    return _with_noise(values, attribute=(Symbols(**second),) if second else ())


def formula_of(claim: Claim, function: Callable) -> str:
    """A function of the fields of a claim's world, as a formula. Raises NotExpressible if it is
    none.
    """
    try:
        text = str(constant(function(symbols(claim))))
    except UNRECORDED as error:
        raise NotExpressible(" ".join(str(error).split())) from error
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text


def cases(claim: Claim) -> list[dict[str, int]]:
    whole = {name: axis for name, axis in claim.axes.items() if axis.integer}
    ranges = []
    for name, axis in whole.items():
        if callable(axis.low) or callable(axis.high):
            raise NotExpressible(f"{name} is a whole number, and its bounds depend on other fields")
        ranges.append(range(int(np.ceil(axis.low)), int(np.floor(axis.high)) + 1))
    if np.prod([len(r) for r in ranges], initial=1) > MOST_CASES:
        raise NotExpressible(
            f"its whole-numbered fields have more than {MOST_CASES} values together"
        )
    return [dict(zip(whole, values, strict=True)) for values in product(*ranges)]


def world(
    claim: Claim, fixed: dict[str, float | Expression], moved: dict[str, Expression]
) -> Symbols:
    """The claim's world as formulas of the coordinates; `fixed` fields are given, `moved` replaces
    variables.
    """
    # A bound may use the fields before its own, fixed or not.
    fields = {name: value for name, value in fixed.items() if name not in claim.domain}
    for name in claim.domain:
        span = (
            fixed[name]
            if name in fixed
            else axis_or_number(claim.domain[name], {**DEFAULTS, **fields})
        )
        if isinstance(span, Axis):
            low, high = constant(span.low), constant(span.high)
            span = low + (high - low) * moved.get(name, variable(name))
        fields[name] = _exact(span)
    fields = {**DEFAULTS, **fields}
    fields["classes"] = int(fields["classes"])  # a grid has it as a float
    return _with_noise(fields, attribute=())


def _with_noise(fields: dict[str, Any], **further: Any) -> Symbols:
    """The fields of one world, as formulas, and the noise variance that they imply."""
    exact = SimpleNamespace(
        **{name: constant(value) for name, value in fields.items() if value is not None}
    )
    return Symbols(**fields, **further, shape=(), nu_image=image_noise(exact))


def _statement(claim: Claim, whole: dict[str, int]) -> Statement:
    if claim.finite:
        raise NotExpressible("it is about finitely many pairs, and a proof is about n = infinity")
    if claim.quantifier != "always":
        raise NotExpressible(
            f"it holds {claim.quantifier!r}, and a proof is about every world of a domain"
        )
    if claim.table:
        raise NotExpressible("its world has a table, which no recorded formula describes")
    if unknown := claim.domain.keys() - DEFAULTS.keys():
        raise NotExpressible(f"the recorded formulas have no field {min(unknown)!r}")
    if claim.domain.get("p_inv", 1.0) != 1.0:
        raise NotExpressible("its p_inv is not 1, and the recorded formulas need p_inv = 1")
    x, later = world(claim, whole, {}), None
    if isinstance(claim.relation, Monotone):
        violation, obligation, later = _monotone(claim, whole, x)
        sides = [(violation, obligation)]
    else:
        sides = pointwise(
            claim, x, slope(claim, whole) if isinstance(claim.relation, Slope) else truth(claim, x)
        )
    violations, obligations = zip(*sides, strict=True)
    fields = {name: constant(getattr(x, name)) for name in claim.domain}
    formulas = [*chain(*violations), *fields.values(), *([] if later is None else [later])]
    case = ", ".join(f"{name} = {value}" for name, value in whole.items())
    due = (*obligations, *_valid_fields(claim, fields), *_values(formulas))
    return Statement(case, Fraction(claim.tau), violations, due, fields, later)


def _values(formulas: list[Expression]) -> list[Obligation]:
    """Every operation has a value, everywhere."""
    limits = {  # by operation: the inequalities, one of which its last argument fulfils
        "divide": lambda d: (Inequality(d, strict=True), Inequality(-d, strict=True)),
        "sqrt": lambda r: (Inequality(-r),),
        "log": lambda a: (Inequality(-a, strict=True),),
    }
    needs = dict.fromkeys(
        (node.op, node.args[-1]) for node in in_order(formulas) if node.op in limits
    )
    return [Obligation("its formula has a value", limits[op](argument)) for op, argument in needs]


def _valid_fields(claim: Claim, fields: dict[str, Expression]) -> list[Obligation]:
    """Fields that are formulas of other fields are valid in a world; the others are valid since the
    claim was made.
    """
    due = []
    for name, value in claim.domain.items():
        if any(map(callable, value[:2] if isinstance(value, Axis) else (value,))):
            low, high = map(constant, domain_of(World.__annotations__[name]))
            words = f"{name} is valid in a world"
            due += [
                Obligation(words, (Inequality(f),))
                for f in (low - fields[name], fields[name] - high)
            ]
    return due


def _called(function: Any, x: Symbols):
    """A claim's function, or its constant, of these fields."""
    try:
        return function(x) if callable(function) else function
    except ValueError:
        raise
    except Exception as error:  # a user's function may raise anything
        raise NotExpressible(in_words_of(error)) from error


def truth(claim: Claim, x: Symbols) -> Expression:
    """The recorded quantity of the subject, `against` subtracted."""
    value, *subtracted = (_quantity(claim, learner, x) for learner in claim.learners)
    return value - subtracted[0] if subtracted else value


def _quantity(claim: Claim, learner: Learner, x: Symbols) -> Expression:
    return constant(_called(lambda x: claim.quantity.recorded(claim, learner, x, constant), x))


def slope(claim: Claim, fixed: dict[str, float | Expression]) -> Expression:
    """The log-log slope over the claim's grid."""
    values = [truth(claim, world(claim, {**fixed, claim.along: value}, {})) for value in claim.grid]
    return constant(log_slope(claim.grid, np.array(values, object)))


def pointwise(claim: Claim, x: Symbols, value: Expression) -> list[tuple[Violation, Obligation]]:
    b, tau = constant(_called(claim.prediction, x)), Fraction(claim.tau)
    condition = isinstance(claim.relation, Equivalence)
    edge = constant(_called(claim.threshold, x)) if condition else b

    def side(
        words, more, less, sign, where=ONE, *otherwise: Inequality
    ) -> tuple[Violation, Obligation]:
        lemma = _by_reliance(claim, x, sign) if edge is ZERO and claim.against is not None else None
        return Violation(more - less, where), Obligation(
            words, (*otherwise, _at_most(more, less, tau)), lemma
        )

    if condition:
        return [
            side("where promised, the threshold is exceeded", edge, value, -1, b, Inequality(b)),
            side("elsewhere it is not", value, edge, 1, -b, Inequality(-b, strict=True)),
        ]
    below = side("the quantity is at most the prediction", value, b, 1)
    above = side("the quantity is at least the prediction", b, value, -1)
    return {1: [below], -1: [above], 0: [below, above]}[claim.relation.side]


def _by_reliance(claim: Claim, x: Symbols, sign: int) -> Lemma | None:
    """T1: reliances show that sign times the quantity, of the subject less `against`, is not
    positive, or never rises.

    counter = Phi((alpha - t beta)/sqrt(S_i + t^2 S_s)) falls in t >= 0 where alpha, beta >= 0, S_i
    > 0.
    """
    falls = claim.quantity.sign * (claim.quantity.groups == (COUNTER,))
    if not falls or x.classes != 2:
        return None
    us, ws = zip(*(rule.weights(x) for rule in claim.learners), strict=True)
    # Positive where the subject relies more than `against`; for one learner, its reliance.
    ahead = constant(ws[0] * us[1] - ws[1] * us[0] if claim.against else ws[0] / us[0])
    instead = Inequality(-sign * falls * ahead, along=None if claim.against else claim.along)
    negative = (-(x.sigma_inv**2 + x.nu_image), *(-u for u in us))
    others = (-x.mu_inv, -x.mu_spu, *(-w for w in ws))
    return Lemma("T1", tuple(map(constant, negative)), tuple(map(constant, others)), instead)


def _at_most(a: Expression, b: Expression, tau: Fraction) -> Inequality:
    """An inequality that implies a - b <= tau."""
    if b is ZERO and a.op == "subtract":  # x - y against 0 is x against y
        a, b = a.args
    elif a is ZERO and b.op == "subtract":
        b, a = b.args
    p, q = probit(a), probit(b)
    return Inequality(a - b, tau) if p is None or q is None else Inequality(p - q, PROBIT * tau)


def _monotone(
    claim: Claim, whole: dict[str, int], x: Symbols
) -> tuple[Violation, Obligation, Expression]:
    """v is the fall (rise) of the quantity from one point to a later one; a derivative of one sign
    rules it out.

    The later point lies on the same axis, all other fields equal: the axis may not bound another,
    nor be bounded.
    """
    name, axis = claim.along, claim.axes[claim.along]
    others = [getattr(x, field) for field in claim.domain if field != name]
    ends = [constant(b(x) if callable(b) else b) for b in (axis.low, axis.high)]
    if (
        variables(*ends)
        or any(isinstance(o, Expression) and name in variables(o) for o in others)
        or name in whole
    ):
        raise NotExpressible(f"its domain in {name!r} depends on other fields, or they on it")
    later = world(claim, whole, {name: variable(name) + (1 - variable(name)) * variable(LATER)})
    here, there = truth(claim, x), truth(claim, later)
    sign = claim.relation.weights[0]
    allowed = constant(_called(claim.prediction, x))
    if allowed.op != "constant" or allowed.value > 0:
        raise NotExpressible("a monotone relation with a prediction has no rule of proof")
    score = probit(here)  # Phi rises, so the sign does not depend on it
    falling = -sign * (here if score is None else score)
    # T1 of one rule, if only its reliance changes along the axis.
    moving = variables(*map(constant, (x.mu_inv, x.mu_spu, x.sigma_inv, x.sigma_spu, x.nu_image)))
    lemma = _by_reliance(claim, x, -sign) if claim.against is None and name not in moving else None
    due = Obligation(
        f"the quantity is {claim.relation} along {name}", (Inequality(falling, along=name),), lemma
    )
    return Violation(sign * (here - there) + allowed), due, getattr(later, name)
