"""Theorems in Coq: a claim as a file that Coq's kernel checks.

A theorem says that at all fields of the domain a violation of the claim is at most tau. It is written in the fields;
floats are written as their shortest decimals. The proof follows the obligation that `theory.proofs.statements` derives:
Phi is removed by the lemmas of Shared.v, and the rest is one of
    an identity        two sides are equal as rational functions, or n/sqrt(q) = m/sqrt(r) with n = c m and q = c^2 r
    a rational sign    f = n/d, with the signs of n and d as below
    a score's sign     f = n/sqrt(q), with the sign of n
    two reliances      T1: a counter score falls in the reliance w/u, so that the sign of w u' - w' u decides
With the condition c of an "iff", f = r c, and r has a sign. No proof squares roots, and none divides the domain.
A polynomial's sign is seen in the unit cube, from coefficients of one sign in powers of u, of 1 - u, or of both.
"""

from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from itertools import product

import numpy as np
from flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx
from scipy.special import ndtr

from theory.claims.claim import Axis, Claim, axis_or_number
from theory.proofs.exact import COMBINED
from theory.proofs.expression import BINARY, Expression, NotExpressible, constant, evaluate, in_order, variable
from theory.proofs.obligations import NO_ROOTS, ONE, ZERO, Met, root_terms
from theory.proofs.statements import DEFAULTS, FALLING, cases, pointwise, slope, statements, truth, world

SHARED = files(__package__).joinpath("Shared.v").read_text(encoding="utf-8")
LATER = "_later"  # a monotone claim's second value of its field
LONGEST = 50_000  # characters of a file; a tenth of that is checked in two seconds, a quarter in a minute


@dataclass(frozen=True)
class Theorem:
    """For all fields within their bounds, and where `where` is positive, v <= tau."""

    name: str
    bounds: dict[str, tuple[Expression, Expression]]
    where: Expression | None
    v: Expression
    tau: Fraction
    rules: tuple[tuple[Expression, ...], ...]  # (mu_inv, mu_spu, S, T, u, w) of each linear rule in it

    @property
    def statement(self) -> str:
        """The statement in Coq."""
        within = [f"{text(low)} <= {x} <= {text(high)}" for x, (low, high) in self.bounds.items()]
        within += [] if self.where is None else [f"0 < {text(self.where)}"]
        names = f"forall {' '.join(self.bounds)} : R, " if self.bounds else ""
        return f"{names}{' -> '.join([*within, f'{text(self.v)} <= {text(constant(self.tau))}'])}"


def file_of(claim: Claim) -> str:
    """The claim's file. Raises NotExpressible with the reason if it has no proof of these kinds."""
    words = claim.statement.replace("*", "")
    parts = [f"(* soberclip, {claim.id}: {words} *)", "Require Import Shared.", ""]
    for theorem in theorems(claim):
        hypotheses = " ".join(
            [*theorem.bounds, *(f"H{x}" for x in theorem.bounds), *(["Hw"] if theorem.where is not None else [])]
        )
        intros = f"intros {hypotheses}. " if hypotheses else ""
        parts.append(f"Theorem {theorem.name} : {theorem.statement}.\nProof. {intros}{proof(theorem)} Qed.\n")
    text_of_all = "\n".join(parts)
    if len(text_of_all) > LONGEST:
        raise NotExpressible("its polynomials have thousands of terms")
    return text_of_all


def theorems(claim: Claim) -> list[Theorem]:
    """The claim's theorems: one per whole number of a field, and per side."""
    statements(claim)  # refuses claims that are not about formulas
    found = []
    for number, whole in enumerate(cases(claim)):
        x = world(claim, {**whole, **{name: variable(name) for name in claim.axes if name not in whole}}, {})
        bounds = _bounds(claim, whole, x)
        if claim.relation in ("increasing", "decreasing"):
            name = claim.along
            moved = {n: variable(n + LATER if n == name else n) for n in claim.axes if n not in whole}
            there_world = world(claim, {**whole, **moved}, {})
            here, there = truth(claim, x), truth(claim, there_world)
            v = here - there if claim.relation == "increasing" else there - here
            worlds = [x, there_world]
            bounds[name + LATER] = (variable(name), bounds[name][1])
            sides = [(v, None)]
        else:
            value = slope(claim, whole) if claim.relation == "slope" else truth(claim, x)
            sides = [(v.v, None if v.where is ONE else v.where) for v, _ in pointwise(claim, x, value)]
            worlds = [x]
        rules = tuple(
            _rule(learner, each) for learner in claim.learners for each in worlds if claim.quantity in FALLING
        )
        for side, (v, where) in enumerate(sides):
            name = f"claim_{number}_{side}"
            decimals = [None if e is None else decimal(e) for e in (v, where)]
            ends = {n: tuple(map(decimal, pair)) for n, pair in bounds.items()}
            found.append(Theorem(name, ends, decimals[1], decimals[0], decimal(constant(claim.tau)).value, rules))
    return found


