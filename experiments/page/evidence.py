"""A verdict in words, for the terminal and the report: the claim, the measurement, its place and
its certainty.
"""

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from experiments.table import NUMBER, Column, Table, counted
from experiments.verdict import Verdict
from simulator.towers.recipe import Recipe
from simulator.world import SCALARS, World, image_noise
from theory.claims.relations import RELATIONS

HOLDING = ("proved", "supported")
MARKS = {"proved": "✓✓", "supported": "✓", "contradicted": "✗", "undecided": "?", "refused": "–"}
# Relations of claims about trained towers and published tables, besides those of
# `theory.claims.relations`.
FURTHER = {"differs from": "≠", "above": ">", "not above": "≤", "within": "≈"}
NUMBERS = {  # field of a verdict: its term in the evidence
    "route": "route",
    "n": "n",
    "replicates": "replicates",
    "tau": "tolerance τ",
    "alpha": "error rate α/2",
    "search_evaluations": "points searched",
    "largest_violation_found": "violation by theory",
    "audits": "points audited",
    "largest_violation_bounded": "violation there at most",
}
POINT = {name: World.model_fields[name].default for name in SCALARS}
RECIPE = {name: field.default for name, field in Recipe.model_fields.items()}


def number(value: Any) -> str:
    """Four digits, and all those of a count below ten million; "" for None."""
    if isinstance(value, int) and abs(value) < 10**7:
        return f"{value:,}"
    return (
        f"{value:z.4g}" if isinstance(value, float | int) else "" if value is None else str(value)
    )


def measured(verdict: Verdict) -> str:
    """The measured number with its interval and the interval's level."""
    if not verdict.interval:
        return number(verdict.measured)
    low, high = map(number, verdict.interval)
    words = f"{number(verdict.measured)}, {100 * verdict.level:g}% interval {low} to {high}"
    if verdict.kind == "trained" and verdict.relation == "=" and verdict.predicted:
        return f"{words}, {verdict.measured - verdict.predicted:+z.4f} off"
    return (
        f"{words} at the last look"
        if verdict.kind == "searched" and verdict.quantifier != "on average"
        else words
    )


def claimed(verdict: Verdict) -> str:
    """The claim about the measured number, such as "counter ≥ 0.5"."""
    value = number(verdict.predicted)
    if not verdict.relation:
        return value
    if verdict.relation in FURTHER:
        return f"{verdict.quantity} {FURTHER[verdict.relation]} {value}"
    words = RELATIONS[verdict.relation].words
    if verdict.share is not None:
        words = f"{words} in at least {100 * verdict.share:g}% of trainings"
    words = words.format(
        quantity=verdict.quantity, value=value if verdict.share is None else "its bound"
    )
    return words if verdict.quantifier == "always" else f"{words} {verdict.quantifier}"


def mark(verdict: Verdict) -> str:
    """A sign of the verdict, doubled for a proof or a rigorous refutation."""
    return MARKS[verdict.verdict] * (1 + verdict.rigorous)


def place(verdict: Verdict) -> tuple[str, str]:
    """(kind of point, the point); ("", "") if there is none."""
    if isinstance(verdict.counterexample, str):
        return "exception", verdict.counterexample
    if verdict.counterexample:
        return "counterexample", point(verdict.counterexample)
    if verdict.point:
        return "worst audited point" if verdict.verdict == "undecided" else "at this point", point(
            verdict.point
        )
    return "", ""


def tightest(verdict: Verdict) -> str:
    """Of a claim that holds always: the worst point that the search found, and how far the claim
    holds there.
    """
    violation = verdict.largest_violation_found
    holds = verdict.verdict in HOLDING and verdict.quantifier == "always"
    if not holds or not verdict.worst or violation is None:
        return ""
    slack = (
        f"holds by {number(-violation)}"
        if violation < 0
        else f"is off by {number(violation + 0.0)}"
    )
    return f"worst point by theory {point(verdict.worst)}, where it {slack}"


def point(parameters: dict[str, float]) -> str:
    """The parameters of a point, and the view noise of the images there."""
    numbers = {**parameters, "ν": image_noise(SimpleNamespace(**POINT | parameters))}
    return ", ".join(f"{name} = {value:.4g}" for name, value in numbers.items())


