"""A rigorous counterexample: one point of the domain at which the violation, enclosed by intervals, exceeds tau.

It is looked for in floats (corners, uniform points, then smaller and smaller neighbourhoods of the best) and rounded to
few binary digits, at which it is enclosed.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.special import ndtr

from theory.proofs.expression import Expression, evaluate, variables
from theory.proofs.intervals import RULES, Interval
from theory.proofs.statements import Statement, Violation

POINTS, NEAR, ROUNDS, BITS = 8192, 1024, 12, 20
FLOATS = {
    "constant": float,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": lambda a, n: a**n,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "ndtr": ndtr,
    "density": lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
}


@dataclass(frozen=True)
class Counterexample:
    """A point of the domain: its fields, to rounding, and its coordinates in the cube, exactly."""

    fields: dict[str, float]
    coordinates: dict[str, Fraction]
    violation: int  # which of the statement's
    least: float  # the violation is at least this


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
