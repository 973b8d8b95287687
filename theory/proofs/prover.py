"""prove(claim) -> Proof: record it, look for a counterexample, settle each obligation exactly or by boxes, certify.

The order is that of cost: a thousand points in floats tell what is false, algebra what holds without a tolerance, and
branch and bound the rest.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np

from theory.claims.claim import Claim
from theory.proofs.algebra import settled
from theory.proofs.boxes import Boxes, Cover, cover
from theory.proofs.certificate import written
from theory.proofs.counterexample import Counterexample, counterexample
from theory.proofs.expression import NotExpressible
from theory.proofs.statements import statements

BOXES = 4_000_000  # bounded, an obligation
SECONDS = 60.0


@dataclass(frozen=True)
class Proof:
    """What could be shown of a claim's closed form, over its whole domain.

    outcome is "proved" (nowhere above tau), "refuted" (`counterexample` is rigorous), "open" (`reason` says what is
    left) or "not provable" (and why). exact: without using the tolerance. boxes counts those that the proof is made of,
    bounded those that were looked at.
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
            rule = settled(obligation)
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
