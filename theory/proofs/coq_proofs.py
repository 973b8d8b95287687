"""Proofs in Coq: the steps that show a theorem of `theory.proofs.coq`, from the lemmas of Shared.v.

Phi goes first: it rises, and (Phi(x + h) + Phi(x - h))/2 <= Phi(x) for x, h >= 0. What is left is one of
    an identity        two sides are equal as rational functions of fields and roots, or n/sqrt(q) = m/sqrt(r) with
                       n = c m and q = c^2 r
    two reliances      T1: a counter score falls as the reliance w/u rises, so the sign of w u' - w' u decides; a common
                       score rises, if the two angles atan(w/u) average at most atan(mu_spu/mu_inv)
    a sign             of n/d, of n/sqrt(q), or of n/sqrt(q) - m/sqrt(r): by constants c with n <= c m, or by squares
    numbers            on a small domain, Coq's interval arithmetic bounds everything
A bound that holds of the typical look also holds of the average caption, which relies more, by T1.
With the condition c of an "iff", f = r c, and r has a sign.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from math import ceil, floor

import numpy as np
from scipy.special import ndtr

from theory.proofs.coq_signs import Bounds, Domain, Unseen, domain_of, number, plain, polynomial, rooted, text
from theory.proofs.expression import Expression, NotExpressible, constant, evaluate, in_order, variable, variables
from theory.proofs.intervals import RULES, Interval
from theory.proofs.obligations import NO_ROOTS, ONE, ZERO, probit, root_terms

SPARE = 0.001  # of a ratio of roots
PREMISES = {  # of lemmas of Shared.v, before the conditions
    "scores_by_squares": "positive|positive",
    "scores_by_opposites": "positive|positive",
    "scores_apart": "positive|positive|assumption",
    "scores_above": "lra|positive|positive|assumption",
    "scores_below": "lra|positive|positive|assumption",
    "T1": (signs := "nonneg|nonneg|positive|nonneg|positive|positive|nonneg|nonneg"),
    "T1_common": signs,
}
NEAR = 1e-9  # of rounding, where a condition is an equation
Rule = tuple[Expression, ...]  # (mu_inv, mu_spu, S, T, u, w), see `theory.proofs.coq`
Score = tuple[Expression, Expression]  # (n, q) of n/sqrt(q)


def proof(v: Expression, tau: Fraction, where: Expression, bounds: Bounds, rules: Sequence[Rule]) -> str:
    """The steps that show v <= tau within bounds, where `where` is positive. Raises NotExpressible if none are seen."""
    try:
        return "\n".join(_by_signs(v, where, bounds, rules))
    except NotExpressible:
        with suppress(NotExpressible):
            return "\n".join(by_numbers(v, tau, bounds) or _by_boxes(v, bounds))
        raise


def _by_signs(v: Expression, where: Expression, bounds: Bounds, rules: Sequence[Rule]) -> list[str]:
    names = list(bounds)
    steps, f = _without_phi(v, bounds)
    if steps:
        if (same := _same_scores(*f.args, names)) is not None:
            return [*steps, same]
        if (compared := _by_reliance(rules, *f.args, names)) is not None:
            replaced, lemma, (f,) = compared
            steps += [*replaced, f"apply {lemma}; [{_premises(lemma)}|]."]
    steps.append(f"enough ({text(f)} <= 0) by lra.")
    if where is not ONE:
        steps.append("apply (same_sign _ _ Hw).")
        f = f / where
    domain = domain_of(bounds)
    named, given = rooted(domain, f)
    if named.vanishes(given):
        squares = f" [{' '.join(f'E{name}' for name in named.squares)}]" if named.squares else ""
        return [*steps, *named.steps, f"apply Req_le. field{squares}; repeat split; nonzero."]
    try:
        return [*steps, *domain.steps, _not_positive(f, domain)]
    except Unseen:
        if (through := _through_less(rules, f, domain)) is None:
            raise
        return [*steps, *through]


def _without_phi(v: Expression, bounds: Bounds) -> tuple[list[str], Expression]:
    """(steps, x - y) with x <= y in place of v <= tau; no steps if v is no difference of Phi."""
    if v.op != "subtract":
        return [], v
    a, b = v.args
    if a is ZERO and b.op == "subtract":
        b, a = b.args
    x, y, steps = probit(a), probit(b), []
    if x is None and y is not None and a.op == "divide" and a.args[0].op == "add" and a.args[1] is constant(2):
        one, other = map(probit, a.args[0].args)
        if one is not None and other is not None:
            x, step = _balanced(one, other, domain_of(bounds))
            steps = [f"apply Rle_trans with (Phi {text(x)} - {text(b)}).\n{{ {step} }}"]
    if x is None or y is None or x is y:
        return [], v
    words = f"Phi {text(x)} - Phi {text(y)}"
    if not steps:
        steps = [f"replace {text(v)} with ({words}) by (try rewrite Phi_0; lra)."]
    return [*steps, "apply Phi_below; [lra|]."], x - y


def _balanced(one: Expression, other: Expression, domain: Domain) -> tuple[Expression, str]:
    """The middle x of two scores, and the steps that show that the mean of their Phi is at most Phi(x)."""
    (n, q), (m, r) = _score((one + other) / 2), _score((one - other) / 2)
    x, half = n / np.sqrt(q), m / np.sqrt(r)
    steps = [f"enough ((Phi {text(one)} + Phi {text(other)}) / 2 <= Phi {text(x)}) by lra."]
    for e, s in ((one, "+"), (other, "-")):
        steps.append(f"replace {text(e)} with ({text(x)} {s} {text(half)}) by same.")
    steps += [*domain.steps, "apply Phi_balanced; (apply positive_score; [positive|])."]
    return x, "\n".join([*steps, *(f"{{ {_quotient(-e, domain)} }}" for e in (n, m))])


def _scores(e: Expression) -> list[Score]:
    """The terms n/sqrt(q) of e. Raises Unseen if it has others."""
    found = []
    for roots, n in (root_terms(e, {}) or {}).items():
        if len(roots) > 1:
            raise Unseen("its proof has products of roots")
        for q, exponent in roots or [(ONE, 1)]:
            found.append((n if exponent < 0 else n * q, q))
    if not found:
        raise Unseen("its formula holds exp, log or Phi, or roots within roots")
    return found


def _score(z: Expression) -> Score:
    """(n, q) of z = n/sqrt(q). Raises Unseen for other formulas."""
    found = _scores(z)
    if len(found) > 1:
        raise Unseen("it is no score")
    return found[0]


def _zero(e: Expression, names: list[str]) -> bool:
    return plain(e, names)[0] == 0


def _by_reliance(
    rules: Sequence[Rule], plus: Expression, minus: Expression, names: list[str]
) -> tuple[list[str], str, list[Expression]] | None:
    """(steps, lemma, its conditions) that show plus <= minus by T1; None if they are no scores of rules."""
    scores = _score(plus), _score(minus)
    for lemma, sign in (("T1", -1), ("T1_common", 1)):
        found = []
        for n, q in scores:
            for a, b, S, T, u, w in rules:
                if _zero(n - (u * a + sign * w * b), names) and _zero(q - (u**2 * S + w**2 * T), names):
                    found.append((a, b, S, T, u, w))
                    break
        if len(found) != 2 or found[0][:4] != found[1][:4]:
            continue
        steps = []
        for z, rule in zip((plus, minus), found, strict=True):
            a, b, S, T, u, w = map(text, rule)
            score = f"({u} * {a} {'+' if sign > 0 else '-'} {w} * {b}) / sqrt ({u} ^ 2 * {S} + {w} ^ 2 * {T})"
            steps.append(f"replace {text(z)} with ({score}) by (f_equal; first [ring|f_equal; first [ring|field]]).")
        (a, b, S, T, u, w), (*_, v, x) = found[::sign]  # (v, x) relies more
        conditions = [w * v - x * u]
        if sign > 0:
            conditions += [T - S, (a**2 - b**2) * (w * v + x * u) + 2 * a * b * (w * x - u * v)]
        return steps, f"({lemma} {' '.join(map(text, (a, b, S, T, u, w, v, x)))})", conditions
    return None


def _through_less(rules: Sequence[Rule], f: Expression, domain: Domain) -> list[str] | None:
    """The steps that show x - y <= 0 by x <= z <= y, by T1; None if they are not seen.

    z is a score of the last rule, and y one of a rule that relies more on the background.
    """
    if f.op != "subtract" or not rules:
        return None
    (x, y), (a, b, S, T, u, w) = f.args, rules[-1]
    counter, common = ((u * a + sign * w * b) / np.sqrt(u**2 * S + w**2 * T) for sign in (-1, 1))
    for z, (plus, minus) in ((-counter, (-y, counter)), (common, (common, y))):  # plus - minus = z - y
        seen = (domain.values([x - z, z - y]) <= NEAR).all()
        if seen and (compared := _by_reliance(rules, plus, minus, list(domain.bounds))) is not None:
            replaced, lemma, conditions = compared
            wide, widened = _wider(domain)
            return [
                f"apply (through _ {text(z)} _).",
                *("{", *domain.steps, _not_positive(x - z, domain), "}"),
                f"enough ({text(plus - minus)} <= 0) by lra.",
                *(*replaced, *widened, _by_lemma(lemma, conditions, wide)),
            ]
    return None


def _wider(domain: Domain) -> tuple[Domain, list[str]]:
    """A domain with whole numbers in place of lower bounds that are formulas, and the steps to it.

    Its polynomials have fewer terms.
    """
    bounds, steps = dict(domain.bounds), []
    for x, (low, high) in domain.bounds.items():
        if low.op != "constant":
            least = constant(floor(domain.values([low]).min()))
            bounds[x] = least, high
            shown = "\n".join([*domain.steps, _quotient(least - low, domain)])
            steps.append(f"apply (wider {number(least.value)}) in H{x}. 2: {{ {shown} }}")
    wide = domain_of(bounds)
    return wide, [*steps, *wide.steps]


def _same_scores(plus: Expression, minus: Expression, names: list[str]) -> str | None:
    """The proof that two scores n/sqrt(q) are the same; None if they are not seen to be."""
    try:
        scores = [(z, *_score(z)) for z in (plus, minus)]
    except Unseen:
        return None
    for (z, n, q), (y, m, r) in (scores, scores[::-1]):
        if m is ZERO or any(e is ONE for e in (q, r)):
            continue
        top, bottom = plain(n / m, names)
        if bottom.is_constant():
            divisors = [node.args[1] for node in in_order([z, y]) if node.op == "divide"]
            rational = [e for e in divisors if (root_terms(e, {}) or {}).keys() == {NO_ROOTS}]
            c = polynomial(top / bottom.leading_coefficient())
            # A divisor shows its sign, and its expansion hides it.
            c = next((e for e in rational if _zero(e - c, names)), c)
            if _zero(q - c**2 * r, names):
                each = [
                    f"replace {text(a)} with ({text(b)} / sqrt {text(p)}) by (unfold Rdiv; ring)."
                    for a, b, p in ((z, n, q), (y, m, r))
                ]
                fields = "field; repeat split; nonzero"
                same = f"apply (same_score {text(c)}); [positive|positive|{fields}|{fields}]."
                return "\n".join([f"enough ({text(z)} = {text(y)}) by lra.", *each, same])
    return None


def _not_positive(f: Expression, domain: Domain) -> str:
    """The steps that show f <= 0 on a domain, where f is n/sqrt(q), or a difference of two such scores."""
    scores = _scores(f)
    if len(scores) == 1:
        ((n, q),) = scores
        if q is ONE:
            return _quotient(n, domain)
        how = f"replace ({text(f)}) with ({text(n)} / sqrt {text(q)}) by same.\napply score_sign; [positive|]."
        return f"{how}\n{_quotient(n, domain)}"
    if len(scores) > 2:
        raise Unseen("its proof has three roots")
    (n, q), (m, r) = scores
    m = -m  # f = n/sqrt(q) - m/sqrt(r)
    first = f"replace ({text(f)}) with ({text(n)} / sqrt {text(q)} - {text(m)} / sqrt {text(r)}) by same.\n"
    with suppress(Unseen):
        return first + _by_constants(n, q, m, r, domain)
    squares = ("scores_by_squares", (-m, n**2 * r - m**2 * q)), ("scores_by_opposites", (n, m**2 * q - n**2 * r))
    for lemma, conditions in squares:
        if (domain.values(conditions) <= NEAR).all():
            with suppress(Unseen):
                return first + _by_lemma(lemma, conditions, domain)
    raise Unseen("it compares two roots, and neither constants nor squares show how")


def _by_constants(n: Expression, q: Expression, m: Expression, r: Expression, domain: Domain) -> str:
    """The steps that show n/sqrt(q) <= m/sqrt(r), where n <= 0 and elsewhere, each with a constant if it needs one."""
    a, top, b, bottom = domain.values([n, q, m, r])
    ratio = np.sqrt(top / bottom)
    c = constant(1 if ratio.max() <= 1 else Fraction(f"{ratio.max() * (1 + SPARE):.4g}"))
    d = constant(1 if ratio.min() >= 1 else Fraction(f"{ratio.min() * (1 - SPARE):.4g}"))
    below = (f"(scores_below {number(c.value)})", (n - c * m, q - c**2 * r))
    above = (f"(scores_above {number(d.value)})", (n - d * m, d**2 * r - q))
    cases = [("scores_apart", (-m,)) if (b >= 0).all() else below, ("", (n,)) if (a <= 0).all() else above]
    if (domain.values([e for _, conditions in cases for e in conditions]) > 0).any():
        raise Unseen("no constant shows it")
    sign = f"destruct (Rle_lt_dec {text(n)} 0)."
    return "\n".join([sign, *(f"{{ {_by_lemma(*case, domain)} }}" for case in cases)])


def _premises(lemma: str) -> str:
    return PREMISES[lemma.strip("(").split()[0]]


def _by_lemma(lemma: str, conditions: Sequence[Expression], domain: Domain) -> str:
    """The steps that apply a lemma of Shared.v, and show that its conditions are not positive."""
    shown = [f"enough ({text(e)} <= 0) by lra. {_quotient(e, domain)}" for e in conditions]
    if not lemma:
        return f"exfalso. {shown[0]}"
    return "\n".join([f"apply {lemma}; [{_premises(lemma)}|..].", *(f"{{ {s} }}" for s in shown)])


def _quotient(f: Expression, domain: Domain) -> str:
    """The steps that show f <= 0 where f is a rational function."""
    n, d = plain(f, [*domain.bounds, *domain.squares])
    if n == 0:
        return "apply Req_le. field; repeat split; nonzero."
    sides, steps, sign = [], [], 1
    for k, (p, strict) in enumerate(((n, False), (d, True))):
        scale, factors = p.factor()
        sign *= 1 if scale > 0 else -1
        parts = [number(abs(scale))]
        for i, (factor, power) in enumerate(factors):
            if power % 2 == 0 and not strict:
                parts.append(f"{text(polynomial(factor))} ^ {power}")
                continue
            s, words, shown = domain.shown(factor, strict)
            steps.append(f"assert (HF{k}{i} : 0 {'<' if strict else '<='} {words}). {{ {shown} }}")
            parts.append(words + f" ^ {power}" * (power > 1))
            sign *= s ** int(power)
        sides.append(f"({' * '.join(parts)})")
    if sign > 0:
        raise Unseen("the sign of its formula is not seen")
    top, bottom = sides
    steps.append(
        f"match goal with |- ?f <= 0 => replace f with (- ({top} / {bottom})) by (field; repeat split; nonzero) end.\n"
        f"apply quotient_sign; [nonneg|positive]."
    )
    return "\n".join(steps)


# Numbers.


def by_numbers(v: Expression, tau: Fraction, bounds: Bounds, point: Mapping[str, Fraction] | None = None) -> list[str]:
    """The steps that bound v against tau by Coq's interval arithmetic, within bounds or at a point.

    Phi is bounded by the ends of its argument. No steps if v has no Phi.
    """
    names = {variable(x): number(q) for x, q in (point or {}).items()}
    ranges: dict[str, Interval] = {}
    for name, ends in bounds.items():
        low, high = evaluate([constant(point[name])] * 2 if point else list(ends), RULES, ranges)
        ranges[name] = Interval(low.low, high.high)
    arguments = dict.fromkeys(node.args[0] for node in in_order([v]) if node.op == "ndtr")
    steps = []
    for k, (z, (low, high)) in enumerate(zip(arguments, evaluate(list(arguments), RULES, ranges), strict=True)):
        if not (np.isfinite(low) and np.isfinite(high)):
            raise Unseen("its score has no bounds on the domain")
        y, x = _near(float(low), floor), _near(float(high), ceil)
        least, most = _near(float(ndtr(float(y))), floor), _near(float(ndtr(float(x))), ceil)
        how = f"apply (Phi_between {number(y)} {number(x)}); [unfold Phi, phi; bounded_integral..|split; bounded]."
        steps.append(f"assert (P{k} : {number(least)} <= Phi {text(z, names)} <= {number(most)}). {{ {how} }}")
    (whole,) = evaluate([v], RULES, ranges)
    if steps and not (whole.high <= tau or whole.low > tau):
        raise Unseen("its numbers vary too much on the domain")
    return [*steps, "lra."] if steps else []


def _by_boxes(v: Expression, bounds: Bounds) -> list[str]:
    """The steps that show an inequality of v by Coq's interval arithmetic on halves of halves of the domain.

    Each logarithm but the last is ln(ratio) + the last, because in a slope the weights of the logarithms sum to 0.
    """
    *others, last = [node.args[0] for node in in_order([v]) if node.op == "log"] or [None]
    steps, options, left = [], ["i_prec 40", "i_depth 30"], [v]
    if others:
        left = []
        for e in others:
            n, d = plain(e / last, list(bounds))
            left.append(polynomial(n) / polynomial(d))
            how = "[|positive|positive|field; repeat split; nonzero]"
            steps.append(f"rewrite (ln_apart {text(e)} {text(last)} {text(left[-1])}); {how}.")
        words = text(np.log(last))
        steps.append(f"interval_intro {words} with (i_prec 40) as H. revert H. generalize {words}. intros l Hl.")
        options.append("i_autodiff l")
    options += [f"i_bisect {x}" for x in variables(*left)]
    return [*steps, f"interval with ({', '.join(options)})."]


def _near(x: float, rounded: Callable[[float], int]) -> Fraction:
    """A decimal beyond x, by a hundred-thousandth at most twice."""
    return Fraction(rounded(x * 1e5) + (1 if rounded is ceil else -1), 10**5)
