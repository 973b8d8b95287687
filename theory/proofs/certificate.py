"""Certificates: the format of proofs. Anyone can check them, and the reader does not trust them.

soberclip proof 3                                   one line
{"claim", "tau", "cases", "counterexample"}         one line of JSON. A case has its "formula"
                                                    (`Statement.digest`) and "by": for each
                                                    obligation the name of a route, or the size of a
                                                    tree of boxes. A refutation has a
                                                    counterexample: its case, violation and
                                                    coordinates in 2^-64
trees, packed by zlib                               for each obligation with boxes: one byte per box

A tree begins with the unit cube; its boxes stand level by level. A box's byte says how it is
settled:
    k < 32    by alternative k of the obligation, whose f is bounded to first order; 32 + k: to
              second order
    64 + i    by its halves along coordinate i; on the next level all lower halves come before all
              upper ones
"""

import json
import zlib

import numpy as np

from theory.claims.claim import Claim
from theory.proofs.statements import Statement

MARK, VERSION = b"soberclip proof ", b"3"
LARGEST = 10_000_000  # most boxes per obligation that are read
SECOND, HALVES = 32, 64


class Refused(ValueError):
    """A certificate is refused; the message is the reason in a sentence."""


def encode(
    claim: Claim,
    due: list[Statement],
    settled: list[list[str | np.ndarray]],
    counterexample: dict | None = None,
) -> bytes:
    """The bytes of a certificate: by case and obligation a route's name, or a tree."""
    entries = [
        {
            "case": statement.case,
            "formula": statement.digest,
            "shows": [obligation.words for obligation in statement.obligations],
            "by": [by if isinstance(by, str) else len(by) for by in ways],
        }
        for statement, ways in zip(due, settled, strict=True)
    ]
    header = {
        "claim": claim.id,
        "tau": claim.tau,
        "cases": entries,
        "counterexample": counterexample,
    }
    body = b"".join(by.tobytes() for ways in settled for by in ways if not isinstance(by, str))
    return b"\n".join(
        [MARK + VERSION, json.dumps(header, ensure_ascii=False).encode(), zlib.compress(body, 6)]
    )


def claim_of(data: bytes) -> str:
    """The id of the claim in a certificate. Raises Refused for other data."""
    return _opened(data)[0]["claim"]


def read(
    data: bytes, claim: Claim, due: list[Statement]
) -> tuple[list[str | np.ndarray], dict | None]:
    """(route or tree of every obligation of all cases, counterexample) of a certificate of this
    claim.

    Raises Refused if the data are damaged or belong to other formulas.
    """
    header, packed = _opened(data)
    if header["claim"] != claim.id or [case["formula"] for case in header["cases"]] != [
        s.digest for s in due
    ]:
        words = f"it belongs to other formulas than the current ones of claim {claim.id!r}"
        raise Refused(f"{words}; check {claim.id} --prove --output FOLDER writes a new certificate")
    if header["counterexample"] is not None:
        return [], header["counterexample"]
    ways = [by for case in header["cases"] for by in case["by"]]
    obligations = [obligation for statement in due for obligation in statement.obligations]
    if len(ways) != len(obligations):
        raise Refused(
            f"it settles {len(ways)} inequalities, and the claim needs {len(obligations)}"
        )
    for by in ways:
        if not isinstance(by, str) and not (isinstance(by, int) and 0 < by <= LARGEST):
            raise Refused(f"{by!r} boxes settle nothing")
    sizes = [0 if isinstance(by, str) else by for by in ways]
    size = sum(sizes)
    try:
        body = zlib.decompressobj().decompress(packed, size + 1)
    except zlib.error:
        raise Refused("its boxes are damaged") from None
    if len(body) != size:
        raise Refused(f"its boxes do not fill the {size} bytes that its header announces")
    trees = np.split(np.frombuffer(body, np.uint8), np.cumsum(sizes)[:-1])
    return [by if isinstance(by, str) else tree for by, tree in zip(ways, trees, strict=True)], None


def _opened(data: bytes) -> tuple[dict, bytes]:
    """The header, with the types that it should have, and the packed boxes."""
    mark, _, rest = data.partition(b"\n")
    if mark.startswith(MARK) and mark != MARK + VERSION:
        version, due = (
            words.decode(errors="replace") for words in (mark[len(MARK) :][:20], VERSION)
        )
        raise Refused(
            f"it has version {version}, and this program reads version {due}; prove the claim again"
        )
    head, _, packed = rest.partition(b"\n")
    try:
        header = json.loads(head) if mark.startswith(MARK) else None
        cases = [{"formula": case["formula"], "by": list(case["by"])} for case in header["cases"]]
        return {
            "claim": str(header["claim"]),
            "cases": cases,
            "counterexample": header["counterexample"],
        }, packed
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused("it is not a certificate of this program, or its header is damaged") from None
