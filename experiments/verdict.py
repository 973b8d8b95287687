"""The verdict on a claim of any kind, and the family-wise error rate of the contradictions among
many verdicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from experiments.errors import RequestError
from experiments.inference import holm
from simulator.summary import html_table, one_line
from theory.claims.words import AnyClaim

Kind = Literal["searched", "trained", "published", "refused"]
REFUSED = "refused"
ALPHA = 0.01  # error rate of a trial: each side of its bounds has half of it
FAMILY_ALPHA = 0.01  # family-wise error rate of the contradictions of one run

WORDS = ("claim", "source", "statement", "meaning", "origin", "sentence", "quote")
_EVIDENCE = (
    "predicted",
    "measured",
    "interval",
    "counterexample",
    "route",
    "n",
    "replicates",
    "seconds",
)
_DESIGN = ("level", "alpha", "tau", "quantity", "relation")
_SEARCHED = (
    "p_value",
    "quantifier",
    "share",
    "point",
    "worst",
    "audits",
    "search_evaluations",
    "undefined",
    "proof",
)
_REASONED = ("reason", "formula", "largest_violation_found", "largest_violation_bounded", "seed")
FIELDS: dict[Kind, tuple[str, ...]] = {
    "searched": (*_EVIDENCE, *_DESIGN, *_REASONED, *_SEARCHED),
    "trained": (*_EVIDENCE, *_DESIGN, *_REASONED, "cases", "stored", "device", "versions"),
    "published": (*_EVIDENCE, *_DESIGN),
    "refused": (*_EVIDENCE, "reason", "seed"),
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict:
    """One decided claim with its evidence. Accuracies are fractions.

    A false "contradicted" has probability alpha/2 at most. "supported" rests on a search of
    `search_evaluations` points and on bounds at `audits` points; it has no error rate for the rest
    of the domain. The measured numbers belong to the counterexample if the claim is contradicted,
    to a point of the domain if it is supported, and to the worst audit point if it is undecided.
    They are None if nothing could be measured.

    Attributes
    ----------
    kind
        How the claim was decided; it determines the keys of `as_json`.
    claim, source, statement, meaning, origin, sentence, quote
        The claim's own; `claim` is its id.
    formula, quantity, relation, quantifier, share
        Likewise the claim's own.
    verdict, reason
        "proved", "supported", "contradicted", "undecided" or "refused", and why, in a sentence.
    predicted, measured
        The number that the claim compares with, and the quantity as measured.
    interval, level
        Interval of the measured quantity, and its level, as for a fixed number of values: a
        measurement ends where its bounds decide.
    counterexample, point, worst
        Where the claim fails, None unless contradicted (for published tables the clearest
        exception, in words); where it was measured; and the worst point that the search found.
    route, n, replicates
        How it was measured: route, pairs per training, number of values.
    alpha, tau
        Error rate, and the violation that is allowed.
    p_value
        The smallest alpha/2 at which the contradiction would stand; None if no worst point was
        measured.
    audits, search_evaluations, undefined
        Numbers of audited points, of points that the search evaluated (or of worlds, on average),
        and of those where the quantity has no value.
    largest_violation_found, largest_violation_bounded
        By the search (of a claim "somewhere" the smallest one, of a claim "on average" the mean);
        and the largest upper 1 - alpha/(2 audits) bound over the audit points, None where there is
        none.
    seconds, seed
        Duration of the trial, and root of every random stream.
    proof
        What `experiments.court.certificates.proof_of` returned; None if no proof was requested. A
        claim is "proved" only if the checker accepts the proof and the audits agree.
    cases, stored, device, versions, date
        Of trained towers: the ensembles, whether the verdict ships with the package, what computed
        it, and for a stored verdict when.
    """

    kind: Kind = "searched"
    claim: str
    source: str
    statement: str
    meaning: str = ""
    origin: str = "own"
    sentence: str = ""
    quote: str = ""
    verdict: str
    reason: str | None = None
    predicted: float | None = None
    measured: float | None = None
    interval: list[float] | None = None
    level: float | None = None
    counterexample: dict[str, float] | str | None = None
    route: str | None = None
    n: int | None = None
    replicates: int | None = None
    alpha: float | None = None
    p_value: float | None = None
    tau: float | None = None
    seconds: float
    formula: str = ""
    quantity: str = ""
    relation: str = ""
    quantifier: str = "always"
    share: float | None = None
    point: dict[str, float] | None = None
    worst: dict[str, float] | None = None
    audits: int = 0
    search_evaluations: int = 0
    undefined: int = 0
    largest_violation_found: float | None = None
    largest_violation_bounded: float | None = None
    seed: int | None = None
    proof: dict[str, Any] | None = None
    cases: list[dict[str, Any]] | None = None
    stored: bool = False
    device: str | None = None
    versions: dict[str, Any] | None = None
    date: str | None = None

    @property
    def certified(self) -> bool:
        """Whether there is a certificate of a proof or of a rigorous refutation."""
        return self.proof is not None and self.proof["outcome"] in ("proved", "refuted")

    @property
    def rigorous(self) -> bool:
        """Whether outward-rounded arithmetic shows that the closed form, too, violates the claim at
        a point.
        """
        return (
            self.verdict == "contradicted" and self.certified and self.proof["outcome"] == "refuted"
        )

    def __repr__(self) -> str:
        return one_line(
            self, claim=self.claim, verdict=self.verdict, measured=self.measured, reason=self.reason
        )

    def _repr_html_(self) -> str:
        document = {**self.as_json(), "seconds": None}  # equal trials show equal tables
        rows = ((name, value) for name, value in document.items() if value not in (None, ""))
        return html_table(f"{self.claim}: {self.verdict}", ["", ""], rows)

    def as_json(self) -> dict[str, Any]:
        """A plain document with the fields of this kind of claim."""
        names = (*WORDS, "verdict", *FIELDS[self.kind], *(["date"] if self.date else []))
        return {
            field.name: getattr(self, field.name) for field in fields(self) if field.name in names
        }


def cannot_be_judged(claim: AnyClaim, reason: str) -> RequestError:
    """The error of a claim that has no verdict."""
    return RequestError(f"claim {claim.id!r} cannot be judged: {' '.join(reason.split())}")


def words_of(claim: AnyClaim) -> dict[str, Any]:
    """The fields of a verdict that are the claim's own words."""
    return {"claim": claim.id} | {name: getattr(claim, name) for name in WORDS if name != "claim"}


