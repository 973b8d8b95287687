"""Proofs of the docket: boxes a proof, boxes a second, and what the independent checker takes beside the prover.

The prover bounds boxes in outward-rounded float64 arrays, the checker in Arb balls. Times are of one run each, the
libraries loaded before.
"""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from theory.claims.catalogue import claims

SECONDS = 60.0  # that a proof may take
SHOWN = 0.2  # seconds: proofs that take less share one row


def rows() -> Iterator[dict[str, Any]]:
    """One row a claim that is proved or refuted: outcome, exact, boxes, bounded, and seconds of prover and checker."""
    from theory.proofs.checker import check
    from theory.proofs.prover import prove

    every = claims()
    prove(every[0])  # sympy takes a second to load
    for claim in every:
        proof = prove(claim, seconds=SECONDS)
        if proof.certificate is not None:
            began = perf_counter()
            check(proof.certificate, claim)
            checked = perf_counter() - began
            yield {
                "claim": claim.id,
                "outcome": proof.outcome,
                "exact": proof.exact,
                "boxes": proof.boxes,
                "bounded": proof.bounded,
                "seconds": proof.seconds,
                "check_seconds": checked,
            }


def main() -> None:
    """Print them as Markdown: proofs by boxes and slow ones each in a row, all others together."""
    print("\n| proofs | boxes | bounded a second | prover | checker | checker / prover |")
    print("|---|---|---|---|---|---|")
    table = list(rows())
    alone = [row for row in table if row["boxes"] or row["seconds"] + row["check_seconds"] > SHOWN]
    rest = [row for row in table if row not in alone]
    for row in alone:
        _print(f"{row['claim']}, {row['outcome']}{' exactly' if row['exact'] else ''}", [row])
    for outcome in ("proved", "refuted"):
        several = [row for row in rest if row["outcome"] == outcome]
        _print(f"{len(several)} others {outcome}{' exactly' if outcome == 'proved' else ''}", several)
    _print(f"all {len(table)}", table)


def _print(name: str, some: list[dict[str, Any]]) -> None:
    boxes, bounded, prover, checker = (
        sum(row[column] for row in some) for column in ("boxes", "bounded", "seconds", "check_seconds")
    )
    rate = f"{bounded / prover:,.0f}" if bounded else ""
    print(f"| {name} | {boxes:,} | {rate} | {prover:.2f} s | {checker:.2f} s | {checker / max(prover, 1e-3):.1f} |")