def how(verdict: Verdict) -> str:
    """How the verdict was reached, in a few words."""
    match verdict.kind, verdict.quantifier:
        case "refused", _:
            return "not tried"
        case "published", _:
            return "from the published tables"
        case "trained", _:
            when = (
                f"stored verdict of a training on {verdict.date}"
                if verdict.stored
                else "trained now"
            )
            return f"{when}, {counted(len(verdict.cases), 'case')} of {verdict.replicates} models"
        case _, "on average":
            return f"mean over {verdict.search_evaluations:,} worlds, by the closed form"
        case _, "somewhere":
            best = ", the best one measured" if verdict.interval else ""
            return f"searched at {verdict.search_evaluations:,} points{best}"
    words = "searched, " + (
        f"{verdict.audits} points audited" if verdict.audits else "counterexample measured"
    )
    if verdict.rigorous:
        return f"{words}; refuted rigorously"
    if (proof := verdict.proof) is not None and verdict.verdict == "proved":
        words += (
            "; proved by algebra"
            if proof["exact"]
            else f"; proved to within τ on {proof['boxes']:,} boxes"
        )
    return words


def shown_by(verdict: Verdict) -> str:
    """The counterexample, if there is one, and how the verdict was reached."""
    term, where = place(verdict)
    return (
        f"{term}: {where}; {how(verdict)}"
        if term in ("counterexample", "exception")
        else how(verdict)
    )


def headed(verdict: Verdict) -> str:
    """The verdict in words; a proof that was asked for and stays open is named."""
    is_open = verdict.proof is not None and verdict.proof["outcome"] == "open"
    return f"{verdict.verdict}, proof open" if is_open else verdict.verdict


def table(
    title: str,
    verdicts: Sequence[Verdict],
    claim: Callable[[Verdict], str],
    outcome: Callable[[Verdict], str],
    certificate: Callable[[Verdict], str],
) -> Table:
    """Verdicts with their numbers; the functions write the cells of the claim, the verdict and what
    shows it.
    """
    columns = (
        Column("Claim", claim),
        Column("Verdict", outcome, look=lambda verdict: f"verdict {verdict.verdict}"),
        Column("Claimed", claimed, NUMBER),
        Column("Measured", measured, NUMBER),
        Column("Shown by", certificate),
    )
    return Table(title, columns, verdicts)


def details(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """The numbers behind a verdict as (term, value) pairs."""
    if verdict.reason:
        yield "why", verdict.reason
    if any(place(verdict)):
        yield place(verdict)
    if words := tightest(verdict):
        yield "worst point", words.removeprefix("worst point by theory ")
    document = verdict.as_json()
    for field, term in NUMBERS.items():
        if (value := document.get(field)) is not None:
            nominal = (
                " (nominal: t bounds)" if field == "alpha" and verdict.kind == "trained" else ""
            )
            yield term, number(value / 2 if field == "alpha" else value) + nominal
    if proof := verdict.proof:
        checked = f", checked in {proof['check_seconds']:.2g} s" if verdict.certified else ""
        why = "" if proof["reason"] in (verdict.reason or "") else f"{proof['reason']}; "
        yield "proof", f"{why}{proof['seconds']:.2g} s{checked}"
    for case in verdict.cases or ():
        yield "case", _case(case)
    if verdict.stored:
        versions = ", ".join(
            f"{k} {v}" for k, v in (verdict.versions or {}).items() if k in ("commit", "torch")
        )
        yield (
            "stored",
            f"run on {verdict.device} in {verdict.seconds:g} s on {verdict.date}, {versions}",
        )


def _case(case: dict[str, Any]) -> str:
    """One trained case: its world, the settings that are not defaults, every row."""
    settings = ", ".join(f"{k} {v}" for k, v in case["recipe"].items() if v != RECIPE.get(k, v))
    rows = "; ".join(
        f"{row['group']}{' by ' + row['prompt'] if row['prompt'] else ''} {number(row['measured'])}"
        + ("" if row["predicted"] is None else f" (theory {number(row['predicted'])})")
        for row in case["rows"]
    )
    return f"{world(case['world'])}{'; ' + settings if settings else ''}: {rows}"


def world(fields: dict[str, Any]) -> str:
    """The fields in which worlds of trained claims differ."""
    if fields.get("views"):
        return ", ".join(
            f"{name} = {fields[name]:.4g}" for name in ("p_inv", "p_spu", "classes", "mention_spu")
        )
    if table := fields.get("table"):
        words = point({name: fields[name] for name in ("mu_spu", "sigma_xi", "dim_image")})
        return f"a {len(table)} x {len(table[0])} table, {words}"
    return point(
        {name: fields[name] for name in ("p_spu", "mu_spu", "classes", "sigma_xi", "dim_image")}
    )
