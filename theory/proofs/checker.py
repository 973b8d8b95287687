"""Checks a certificate without trusting anything in it: Arb balls and exact polynomials, no line of the prover.

What is to be shown comes from the claim (`theory.proofs.statements`), not from the certificate. Boxes are joined again,
half by half, until they make the whole cube. On each box the bound is computed afresh by the mean-value form, in balls
of 128 bits, with derivatives of the checker's own. A ball is wider than an interval: where it is too wide to see the
stated bound, the box is halved. `theory.proofs.exact` decides exact conditions. That every formula has a value is an
obligation like the others.
"""

from fractions import Fraction

import numpy as np
from flint import arb, ctx, fmpq

from theory.claims.claim import Claim
from theory.proofs.certificate import Listed, Refused, read
from theory.proofs.exact import MOST_PRODUCTS, Conditions
from theory.proofs.expression import FLOATS, Expression, NotExpressible, constant, density, evaluate, in_order, variable
from theory.proofs.obligations import Obligation
from theory.proofs.statements import Statement, statements

# Precision of a ball; boxes per block; halvings per box; most open boxes of a block; a bound on slopes.
BITS, BLOCK, HALVINGS, LARGEST, HUGE = 128, 2048, 20, 10_000, 1e99
UNION, MOST = np.frompyfunc(arb.union, 2, 1), np.frompyfunc(arb.max, 2, 1)
BALL, LOWER, UPPER, NEAREST, FARTHEST, FINITE, ERFC = (
    np.frompyfunc(f, 1, 1) for f in (arb, arb.lower, arb.upper, arb.abs_lower, arb.abs_upper, arb.is_finite, arb.erfc)
)
QUICK = FLOATS | {  # operation: its value, over arrays of balls, which support numpy's own functions
    "constant": lambda q: np.array([ball_of(q)]),
    "ndtr": lambda a: ERFC(-a / arb(2).sqrt()) / 2,
    "density": lambda a: np.exp(-(a**2) / 2) / (2 * arb.pi()).sqrt(),
}
TIGHT = QUICK | {  # products of wide balls are wider than those of their ends, which take ten times as long
    "multiply": lambda a, b: UNION(*(UNION(x * LOWER(b), x * UPPER(b)) for x in (LOWER(a), UPPER(a)))),
    "power": lambda a, n: a**n if n % 2 else UNION(NEAREST(a) ** n, FARTHEST(a) ** n),
    # Another obligation says that no radicand is negative, but a ball from 0 reaches below it.
    "sqrt": lambda a: UNION(*(np.sqrt(MOST(end(a), arb(0))) for end in (LOWER, UPPER))),
}
# Derivatives along each argument, as formulas of the value y and the arguments. The prover has a table of its own: the
# checker must not trust it.
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
    """("proved" or "refuted", boxes checked), if the certificate shows it of the claim. Raises Refused if not.

    Raises NotExpressible for a claim that is not made of formulas.
    """
    due = statements(claim)
    found, counterexample = read(data, claim, due)
    if counterexample is not None:
        if not fails(counterexample, due):
            raise Refused("its counterexample does not violate the claim")
        return "refuted", 0
    for by, obligation in zip(found, [o for statement in due for o in statement.obligations], strict=True):
        try:
            shown = exactly(by, obligation) if isinstance(by, str) else covers(by, obligation)
        except NotExpressible as error:  # of a derivative
            raise Refused(str(error)) from error
        if not shown:
            raise Refused(f"it does not show that {obligation.words}")
    return "proved", sum(len(by.bound) for by in found if isinstance(by, Listed))


def fails(point: dict, due: list[Statement]) -> bool:
    """Whether a violation certainly exceeds tau at a point of the cube."""
    try:
        statement, at = due[point["case"]], {name: Fraction(int(k), 2**64) for name, k in point["coordinates"].items()}
        violation = list(statement.violations[point["violation"]])
        v, where = evaluate(violation, QUICK, {x: np.array([ball_of(u)]) for x, u in at.items() if 0 <= u <= 1})
        return bool(v[0] > ball_of(statement.tau) and where[0] > 0)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return False


