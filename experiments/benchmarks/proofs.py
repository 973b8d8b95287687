"""All proofs and refutations of the docket; the peer is the independent checker.

The prover bounds boxes in outward-rounded float64 arrays, the checker in Arb balls.
"""

from collections.abc import Iterator
from functools import partial

from experiments.benchmarks.timing import Row, once
from theory.claims.catalogue import CLAIMS
from theory.proofs.checker import check
from theory.proofs.prover import prove

SECONDS = 60.0  # at most per proof
SLOW = 0.2  # seconds from which a proof gets a row of its own


def rows() -> Iterator[Row]:
    """One row per slow proof, and one for all of them."""
    boxes, prover, checker, count = 0, 0.0, 0.0, 0
    for claim in CLAIMS:
        proof = prove(claim, seconds=SECONDS)
        if proof.certificate is None:
            continue
        checked = once(partial(check, proof.certificate, claim))
        boxes, prover, checker, count = boxes + proof.boxes, prover + proof.seconds, checker + checked, count + 1
        if proof.seconds + checked > SLOW:
            yield Row(f"{claim.id}, {proof.boxes:,} boxes", "proof", proof.seconds, checked, None, "peer: the checker")
    yield Row(f"all {count}, {boxes:,} boxes", "docket", prover, checker, None, "peer: the checker")
