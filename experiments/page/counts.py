"""Verdicts counted by published statement: the first lines of the page and the README, the last
ones of the terminal.

A sentence of a paper counts once, however many claims try it. It holds if every reading does, and
fails if every reading does. Our own statements are counted apart, claim by claim.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

from experiments.court.registry import ALL_CLAIMS
from experiments.page.evidence import HOLDING, MARKS
from experiments.table import Column, Table
from experiments.verdict import ALPHA, Verdict, family_sentence, rate_sentence
from theory.claims.claim import Quantifier

OUTCOMES = {  # outcome: one statement, several statements
    "holds": ("holds", "hold"),
    "fails": ("fails", "fail"),
    "depends on how it is read": ("depends on how it is read", "depend on how they are read"),
    "undecided": ("is undecided", "are undecided"),
}


class Entry(NamedTuple):
    """A published statement with the verdicts on its readings, or one statement of our own, which
    has no quote.
    """

    quote: str
    verdicts: list[Verdict]
    outcome: str  # of OUTCOMES; a reading that holds and another that fails outweigh undecided ones
    part: str  # ", by K of N claims", if not all claims about the sentence were tried; else ""
    shown_from: str  # whether this run tried it, at least in one reading


def entries(verdicts: Sequence[Verdict]) -> list[Entry]:
    """The statements behind the verdicts, in the order of their first verdicts."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        key = verdict.sentence or f"claim {verdict.claim}"  # a sentence id has no space
        groups.setdefault(key, []).append(verdict)
    return [_entry(group) for group in groups.values()]


def _entry(verdicts: list[Verdict]) -> Entry:
    words = {"holds" if v.verdict in HOLDING else v.verdict for v in verdicts}
    outcome = {("holds",): "holds", ("contradicted",): "fails"}.get(tuple(words), "undecided")
    if {"holds", "contradicted"} <= words:
        outcome = "depends on how it is read"
    quote = verdicts[0].quote
    sentence = verdicts[0].sentence
    count = len(verdicts)
    every = sum(claim.sentence == sentence for claim in ALL_CLAIMS) if quote else count
    shown_from = "tried in this run"
    if all(v.stored for v in verdicts):
        shown_from = "shown from stored trials"
    elif all(v.kind == "published" for v in verdicts):
        shown_from = "judged from the papers' tables"
    return Entry(
        quote,
        verdicts,
        outcome,
        f", by {count} of {every} claims" if count < every else "",
        shown_from,
    )


def readings(verdicts: Sequence[Verdict], cell: Callable[[Verdict], str]) -> Table:
    """The verdicts by quantifier, a claim per row; no rows if none is read with several. `cell`
    writes a verdict.
    """
    rows: dict[str, dict[str, Verdict]] = {}
    for verdict in verdicts:
        if verdict.kind == "searched":
            rows.setdefault(verdict.claim.partition("/")[2], {})[verdict.quantifier] = verdict
    several = any(len(row) > 1 for row in rows.values())

    def under(quantifier: str) -> Column:
        return Column(quantifier, lambda row: cell(row[quantifier]) if quantifier in row else "")

    columns = [
        Column("Compared", lambda row: next(iter(row.values())).claim),
        *map(under, get_args(Quantifier)),
    ]
    return Table("Readings side by side", columns, [*rows.values()] if several else [])


def counts(verdicts: Sequence[Verdict], provenance: bool = True) -> list[str]:
    """A sentence on the published statements and one on our own; `provenance` adds how many this
    run tried.
    """
    sentences = []
    for kind, published in (("published statement", True), ("statement of our own", False)):
        group = [entry for entry in entries(verdicts) if bool(entry.quote) == published]
        if not group:
            continue
        outcomes = Counter(entry.outcome for entry in group)
        *first, last = (
            f"{outcomes[word]} {forms[outcomes[word] > 1]}"
            for word, forms in OUTCOMES.items()
            if outcomes[word]
        )
        noun = kind if len(group) == 1 else kind.replace("statement", "statements")
        words = f"Of {len(group)} {noun} " + (f"{', '.join(first)} and {last}" if first else last)
        if provenance:
            places = Counter(entry.shown_from for entry in group).most_common()
            words += f" ({', '.join(f'{n} {place}' for place, n in places)})"
        partly = sum(bool(entry.part) for entry in group)
        sentences.append(
            f"{words}." + (f" For {partly} of them only some claims were tried." if partly else "")
        )
    return sentences


def summary(verdicts: Sequence[Verdict]) -> list[str]:
    """`counts`, then the verdicts claim by claim, and the error rates of one and of all
    contradictions.
    """
    joint = family_sentence(verdicts)
    alpha = max((v.alpha or ALPHA for v in verdicts), default=ALPHA)
    rate = rate_sentence(alpha, any(v.kind == "trained" for v in verdicts))
    return [
        *counts(verdicts),
        f"Claim by claim: {by_verdict(verdicts)}.",
        f"{rate}{f' {joint}.' if joint else ''}",
    ]


def by_verdict(verdicts: Sequence[Verdict]) -> str:
    """The number of each verdict; with proofs, also how many contradictions are rigorous."""
    number = Counter(v.verdict for v in verdicts)
    parts = {word: f"{number[word]} {word}" for word in MARKS if number[word]}
    if "contradicted" in parts and any(v.proof for v in verdicts):
        certain = sum(v.rigorous for v in verdicts)
        parts["contradicted"] += (
            f" ({certain} rigorously, {number['contradicted'] - certain} by measurement alone)"
        )
    return ", ".join(parts.values())
