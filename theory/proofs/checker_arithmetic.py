"""The checker's own arithmetic: formulas in Arb balls with their derivatives, and signs of rational functions by flint.

Balls enclose what is computed, to 128 bits. An exact condition is checked over flint's polynomials: x = t/(1 + t)
makes a sign of the closed cube one of coefficients.
"""

from fractions import Fraction
from math import comb, prod

import numpy as np
from flint import arb, fmpq, fmpq_mpoly_ctx

from theory.proofs.expression import Expression, constant, density, in_order, variable
from theory.proofs.obligations import Obligation

ROOT, EXP, LOG, TANH = (np.frompyfunc(getattr(arb, name), 1, 1) for name in ("sqrt", "exp", "log", "tanh"))
PHI = np.frompyfunc(lambda x: (-x / arb(2).sqrt()).erfc() / 2, 1, 1)
BELL = np.frompyfunc(lambda x: (-raised(x, 2) / 2).exp() / (2 * arb.pi()).sqrt(), 1, 1)
RULES = {  # operation: its value, and its derivative along each argument
    "add": (lambda a, b: a + b, lambda a, b, y: (1, 1)),
    "subtract": (lambda a, b: a - b, lambda a, b, y: (1, -1)),
    "multiply": (lambda a, b: a * b, lambda a, b, y: (b, a)),
    "divide": (lambda a, b: a / b, lambda a, b, y: (1 / b, -y / b)),
    "power": (lambda a, n: np.frompyfunc(raised, 2, 1)(a, n), lambda a, n, y: (n * a ** (n - 1),)),
    "sqrt": (ROOT, lambda a, y: (1 / (2 * y),)),
    "exp": (EXP, lambda a, y: (y,)),
    "log": (LOG, lambda a, y: (1 / a,)),
    "tanh": (TANH, lambda a, y: (1 - y * y,)),
    "ndtr": (PHI, lambda a, y: (density(a) if isinstance(y, Expression) else BELL(a),)),
    "density": (BELL, lambda a, y: (-a * y,)),
}


def raised(a: arb, n: int) -> arb:
    """a^n; an even power of a ball around 0 is not negative."""
    return a**n if n % 2 else (a.abs_lower() ** n).union(a.abs_upper() ** n)


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
        if condition.kind == "negative":
            return sign(n) * sign(d) < 0
        return n == 0 if condition.kind == "zero" else sign(d) != 0 and (n == 0 or sign_but_squares(n) * sign(d) < 0)

    try:
        return any(all(map(holds, route.conditions)) for route in obligation.routes(derivative) if route.name == name)
    except (KeyError, TypeError, ZeroDivisionError):
        return False


def sign_but_squares(p) -> int:
    """The sign that p has where it does not vanish; even powers of factors have none of their own."""
    seen = sign(p, False)
    if seen == 0 and p != 0:
        scale, factors = p.factor_squarefree()
        seen = (int(scale > 0) - int(scale < 0)) * prod(sign(f, False) if n % 2 else 1 for f, n in factors)
    return seen


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
