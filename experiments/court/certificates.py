"""Proofs in a trial: what a proof adds to a verdict, certificates on disk, and a cross-check of the recorded formula.

A proof is about the closed form; the audits tie the closed form to the world. So a claim is "proved" only if the
checker accepts the certificate and the audits agree.

A proof records the claim's prediction and its learners' `weights`. The trial evaluates the prediction and the
learners' `direction` or `accuracy`. Tests compare the two for the project's own claims. A user's prediction may depend
on the type of its argument, and a user's learner may inherit `weights` and change `direction`. So `mismatch` compares
both in floats at points of the domain before a proof counts.

Functions import what they need when they run, for start-up time.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.court.decision import Ruling
from experiments.court.domain import LATER, MONOTONE, true_violation
from experiments.errors import RequestError
from experiments.files import check_writable, write_atomically
from theory.claims.claim import Claim

if TYPE_CHECKING:
    from theory.proofs.prover import Proof
    from theory.proofs.statements import Statement

SUFFIX = ".proof"
LARGEST_FILE = 2**28  # bytes of a certificate that are read
POINTS = 64  # of each case
ROUNDING = 1e-6  # logistic directions are found to 1e-9, and 0/0 is near at some edges


def proof_of(claim: Claim, seconds: float, certificates: Path | None = None) -> dict[str, Any]:
    """The proof of a claim as a plain document. The checker verifies it; then its certificate is written to a folder.

    outcome is "proved", "refuted", "open" or "not provable"; seconds are the prover's, check_seconds the checker's.
    """
    from theory.proofs.prover import prove

    proof = prove(claim, seconds=seconds)
    began = perf_counter()
    document = {
        "outcome": proof.outcome,
        "reason": proof.reason,
        "exact": proof.exact,
        "boxes": proof.boxes,
        "bounded": proof.bounded,
        "counterexample": proof.counterexample and proof.counterexample.fields,
        "least_violation": proof.counterexample and proof.counterexample.least,
        "seconds": proof.seconds,
    }
    if proof.certificate is not None:
        _check(proof, claim, document)
        if certificates is not None and document["outcome"] == proof.outcome:
            certificates.mkdir(parents=True, exist_ok=True)
            write_atomically(certificates / file_name(claim.id), lambda path: path.write_bytes(proof.certificate))
    return {**document, "check_seconds": round(perf_counter() - began, 3)}


def _check(proof: "Proof", claim: Claim, document: dict[str, Any]) -> None:
    from theory.proofs.certificate import Refused
    from theory.proofs.checker import check

    try:
        shown, _ = check(proof.certificate, claim)
        if shown != proof.outcome:
            raise Refused(f"it shows the claim {shown}")
    except Refused as error:
        document.update(outcome="open", reason=f"the checker refuses the certificate: {error}")
    if (difference := mismatch(claim)) is not None:
        document.update(outcome="not provable", reason=f"not provable here: {difference}")


def mismatch(claim: Claim) -> str | None:
    """Where the recorded violation differs from the closed form's, in a sentence; None if they agree everywhere."""
    from theory.proofs.statements import statements

    for statement in statements(claim):
        recorded, point = _recorded(claim, statement)
        trial = true_violation(claim, point)
        wrong = np.isfinite(trial) & ~(np.abs(recorded - trial) <= ROUNDING * np.maximum(1, np.abs(trial)))
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            where = ", ".join(f"{name} = {value[first]:.4g}" for name, value in point.items())
            return (
                f"the formula that its fields record gives a violation of {recorded[first]:.4g} at {where}, and the "
                f"trial {trial[first]:.4g}"
            )
    return None


