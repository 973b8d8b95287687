"""Theorems in Coq: a claim as a file that Coq's kernel checks.

A theorem says that at all fields of the domain a violation of the claim is at most tau. A refutation says that at some
fields it is larger. Both are written in the fields, and in the papers' laws under their own names (`LAWS`, defined in
Shared.v). Floats are written as their shortest decimals. `theory.proofs.coq_proofs` writes the proofs.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib.resources import files

import numpy as np

from theory.claims.claim import Axis, Claim, axis_or_number
from theory.claims.common import LINEAR_MEAN, LINEAR_NAME
from theory.claims.relations import LATER, Monotone, Slope
from theory.learners.base import Learner
from theory.proofs.coq_proofs import Rule, by_numbers, proof
from theory.proofs.coq_signs import REBUILT, Bounds, Named, number, text
from theory.proofs.expression import FLOATS, Expression, NotExpressible, constant, evaluate, in_order, variable
from theory.proofs.obligations import ONE
from theory.proofs.prover import counterexample
from theory.proofs.statements import DEFAULTS, Symbols, cases, pointwise, slope, statements, truth, world
from theory.published import corrected_kappas, theorem_62_kappas
from theory.theorems import reliance_mean, reliance_name

SHARED = files(__package__).joinpath("Shared.v").read_text(encoding="utf-8")
THRESHOLDS = files(__package__).joinpath("infonce_by_name.v").read_text(encoding="utf-8")
FIELDS = ("p_spu", "mu_spu", "sigma_inv", "sigma_spu")
LAWS = {  # name in Shared.v: the formula of FIELDS, with mu_inv = 1
    "k1": lambda *x: theorem_62_kappas(*x)[0],
    "k2": lambda *x: theorem_62_kappas(*x)[1],
    "k1_star": lambda *x: corrected_kappas(*x)[0],
    "k2_star": lambda *x: corrected_kappas(*x)[1],
    "t_name": lambda p, mu, si, ss: reliance_name(1.0, mu, si, 2 * p - 1),
    "t_mean": lambda p, mu, si, ss: reliance_mean(1.0, mu, si, ss, 2 * p - 1),
}


@dataclass(frozen=True)
class Theorem:
    """For all fields within bounds, and where `where` is positive, v <= tau; or a refutation: somewhere v > tau."""

    name: str
    bounds: Bounds
    where: Expression
    v: Expression
    tau: Fraction
    rules: tuple[Rule, ...] = ()  # of each linear rule in it, or beside it
    laws: dict[Expression, str] = field(default_factory=dict)
    point: Mapping[str, Fraction] | None = None  # where it is refuted

    @property
    def statement(self) -> str:
        """The statement in Coq."""
        within = [f"{text(low)} <= {x} <= {text(high)}" for x, (low, high) in self.bounds.items()]
        within += [] if self.where is ONE else [f"0 < {text(self.where, self.laws)}"]
        v, tau = text(self.v, self.laws), number(self.tau)
        if self.point is not None:
            return f"exists {' '.join(self.bounds)} : R, " + " /\\ ".join([*within, f"{tau} < {v}"])
        names = f"forall {' '.join(self.bounds)} : R, " if self.bounds else ""
        return f"{names}{' -> '.join([*within, f'{v} <= {tau}'])}"

    @property
    def proof(self) -> str:
        """A proof. Raises NotExpressible if none is seen."""
        nodes = set(in_order([self.v, self.where]))
        used = [call for node, call in self.laws.items() if node in nodes]
        unfold = f"unfold {', '.join(dict.fromkeys(call.split()[0].strip('(') for call in used))}. " if used else ""
        if self.point is None:
            hypotheses = [*self.bounds, *(f"H{x}" for x in self.bounds), *([] if self.where is ONE else ["Hw"])]
            shown = proof(self.v, self.tau, self.where, self.bounds, self.rules)
            return f"{unfold}intros {' '.join(hypotheses)}. {shown}"
        within = f"do {len(self.bounds)} (split; [split; first [lra | bounded]|])."
        within += "" if self.where is ONE else " split; [bounded|]."
        numbers = "\n".join(by_numbers(self.v, self.tau, self.bounds, self.point) or ["bounded."])
        return f"exists {', '.join(map(number, self.point.values()))}.\n{unfold}{within}\n{numbers}"


def file_of(claim: Claim, refuted: bool = False) -> str:
    """The claim's file. Raises NotExpressible with the reason if it has no proof of these kinds."""
    parts = [f"(* soberclip, {claim.id}: {claim.statement.replace('*', '')} *)", "Require Import Shared.", ""]
    for theorem in [refutation(claim)] if refuted else theorems(claim):
        parts.append(f"Theorem {theorem.name} : {theorem.statement}.\nProof. {theorem.proof} Qed.\n")
    return "\n".join(parts)


def theorems(claim: Claim) -> list[Theorem]:
    """The claim's theorems: one per whole number of a field, and per side."""
    statements(claim)  # refuses claims that are not about formulas
    return [theorem for number_, whole in enumerate(cases(claim)) for theorem in _theorems(claim, number_, whole)]


