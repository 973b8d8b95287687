"""A claim written as inequalities over the unit cube: the common starting point of prover and checker.

A claim's axes are coordinates u in [0, 1]: a field is low + (high - low) u, exactly, where the bounds may be formulas
of fields before it; so the cube is the whole domain. Whole-numbered axes give one case per value. The violation v of
`Claim.violation` is recorded from theory's own functions, and obligations follow that imply v <= tau everywhere:

    >=, <=        v <= tau. For a difference of two accuracies, v = Phi(a) - Phi(b), a - b <= 5/2 tau: Phi' is at most
                  1/sqrt(2 pi) < 2/5, and no Phi is left. An accuracy against 1/2 is one against Phi(0).
    =             both v <= tau and -v <= tau
    iff           where the condition holds, v <= tau of one side; where it does not, of the other: two obligations,
                  each with the alternatives "the condition is otherwise" and "the inequality holds"
    increasing    the derivative is nowhere negative: then v <= 0
    slope         as "=", of the least-squares slope on the grid

Counter accuracies of linear rules under one test law are also compared through their reliances, by T1
(`theory.theorems.counter_score`): where no weight on the background is negative, more reliance is less accuracy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from simulator.world import SCALARS, World
from theory.claims.claim import SINGLE, Axis, Claim, log_slope, operator_error
from theory.learners.base import Learner
from theory.population import pattern_correlation, two_block_covariance
from theory.proofs.expression import Expression, NotExpressible, constant, digest, variable, variables
from theory.proofs.obligations import Inequality, Lemma, Obligation

HALF = Fraction(1, 2)
PROBIT = Fraction(5, 2)  # below sqrt(2 pi)
MOST_CASES = 64
FALLING = {"counter": 1, "error-counter": -1}  # 1: falls with reliance (T1); -1: rises
LATER = "later"  # the coordinate of a monotone claim's second point, between the first and the end of the axis


class Violation(NamedTuple):
    """v > tau contradicts the claim at a point where `where` is positive; everywhere if there is none."""

    v: Expression
    where: Expression | None = None


@dataclass(frozen=True)
class Statement:
    """One case of a claim: the obligations imply that no violation exceeds tau anywhere."""

    claim: str
    case: str
    tau: Fraction
    violations: tuple[Violation, ...]
    obligations: tuple[Obligation, ...]
    fields: dict[str, Expression]  # of the world at a point of the cube

    @property
    def digest(self) -> str:
        """Hash of all formulas and limits."""
        every = [each for o in self.obligations for each in o.alternatives]
        every += [o.lemma.instead for o in self.obligations if o.lemma]
        rest = [part for e in every for part in (constant(e.limit), constant(int(e.strict)), variable(str(e.along)))]
        failing = [part for v in self.violations for part in v if part is not None]
        premises = [e for o in self.obligations if o.lemma for e in (*o.lemma.negative, *o.lemma.not_positive)]
        return digest([*failing, constant(self.tau), *(e.f for e in every), *rest, *premises, *self.fields.values()])


class Symbols(SimpleNamespace):
    """A world whose fields are formulas or numbers. It has the fields of World, and no arrays."""

    def __getattr__(self, name: str):
        raise NotExpressible(
            f"{name!r} is no single field of a world; sqrt, exp and Phi of theory take fields as they are"
        )


def statements(claim: Claim) -> list[Statement]:
    """The claim's statements, one per case of its whole-numbered axes.

    Raises NotExpressible, with the reason in a sentence, if the claim is not made of such formulas.
    """
    try:
        found = [_statement(claim, whole) for whole in _cases(claim)]
    except NotExpressible:
        raise
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise NotExpressible(" ".join(str(error).split())) from error
    if not found:
        raise NotExpressible("its whole-numbered fields have no value")
    return found


def _cases(claim: Claim) -> list[dict[str, int]]:
    whole = {name: axis for name, axis in claim.axes.items() if axis.integer}
    ranges = []
    for name, axis in whole.items():
        if callable(axis.low) or callable(axis.high):
            raise NotExpressible(f"{name} is a whole number, and its bounds depend on other fields")
        low, high = (float(end) for end in axis.bounds(None))
        ranges.append(range(int(np.ceil(low)), int(np.floor(high)) + 1))
    if np.prod([len(r) for r in ranges], initial=1) > MOST_CASES:
        raise NotExpressible(f"its whole-numbered fields have more than {MOST_CASES} values together")
    return [dict(zip(whole, values, strict=True)) for values in product(*ranges)]


def _defaults() -> dict:
    """Defaults of a world; numbers are exact from here on, or a root of one would be rounded before it is recorded."""
    return {name: _exact(World.model_fields[name].default) for name in SCALARS}


def _exact(value):
    return constant(value) if isinstance(value, float) else value


def _recorded(claim: Claim, whole: dict[str, float], moved: dict[str, Expression]) -> Symbols:
    """The claim's world as formulas of the coordinates; `moved` replaces variables by other formulas."""
    # A bound may use the fields before its own, whole-numbered or not.
    x = SimpleNamespace(**_defaults() | {name: value for name, value in whole.items() if name not in claim.domain})
    for name, given in claim.domain.items():
        if name in whole:
            value = whole[name]
        elif isinstance(given, Axis):
            low, high = (constant(b(x) if callable(b) else b) for b in (given.low, given.high))
            value = low + (high - low) * moved.get(name, variable(name))
        else:
            value = _exact(given(x) if callable(given) else given)
        setattr(x, name, value)
    return symbols(vars(x))