def covers(boxes: Listed, obligation: Obligation) -> bool:
    """Whether the boxes fill the cube without overlap, and each stated bound holds and is within its limit."""
    names = obligation.coordinates
    if boxes.alternative.max() >= len(obligation.alternatives) or not fills(boxes.level, boxes.index):
        return False
    for k, each in enumerate(obligation.alternatives):
        rows, limit, f = np.flatnonzero(boxes.alternative == k), ball_of(each.limit), each.left_side(gradient)
        formulas, stated = [f, *gradient(f, names)], BALL(boxes.bound[rows])
        if not np.all(stated < limit if each.strict else stated <= limit):
            return False
        for part in np.split(rows, range(BLOCK, len(rows), BLOCK)):
            index, step = boxes.index[part].T, np.exp2(-boxes.level[part].T.astype(float))
            if not bound_holds(formulas, names, index * step, (index + np.uint64(1)) * step, boxes.bound[part]):
                return False
    return True


def fills(level: np.ndarray, index: np.ndarray) -> bool:
    """Whether boxes, in the order of a tree, are the whole cube: neighbouring halves are joined until one is left."""
    if (level > 50).any() or (index >> level).any():
        return False
    while len(level) > 1:
        step = index[1:] ^ index[:-1]  # of a pair of halves: 1 along one axis, 0 along the others
        halves = (level[1:] == level[:-1]).all(axis=1) & (step.sum(axis=1) == 1) & (index[1:] > index[:-1]).any(axis=1)
        first = np.flatnonzero(halves & ~np.append(False, halves[:-1]))
        if not len(first):
            return False
        level, index, joined = level.copy(), index.copy(), step[first]
        level[first] -= joined.astype(level.dtype)
        index[first] >>= joined
        level, index = (np.delete(part, first + 1, axis=0) for part in (level, index))
    return not level.any()


def bound_holds(formulas: list[Expression], names: list[str], low, high, bound) -> bool:
    """Whether f is at most the bound on every box; a box where this is not seen is halved."""
    for rules in (QUICK, *[TIGHT] * HALVINGS):
        closed, weight, false = examine(rules, formulas, names, low, high, bound)
        low, high, bound, weight = low[:, ~closed], high[:, ~closed], bound[~closed], weight[:, ~closed]
        if not len(bound) or len(bound) > LARGEST or false.any() or not names:
            return not len(bound)
        if rules is TIGHT:
            middle, halved = (low + high) / 2, np.arange(len(names))[:, None] == weight.argmax(axis=0)
            low, high = [low, np.where(halved, middle, low)], [np.where(halved, middle, high), high]
            low, high, bound = np.hstack(low), np.hstack(high), np.tile(bound, 2)
    return False


def examine(rules: dict, formulas: list[Expression], names: list[str], low, high, bound) -> tuple[np.ndarray, ...]:
    """For each box: whether f is shown to be within the bound, by its value or the mean-value form; where to halve it
    best; whether f is shown to exceed the bound."""
    ends = BALL(low), BALL(high)
    whole, *slopes = evaluate(formulas, rules, dict(zip(names, UNION(*ends), strict=True)))
    centre, weight, gains = np.empty_like(ends[0]), np.empty_like(low), arb(0)
    for i, (down, up) in enumerate((LOWER(slope), UPPER(slope)) for slope in slopes):
        fall, rise = (np.maximum(np.fmin(x.astype(float), HUGE), 1 / HUGE) for x in (-down, up))
        weight[i] = np.maximum(rise, fall) * (high[i] - low[i])
        # From there f gains least on the way to either end (Baumann); any point of the box would do.
        centre[i] = BALL(np.clip(low[i] + rise / (rise + fall) * (high[i] - low[i]), low[i], high[i]))
        gains = gains + MOST(up * (ends[1][i] - centre[i]), down * (ends[0][i] - centre[i]))
    (there,) = evaluate(formulas[:1], QUICK, dict(zip(names, centre, strict=True)))
    within = np.asarray(whole <= bound) | np.asarray(there + gains <= bound)
    # Slopes that cancel say nothing of where f is undefined.
    return within & FINITE(whole).astype(bool), weight, np.asarray(there > bound)


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
    conditions = Conditions(obligation.coordinates, 2 * MOST_PRODUCTS)  # its derivatives are written otherwise
    return any(conditions.show(route) for route in obligation.routes(gradient) if route.name == name)


def ball_of(q: Fraction) -> arb:
    """The ball around a rational."""
    return arb(fmpq(q.numerator, q.denominator))
