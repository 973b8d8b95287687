"""Verdicts as a table for a paper, in LaTeX without packages."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.court.certificates import file_name
from experiments.court.registry import AnyClaim, digest_of
from experiments.files import LATEX_MARK
from experiments.page import evidence
from experiments.provenance import versions
from experiments.verdict import ALPHA
from theory.claims.claim import Axis, Claim
from theory.claims.trained import TrainedClaim
from theory.proofs.expression import NotExpressible
from theory.proofs.identity import formula_of

COLUMNS = {  # head: share of the text's width
    "Statement": 0.22,
    "Domain": 0.2,
    "Verdict": 0.08,
    "Worst point": 0.13,
    "Measured": 0.1,
    "Error rate": 0.06,
    "Digest, certificate": 0.12,
}
CAPTION = (
    "Verdicts of soberclip {version}, seed {seed}. The error rate is the probability of a false contradiction. A "
    "supported claim is bounded at that rate at its audited points only, and a proof has none. The rate is nominal for "
    "trained towers. A digest is the start of the SHA-256 of a claim without its words; (source) marks a digest of "
    "source text."
)
SPECIAL = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': r"\textquotedbl{}",
    "“": "``",
    "”": "''",
    "…": r"\dots{}",
    "–": "--",
    "—": "---",
    "\u00a0": "~",
}
MATHS = {"≥": r"\ge", "≤": r"\le", "≠": r"\ne", "≈": r"\approx", "−": "-", "·": r"\cdot", "×": r"\times", "→": r"\to"}
GREEK = re.compile("GREEK SMALL LETTER (ALPHA|BETA|DELTA|EPSILON|KAPPA|MU|NU|PI|RHO|SIGMA|TAU|XI)")


def escaped(words: str) -> str:
    """Words as LaTeX; lines and control characters become spaces, and a letter that LaTeX lacks its code point."""
    return "".join(map(_letter, " ".join(words.split())))


def _letter(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if character in MATHS:
        return f"${MATHS[character]}$"
    if greek := GREEK.fullmatch(unicodedata.name(character, "")):
        return rf"$\{greek[1].lower()}$"
    if character.isascii():
        return character if character.isprintable() else " "
    return character if character.isalpha() and ord(character) < 0x180 else f"[U+{ord(character):04X}]"


def latex_table(
    verdicts: Sequence[Mapping[str, Any]], claims: Sequence[AnyClaim], seed: int, certificates: Path | None = None
) -> str:
    """A table environment with one row per verdict; `certificates` is the folder where `check` wrote them."""
    of = {claim.id: claim for claim in claims}
    widths = "".join(f"p{{{share}\\textwidth}}" for share in COLUMNS.values())
    caption = escaped(CAPTION.format(version=versions()["soberclip"], seed=seed))
    rows = "\n".join(_row(v, of[v["claim"]], certificates) for v in verdicts)
    return rf"""{LATEX_MARK}
\begin{{table*}}
\caption{{{caption}}}
\scriptsize\raggedright\setlength{{\tabcolsep}}{{2pt}}
\begin{{tabular}}{{{widths}}}
\hline
{" & ".join(COLUMNS)} \\
\hline
{rows}
\hline
\end{{tabular}}
\end{{table*}}
"""


def _row(verdict: Mapping[str, Any], claim: AnyClaim, certificates: Path | None) -> str:
    _, where = evidence.place(verdict)
    if verdict.get("quantifier") == "on average":
        where = evidence.how(verdict)
    rate = f"{(verdict.get('alpha') or ALPHA) / 2:g}" if verdict["verdict"] != "refused" else ""
    certificate = ""
    if evidence.certified(verdict) and certificates is not None:
        certificate = f", {(certificates / file_name(claim.id)).as_posix()}"
    said = f"{verdict['statement']} [{evidence.claimed(verdict)}]" if verdict.get("relation") else verdict["statement"]
    number = evidence.measured(verdict)
    cells = (said, domain(claim), verdict["verdict"], where, number, rate, f"{digest_of(claim)}{certificate}")
    return " & ".join(map(escaped, cells)) + r" \\"


def domain(claim: AnyClaim) -> str:
    if isinstance(claim, TrainedClaim):
        return "; ".join(dict.fromkeys(evidence.world(case.world.model_dump()) for case in claim.cases))
    if not isinstance(claim, Claim):
        return "the published tables"
    table = [f"table {claim.table}"] if claim.table else []
    return ", ".join([*table, *(f"{name} {_range(claim, given)}" for name, given in claim.domain.items())])


def _range(claim: Claim, given: Any) -> str:
    def end(value: Any) -> str:
        try:
            return formula_of(claim, value) if callable(value) else f"{value:g}"
        except NotExpressible:
            return "a function of the fields before it"

    if not isinstance(given, Axis):
        return f"= {end(given)}"
    return f"from {end(given.low)} to {end(given.high)}" + (" (whole numbers)" if given.integer else "")
