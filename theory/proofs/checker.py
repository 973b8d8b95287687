"""Checks a certificate and believes nothing in it: Arb balls and exact polynomials, no line of the prover.

What is to be shown comes from the claim (`theory.proofs.statements`), not from the certificate. Boxes are put together
again, half by half, until the whole cube stands there; on each the bound is computed afresh by the mean-value form in
balls of 128 bits. A ball is wider than an interval: where it is too wide to see the stated bound, the box is halved.
Exact conditions are checked over flint's polynomials: x = t/(1 + t) makes a sign of the cube one of coefficients.
"""

from fractions import Fraction
from math import comb

import numpy as np
from flint import arb, ctx, fmpq, fmpq_mpoly_ctx

from theory.claims.claim import Claim
from theory.proofs.certificate import Listed, Refused, read
from theory.proofs.expression import Expression, constant, density, in_order, variable
from theory.proofs.obligations import Obligation
from theory.proofs.statements import Statement, statements

BLOCK, HALVINGS = 512, 12
ball, lower, upper = np.frompyfunc(arb, 2, 1), np.frompyfunc(arb.lower, 1, 1), np.frompyfunc(arb.upper, 1, 1)
PHI = np.frompyfunc(lambda x: (-x * x / 2).exp() / (2 * arb.pi()).sqrt(), 1, 1)
RULES = {  # operation: its value, and its derivative along each argument
    "add": (lambda a, b: a + b, lambda a, b, y: (1, 1)),
    "subtract": (lambda a, b: a - b, lambda a, b, y: (1, -1)),
    "multiply": (lambda a, b: a * b, lambda a, b, y: (b, a)),
    "divide": (lambda a, b: a / b, lambda a, b, y: (1 / b, -y / b)),
    "power": (lambda a, n: a**n, lambda a, n, y: (n * a ** (n - 1),)),
    "sqrt": (np.frompyfunc(arb.sqrt, 1, 1), lambda a, y: (1 / (2 * y),)),
    "exp": (np.frompyfunc(arb.exp, 1, 1), lambda a, y: (y,)),
    "log": (np.frompyfunc(arb.log, 1, 1), lambda a, y: (1 / a,)),
    "tanh": (np.frompyfunc(arb.tanh, 1, 1), lambda a, y: (1 - y * y,)),
    "ndtr": (
        np.frompyfunc(lambda x: (-x / arb(2).sqrt()).erfc() / 2, 1, 1),
        lambda a, y: (density(a) if isinstance(y, Expression) else PHI(a),),
    ),
    "density": (PHI, lambda a, y: (-a * y,)),
}


def check(data: bytes, claim: Claim) -> tuple[str, int]:
    """("proved" or "refuted", boxes checked), if the certificate shows it of the claim. Raises Refused if not."""
    ctx.prec, due = 128, statements(claim)
    found, counterexample = read(data, claim, due)
    if counterexample is not None:
        if not fails(counterexample, due):
            raise Refused("its counterexample is none")
        return "refuted", 0
    for by, obligation in zip(found, [o for statement in due for o in statement.obligations], strict=True):
        if not (exactly(by, obligation) if isinstance(by, str) else covers(by, obligation)):
            raise Refused(f"it does not show that {obligation.words}")
    return "proved", sum(len(by.bound) for by in found if isinstance(by, Listed))


def fails(point: dict, due: list[Statement]) -> bool:
    """Whether a violation certainly exceeds tau at a point of the cube."""
    try:
        statement, at = due[point["case"]], {name: Fraction(int(k), 2**64) for name, k in point["coordinates"].items()}
        v, where = statement.violations[point["violation"]]
        values = {name: np.array([exact(u)]) for name, u in at.items() if 0 <= u <= 1}
        return bool(run(v, values)[v][0] > exact(statement.tau) and (where is None or run(where, values)[where][0] > 0))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return False


