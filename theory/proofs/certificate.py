"""Certificates: the format of proofs, written so that anyone can check them, and read without trusting them.

soberclip proof 1                                   a line
{"claim", "tau", "domain", "versions", "cases"}     a line of JSON; a case has its "formula" (`Statement.digest`), and
                                                    "by", what settles each obligation: the name of a route, or a
                                                    number of boxes; or instead of all this
                                                    "counterexample": its case, violation and coordinates in 2^-64
boxes, packed by zlib                               for each obligation that has some, little-endian: levels (N, d) of
                                                    one byte, indices (N, d) of eight, alternatives (N) of one, bounds
                                                    (N) float64
"""

import json
import zlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from theory.claims.claim import Axis, Claim
from theory.proofs.statements import Statement

MAGIC = b"soberclip proof 1\n"
LARGEST = 10_000_000  # boxes of an obligation that are read
KINDS = (("level", "u1", True), ("index", "<u8", True), ("alternative", "u1", False), ("bound", "<f8", False))


class Refused(ValueError):
    """A certificate is refused; the message is the reason in a sentence."""


class Listed(NamedTuple):
    """Boxes as a certificate lists them."""

    level: np.ndarray  # (N, d)
    index: np.ndarray  # (N, d)
    alternative: np.ndarray  # (N,)
    bound: np.ndarray  # (N,)


def written(claim: Claim, due: list[Statement], settled: list[list], counterexample: dict | None = None) -> bytes:
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
        "versions": {name: _version(name) for name in ("numpy", "python-flint")},
        "cases": entries,
        "counterexample": counterexample,
    }
    boxes = [by for found in settled for by in found if not isinstance(by, str)]
    body = b"".join(getattr(by, name).astype(kind).tobytes() for by in boxes for name, kind, _ in KINDS)
    return MAGIC + json.dumps(header, ensure_ascii=False).encode() + b"\n" + zlib.compress(body, 6)


def claim_of(data: bytes) -> str:
    """The id of the claim in a certificate. Raises Refused for other data."""
    return _header(data)["claim"]


def read(data: bytes, claim: Claim, due: list[Statement]) -> tuple[list[str | Listed], dict | None]:
    """(route or boxes of every obligation of all cases, counterexample) of a certificate of this claim.

    Raises Refused if the data are damaged or belong to other formulas.
    """
    header = _header(data)
    if header["claim"] != claim.id or [case["formula"] for case in header["cases"]] != [s.digest for s in due]:
        raise Refused(f"it is about other formulas than those of claim {claim.id!r} as it stands")
    if header["counterexample"] is not None:
        return [], header["counterexample"]
    found = [by for case in header["cases"] for by in case["by"]]
    obligations = [obligation for statement in due for obligation in statement.obligations]
    if len(found) != len(obligations):
        raise Refused(f"it settles {len(found)} inequalities, and the claim needs {len(obligations)}")
    kinds = [KINDS if isinstance(by, int) else () for by in found]
    sizes = []
    for by, obligation, each in zip(found, obligations, kinds, strict=True):
        if (each and not 0 < by <= LARGEST) or not isinstance(by, int | str):
            raise Refused(f"{by!r} boxes settle nothing")
        d = len(obligation.coordinates)
        sizes.append([by * (d if wide else 1) * np.dtype(kind).itemsize for _, kind, wide in each])
    due_bytes = sum(map(sum, sizes))
    try:
        body = zlib.decompressobj().decompress(data[len(MAGIC) :].partition(b"\n")[2], due_bytes + 1)
    except zlib.error:
        raise Refused("its boxes are damaged") from None
    if len(body) != due_bytes:
        raise Refused(f"its boxes do not fill the {due_bytes} bytes that its header speaks of")
    result: list[str | Listed] = []
    for by, each, size in zip(found, kinds, sizes, strict=True):
        arrays = []
        for (_, kind, wide), length in zip(each, size, strict=True):
            part, body = np.frombuffer(body[:length], kind), body[length:]
            arrays.append(part.reshape(by, -1) if wide else part)
        result.append(Listed(*arrays) if arrays else by)
    return result, None


def _header(data: bytes) -> dict:
    try:
        header = json.loads(data[len(MAGIC) :].partition(b"\n")[0]) if data.startswith(MAGIC) else None
        cases = [{"formula": case["formula"], "by": list(case["by"])} for case in header["cases"]]
        return {"claim": str(header["claim"]), "cases": cases, "counterexample": header["counterexample"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused("it is no certificate of this program, or its header is damaged") from None


def _words(given: Any) -> Any:
    """A field of the domain, for people."""
    if isinstance(given, Axis):
        return [_words(end) for end in given[:2]]
    return "a formula of fields before it" if callable(given) else given


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
