"""Checks a certificate without trusting anything in it: Arb balls and exact polynomials, no line of
the prover.

What is to be shown comes from the claim (`theory.proofs.statements`), not from the certificate. A
certificate's tree starts with the unit cube, so its boxes leave nothing out. On each box the bound
is computed afresh in balls of 128 bits, with derivatives of the checker's own. A ball is wider than
an interval: where it is too wide, the box is halved. `theory.proofs.exact` decides exact
conditions. That every formula has a value is an obligation like the others.
"""

from fractions import Fraction

import numpy as np
from flint import arb, ctx, fmpq

from theory.claims.claim import Claim
from theory.proofs.certificate import HALVES, SECOND, Refused, read
from theory.proofs.exact import MOST_PRODUCTS, Conditions
from theory.proofs.expression import (
    FLOATS,
    Expression,
    NotExpressible,
    constant,
    density,
    evaluate,
    in_order,
    variable,
)
from theory.proofs.obligations import Inequality, Obligation
from theory.proofs.statements import Statement, statements

# Precision of a ball; boxes per block; halvings per box; most open boxes of a block; a bound on
# slopes; deepest level.
BITS, BLOCK, HALVINGS, LARGEST, HUGE, DEEPEST = 128, 2048, 20, 10_000, 1e99, 2000
UNION, MOST = np.frompyfunc(arb.union, 2, 1), np.frompyfunc(arb.max, 2, 1)
BALL, LOWER, UPPER, NEAREST, FARTHEST, FINITE, ERFC = (
    np.frompyfunc(f, 1, 1)
    for f in (arb, arb.lower, arb.upper, arb.abs_lower, arb.abs_upper, arb.is_finite, arb.erfc)
)
INVERSE = np.frompyfunc(
    lambda b: arb("nan") if b.contains(0) else (1 / b.lower()).union(1 / b.upper()), 1, 1
)
# operation: its value, over arrays of balls, which support numpy's own functions
QUICK = FLOATS | {
    "constant": lambda q: np.array([ball_of(q)]),
    "ndtr": lambda a: ERFC(-a / arb(2).sqrt()) / 2,
    "density": lambda a: np.exp(-(a**2) / 2) / (2 * arb.pi()).sqrt(),
}
TIGHT = QUICK | {  # functions of wide balls are wider than those of their ends, which take longer
    "multiply": np.frompyfunc(lambda a, b: product_of(a, b), 2, 1),
    "power": lambda a, n: a**n if n % 2 else UNION(NEAREST(a) ** n, FARTHEST(a) ** n),
    "divide": lambda a, b: TIGHT["multiply"](a, INVERSE(b)),
    **{op: lambda a, f=QUICK[op]: UNION(f(LOWER(a)), f(UPPER(a))) for op in ("exp", "log", "ndtr")},
    "density": lambda a: UNION(QUICK["density"](NEAREST(a)), QUICK["density"](FARTHEST(a))),
    # Another obligation says that no radicand is negative, but a ball from 0 reaches below it.
    "sqrt": lambda a: UNION(*(np.sqrt(MOST(end(a), arb(0))) for end in (LOWER, UPPER))),
}
# Derivatives along each argument, as formulas of the value y and the arguments. The prover has a
# table of its own: the checker must not trust it.
SLOPES = {
    "add": lambda y, a, b: (1, 1),
    "subtract": lambda y, a, b: (1, -1),
    "multiply": lambda y, a, b: (b, a),
    "divide": lambda y, a, b: (1 / b, -y / b),
    "power": lambda y, a: (y.value * a ** (y.value - 1),),
    "sqrt": lambda y, a: (1 / (2 * y),),
    "exp": lambda y, a: (y,),
    "log": lambda y, a: (1 / a,),
    "ndtr": lambda y, a: (density(a),),
    "density": lambda y, a: (-a * y,),
}


