"""What claims and check print."""

from collections import Counter
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from experiments.command.screens.parts import VERDICT_STYLES, indented
from experiments.page.evidence import by_verdict, claimed, how, measured, place, tally

CERTIFICATE_STYLES = {"proved": "green", "refuted": "red", "refused": "yellow"}


def claims_table(document: list[dict[str, Any]]) -> Group:
    """The catalogue, a block a claim, and below it what is not on trial."""
    lines: list[RenderableType] = []
    for row in document:
        lines += [Text.assemble((row["claim"], "bold"), "  ", (row["source"], "dim")), indented(row["statement"])]
        if row["untried"]:
            lines.append(indented(f"not on trial: {row['untried']}"))
    return Group(*lines)


def verdict_table(document: list[dict[str, Any]]) -> Group:
    """Verdicts, each with its statement, relation, numbers, interval and point below it; --json has the rest."""
    lines: list[RenderableType] = []
    for row in document:
        term, where = place(row)
        parts = [f"claimed {claimed(row)}", f"measured {measured(row)}", f"{term} {where}" if term else ""]
        parts.append(f"{row['route']}, n = {row['n']:.4g}; {how(row)}" if row["route"] else how(row))
        if row["verdict"] not in ("supported", "contradicted") or row.get("proof"):
            why = row.get("reason", "")  # the papers' tables decide, or do not, without one
            parts = [why] if row["route"] is None else [why, *parts]
        style = VERDICT_STYLES[row["verdict"]]
        lines.append(Text.assemble((f"{row['verdict']:<13}", style), (row["claim"], "bold")))
        lines += [indented(row["statement"]), indented("; ".join(part for part in parts if part))]
    return Group(*lines, Text(f"{by_verdict(document)}. {' '.join(tally(document))}"))


def certificate_table(document: list[dict[str, Any]]) -> Group:
    """What the checker says of each certificate."""
    lines: list[RenderableType] = []
    for row in document:
        word = "refused" if row["refused"] else row["shows"]
        checked = f"{row['boxes']} boxes checked" if row["boxes"] else "checked exactly"
        said = row["refused"] or f"{checked}, in {row['seconds']:.2g} s"
        lines.append(Text.assemble((f"{word:<13}", CERTIFICATE_STYLES[word]), (row["claim"] or row["file"], "bold")))
        lines.append(indented(f"{row['file']}: {said}"))
    counts = Counter("refused" if row["refused"] else row["shows"] for row in document)
    return Group(*lines, Text(", ".join(f"{n} {word}" for word, n in counts.items()) + "."))
