"""Verdicts as a table for a paper, in LaTeX without packages."""

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any, NamedTuple

from experiments.court.certificates import file_name
from experiments.court.registry import digest_of
from experiments.files import LATEX_MARK
from experiments.page import evidence
from experiments.provenance import versions
from experiments.published.claims import TableClaim
from experiments.table import Column, Table, latex
from experiments.verdict import ALPHA, REFUSED, Verdict
from theory.claims.claim import Axis, Claim
from theory.claims.trained import TrainedClaim
from theory.claims.words import AnyClaim
from theory.proofs.expression import NotExpressible
from theory.proofs.statements import formula_of

CAPTION = (
    "Verdicts of soberclip {version}, seed {seed}. The error rate is the probability of a false contradiction. A "
    "supported claim is bounded at that rate at its audited points only, and a proof has none. The rate is nominal for "
    "trained towers. A digest is the start of the SHA-256 of a claim without its words; (source) marks a digest of "
    "source text."
)


class LatexRow(NamedTuple):
    """A verdict beside its claim, and the file of its certificate, if there is one."""

    verdict: Verdict
    claim: AnyClaim
    certificate: str


def latex_table(
    verdicts: Sequence[Verdict], claims: Sequence[AnyClaim], seed: int, certificates: Path | None = None
) -> str:
    """A table environment with one row per verdict; `certificates` is the folder where `check` wrote them."""
    of = {claim.id: claim for claim in claims}
    rows = [LatexRow(v, of[v.claim], _certificate(v, certificates)) for v in verdicts]
    caption = CAPTION.format(version=versions()["soberclip"], seed=seed)
    return f"{LATEX_MARK}\n{latex(Table(caption, COLUMNS, rows))}"


def _certificate(verdict: Verdict, folder: Path | None) -> str:
    if folder is None or not verdict.certified:
        return ""
    return f", {(folder / file_name(verdict.claim)).as_posix()}"


def _statement(row: LatexRow) -> str:
    v = row.verdict
    return f"{v.statement} [{evidence.claimed(v)}]" if v.relation else v.statement


def _worst(row: LatexRow) -> str:
    return evidence.how(row.verdict) if row.verdict.quantifier == "on average" else evidence.place(row.verdict)[1]


def _rate(row: LatexRow) -> str:
    return "" if row.verdict.verdict == REFUSED else f"{(row.verdict.alpha or ALPHA) / 2:g}"


@singledispatch
def domain(claim: TableClaim) -> str:
    """What a claim is about."""
    return "the published tables"


@domain.register
def _(claim: TrainedClaim) -> str:
    return "; ".join(dict.fromkeys(evidence.world(case.world.model_dump()) for case in claim.cases))


@domain.register
def _(claim: Claim) -> str:
    table = [f"table {claim.table}"] if claim.table else []
    return ", ".join([*table, *(f"{name} {_range(claim, span)}" for name, span in claim.domain.items())])


def _range(claim: Claim, bounds: Any) -> str:
    def end(value: Any) -> str:
        try:
            return formula_of(claim, value) if callable(value) else f"{value:g}"
        except NotExpressible:
            return "a function of the fields before it"

    if not isinstance(bounds, Axis):
        return f"= {end(bounds)}"
    return f"from {end(bounds.low)} to {end(bounds.high)}" + (" (whole numbers)" if bounds.integer else "")


COLUMNS = (
    Column("Statement", _statement, width=0.22),
    Column("Domain", lambda row: domain(row.claim), width=0.2),
    Column("Verdict", lambda row: row.verdict.verdict, width=0.08),
    Column("Worst point", _worst, width=0.13),
    Column("Measured", lambda row: evidence.measured(row.verdict), width=0.1),
    Column("Error rate", _rate, width=0.06),
    Column("Digest, certificate", lambda row: f"{digest_of(row.claim)}{row.certificate}", width=0.12),
)