@ctx.workprec(BITS)
def check(data: bytes, claim: Claim) -> tuple[str, int]:
    """("proved" or "refuted", boxes checked), if the certificate shows it of the claim. Raises
    Refused if not.

    Raises NotExpressible for a claim that is not made of formulas.
    """
    due = statements(claim)
    ways, counterexample = read(data, claim, due)
    if counterexample is not None:
        if not fails(counterexample, due):
            raise Refused("its counterexample does not violate the claim")
        return "refuted", 0
    for by, obligation in zip(
        ways, [o for statement in due for o in statement.obligations], strict=True
    ):
        try:
            holds = exactly(by, obligation) if isinstance(by, str) else covers(by, obligation)
        except NotExpressible as error:  # of a derivative
            raise Refused(str(error)) from error
        if not holds:
            raise Refused(f"it does not show that {obligation.words}")
    return "proved", sum(int(np.sum(by < HALVES)) for by in ways if not isinstance(by, str))


def fails(point: dict, due: list[Statement]) -> bool:
    """Whether a violation certainly exceeds tau at a point of the cube."""
    try:
        statement, at = (
            due[point["case"]],
            {name: Fraction(int(k), 2**64) for name, k in point["coordinates"].items()},
        )
        violation = list(statement.violations[point["violation"]])
        v, where = evaluate(
            violation, QUICK, {x: np.array([ball_of(u)]) for x, u in at.items() if 0 <= u <= 1}
        )
        return bool(v[0] > ball_of(statement.tau) and where[0] > 0)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return False


def covers(tree: np.ndarray, obligation: Obligation) -> bool:
    """Whether on every box of the tree its alternative holds, or its halves are the boxes of the
    next level.
    """
    names = obligation.coordinates
    sides = [Side(each, names) for each in obligation.alternatives]
    low, high = np.zeros((len(names), 1)), np.ones((len(names), 1))
    for _ in range(DEEPEST):
        codes, tree = tree[: low.shape[1]].astype(int), tree[low.shape[1] :]
        if len(codes) < low.shape[1]:
            return False
        if not len(codes):
            return not len(tree)
        halved = codes >= HALVES
        axis = codes[halved] - HALVES
        if (codes[~halved] % SECOND >= len(sides)).any() or (axis >= len(names)).any():
            return False
        for code in np.unique(codes[~halved]):
            second, k = divmod(int(code), SECOND)
            if not holds(sides[k], bool(second), low[:, codes == code], high[:, codes == code]):
                return False
        low, high = halves(low[:, halved], high[:, halved], axis)
    return False