def symbols(fields: Mapping[str, Any]) -> Symbols:
    """A world with these fields, all others at their defaults."""
    whole = {**_defaults(), **fields}
    x = {name: _exact(value) for name, value in whole.items()} | {"attribute": (), "shape": ()}
    x["classes"] = int(whole["classes"])  # a grid has it as a float
    x["nu_image"] = constant(x["sigma_xi"]) ** 2 / x["dim_image"]
    return Symbols(**x)


def _statement(claim: Claim, whole: dict[str, int]) -> Statement:
    _refuse_other_laws(claim)
    x = _recorded(claim, whole, {})
    if claim.relation in ("increasing", "decreasing"):
        violations, obligations = _monotone(claim, whole, x)
    else:
        value = _slope(claim, whole) if claim.relation == "slope" else _truth(claim, x)
        violations, obligations = _pointwise(claim, x, value)
    named = {name: constant(getattr(x, name)) for name in claim.domain}
    case = ", ".join(f"{name} = {value}" for name, value in whole.items())
    return Statement(claim.id, case, Fraction(claim.tau), tuple(violations), tuple(obligations), named)


def _refuse_other_laws(claim: Claim) -> None:
    if claim.n < 10**9 or claim.along == "n" or claim.share is not None:
        raise NotExpressible("it speaks of finitely many pairs, and a proof of n = infinity")
    if claim.domain.get("p_inv", 1.0) != 1.0:
        raise NotExpressible("its p_inv is not 1, for which no formula of this kind is written")


def quantity(word: str, learner: Learner, x: Symbols) -> Expression:
    """A claim's quantity of one learner, recorded."""
    if word == "operator-error":
        raise NotExpressible("an operator norm is no quantity of a learner's weights")
    if word == "reliance":
        u, w = learner.weights(x)
        return constant(w / u)
    if word not in (*SINGLE, "drop", "balanced") or x.classes != 2:
        raise NotExpressible(f"the quantity {word!r} of {x.classes} classes has no formula of this kind")
    common, counter = map(_phi, learner.deviations(x))
    return {
        "common": common,
        "counter": counter,
        "error-counter": 1 - counter,
        "drop": common - counter,
        "balanced": (common + counter) / 2,
    }[word]


def _operator_error(claim: Claim, x: Symbols) -> Expression:
    if x.classes != 2:
        raise NotExpressible("an operator norm of more than two classes has no rule of proof")
    D = pattern_correlation(x.p_spu, 2)
    A, c, B = two_block_covariance(x.mu_inv, x.mu_spu, x.sigma_inv**2, x.sigma_spu**2, D)
    M = [A * x.mention_inv, c * x.mention_spu, c * x.mention_inv, B * x.mention_spu]
    return constant(operator_error(np.array(M, object).reshape(2, 2), claim.reference(x)))


def _phi(z) -> Expression:
    from scipy.special import ndtr  # start-up time

    return ndtr(constant(z))


def _truth(claim: Claim, x: Symbols) -> Expression:
    if claim.quantity == "operator-error":
        return _operator_error(claim, x)
    value = quantity(claim.quantity, claim.subject, x)
    return value if claim.against is None else value - quantity(claim.quantity, claim.against, x)


def _slope(claim: Claim, whole: dict[str, float]) -> Expression:
    """The log-log slope over the claim's grid."""
    values = [_truth(claim, _recorded(claim, {**whole, claim.along: value}, {})) for value in claim.grid]
    return constant(log_slope(claim.grid, np.array(values, object)))