def _rule(learner, x) -> tuple[Expression, ...]:
    """(mu_inv, mu_spu, S, T, u, w): the rule's counter score is (u mu_inv - w mu_spu)/sqrt(u^2 S + w^2 T)."""
    parts = x.mu_inv, x.mu_spu, x.sigma_inv**2 + x.nu_image, x.sigma_spu**2 + x.nu_image, *learner.weights(x)
    return tuple(decimal(constant(part)) for part in parts)


def _bounds(claim: Claim, whole: dict[str, int], x) -> dict[str, tuple[Expression, Expression]]:
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


class Named(dict):
    """A name that has no value stands for itself."""

    def __missing__(self, name: str) -> Expression:
        return variable(name)


# The formula of each operation on formulas.
REBUILT = {op: getattr(np, op) for op in (*BINARY, "power", "sqrt", "exp", "log")} | {"ndtr": ndtr}


def text(e: Expression) -> str:
    """A formula in Coq."""
    parts = {}
    for node in in_order([e]):
        a = [parts[arg] for arg in node.args]
        match node.op:
            case "variable":
                parts[node] = node.value
            case "constant":
                parts[node] = number(node.value)
            case "power":
                parts[node] = f"({a[0]} ^ {node.value})"
            case "ndtr":
                parts[node] = f"(Phi {a[0]})"
            case "log":
                parts[node] = f"(ln {a[0]})"
            case "sqrt" | "exp":
                parts[node] = f"({node.op} {a[0]})"
            case _:
                parts[node] = f"({a[0]} {BINARY[node.op][0]} {a[1]})"
    return parts[e]


def number(q: Fraction | fmpq) -> str:
    """A rational number in Coq."""
    n, d = (int(q.p), int(q.q)) if isinstance(q, fmpq) else (q.numerator, q.denominator)
    words = f"{abs(n)}" if d == 1 else f"{abs(n)} / {d}"
    return f"(- ({words}))" if n < 0 else f"({words})" if d != 1 else words


# Proofs.


def proof(theorem: Theorem) -> str:
    """A proof of a theorem. Raises NotExpressible if it is none of these kinds."""
    f, steps, names = theorem.v, [], list(theorem.bounds)
    plus, minus = _scores(f)
    if plus is not None:
        scores = f"Phi {text(plus)} - Phi {text(minus)}"
        steps.append(f"replace {text(f)} with ({scores}) by (try rewrite Phi_0; lra). apply Phi_below; [lra|].")
        f = plus - minus
        if (same := _same_scores(plus, minus, names)) is not None:
            return "\n".join([*steps, same])
        if (compared := _by_reliance(theorem.rules, plus, minus, names)) is not None:
            more, less, step = compared
            steps.append(step)
            f = less[5] * more[4] - more[5] * less[4]
    steps.append(f"enough ({text(f)} <= 0) by lra.")
    met: Met = {}
    terms = root_terms(f, met)
    if terms is None:
        raise NotExpressible("its formula holds exp, log or Phi")
    if not terms or (set(terms) == {NO_ROOTS} and plain(f, names)[0] == 0):
        return "\n".join([*steps, "apply Req_le. field. repeat split; nonzero."])
    if len(terms) > 1:
        raise NotExpressible("its proof squares roots")
    ((roots, top),) = terms.items()
    if roots:
        if {n for _, n in roots} != {-1} or len(roots) > 1:
            raise NotExpressible("its proof squares roots")
        ((q, _),) = roots
        steps.append(
            f"replace ({text(f)}) with ({text(top)} / sqrt {text(q)}) by (unfold Rdiv; ring).\n"
            f"apply score_sign; [positive|]."
        )
    if theorem.where is not None:
        top = top / theorem.where
        steps.append("apply (same_sign _ _ Hw).")
    unit = {x: f"u{number}" for number, x in enumerate(names)}
    inside: dict[str, Expression] = {}
    for x, ends in theorem.bounds.items():
        low, high = (substituted(end, inside) for end in ends)
        inside[x] = low + (high - low) * variable(unit[x])
        steps.append(f"destruct (in_unit _ _ _ H{x}) as [{unit[x]} [H{unit[x]} ->]].")
    n, d = plain(substituted(top, inside), list(unit.values()))
    steps += _quotient(n, d)
    return "\n".join(steps)


