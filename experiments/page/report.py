"""One self-contained report.html: verdicts, figures as inline SVG, evidence, provenance. Opens offline."""

import io
import re
from datetime import date
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from experiments.page.evidence import bound, by_verdict, ends, evidence, how, level, number, rigorous, tally
from experiments.page.story import GLOSSARY, PROVED
from experiments.style import styled
from theory.claims.untried import UNTRIED

MARKS = {"proved": "✓✓", "supported": "✓", "contradicted": "✗", "undecided": "?"}


@styled
def inline_svg(figure: Figure, prefix: str, description: str = "") -> str:
    """A figure as one <svg> element; ids get a prefix, since several drawings share a page."""
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, **({"Title": description} if description else {})}
    figure.savefig(buffer, format="svg", metadata=metadata, bbox_inches="tight", pad_inches=0.04)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", text)
    return text.replace("<svg ", '<svg role="img" ', 1)


@styled
def _formula(latex: str) -> Figure:
    figure = Figure(figsize=(0.1, 0.1), layout="none")
    figure.text(0, 0, f"${latex}$", fontsize=12)
    return figure


def formula_svg(latex: str, prefix: str) -> str:
    """A formula as inline SVG with its LaTeX as title; empty for no formula."""
    return inline_svg(_formula(latex), prefix, latex) if latex else ""


def mark(verdict: dict[str, Any]) -> str:
    """A sign for the eye, double where there is a proof."""
    return MARKS[verdict["verdict"]] * (1 + rigorous(verdict))


def _code(words: str) -> Markup:
    """Words with what stands between backquotes as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(words))))


def render(**context: Any) -> str:
    """The page from verdicts, sections, their drawings (SVG by name) and words; everything but SVG is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("experiments.page", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["code"] = _code
    verdicts = [
        {**v, "svg": formula_svg(v.get("formula", ""), f"formula-{i}")} for i, v in enumerate(context.pop("verdicts"))
    ]
    return environment.get_template("report.html.jinja").render(
        verdicts=verdicts,
        count=by_verdict(verdicts),
        mark=mark,
        proved=PROVED,
        certificates=sum((v.get("proof") or {}).get("outcome") in ("proved", "refuted") for v in verdicts),
        date=date.today().isoformat(),
        number=number,
        bound=bound,
        ends=ends,
        level=level,
        how=how,
        tally=tally(verdicts),
        untried=UNTRIED,
        glossary=GLOSSARY,
        percent=lambda x: f"{100 * x:.0f} %",
        evidence=evidence,
        **context,
    )
