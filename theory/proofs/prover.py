"""prove(claim) -> Proof: record the claim, look for a counterexample, settle each obligation, write a certificate.

The order is that of cost. Some thousand points in floats find what is false; the worst point is rounded to few binary
digits, at which the violation is enclosed in intervals. Exact conditions then prove what holds without a tolerance, and
branch and bound proves the rest.
"""

from dataclasses import dataclass
from fractions import Fraction
from time import perf_counter
from typing import Literal

import numpy as np

from theory.claims.claim import Claim
from theory.proofs.boxes import Boxes, Cover, cover
from theory.proofs.certificate import written
from theory.proofs.exact import Conditions
from theory.proofs.expression import FLOATS, Expression, NotExpressible, evaluate, gradient, variables
from theory.proofs.intervals import RULES, Interval
from theory.proofs.obligations import Obligation
from theory.proofs.statements import Statement, Violation, statements

BOXES = 4_000_000  # bounded, an obligation
SECONDS = 60.0
MOST_PRODUCTS = (20_000, 1_000_000)  # of terms per operation: all cheap routes come before those of seconds
POINTS, NEAR, ROUNDS, BITS = 8192, 1024, 12, 20  # of the search for a counterexample


@dataclass(frozen=True)
class Counterexample:
    """A point of the domain: its fields, to rounding, and its coordinates in the cube, exactly."""

    fields: dict[str, float]
    coordinates: dict[str, Fraction]
    violation: int  # which of the statement's
    least: float  # the violation is at least this


@dataclass(frozen=True)
class Proof:
    """The result for a claim's closed form over its whole domain.

    outcome is "proved" (nowhere above tau), "refuted" (`counterexample` is rigorous), "open" (`reason` says what is
    left) or "not provable" (and why). exact: the proof does not use the tolerance. boxes counts the boxes of the proof,
    bounded all that were bounded.
    """

    claim: str
    outcome: Literal["proved", "refuted", "open", "not provable"]
    reason: str
    exact: bool
    boxes: int
    bounded: int
    seconds: float
    counterexample: Counterexample | None = None
    certificate: bytes | None = None


def prove(claim: Claim, *, budget: int = BOXES, seconds: float = SECONDS) -> Proof:
    """Prove or refute the closed form of a claim."""
    began = perf_counter()

    def proof(outcome, reason, exact=False, boxes=0, **more) -> Proof:
        return Proof(claim.id, outcome, reason, exact, boxes, bounded, round(perf_counter() - began, 3), **more)

    bounded, every = 0, []
    try:
        due = statements(claim)
    except NotExpressible as error:
        return proof("not provable", f"not provable here: {error}")
    for number, statement in enumerate(due):
        found = counterexample(statement)
        if found is not None:
            reason = f"at one point its violation is {found.least:.4g} at least, and {claim.tau:g} is allowed"
            data = written(claim, due, [[] for _ in due], _point(number, found))
            return proof("refuted", reason, counterexample=found, certificate=data)
    for statement in due:
        settlements: list[str | Boxes] = []
        for obligation in statement.obligations:
            rule = exact_route(obligation)
            if rule is None:
                left = seconds - (perf_counter() - began)
                found = cover(obligation, budget=budget, seconds=left)
                bounded += found.bounded
                if len(found.open):
                    return proof("open", _left(found))
                rule = found.done
            settlements.append(rule)
        every.append(settlements)
    boxes = sum(len(by) for found in every for by in found if not isinstance(by, str))
    exact = boxes == 0
    how = "exactly, by algebra" if exact else f"by bounds on {boxes} boxes that fill it"
    reason = f"the closed form is proved over the whole domain {how}"
    return proof("proved", reason, exact, boxes, certificate=written(claim, due, every))


def _point(case: int, found: Counterexample) -> dict:
    coordinates = {name: str(int(u * 2**64)) for name, u in found.coordinates.items()}
    return {"case": case, "violation": found.violation, "coordinates": coordinates}


def _left(found: Cover) -> str:
    """One sentence: how much is undecided, and where."""
    sample = found.open[[int(np.argmin(found.open.level.sum(axis=1, dtype=int)))]]
    low, high = sample.ends()
    ranges = ", ".join(
        f"{name} {a:.4g} to {b:.4g}" for name, a, b in zip(found.coordinates, low[:, 0], high[:, 0], strict=True)
    )
    return (
        f"{100 * found.open.volume:.3g} % of the domain is undecided after {found.bounded} boxes, for example (as "
        f"fractions of each range) {ranges}"
    )


def exact_route(obligation: Obligation) -> str | None:
    """The first route that settles the obligation exactly; None if none does."""
    routes = obligation.routes(gradient)
    for most_products in MOST_PRODUCTS:
        conditions = Conditions(obligation.coordinates, most_products)
        for route in routes:
            if conditions.show(route):
                return route.name
    return None


def counterexample(statement: Statement) -> Counterexample | None:
    """A point where a violation certainly exceeds tau; None if the search sees none."""
    for number, violation in enumerate(statement.violations):
        names = sorted(set(variables(*(e for e in violation if e is not None))))
        point = _worst(violation, names, float(statement.tau))
        if point is None:
            continue
        coordinates = {name: Fraction(int(np.rint(u * 2**BITS)), 2**BITS) for name, u in point.items()}
        least = _least(violation, coordinates)
        if least > statement.tau:
            return Counterexample(_fields(statement, coordinates), coordinates, number, least)
    return None


def _worst(violation: Violation, names: list[str], tau: float) -> dict[str, float] | None:
    """Where the violation seems largest, in floats; None if it seems to exceed tau nowhere."""
    draw, d = np.random.default_rng(0), len(names)
    unit = np.concatenate([draw.integers(0, 2, (NEAR, d)), draw.random((POINTS, d))])
    best, most = np.full(d, 0.5), -np.inf
    for width in 0.5 ** np.arange(1, ROUNDS + 1):
        values = _floats([violation.v], unit, names)[0]
        if violation.where is not None:
            values = np.where(_floats([violation.where], unit, names)[0] > 0, values, -np.inf)
        values = np.nan_to_num(values, nan=-np.inf)
        if values.max() > most:
            best, most = unit[values.argmax()], float(values.max())
        unit = np.clip(best + width * draw.uniform(-1, 1, (NEAR, d)), 0, 1)
    return dict(zip(names, best.tolist(), strict=True)) if most > tau else None


def _floats(outputs: list[Expression], unit: np.ndarray, names: list[str]) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        found = evaluate(outputs, FLOATS, dict(zip(names, unit.T, strict=True)))
    return [np.broadcast_to(value, len(unit)) for value in found]


def _least(violation: Violation, coordinates: dict[str, Fraction]) -> float:
    """A number that the violation reaches at a point, -inf if it does not count there, by outward-rounded intervals."""
    values = {name: RULES["constant"](u) for name, u in coordinates.items()}
    with np.errstate(all="ignore"):
        v, *where = evaluate([e for e in violation if e is not None], RULES, values)
    counts = all(_low(x) > 0 for x in where)
    return _low(v) if counts else -np.inf


def _low(x: Interval) -> float:
    return float(np.max(x.low))


def _fields(statement: Statement, coordinates: dict[str, Fraction]) -> dict[str, float]:
    outputs = list(statement.fields.values())
    names = sorted(set(variables(*outputs)))
    unit = np.array([[float(coordinates.get(name, Fraction(1, 2))) for name in names]])
    found = _floats(outputs, unit, names)
    return {name: float(value[0]) for name, value in zip(statement.fields, found, strict=True)}