def _pointwise(claim: Claim, x: Symbols, value: Expression) -> tuple[list[Violation], list[Obligation]]:
    b, tau = constant(claim.prediction(x)), Fraction(claim.tau)
    if claim.relation == "iff":
        edge = constant(claim.threshold(x) if callable(claim.threshold) else claim.threshold)
        below, above = (_by_reliance(claim, x, sign) if edge is constant(0) else None for sign in (1, -1))
        return [Violation(edge - value, b), Violation(value - edge, -b)], [
            Obligation("where promised, the threshold is exceeded", (Inequality(b), _at_most(edge, value, tau)), above),
            Obligation("elsewhere it is not", (Inequality(-b, strict=True), _at_most(value, edge, tau)), below),
        ]
    if claim.relation not in (">=", "<=", "=", "slope"):
        raise NotExpressible(f"relation {claim.relation!r} has no rule of proof")
    below, above = (_by_reliance(claim, x, sign) if b is constant(0) else None for sign in (1, -1))
    violations, obligations = [], []
    if claim.relation != ">=":
        violations.append(Violation(value - b))
        obligations.append(Obligation("the quantity is at most the prediction", (_at_most(value, b, tau),), below))
    if claim.relation != "<=":
        violations.append(Violation(b - value))
        obligations.append(Obligation("the quantity is at least the prediction", (_at_most(b, value, tau),), above))
    return violations, obligations


def _by_reliance(claim: Claim, x: Symbols, sign: int) -> Lemma | None:
    """T1 of two linear rules: the sign (1 or -1) of subject less `against` is at most 0 by their reliances.

    counter = Phi((alpha - t beta)/sqrt(S_i + t^2 S_s)) falls in t >= 0 where alpha, beta >= 0, S_i > 0.
    """
    if claim.quantity not in FALLING or claim.against is None or x.classes != 2:
        return None
    (u, w), (u_other, w_other) = (rule.weights(x) for rule in (claim.subject, claim.against))
    ahead = constant(w * u_other - w_other * u)  # positive where the subject relies more
    return _t1(x, [u, u_other], [w, w_other], Inequality(-sign * FALLING[claim.quantity] * ahead))


def _t1(x: Symbols, us: list, ws: list, instead: Inequality) -> Lemma:
    negative = (-(x.sigma_inv**2 + x.nu_image), *(-u for u in us))
    others = (-x.mu_inv, -x.mu_spu, *(-w for w in ws))
    return Lemma("T1", tuple(map(constant, negative)), tuple(map(constant, others)), instead)


def _at_most(a: Expression, b: Expression, tau: Fraction) -> Inequality:
    """An inequality that implies a - b <= tau."""
    a, b = _joined(a, b)
    scores = score(a), score(b)
    if scores[0] is None or scores[1] is None:
        return Inequality(a - b, tau)
    return Inequality(scores[0] - scores[1], PROBIT * tau)


def _joined(a: Expression, b: Expression) -> tuple[Expression, Expression]:
    """a - b with the differences inside them opened: (x - y) against 0 is x against y."""
    if a.op == "subtract" and b.op == "constant" and b.value == 0:
        return a.args
    if b.op == "subtract" and a.op == "constant" and a.value == 0:
        return b.args[1], b.args[0]
    return a, b


def score(e: Expression) -> Expression | None:
    """z where e is Phi(z)."""
    if e.op == "ndtr":
        return e.args[0]
    return constant(0) if e.op == "constant" and e.value == HALF else None


def _monotone(claim: Claim, whole: dict[str, int], x: Symbols) -> tuple[list[Violation], list[Obligation]]:
    """v is the fall (rise) of the quantity from one point to a later one; a derivative of one sign rules it out.

    The later point lies on the same axis, all other fields equal: the axis may not bound another, nor be bounded.
    """
    name, axis = claim.along, claim.axes[claim.along]
    others = [getattr(x, field) for field in claim.domain if field != name]
    ends = [constant(b(x) if callable(b) else b) for b in (axis.low, axis.high)]
    if variables(*ends) or any(isinstance(o, Expression) and name in variables(o) for o in others) or name in whole:
        raise NotExpressible(f"its domain in {name!r} depends on other fields, or they on it")
    here = _truth(claim, x)
    rest = variable(name) + (1 - variable(name)) * variable(LATER)
    there = _truth(claim, _recorded(claim, whole, {name: rest}))
    sign = 1 if claim.relation == "increasing" else -1
    allowed = constant(claim.prediction(x))
    if allowed.op != "constant" or allowed.value > 0:
        raise NotExpressible("a monotone relation with a prediction has no rule of proof")
    probit = score(here)  # Phi rises, so that it has no say
    falling = -sign * (here if probit is None else probit)
    words = f"the quantity is {claim.relation} along {name}"
    due = Obligation(words, (Inequality(falling, along=name),), _by_falling_reliance(claim, x, sign))
    return [Violation(sign * (here - there) + allowed)], [due]


def _by_falling_reliance(claim: Claim, x: Symbols, sign: int) -> Lemma | None:
    """T1 of one linear rule, if only its reliance changes along the axis."""
    fixed = map(constant, (x.mu_inv, x.mu_spu, x.sigma_inv, x.sigma_spu, x.nu_image))
    if claim.quantity not in FALLING or claim.against is not None or x.classes != 2 or claim.along in variables(*fixed):
        return None
    u, w = claim.subject.weights(x)
    return _t1(x, [u], [w], Inequality(constant(sign * FALLING[claim.quantity] * (w / u)), along=claim.along))