def rate_sentence(alpha: float = ALPHA, towers: bool = True) -> str:
    """The error rate of one verdict, in the words of READMEs, page and terminal; `towers`: some
    were trained.
    """
    rate = (
        f"A contradiction is wrong with probability at most {f'{alpha / 2:g}'.removeprefix('0')}"
        " per claim."
    )
    nominal = (
        "For trained towers this rate is nominal: it comes from t bounds of as few as eight models."
    )
    return f"{rate} {nominal}" if towers else rate


def family_sentence(verdicts: Sequence[Verdict]) -> str | None:
    """How many contradictions of one run stand after Holm's correction over every tested claim;
    None without any.

    With probability 1 - FAMILY_ALPHA no true claim is among them. Stored trainings and published
    tables have no p-value, and are not counted.
    """
    tested = [v for v in verdicts if v.kind == "searched"]
    contradicted = np.array([v.verdict == "contradicted" for v in tested], bool)
    if not contradicted.any():
        return None
    adjusted = holm(np.array([1.0 if v.p_value is None else v.p_value for v in tested]))
    return (
        f"{np.sum(adjusted[contradicted] <= FAMILY_ALPHA)} of {contradicted.sum()} contradictions"
        f" stand at a family-wise error rate of {FAMILY_ALPHA:g} (Holm's correction over"
        f" {len(tested)} tested claims)"
    )