def _scores(v: Expression) -> tuple[Expression | None, Expression | None]:
    """(a, b) with v = Phi(a) - Phi(b); None for other formulas."""
    if v.op != "subtract":
        return None, None
    a, b = v.args
    if a is ZERO and b.op == "subtract":
        b, a = b.args
    z = [e.args[0] if e.op == "ndtr" else ZERO if e is constant(0.5) else None for e in (a, b)]
    return (None, None) if any(e is None for e in z) or z[0] is z[1] else (z[0], z[1])


def _score(z: Expression) -> tuple[Expression, Expression] | None:
    """(n, q) of a score n/sqrt(q); None for other formulas."""
    terms = root_terms(z, {}) or {}
    if len(terms) != 1 or [n for S in terms for _, n in S] != [-1]:
        return None
    (((q, _),), n) = next(iter(terms.items()))
    return n, q


def _by_reliance(rules, plus: Expression, minus: Expression, names: list[str]) -> tuple | None:
    """(rule of plus, rule of minus, the step that leaves w u' <= w' u), by T1; None if they are not such scores."""
    found = []
    for z in (plus, minus):
        score = _score(z)
        if score is None:
            return None
        n, q = score
        for a, b, S, T, u, w in rules:
            if plain(n - (u * a - w * b), names)[0] == 0 and plain(q - (u**2 * S + w**2 * T), names)[0] == 0:
                found.append((a, b, S, T, u, w))
                break
    if len(found) != 2 or found[0][:4] != found[1][:4]:
        return None
    steps = []
    for z, rule in zip((plus, minus), found, strict=True):
        a, b, S, T, u, w = map(text, rule)
        score = f"({u} * {a} - {w} * {b}) / sqrt ({u} ^ 2 * {S} + {w} ^ 2 * {T})"
        steps.append(f"replace {text(z)} with ({score}) by (f_equal; first [ring|f_equal; ring]).")
    more, less = ([text(e) for e in rule] for rule in found)
    signs = "nonneg|nonneg|positive|nonneg|positive|positive|nonneg|nonneg|"
    steps.append(f"apply (T1 {' '.join([*less, more[4], more[5]])}); [{signs}].")
    return found[0], found[1], "\n".join(steps)


def _same_scores(plus: Expression, minus: Expression, names: list[str]) -> str | None:
    """The proof that two scores n/sqrt(q) are the same; None if they are not seen to be."""
    scores = []
    for z in (plus, minus):
        score = _score(z)
        if score is None:
            return None
        scores.append((z, *score))
    for (z, n, q), (y, m, r) in (scores, scores[::-1]):
        top, bottom = plain(n / m, names)
        if len(bottom) == 1 and bottom.is_constant():
            divisors = [node.args[1] for node in in_order([z, y]) if node.op == "divide"]
            rational = [e for e in divisors if root_terms(e, {}).keys() == {NO_ROOTS}]
            c = polynomial(top / bottom.leading_coefficient(), names)
            # A divisor shows its sign, and its expansion hides it.
            c = next((e for e in rational if plain(e - c, names)[0] == 0), c)
            if plain(q - c**2 * r, names)[0] == 0:
                each = [
                    f"replace {text(a)} with ({text(b)} / sqrt {text(p)}) by (unfold Rdiv; ring)."
                    for a, b, p in ((z, n, q), (y, m, r))
                ]
                fields = "field; repeat split; nonzero"
                same = f"apply (same_score {text(c)}); [positive|positive|{fields}|{fields}]."
                first = f"enough ({text(z)} = {text(y)}) by lra."
                return "\n".join([first, *each, same])
    return None


def substituted(e: Expression, values: dict[str, Expression]) -> Expression:
    """e with formulas in place of variables."""
    return evaluate([e], {**REBUILT, "constant": constant}, Named(values))[0]


