"""One self-contained report.html: verdicts, figures as inline SVG, evidence, provenance. Opens offline."""

import io
import re
from collections import Counter
from datetime import date
from typing import Any

from matplotlib.figure import Figure

from experiments.style import styled

MARKS = {"supported": "✓", "contradicted": "✗", "undecided": "?"}


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


def evidence(verdict: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers behind a verdict as (term, value) pairs of text."""
    rows = [
        ("predicted", _prediction(verdict)),
        ("measured", f"{_number(verdict['measured'])}, 95% interval {_interval(verdict['interval'])}"),
    ]
    if isinstance(verdict["counterexample"], str):
        rows.append(("exception", verdict["counterexample"]))
    elif verdict["counterexample"]:
        rows.append(("counterexample", _point(verdict["counterexample"])))
    elif verdict.get("point"):
        rows.append(("at this point", _point(verdict["point"])))
    replicates = f", {verdict['replicates']} replicates" if verdict["replicates"] else ""
    rows.append(("route", f"{verdict['route']}, n = {verdict['n']:.4g}{replicates}"))
    alpha = "" if verdict["alpha"] is None else f"α = {verdict['alpha']:g}, "
    rows.append(("design", f"{alpha}τ = {verdict['tau']:g}{_search(verdict)}"))
    if verdict.get("stored"):
        where = ", ".join(f"{k} {v}" for k, v in verdict["versions"].items() if k in ("commit", "torch"))
        rows.append(("stored", f"run on {verdict['device']} in {verdict['seconds']:g} s, {where}"))
    return rows


def _prediction(verdict: dict[str, Any]) -> str:
    """What the claim says of the measured number, in words."""
    quantity, value = verdict.get("quantity"), _number(verdict["predicted"])
    match verdict.get("relation"):
        case None:
            return value
        case "increasing":
            return f"{quantity} at the point minus {quantity} one step (0.05) later: at most {value}"
        case "slope":
            return f"slope of log {quantity}: {value}"
        case "iff":
            return f"{quantity} above {value} exactly where the condition holds"
        case relation:
            return f"{quantity} {relation} {value}"


def _search(verdict: dict[str, Any]) -> str:
    if "search_evaluations" not in verdict:
        return ""
    audits = ""
    if verdict["audits"]:
        bound = _number(verdict["largest_violation_bounded"])
        audits = f"; {verdict['audits']} audit points, violation at most {bound} at each"
    return (
        f"; search of {verdict['search_evaluations']} points, largest violation by theory "
        f"{_number(verdict['largest_violation_found'])}{audits}"
    )


def render(**context: Any) -> str:
    """The page from verdicts, figures [(name, Figure, caption)] and words; everything but SVG is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("experiments.page", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    verdicts = [
        {**v, "svg": formula_svg(v.get("formula", ""), f"formula-{i}")} for i, v in enumerate(context.pop("verdicts"))
    ]
    figures = [
        {"name": name, "svg": inline_svg(figure, name, name), "caption": caption}
        for name, figure, caption in context.pop("figures")
    ]
    counts = Counter(v["verdict"] for v in verdicts)
    return environment.get_template("report.html.jinja").render(
        verdicts=verdicts,
        figures=figures,
        counts={verdict: counts.get(verdict, 0) for verdict in MARKS},
        marks=MARKS,
        date=date.today().isoformat(),
        number=_number,
        interval=_interval,
        percent=lambda x: f"{100 * x:.0f} %",
        evidence=evidence,
        **context,
    )


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | int) else "" if value is None else str(value)


def _interval(ends: Any) -> str:
    return "" if not ends else f"{_number(ends[0])} to {_number(ends[1])}"


def _point(point: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:.4g}" for name, value in point.items())
