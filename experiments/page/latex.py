"""Verdicts as a table for a paper, in LaTeX without packages."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

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
    "Verdicts of soberclip {version}, seed {seed}. The error rate is the probability of a false"
    " contradiction. A supported claim is bounded at that rate at its audited points only, and a"
    " proof has none. The rate is nominal for trained towers. A digest is the start of the SHA-256"
    " of a claim without its words; (source) marks a digest of source text."
)


def latex_table(
    verdicts: Sequence[Verdict],
    claims: Sequence[AnyClaim],
    seed: int,
    certificates: Path | None = None,
) -> str:
    """A table environment with one row per verdict; `certificates` is the folder where `check`
    wrote them.
    """
    of = {claim.id: claim for claim in claims}

    def worst(v: Verdict) -> str:
        return evidence.how(v) if v.quantifier == "on average" else evidence.place(v)[1]

    def digest(v: Verdict) -> str:
        named = certificates is not None and v.certified
        return f"{digest_of(of[v.claim])}" + (
            f", {(certificates / file_name(v.claim)).as_posix()}" if named else ""
        )

    columns = (
        Column(
            "Statement",
            lambda v: v.statement + (f" [{evidence.claimed(v)}]" if v.relation else ""),
            width=0.22,
        ),
        Column("Domain", lambda v: domain(of[v.claim]), width=0.2),
        Column("Verdict", attrgetter("verdict"), width=0.08),
        Column("Worst point", worst, width=0.13),
        Column("Measured", evidence.measured, width=0.1),
        Column(
            "Error rate",
            lambda v: "" if v.verdict == REFUSED else f"{(v.alpha or ALPHA) / 2:g}",
            width=0.06,
        ),
        Column("Digest, certificate", digest, width=0.12),
    )
    caption = CAPTION.format(version=versions()["soberclip"], seed=seed)
    return f"{LATEX_MARK}\n{latex(Table(caption, columns, verdicts))}"


def domain(claim: AnyClaim) -> str:
    """What a claim is about."""
    if isinstance(claim, TableClaim):
        return "the published tables"
    if isinstance(claim, TrainedClaim):
        return "; ".join(
            dict.fromkeys(evidence.world(case.world.model_dump()) for case in claim.cases)
        )
    table = [f"table {claim.table}"] if claim.table else []
    return ", ".join(
        [*table, *(f"{name} {_range(claim, span)}" for name, span in claim.domain.items())]
    )


def _range(claim: Claim, bounds: Any) -> str:
    def end(value: Any) -> str:
        try:
            return formula_of(claim, value) if callable(value) else f"{value:g}"
        except NotExpressible:
            return "a function of the fields before it"

    if not isinstance(bounds, Axis):
        return f"= {end(bounds)}"
    return f"from {end(bounds.low)} to {end(bounds.high)}" + (
        " (whole numbers)" if bounds.integer else ""
    )