def covers(boxes: Listed, obligation: Obligation) -> bool:
    """Whether the boxes fill the cube, each but once, and on each a bound holds that is within its limit."""
    if boxes.alternative.max() >= len(obligation.alternatives) or not fills(boxes.level.tolist(), boxes.index.tolist()):
        return False
    for k, each in enumerate(obligation.alternatives):
        rows, limit = np.flatnonzero(boxes.alternative == k), exact(each.limit)
        bound, step = boxes.bound[rows], np.exp2(-boxes.level[rows].T.astype(float))
        if not all((arb(b) < limit) if each.strict else (arb(b) <= limit) for b in bound.tolist()):
            return False
        f = each.f if each.along is None else derivative(each.f, each.along)
        low, high = ((boxes.index[rows].T + np.uint64(shift)) * step for shift in (0, 1))
        for start in range(0, len(rows), BLOCK):
            part = (slice(None), slice(start, start + BLOCK))
            if not bounded(f, obligation.coordinates, low[part], high[part], bound[part[1]], HALVINGS):
                return False
    return True


def fills(level: list[list[int]], index: list[list[int]]) -> bool:
    """Whether boxes, in the order of a tree, join half with half to the whole cube."""
    stack: list[tuple[list[int], list[int]]] = []
    for n, k in zip(level, index, strict=True):
        if max(n, default=0) > 50 or any(i >> m for m, i in zip(n, k, strict=True)):
            return False
        while stack and stack[-1][0] == n:
            axes = [a for a, (before, now) in enumerate(zip(stack[-1][1], k, strict=True)) if before != now]
            if len(axes) != 1 or k[axes[0]] % 2 == 0 or stack[-1][1][axes[0]] != k[axes[0]] - 1:
                break
            stack.pop()
            n, k = [m - (a in axes) for a, m in enumerate(n)], [i >> (a in axes) for a, i in enumerate(k)]
        stack.append((n, k))
    return len(stack) == 1 and not any(stack[0][0])


def bounded(f: Expression, names: list[str], low, high, bound, halvings: int) -> bool:
    """Whether f is at most the bound on every box, by its value there or by the mean-value form."""
    found = run(f, dict(zip(names, ball((low + high) / 2, (high - low) / 2), strict=True)))
    centre, gains = np.empty_like(low), np.full(len(bound), arb(0))
    for i, slope in enumerate(gradient(f, found, names)):
        up, down = upper(slope + 0 * gains), -lower(slope + 0 * gains)
        rise, fall = (np.nan_to_num(np.maximum(x.astype(float), 0), nan=1.0, posinf=1.0) for x in (up, down))
        share = np.where(rise + fall > 0, rise / np.maximum(rise + fall, 1e-300), 0.5)
        centre[i] = np.clip(low[i] + share * (high[i] - low[i]), low[i], high[i])  # any point of the box would do
        ahead, behind = ball(high[i], 0.0) - ball(centre[i], 0.0), ball(centre[i], 0.0) - ball(low[i], 0.0)
        gains = gains + np.maximum(np.maximum(upper(up * ahead), upper(down * behind)), arb(0))
    there = run(f, dict(zip(names, ball(centre, 0.0), strict=True)))[f]
    left = ~((upper(there + gains) <= bound) | (upper(found[f] + 0 * gains) <= bound)).astype(bool)
    if not left.any() or halvings == 0 or not names:
        return not left.any()
    low, high, bound = low[:, left], high[:, left], bound[left]
    axis = int((high - low).max(axis=1).argmax())
    below, above = high.copy(), low.copy()
    below[axis] = above[axis] = (low[axis] + high[axis]) / 2
    return all(bounded(f, names, *ends, bound, halvings - 1) for ends in ((low, below), (above, high)))


