"""prove(claim) -> Proof: record the claim, look for a counterexample, settle each obligation, write
a certificate.

The cheapest step comes first. Some thousand points in floats find false claims; the worst point is
rounded to few binary digits, and intervals enclose the violation there. Then exact conditions prove
what holds without a tolerance, and branch and bound proves the rest.
"""

from dataclasses import dataclass
from fractions import Fraction
from time import perf_counter
from typing import Literal

import numpy as np

from theory.claims.claim import Claim
from theory.proofs.boxes import Open, cover
from theory.proofs.certificate import HALVES, encode
from theory.proofs.exact import MOST_PRODUCTS, Conditions
from theory.proofs.expression import (
    FLOATS,
    Expression,
    NotExpressible,
    evaluate,
    gradient,
    variables,
)
from theory.proofs.intervals import RULES
from theory.proofs.obligations import Obligation
from theory.proofs.statements import Statement, Violation, statements

BOXES = 4_000_000  # bounded per obligation
SECONDS = 60.0
# products of terms per operation: all cheap routes come before those that take seconds
CHEAP = 20_000
POINTS, NEAR, ROUNDS, BITS = 8192, 1024, 12, (20, 50)  # of the search for a counterexample


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

    outcome is "proved" (nowhere above tau), "refuted" (`counterexample` is rigorous), "open" or
    "not provable" (both with a `reason`). exact: no inequality of the claim needs boxes or the
    tolerance. boxes counts the boxes of the proof, bounded all boxes that were bounded.
    """

    outcome: Literal["proved", "refuted", "open", "not provable"]
    reason: str
    bounded: int
    seconds: float
    exact: bool = False
    boxes: int = 0
    counterexample: Counterexample | None = None
    certificate: bytes | None = None


def prove(claim: Claim, *, budget: int = BOXES, seconds: float = SECONDS) -> Proof:
    """Prove or refute the closed form of a claim, within a number of boxes per obligation and
    seconds in all.
    """
    began, bounded = perf_counter(), 0

    def proof(outcome, reason, **more) -> Proof:
        return Proof(outcome, reason, bounded, round(perf_counter() - began, 3), **more)

    def refuted(number: int, exception: Counterexample) -> Proof:
        coordinates = {name: str(int(u * 2**64)) for name, u in exception.coordinates.items()}
        point = {"case": number, "violation": exception.violation, "coordinates": coordinates}
        reason = (
            f"at one point its violation is at least {exception.least:.4g}, and {claim.tau:g} is"
            " allowed"
        )
        data = encode(claim, due, [[] for _ in due], point)
        return proof("refuted", reason, counterexample=exception, certificate=data)

    try:
        due = statements(claim)
        for number, statement in enumerate(due):
            false = undefined(statement)
            if false is not None:
                return proof("not provable", f"not provable here: {false}")
            exception = counterexample(statement)
            if exception is not None:
                return refuted(number, exception)
        settled: list[list[str | np.ndarray]] = []
        for number, statement in enumerate(due):
            settled.append([])
            for obligation in statement.obligations:
                by: str | np.ndarray | None = exact_route(obligation, began + seconds / 2)
                if by is None:
                    left, names = seconds - (perf_counter() - began), obligation.coordinates

                    def refute(
                        point: np.ndarray, statement=statement, names=names
                    ) -> Counterexample | None:
                        return counterexample(
                            statement, dict(zip(names, point.tolist(), strict=True))
                        )

                    by, unknown, spent, exception = cover(obligation, budget, left, refute)
                    bounded += spent
                    if exception is not None:
                        return refuted(number, exception)
                    if by is None:
                        return proof("open", _undecided(obligation, unknown, spent))
                settled[-1].append(by)
    except NotExpressible as error:  # of the claim, or of a derivative
        return proof("not provable", f"not provable here: {error}")
    boxes = sum(
        int(np.sum(by < HALVES)) for ways in settled for by in ways if not isinstance(by, str)
    )
    inequalities = [
        by for s, ways in zip(due, settled, strict=True) for by in ways[: len(s.violations)]
    ]
    exact = all(isinstance(by, str) for by in inequalities)
    how = (
        "exactly, by algebra"
        if exact
        else f"to within the tolerance, by bounds on {boxes} boxes that fill it"
    )
    reason = f"the closed form is proved over the whole domain {how}"
    return proof(
        "proved", reason, exact=exact, boxes=boxes, certificate=encode(claim, due, settled)
    )


def _undecided(obligation: Obligation, unknown: Open, bounded: int) -> str:
    """What is undecided, on which share of the domain, and where."""
    share, widest = min(1.0, float(unknown.volume.sum())), int(np.argmax(unknown.volume))
    ends = zip(obligation.coordinates, unknown.low[:, widest], unknown.high[:, widest], strict=True)
    ranges = ", ".join(f"{name} {a:.4g} to {b:.4g}" for name, a, b in ends)
    return (
        f"after {bounded} boxes it is undecided on {100 * share:.3g} % of the domain whether "
        f"{obligation.words}, for example (as fractions of each range) {ranges}"
    )


def exact_route(obligation: Obligation, deadline: float) -> str | None:
    """The first route that settles the obligation exactly; None if none is seen to by the
    deadline.
    """
    routes = obligation.routes(gradient)
    for most_products in (CHEAP, MOST_PRODUCTS):
        conditions = Conditions(obligation.coordinates, most_products, deadline)
        for route in routes:
            if conditions.show(route):
                return route.name
    return None


def counterexample(
    statement: Statement, near: dict[str, float] | None = None
) -> Counterexample | None:
    """A point where a violation certainly exceeds tau; None if the search, here or near a point,
    sees none.
    """
    for number, violation in enumerate(statement.violations):
        point = _certain(violation, statement.tau, near)
        if point is not None:
            coordinates, least = point
            return Counterexample(_fields(statement, coordinates), coordinates, number, least)
    return None


def undefined(statement: Statement) -> str | None:
    """A sentence with a point where the formula certainly has no value; None if the search sees
    none.
    """
    for obligation in statement.obligations[len(statement.violations) :]:
        # a divisor vanishes at no point that a search would find
        if len(obligation.alternatives) == 1:
            point = _certain(Violation(obligation.alternatives[0].f), Fraction(0))
            if point is not None:
                fields = _fields(statement, point[0]).items()
                where = ", ".join(
                    f"{name} = {value:.4g}" for name, value in fields if np.isfinite(value)
                )
                return f"at {where} it is not true that {obligation.words}"
    return None


def _certain(
    violation: Violation, limit: Fraction, near: dict[str, float] | None = None
) -> tuple[dict[str, Fraction], float] | None:
    """A point of the cube where the violation certainly exceeds the limit, and a lower bound of it
    there.
    """
    names = sorted(set(variables(*violation)))
    point = _worst(violation, names, float(limit), near)
    for bits in BITS if point is not None else ():
        coordinates = {
            name: Fraction(int(np.rint(u * 2**bits)), 2**bits) for name, u in point.items()
        }
        values = {name: RULES["constant"](u) for name, u in coordinates.items()}
        with np.errstate(all="ignore"):
            least, where = (
                float(np.max(end.low)) for end in evaluate(list(violation), RULES, values)
            )
        if where > 0 and least > limit:
            return coordinates, least
    return None


def _worst(
    violation: Violation, names: list[str], tau: float, near: dict[str, float] | None = None
) -> dict[str, float] | None:
    """Where the violation seems largest, in floats; None if it seems to exceed tau nowhere."""
    draw, d = np.random.default_rng(0), len(names)
    unit = np.concatenate([draw.integers(0, 2, (NEAR, d)), draw.random((POINTS, d))])
    if near is not None:
        centre, fixed = (
            np.array([near.get(name, 0.5) for name in names]),
            [name in near for name in names],
        )
        away = draw.uniform(-1, 1, (NEAR, d)) * 0.5 ** draw.uniform(0, BITS[-1], (NEAR, 1))
        unit = np.where(
            fixed, np.clip(centre + np.vstack([0 * centre, away]), 0, 1), draw.random((NEAR + 1, d))
        )
    best, most = np.full(d, 0.5), -np.inf
    for width in 0.5 ** np.arange(1, ROUNDS + 1):
        v, where = _floats(list(violation), unit, names)
        values = np.nan_to_num(np.where(where > 0, v, -np.inf), nan=-np.inf)
        if values.max() > most:
            best, most = unit[values.argmax()], float(values.max())
        unit = np.clip(best + width * draw.uniform(-1, 1, (NEAR, d)), 0, 1)
    return dict(zip(names, best.tolist(), strict=True)) if most > tau else None


def _floats(outputs: list[Expression], unit: np.ndarray, names: list[str]) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        values = evaluate(outputs, FLOATS, dict(zip(names, unit.T, strict=True)))
    return [np.broadcast_to(value, len(unit)) for value in values]


def _fields(statement: Statement, coordinates: dict[str, Fraction]) -> dict[str, float]:
    outputs = list(statement.fields.values())
    names = sorted(set(variables(*outputs)))
    unit = np.array([[float(coordinates.get(name, Fraction(1, 2))) for name in names]])
    return {
        name: float(x[0])
        for name, x in zip(statement.fields, _floats(outputs, unit, names), strict=True)
    }