def halves(low: np.ndarray, high: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the lower halves of boxes along their axes, and then of the upper halves."""
    middle, halved = (low + high) / 2, np.arange(len(low))[:, None] == axis
    return np.hstack([low, np.where(halved, middle, low)]), np.hstack(
        [np.where(halved, middle, high), high]
    )


def holds(side: "Side", second: bool, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether an inequality holds on every box, by bounds of first or second order; a box where
    balls are too wide to see it is halved."""
    for start in range(0, low.shape[1], BLOCK):
        a, b = low[:, start : start + BLOCK], high[:, start : start + BLOCK]
        for rules in (QUICK, *[QUICK, QUICK] * second, *[TIGHT] * HALVINGS):
            closed, weight, false = side.examine(rules, second, a, b)
            a, b, weight = a[:, ~closed], b[:, ~closed], weight[:, ~closed]
            if closed.all():
                break
            if len(closed) > LARGEST or false.any() or not len(low):
                return False
            if second or rules is TIGHT:
                a, b = halves(a, b, weight.argmax(axis=0))
        else:
            return False
    return True


class Side:
    """An inequality, and the derivatives of its f of first and second order."""

    def __init__(self, inequality: Inequality, names: list[str]):
        f, self.names = inequality.left_side(gradient), names
        self.formulas = [f, *gradient(f, names)]
        # Along i and j <= i.
        self.second = [
            h for i, slope in enumerate(self.formulas[1:]) for h in gradient(slope, names[: i + 1])
        ]
        self.limit, self.within = (
            ball_of(inequality.limit),
            (np.less if inequality.strict else np.less_equal),
        )

    def examine(
        self, rules: dict, second: bool, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """For each box: whether f is shown to be within the limit, by its value or by Taylor's
        formula; where to halve it best; whether f is shown to exceed the limit."""
        d, box = len(low), UNION(BALL(low), BALL(high))
        whole, *slopes = self._over(rules, [*self.formulas, *(self.second if second else [])], box)
        slopes, bends = slopes[:d], iter(slopes[d:])
        fall, rise = np.empty_like(low), np.empty_like(low)
        for i, slope in enumerate(slopes):
            fall[i], rise[i] = (
                np.maximum(np.fmin(x.astype(float), HUGE), 1 / HUGE)
                for x in (-LOWER(slope), UPPER(slope))
            )
        # From there f gains least on the way to either end (Baumann); any point of the box would
        # do.
        centre = (
            (low + high) / 2
            if second
            else np.clip(low + rise / (rise + fall) * (high - low), low, high)
        )
        at = BALL(centre)
        away = box - at
        there, *exact = self._over(QUICK, self.formulas[: d + 1 if second else 1], at)
        if second:
            bent = [
                total([*(next(bends) for _ in range(i)), next(bends) / 2], away[: i + 1])
                for i in range(d)
            ]
            gains = total(exact, away) + total(bent, away)
        else:
            ends = BALL(high) - at, BALL(low) - at
            gains = sum(
                (MOST(UPPER(s) * b, LOWER(s) * a) for s, b, a in zip(slopes, *ends, strict=True)),
                arb(0),
            )
        closed = np.any(
            [self.within(f, self.limit).astype(bool) for f in (whole, there + gains)], axis=0
        )
        # Slopes that cancel say nothing of where f is undefined.
        finite = FINITE(whole).astype(bool)
        return (
            closed & finite,
            np.maximum(rise, fall) * (high - low),
            np.asarray(there > self.limit).astype(bool),
        )

    def _over(self, rules: dict, formulas: list[Expression], balls: np.ndarray) -> list[np.ndarray]:
        values = evaluate(formulas, rules, dict(zip(self.names, balls, strict=True)))
        return [np.broadcast_to(value, balls.shape[1]) for value in values]


def total(slopes: list, away: np.ndarray) -> np.ndarray:
    """sum_i slopes_i away_i."""
    return sum((slope * step for slope, step in zip(slopes, away, strict=True)), arb(0))


def gradient(f: Expression, names: list[str]) -> list[Expression]:
    """Derivatives of f along the names."""
    adjoint = {f: constant(1)}
    for node in reversed(in_order([f])):
        slopes = SLOPES[node.op](node, *node.args) if node.args else ()
        for argument, slope in zip(node.args, slopes, strict=True):
            adjoint[argument] = adjoint.get(argument, 0) + adjoint[node] * slope
    return [constant(adjoint.get(variable(name), 0)) for name in names]


def exactly(name: str, obligation: Obligation) -> bool:
    """Whether the conditions of a route hold."""
    # its derivatives are written otherwise
    conditions = Conditions(obligation.coordinates, 2 * MOST_PRODUCTS)
    return any(
        conditions.show(route) for route in obligation.routes(gradient) if route.name == name
    )


def product_of(a: arb, b: arb) -> arb:
    """a b, no wider than the products of the ends."""
    if a.is_exact() or b.is_exact():
        return a * b
    ends = b.lower(), b.upper()
    (p, q), (r, s) = ((end * ends[0], end * ends[1]) for end in (a.lower(), a.upper()))
    return p.union(q).union(r).union(s)


def ball_of(q: Fraction) -> arb:
    """The ball around a rational."""
    return arb(fmpq(q.numerator, q.denominator))