def run(f: Expression, values: dict, wrap=lambda q: np.array([exact(q)]), rules=None) -> dict:
    """Every node of f in balls, or by other rules."""
    found: dict = {}
    for node in in_order([f]):
        x = [found[a] for a in node.args] + [node.value] * (node.op == "power")
        found[node] = (
            values[node.value] if node.op == "variable"
            else wrap(node.value) if node.op == "constant"
            else (rules or {op: value for op, (value, _) in RULES.items()})[node.op](*x)
        )  # fmt: skip
    return found


def gradient(f: Expression, found: dict, names: list[str]) -> list:
    """Derivatives of f along the names, of what `run` found, or as formulas."""
    adjoint = {f: 1}
    for node in reversed(in_order([f]) if names else []):
        x = [found[a] for a in node.args] + [node.value] * (node.op == "power")
        slopes = RULES[node.op][1](*x, found[node]) if node.args else ()
        for argument, slope in zip(node.args, slopes, strict=True):
            adjoint[argument] = adjoint.get(argument, 0) + adjoint.get(node, 0) * slope
    return [adjoint.get(variable(name), 0) for name in names]


def derivative(f: Expression, name: str) -> Expression:
    """The same as a formula."""
    return constant(gradient(f, {node: node for node in in_order([f])}, [name])[0])


def exactly(name: str, obligation: Obligation) -> bool:
    """Whether the conditions of a route hold, with rational functions as reduced pairs of polynomials."""
    names = obligation.coordinates
    ring = fmpq_mpoly_ctx.get(names or ["unused"], "lex")
    one, values = ring.constant(1), {v: (x, ring.constant(1)) for v, x in zip(names, ring.gens(), strict=False)}
    rules = {
        "add": lambda a, b: reduced(a[0] * b[1] + b[0] * a[1], a[1] * b[1]),
        "subtract": lambda a, b: reduced(a[0] * b[1] - b[0] * a[1], a[1] * b[1]),
        "multiply": lambda a, b: reduced(a[0] * b[0], a[1] * b[1]),
        "divide": lambda a, b: reduced(a[0] * b[1], a[1] * b[0]) if sign(b[0]) else None,  # None: no number any more
        "power": lambda a, n: (a[0] ** n, a[1] ** n),
    }

    def ratio(e: Expression) -> tuple:
        return run(e, values, lambda q: (ring.constant(fmpq(q.numerator, q.denominator)), one), rules)[e]

    def holds(condition) -> bool:
        n, d = rules["multiply"](ratio(condition.top), ratio(condition.bottom)[::-1])
        if condition.kind == "positive":
            return sign(n) * sign(d) > 0
        return n == 0 if condition.kind == "zero" else sign(d) != 0 and (n == 0 or sign(n, False) * sign(d) < 0)

    try:
        return any(all(map(holds, route.conditions)) for route in obligation.routes(derivative) if route.name == name)
    except (KeyError, TypeError, ZeroDivisionError):
        return False


def reduced(n, d) -> tuple:
    """n/d without common factors."""
    common = n.gcd(d)
    return n // common, d // common


def sign(p, strict: bool = True) -> int:
    """1 or -1 if p has that sign on the closed cube, or may also vanish there unless strict; 0 if that is not seen."""
    tensor = np.full([n + 1 for n in p.degrees()], fmpq(0), object)
    for powers, coefficient in p.to_dict().items():
        tensor[powers] = coefficient
    for axis, n in enumerate(p.degrees()):  # x^j (1 + t)^n = t^j (1 + t)^(n - j)
        change = np.array([[comb(n - j, i - j) if i >= j else 0 for j in range(n + 1)] for i in range(n + 1)], object)
        tensor = np.moveaxis(np.tensordot(change, tensor, (1, axis)), 0, axis)
    seen = {int(c > 0) - int(c < 0) for c in tensor.ravel()} - (set() if strict else {0})
    return seen.pop() if len(seen) == 1 else 0


def exact(q: Fraction) -> arb:
    """A ball around a rational."""
    return arb(fmpq(q.numerator, q.denominator))
