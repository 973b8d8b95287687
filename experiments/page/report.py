"""One self-contained report.html that opens offline: the answer, verdicts by question, figures, evidence, provenance.

Its content policy allows only its own scripts, by their digests. It loads nothing.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from experiments.court.certificates import file_name
from experiments.court.registry import QUESTIONS, by_question
from experiments.page import text
from experiments.page.evidence import (
    bound,
    by_verdict,
    certified,
    counted,
    days,
    ends,
    evidence,
    kind,
    level,
    mark,
    number,
    shown_by,
    tally,
    versions,
)
from experiments.page.sliders import slider_data
from experiments.page.svg import formula_svg, on_one_page
from theory.claims.catalogue import untried

PARTS = (
    ("answer", "The answer"),
    ("look", "What each rule looks at"),
    ("explore", "Change the world yourself"),
    ("decided", "How verdicts are reached"),
    ("verdicts", "Verdicts"),
    ("figures", "Figures"),
    ("ahead", "Who is ahead where"),
    ("stored", "Stored verdicts"),
    ("words", "Glossary"),
    ("provenance", "Provenance"),
)
SCRIPTS = ("tables.js", "theory.js", "explorer.js")


def render(*, verdicts: Sequence[dict[str, Any]], drawings: Mapping[str, str], **context: Any) -> str:
    """The page from verdicts, sections and their drawings (SVG by name); everything but SVG is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # start-up time

    environment = Environment(
        loader=PackageLoader("experiments.page", "html"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["code"] = _backquoted
    formulas = {f"formula-{i}": formula_svg(v.get("formula", "")) for i, v in enumerate(verdicts)}
    letters, placed = on_one_page({**drawings, **formulas})
    rows = [_row(v, placed[f"formula-{i}"], context["proofs"]) for i, v in enumerate(verdicts)]
    scripts = [_file(name) for name in SCRIPTS]
    return environment.get_template("report.html.jinja").render(
        letters=Markup(letters),
        drawings={name: Markup(placed[name]) for name in drawings},
        questions=_questions(rows),
        count=by_verdict(verdicts),
        tally=tally(verdicts),
        stored=[row for row in rows if row.get("stored")],
        certificates=sum(map(certified, verdicts)),
        answer=text.answer(),
        explorer=slider_data(),
        setting=text.setting(),
        decided=text.DECIDED,
        proved=text.PROVED,
        glossary=text.GLOSSARY,
        untried=untried(),
        parts=PARTS,
        date=date.today().isoformat(),
        number=number,
        percent=lambda x: f"{100 * x:.0f} %",
        style=_file("report.css"),
        scripts=scripts,
        policy=_policy(scripts),
        **context,
    )


def _row(verdict: dict[str, Any], formula: str, proofs: str) -> dict[str, Any]:
    """A verdict with the words of its row."""
    stored = verdict.get("stored")
    return {
        **verdict,
        "anchor": anchor(verdict["claim"]),
        "svg": Markup(formula),
        "mark": mark(verdict),
        "kind": kind(verdict),
        "bound": bound(verdict),
        "quantity_measured": number(verdict["measured"]),
        "ends": ends(verdict),
        "level_words": level(verdict),
        "shown": shown_by(verdict),
        "certificate": f"{proofs}/{file_name(verdict['claim'])}" if certified(verdict) else None,
        "evidence": evidence(verdict),
        "days": days(verdict) if stored else None,
        "versions": versions(verdict) if stored else None,
    }


def _questions(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "key": question,
            "anchor": f"question-{question}",
            "words": QUESTIONS[question],
            "verdicts": group,
            "count": counted(group),
        }
        for question, group in by_question((row["claim"], row) for row in rows)
    ]


def anchor(claim: str) -> str:
    """The fragment of a claim's row."""
    return claim.replace("/", "-")


def _file(name: str) -> Markup:
    """A file beside the template."""
    return Markup((files("experiments.page") / "html" / name).read_text(encoding="utf-8"))


def _policy(scripts: Sequence[str]) -> str:
    digests = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def _backquoted(words: str) -> Markup:
    """Escaped words with backquoted parts as <code>."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(words))))
