"""Certificates: the format of proofs. Anyone can check them, and the reader does not trust them.

soberclip proof 2                                   one line
{"claim", "tau", "domain", "versions", "cases"}     one line of JSON. A case has its "formula" (`Statement.digest`) and
                                                    "by": for each obligation the name of a route, or a number of boxes.
                                                    A refutation has "counterexample" instead: its case, violation and
                                                    coordinates in 2^-64
boxes, packed by zlib                               for each obligation with boxes, little-endian: levels (N, d) of one
                                                    byte, indices (N, d) of eight, alternatives (N) of one, bounds (N)
                                                    float64
"""

import json
import zlib
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from theory.claims.claim import Axis, Claim
from theory.proofs.statements import Statement

MARK, VERSION = b"soberclip proof ", b"2"
LARGEST = 10_000_000  # most boxes per obligation that are read
KINDS = (("level", "u1", True), ("index", "<u8", True), ("alternative", "u1", False), ("bound", "<f8", False))


class Refused(ValueError):
    """A certificate is refused; the message is the reason in a sentence."""


class Listed(NamedTuple):
    """Boxes as a certificate lists them."""

    level: np.ndarray  # (N, d)
    index: np.ndarray  # (N, d)
    alternative: np.ndarray  # (N,)
    bound: np.ndarray  # (N,)


def encode(claim: Claim, due: list[Statement], settled: list[list], counterexample: dict | None = None) -> bytes:
    """The bytes of a certificate: by case and obligation a route's name, or boxes (anything with Listed's arrays)."""
    entries = [
        {
            "case": statement.case,
            "formula": statement.digest,
            "shows": [obligation.words for obligation in statement.obligations],
            "by": [by if isinstance(by, str) else len(by.bound) for by in found],
        }
        for statement, found in zip(due, settled, strict=True)
    ]
    header = {
        "claim": claim.id,
        "tau": claim.tau,
        "domain": {name: _words(given) for name, given in claim.domain.items()},
        "versions": {name: version(name) for name in ("numpy", "python-flint")},
        "cases": entries,
        "counterexample": counterexample,
    }
    boxes = [by for found in settled for by in found if not isinstance(by, str)]
    body = b"".join(getattr(by, name).astype(kind).tobytes() for by in boxes for name, kind, _ in KINDS)
    return b"\n".join([MARK + VERSION, json.dumps(header, ensure_ascii=False).encode(), zlib.compress(body, 6)])


def claim_of(data: bytes) -> str:
    """The id of the claim in a certificate. Raises Refused for other data."""
    return _opened(data)[0]["claim"]


def read(data: bytes, claim: Claim, due: list[Statement]) -> tuple[list[str | Listed], dict | None]:
    """(route or boxes of every obligation of all cases, counterexample) of a certificate of this claim.

    Raises Refused if the data are damaged or belong to other formulas.
    """
    header, packed = _opened(data)
    if header["claim"] != claim.id or [case["formula"] for case in header["cases"]] != [s.digest for s in due]:
        raise Refused(f"it belongs to other formulas than the current ones of claim {claim.id!r}")
    if header["counterexample"] is not None:
        return [], header["counterexample"]
    found = [by for case in header["cases"] for by in case["by"]]
    obligations = [obligation for statement in due for obligation in statement.obligations]
    if len(found) != len(obligations):
        raise Refused(f"it settles {len(found)} inequalities, and the claim needs {len(obligations)}")
    layouts = [_layout(by, len(obligation.coordinates)) for by, obligation in zip(found, obligations, strict=True)]
    size = sum(layout.itemsize for layout in layouts)
    try:
        body = zlib.decompressobj().decompress(packed, size + 1)
    except zlib.error:
        raise Refused("its boxes are damaged") from None
    if len(body) != size:
        raise Refused(f"its boxes do not fill the {size} bytes that its header announces")
    result: list[str | Listed] = []
    for by, layout in zip(found, layouts, strict=True):
        (arrays,) = np.frombuffer(body[: layout.itemsize], layout) if layout.names else [()]
        body = body[layout.itemsize :]
        result.append(Listed(*arrays) if layout.names else by)
    return result, None


def _layout(by: Any, d: int) -> np.dtype:
    """The arrays of a number of boxes; none for the name of a route."""
    if isinstance(by, str):
        return np.dtype([])
    if not isinstance(by, int) or not 0 < by <= LARGEST:
        raise Refused(f"{by!r} boxes settle nothing")
    return np.dtype([(name, kind, (by, d) if wide else (by,)) for name, kind, wide in KINDS])


def _opened(data: bytes) -> tuple[dict, bytes]:
    """The header, with the types that it should have, and the packed boxes."""
    mark, _, rest = data.partition(b"\n")
    if mark.startswith(MARK) and mark != MARK + VERSION:
        found, due = (words.decode(errors="replace") for words in (mark[len(MARK) :][:20], VERSION))
        raise Refused(f"it has version {found}, and this program reads version {due}; prove the claim again")
    head, _, packed = rest.partition(b"\n")
    try:
        header = json.loads(head) if mark.startswith(MARK) else None
        cases = [{"formula": case["formula"], "by": list(case["by"])} for case in header["cases"]]
        return {"claim": str(header["claim"]), "cases": cases, "counterexample": header["counterexample"]}, packed
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused("it is not a certificate of this program, or its header is damaged") from None


def _words(given: Any) -> Any:
    """A field of the domain in words."""
    if isinstance(given, Axis):
        return [_words(end) for end in given[:2]]
    return "a formula of fields before it" if callable(given) else given