def _theorems(claim: Claim, number_: int, whole: dict[str, int]) -> list[Theorem]:
    named = {name: variable(name) for name in claim.axes if name not in whole}
    worlds = [world(claim, {**whole, **named}, {})]
    bounds = _bounds(claim, whole, worlds[0])
    if isinstance(claim.relation, Monotone):
        along = claim.along
        worlds.append(world(claim, {**whole, **named, along: variable(along + LATER)}, {}))
        bounds[along + LATER] = (variable(along), bounds[along][1])
        here, there = (truth(claim, x) for x in worlds)
        sides = [(here - there if claim.relation.weights[0] > 0 else there - here, ONE)]
    else:
        value = slope(claim, {**whole, **named}) if isinstance(claim.relation, Slope) else truth(claim, worlds[0])
        sides = [violation for violation, _ in pointwise(claim, worlds[0], value)]
    # A claim about the average caption may be shown through the typical look, which relies less on the background.
    learners = [*claim.learners, *([LINEAR_NAME] if claim.learners == (LINEAR_MEAN,) else [])]
    rules = [_rule(learner, x) for learner in learners for x in worlds if claim.quantity.sign]
    laws = {node: words for x in worlds for node, words in _laws(x).items()}
    ends = {name: (decimal(low), decimal(high)) for name, (low, high) in bounds.items()}
    tau = decimal(constant(claim.tau)).value
    return [
        Theorem(f"claim_{number_}_{k}", ends, decimal(where), decimal(v), tau, tuple(rules), laws)
        for k, (v, where) in enumerate(sides)
    ]


def _laws(x: Symbols) -> dict[Expression, str]:
    """The papers' laws at a world, and their calls in Coq; a law of a constant is no law of the fields."""
    fields = [constant(getattr(x, name)) for name in FIELDS]
    if any(each.op != "variable" for each in fields):
        return {}
    calls = {name: " ".join(["(" + name, *(each.value for each in fields)]) + ")" for name in LAWS}
    return {decimal(constant(LAWS[name](*fields))): call for name, call in calls.items()}


def refutation(claim: Claim) -> Theorem:
    """A point where the claim fails, in few digits. Raises NotExpressible if none is seen."""
    for number_, (statement, whole) in enumerate(zip(statements(claim), cases(claim), strict=True)):
        found = counterexample(statement)
        if found is None:
            continue
        theorem = _theorems(claim, number_, whole)[found.violation]
        fields = dict(statement.fields) | ({} if statement.later is None else {claim.along + LATER: statement.later})
        at = {name: float(u) for name, u in found.coordinates.items()}
        exact = evaluate([fields[x] for x in theorem.bounds], FLOATS, defaultdict(lambda: 0.5, at))
        for digits in range(2, 17):
            point = {x: float(f"{float(value):.{digits}g}") for x, value in zip(theorem.bounds, exact, strict=True)}
            if _fails(theorem, point):
                decimals = {x: Fraction(repr(value)) for x, value in point.items()}
                return replace(theorem, name=theorem.name.replace("claim", "refuted"), point=decimals)
    raise NotExpressible("its counterexample is not seen in few digits")


def _fails(theorem: Theorem, point: dict[str, float]) -> bool:
    """Whether the theorem is clearly false at a point of its domain."""
    with np.errstate(all="ignore"):
        v, where = evaluate([theorem.v, theorem.where], FLOATS, point)
        ends = {x: evaluate(list(pair), FLOATS, point) for x, pair in theorem.bounds.items()}
    inside = all(low <= point[x] <= high for x, (low, high) in ends.items())
    return bool(inside and where > 1e-6 and v > float(theorem.tau) + 1e-4)


def _rule(learner: Learner, x: Symbols) -> Rule:
    """(mu_inv, mu_spu, S, T, u, w): the rule's counter score is (u mu_inv - w mu_spu)/sqrt(u^2 S + w^2 T)."""
    parts = x.mu_inv, x.mu_spu, x.sigma_inv**2 + x.nu_image, x.sigma_spu**2 + x.nu_image, *learner.weights(x)
    return tuple(decimal(constant(part)) for part in parts)


def _bounds(claim: Claim, whole: dict[str, int], x: Symbols) -> Bounds:
    fields = {name: getattr(x, name) for name in DEFAULTS}
    found = {}
    for name in claim.domain:
        given = axis_or_number(claim.domain[name], fields)
        if isinstance(given, Axis) and name not in whole:
            found[name] = (constant(given.low), constant(given.high))
    return found


def decimal(e: Expression) -> Expression:
    """The formula with every float as the shortest decimal that stands for it."""

    def shortest(q: Fraction) -> Expression:
        return constant(Fraction(repr(float(q))) if q.denominator & (q.denominator - 1) == 0 else q)

    return evaluate([e], {**REBUILT, "constant": shortest}, Named())[0]