def plain(e: Expression, names: list[str]) -> tuple[fmpq_mpoly, fmpq_mpoly]:
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
        raise NotExpressible("its domain has bounds with roots, or a root lies within a root") from None


def _reduced(n: fmpq_mpoly, d: fmpq_mpoly) -> tuple[fmpq_mpoly, fmpq_mpoly]:
    if d == 0:
        raise NotExpressible("a divisor is 0 everywhere")
    common = n.gcd(d)
    return n // common, d // common


def polynomial(p: fmpq_mpoly, names: list[str]) -> Expression:
    """A polynomial as a formula."""
    found = ZERO
    for powers, c in p.to_dict().items():
        term = constant(Fraction(int(c.p), int(c.q)))
        for name, n in zip(names, powers, strict=False):
            term = term * variable(name) ** int(n) if n else term
        found = found + term
    return found


def _quotient(n: fmpq_mpoly, d: fmpq_mpoly) -> list[str]:
    """Steps that show f <= 0 where f = n/d."""
    names = [str(x) for x in n.context().names()]
    scale, factors = n.factor_squarefree()
    sign_d, shown_d = _shown(d, names, strict=True)
    steps = [f"assert (HD : 0 < {shown_d[0]}). {{ {shown_d[1]} }}"]
    parts, sign_n = [number(abs(scale))], -1 if scale < 0 else 1
    for k, (factor, power) in enumerate(factors):
        if power % 2 == 0:
            parts.append(f"({text(polynomial(factor, names))}) ^ {power}")
            continue
        sign_f, shown = _shown(factor, names, strict=False)
        steps.append(f"assert (HF{k} : 0 <= {shown[0]}). {{ {shown[1]} }}")
        parts.append(shown[0] + f" ^ {power}" * (power > 1))
        sign_n *= sign_f
    if sign_n * sign_d > 0:
        raise NotExpressible("the sign of its formula is not seen")
    product_ = " * ".join(parts)
    steps.append(
        f"match goal with |- ?f <= 0 => replace f with (- (({product_}) / {shown_d[0]})) "
        f"by (field; repeat split; nonzero) end.\n"
        f"apply quotient_sign; [nonneg|exact HD]."
    )
    return steps


def _shown(p: fmpq_mpoly, names: list[str], strict: bool) -> tuple[int, tuple[str, str]]:
    """The sign s of p in the unit cube, the text of s p, and the steps that show that sign."""
    for s in (1, -1):
        margins = [fmpq(0)]
        if strict:
            ends = [
                (s * p)(*point) for point in product((fmpq(0), fmpq(1, 2), fmpq(1)), repeat=len(p.context().names()))
            ]
            margins = [min(ends) / 2, min(ends) / 16] if min(ends) > 0 else []
        for margin in margins:
            found = _positive_terms(s * p - margin, names)
            if found is not None:
                total = " + ".join(found) or "0"
                if not strict:
                    return s, (f"({total})", "nonneg.")
                return s, (f"({number(margin)} + ({total}))", "apply Rplus_lt_le_0_compat; [lra|nonneg].")
    raise NotExpressible("the sign of a polynomial is not seen")


def _positive_terms(p: fmpq_mpoly, names: list[str]) -> list[str] | None:
    """Terms of p in powers of u, of 1 - u, or of both, for each u, none of which is negative in the unit cube."""
    degrees = [int(n) for n in p.degrees()]
    used = [i for i, n in enumerate(degrees) if n]
    ring = p.context()
    for bases in sorted(product("u1b", repeat=len(used)), key=lambda bases: bases.count("b")):
        chosen = dict(zip(used, bases, strict=True))
        q = p
        gens = list(ring.gens())
        mirrored = [1 - x if chosen.get(i) == "1" else x for i, x in enumerate(gens)]
        q = q.compose(*mirrored, ctx=ring)
        both = [i for i in used if chosen[i] == "b"]
        if both:  # (1 + t)^n q(t/(1 + t))
            found = {}
            for powers, c in q.to_dict().items():
                turned = tuple(degrees[i] - k if i in both else k for i, k in enumerate(powers))
                found[turned] = c
            q = ring.from_dict(found).compose(*(x + 1 if i in both else x for i, x in enumerate(gens)), ctx=ring)
        terms = q.to_dict()
        if all(c >= 0 for c in terms.values()):
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
