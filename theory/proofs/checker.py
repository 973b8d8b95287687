"""Checks a certificate and believes nothing in it: Arb balls and exact polynomials, no line of the prover.

What is to be shown comes from the claim (`theory.proofs.statements`), not from the certificate. Boxes are put together
again, half by half, until the whole cube stands there; on each the bound is computed afresh by the mean-value form in
balls of 128 bits. A ball is wider than an interval: where it is too wide to see the stated bound, the box is halved.
Balls and exact conditions are the business of `theory.proofs.checker_arithmetic`.
"""

from fractions import Fraction

import numpy as np
from flint import arb, ctx

from theory.claims.claim import Claim
from theory.proofs.certificate import Listed, Refused, read
from theory.proofs.checker_arithmetic import derivative, exact, exactly, gradient, run
from theory.proofs.expression import Expression
from theory.proofs.obligations import Obligation
from theory.proofs.statements import Statement, statements

BLOCK, HALVINGS = 512, 12
lower, upper = np.frompyfunc(arb.lower, 1, 1), np.frompyfunc(arb.upper, 1, 1)
ball = np.frompyfunc(lambda low, high: arb(low).union(arb(high)), 2, 1)


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
    found = run(f, dict(zip(names, ball(low, high), strict=True)))
    centre, weight, gains = np.empty_like(low), np.empty_like(low), np.full(len(bound), arb(0))
    for i, slope in enumerate(gradient(f, found, names)):
        up, down = upper(slope + 0 * gains), -lower(slope + 0 * gains)
        rise, fall = (np.nan_to_num(np.maximum(x.astype(float), 0), nan=1e9, posinf=1e9) for x in (up, down))
        share = np.where(rise + fall > 0, rise / np.maximum(rise + fall, 1e-300), 0.5)
        centre[i] = np.clip(low[i] + share * (high[i] - low[i]), low[i], high[i])  # any point of the box would do
        weight[i] = np.maximum(rise, fall) * (high[i] - low[i])
        at = ball(centre[i], centre[i])
        ahead, behind = ball(high[i], high[i]) - at, at - ball(low[i], low[i])
        gains = gains + np.maximum(np.maximum(upper(up * ahead), upper(down * behind)), arb(0))
    there = run(f, dict(zip(names, ball(centre, centre), strict=True)))[f]
    left = ~((upper(there + gains) <= bound) | (upper(found[f] + 0 * gains) <= bound)).astype(bool)
    if not left.any() or halvings == 0 or not names:
        return not left.any()
    low, high, bound, axis = low[:, left], high[:, left], bound[left], int(weight[:, left].sum(axis=1).argmax())
    below, above = high.copy(), low.copy()
    below[axis] = above[axis] = (low[axis] + high[axis]) / 2
    return all(bounded(f, names, *ends, bound, halvings - 1) for ends in ((low, below), (above, high)))
