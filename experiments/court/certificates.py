"""Proofs in a trial: what a proof adds to a verdict, certificates on disk, and a cross-check of the
recorded formula.

A proof is about the closed form; the audits tie the closed form to the world. So a claim is
"proved" only if the checker accepts the certificate and the audits agree.

A proof records the prediction and the learners' `weights`; the trial evaluates the prediction and
their `direction` or `accuracy`. A user's prediction may depend on the type of its argument, and a
user's learner may inherit `weights` and change `direction`. So `mismatch` compares both in floats
before a proof counts.

Functions import what they need when they run, for start-up time.
"""

from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from experiments.court.decision import Ruling
from experiments.errors import RequestError
from experiments.files import write_atomically
from simulator.progress import tell
from theory.claims.claim import Claim
from theory.claims.relations import LATER

SUFFIX = ".proof"
LARGEST_FILE = 2**28  # bytes; larger certificates are refused
POINTS = 64  # per case
ROUNDING = 1e-6  # logistic directions have errors of 1e-9, and some edges are close to 0/0


def proof_of(claim: Claim, seconds: float, certificates: Path | None = None) -> dict[str, Any]:
    """The proof of a claim as a plain document. The checker verifies it; then its certificate is
    written to a folder.

    outcome is "proved", "refuted", "open" or "not provable"; seconds are the prover's,
    check_seconds the checker's.
    """
    from theory.proofs.certificate import Refused
    from theory.proofs.checker import check
    from theory.proofs.prover import prove

    proof = prove(claim, seconds=seconds)
    began = perf_counter()
    outcome = proof.outcome
    reason = proof.reason
    if proof.certificate is not None:
        try:
            verdict, _ = check(proof.certificate, claim)
            if verdict != outcome:
                raise Refused(f"it shows that the claim is {verdict}")
        except Refused as error:
            outcome = "open"
            reason = f"the checker refuses the certificate: {error}"
        if (difference := mismatch(claim)) is not None:
            outcome = "not provable"
            reason = f"not provable here: {difference}"
        if certificates is not None and outcome == proof.outcome:
            certificates.mkdir(parents=True, exist_ok=True)
            write_atomically(
                certificates / file_name(claim.id), lambda path: path.write_bytes(proof.certificate)
            )
    return {
        "outcome": outcome,
        "reason": reason,
        "exact": proof.exact,
        "boxes": proof.boxes,
        "bounded": proof.bounded,
        "counterexample": proof.counterexample and proof.counterexample.fields,
        "least_violation": proof.counterexample and proof.counterexample.least,
        "seconds": proof.seconds,
        "check_seconds": round(perf_counter() - began, 3),
    }


def mismatch(claim: Claim) -> str | None:
    """Where the recorded violation differs from the closed form's, in a sentence; None if they
    agree everywhere.

    Both are compared at uniform points of every case.
    """
    from theory.proofs.expression import FLOATS, evaluate, variables
    from theory.proofs.statements import statements

    for statement in statements(claim):
        fields = dict(statement.fields)
        if statement.later is not None:
            fields[claim.along + LATER] = statement.later
        outputs = [part for violation in statement.violations for part in violation]
        draw = np.random.default_rng(0)
        unit = {
            name: draw.random(POINTS) for name in sorted(set(variables(*outputs, *fields.values())))
        }

        with np.errstate(all="ignore"):
            values = evaluate([*outputs, *fields.values()], FLOATS, unit)
        values = [np.array(np.broadcast_to(value, POINTS)) for value in values]
        parts = values[: len(outputs)]
        point = dict(zip(fields, values[len(outputs) :], strict=True))
        recorded = np.max(np.where(np.array(parts[1::2]) > 0, parts[::2], -np.inf), axis=0)
        trial = claim.true_violation(point)
        wrong = np.isfinite(trial) & ~(
            np.abs(recorded - trial) <= ROUNDING * np.maximum(1, np.abs(trial))
        )
        if wrong.any():
            first = int(np.argmax(wrong))
            where = ", ".join(f"{name} = {value[first]:.4g}" for name, value in point.items())
            return (
                f"the recorded formula gives a violation of {recorded[first]:.4g} at {where}, but"
                f" the trial gives {trial[first]:.4g}"
            )
    return None


def apply_proof(ruling: Ruling, proof: dict[str, Any]) -> Ruling:
    """The ruling after the proof."""
    (decision, reason), why = ruling, proof["reason"]
    match proof["outcome"], decision:
        case "proved", "supported":
            return (
                "proved",
                f"{why}; the certificate passes the checker, and the audit points agree",
            )
        case "proved", _:
            return decision, f"{reason}; but {why}"
        case "refuted", "contradicted":
            return decision, f"{reason}; the closed form is refuted: {why}"
    return decision, f"{reason}; {why}"


def file_name(claim_id: str) -> str:
    """File name of a claim's certificate."""
    return claim_id.replace("/", "--") + SUFFIX


def verify_folder(folder: Path, claims: Iterable[Claim]) -> list[dict[str, Any]]:
    """Check every certificate of a folder. Each result says what it shows, or why it is refused.

    Raises RequestError if the folder does not exist or holds no certificate.
    """
    if not folder.is_dir():
        raise RequestError(
            f"{str(folder)!r} is not a folder; name one that check --prove --output FOLDER wrote"
        )
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        below = sorted(folder.glob(f"*/*{SUFFIX}"))  # for example, of a report
        advice = (
            f"try {str(below[0].parent)!r}"
            if below
            else "check --prove --output FOLDER writes them"
        )
        raise RequestError(f"{str(folder)!r} holds no certificate (*{SUFFIX}); {advice}")
    by_id = {claim.id: claim for claim in claims}
    return [_verified(file, by_id) for file in files]


def _verified(file: Path, by_id: dict[str, Claim]) -> dict[str, Any]:
    from theory.proofs.certificate import Refused, claim_of
    from theory.proofs.checker import check
    from theory.proofs.expression import NotExpressible

    tell(f"checking {file.name}")
    began = perf_counter()
    name, shows, boxes, refused = None, None, 0, None
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise Refused(f"it is larger than {LARGEST_FILE // 2**20} MB")
        data = file.read_bytes()
        name = claim_of(data)
        if name not in by_id:
            raise Refused(
                f"its claim {name!r} is unknown; --claims FILE.py adds claims of your own"
            )
        shows, boxes = check(data, by_id[name])
        if (difference := mismatch(by_id[name])) is not None:
            raise Refused(difference)
    except (Refused, NotExpressible) as error:
        refused = str(error)
    except OSError as error:
        refused = f"it cannot be read ({error.strerror or error})"
    seconds = round(perf_counter() - began, 3)
    return {
        "file": file.name,
        "claim": name,
        "shows": shows,
        "boxes": boxes,
        "refused": refused,
        "seconds": seconds,
    }