def _recorded(claim: Claim, statement: "Statement") -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The statement's violation at uniform points of its domain, and these points."""
    from theory.proofs.expression import FLOATS, evaluate, variable, variables
    from theory.proofs.statements import LATER as LATER_COORDINATE

    fields = dict(statement.fields)
    if claim.relation in MONOTONE:
        ahead = variable(claim.along) + (1 - variable(claim.along)) * variable(LATER_COORDINATE)
        low, high = claim.axes[claim.along].bounds()
        fields[claim.along + LATER] = low + (high - low) * ahead
    wanted = [part for violation in statement.violations for part in violation if part is not None]
    names = sorted(set(variables(*wanted, *fields.values())))
    draw = np.random.default_rng(0)
    unit = {name: draw.random(POINTS) for name in names}

    def numbers(e):
        return np.broadcast_to(evaluate([e], FLOATS, unit)[0], POINTS)

    with np.errstate(all="ignore"):
        violations = [
            np.where(True if each.where is None else numbers(each.where) > 0, numbers(each.v), -np.inf)
            for each in statement.violations
        ]
        return np.max(violations, axis=0), {name: np.array(numbers(value)) for name, value in fields.items()}


def ruled(ruling: Ruling, proof: dict[str, Any] | None) -> Ruling:
    """The ruling of the trial, changed by the proof."""
    if proof is None:
        return ruling
    if proof["outcome"] == "proved" and ruling.decision == "supported":
        return Ruling("proved", f"{proof['reason']}; the certificate passes the checker, and the audit points agree")
    if proof["outcome"] == "proved":
        return Ruling(ruling.decision, f"{ruling.reason}; yet {proof['reason']}")
    if proof["outcome"] == "refuted" and ruling.decision == "contradicted":
        return Ruling("contradicted", f"{ruling.reason}; of the closed form this is certain: {proof['reason']}")
    return Ruling(ruling.decision, f"{ruling.reason}; {proof['reason']}")


def file_name(claim_id: str) -> str:
    """File name of a claim's certificate."""
    return claim_id.replace("/", "--") + SUFFIX


def refuse_other_files(folder: Path, claim_ids: Iterable[str]) -> None:
    """Raise RequestError if the folder cannot be written, or a file with one of the names is not a certificate."""
    from theory.proofs.certificate import MAGIC

    check_writable(folder, "check", map(file_name, claim_ids), MAGIC)


def verified(folder: Path, claims: Iterable[Claim], report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Check every certificate of a folder: what each shows, or why it is refused.

    Raises RequestError if there is no such folder, or no certificate in it.
    """
    if not folder.is_dir():
        raise RequestError(f"{str(folder)!r} is no folder; name one that check --prove --output FOLDER wrote")
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        below = sorted(folder.glob(f"*/*{SUFFIX}"))  # of a report, for one
        advice = f"try {str(below[0].parent)!r}" if below else "check --prove --output FOLDER writes them"
        raise RequestError(f"{str(folder)!r} holds no certificate (*{SUFFIX}); {advice}")
    known = {claim.id: claim for claim in claims}
    results = []
    for file in files:
        report(f"checking {file.name}")
        results.append(_verified(file, known))
    return results


def _verified(file: Path, known: dict[str, Claim]) -> dict[str, Any]:
    from theory.proofs.certificate import Refused, claim_of
    from theory.proofs.checker import check
    from theory.proofs.expression import NotExpressible

    began = perf_counter()
    result = {"file": file.name, "claim": None, "shows": None, "boxes": 0, "refused": None}
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise Refused(f"it is larger than {LARGEST_FILE // 2**20} MB")
        data = file.read_bytes()
        result["claim"] = claim_of(data)
        if result["claim"] not in known:
            raise Refused(f"its claim {result['claim']!r} is unknown; --claims FILE.py names claims of your own")
        claim = known[result["claim"]]
        result["shows"], result["boxes"] = check(data, claim)
        if (difference := mismatch(claim)) is not None:
            raise Refused(difference)
    except (Refused, NotExpressible) as error:
        result["refused"] = str(error)
    except OSError as error:
        result["refused"] = f"it cannot be read ({error.strerror or error})"
    return {**result, "seconds": round(perf_counter() - began, 3)}
