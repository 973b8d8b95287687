"""A verdict in words, for the terminal and the report: what was claimed, what was measured, where, and how surely."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from experiments.verdict import family_sentence
from simulator.towers.recipe import Recipe
from simulator.world import World

Verdict = dict[str, Any]
LEVEL = 0.95  # of a verdict's interval, unless it has another
VERDICTS = ("proved", "supported", "contradicted", "undecided", "refused")
MARKS = {"proved": "✓✓", "supported": "✓", "contradicted": "✗", "undecided": "?", "refused": "–"}
SIGNS = {"differs from": "≠", ">=": "≥", "<=": "≤", "=": "=", "above": ">", "not above": "≤", "within": "≈"}
BOUND_SIGNS = {**SIGNS, "increasing": "fall ≤", "decreasing": "rise ≤", "slope": "=", "iff": "at"}
KINDS = {"=": "predicted", "slope": "predicted", "within": "predicted", "iff": "threshold"}  # all others: bound


def number(value: Any) -> str:
    """Four digits; "" for None."""
    return f"{value:.4g}" if isinstance(value, float | int) else "" if value is None else str(value)


def measured(verdict: Verdict) -> str:
    """The measured number with its interval and the interval's level."""
    interval = f"{level(verdict)} interval {ends(verdict)}" if verdict["interval"] else ""
    return ", ".join(part for part in (number(verdict["measured"]), interval) if part)


def ends(verdict: Verdict) -> str:
    """The ends of the interval; "" for none."""
    return " to ".join(map(number, verdict["interval"] or ()))


def level(verdict: Verdict) -> str:
    """The level of the interval, such as "95%"."""
    return f"{100 * verdict.get('level', LEVEL):g}%"


def claimed(verdict: Verdict) -> str:
    """The claim about the measured number, such as "counter ≥ 0.5"."""
    quantity, value, relation = verdict.get("quantity"), number(verdict["predicted"]), verdict.get("relation")
    if (share := verdict.get("share")) is not None:
        return f"{quantity} {SIGNS.get(relation, relation)} its bound in at least {100 * share:g}% of trainings"
    match relation:
        case None:
            return value
        case "increasing":
            return f"{quantity} increasing, a fall of at most {value}"
        case "decreasing":
            return f"{quantity} decreasing, a rise of at most {value}"
        case "slope":
            return f"slope of log {quantity} = {value}"
        case "iff":
            return f"{quantity} above {value} exactly where the condition holds"
    return f"{quantity} {SIGNS.get(relation, relation)} {value}"


def bound(verdict: Verdict) -> str:
    """The claimed number with its sign, such as "≥ 0.5"."""
    return f"{BOUND_SIGNS.get(verdict.get('relation'), '')} {number(verdict['predicted'])}".strip()


def kind(verdict: Verdict) -> str:
    """What the claimed number is: "predicted", "bound" or "threshold"."""
    relation = verdict.get("relation")
    return "" if relation is None or verdict["predicted"] is None else KINDS.get(relation, "bound")


def mark(verdict: Verdict) -> str:
    """A sign of the verdict, doubled where there is a proof."""
    return MARKS[verdict["verdict"]] * (1 + rigorous(verdict))


def place(verdict: Verdict) -> tuple[str, str]:
    """(what the point is, the point); ("", "") for none."""
    if isinstance(verdict["counterexample"], str):
        return "exception", verdict["counterexample"]
    if verdict["counterexample"]:
        return "counterexample", point(verdict["counterexample"])
    if verdict.get("point"):
        return "worst audited point" if verdict["verdict"] == "undecided" else "at this point", point(verdict["point"])
    return "", ""


def point(parameters: dict[str, float]) -> str:
    """The parameters of a point, and the view noise of the images there."""
    fields = {**{name: World.model_fields[name].default for name in ("sigma_xi", "dim_image")}, **parameters}
    named = {**parameters, "ν": fields["sigma_xi"] ** 2 / fields["dim_image"]}
    return ", ".join(f"{name} = {value:.4g}" for name, value in named.items())


def how(verdict: Verdict) -> str:
    """How the verdict was reached, in a few words."""
    if verdict.get("stored"):
        return f"stored verdict of a training on {verdict['date']}"
    if "cases" in verdict:
        return f"trained now, {verdict['replicates']} models per case"
    if verdict["verdict"] == "refused":
        return "not tried"
    if "search_evaluations" not in verdict:
        return "from the published tables"
    tried = f"{verdict['audits']} points audited" if verdict["audits"] else "counterexample measured"
    if not (verdict["verdict"] == "proved" or rigorous(verdict)):
        return f"searched, {tried}"
    proof = verdict["proof"]
    shown = "proved by algebra" if proof["exact"] else f"proved on {proof['boxes']:,} boxes"
    return f"searched, {tried}; {'refuted rigorously' if proof['outcome'] == 'refuted' else shown}"


def shown_by(verdict: Verdict) -> str:
    """The counterexample, if there is one, and how the verdict was reached."""
    term, where = place(verdict)
    return f"{term}: {where}; {how(verdict)}" if term in ("counterexample", "exception") else how(verdict)


def certified(verdict: Verdict) -> bool:
    """Whether there is a certificate, of a proof or of a rigorous refutation."""
    return (verdict.get("proof") or {}).get("outcome") in ("proved", "refuted")


def rigorous(verdict: Verdict) -> bool:
    """Whether the closed form, too, fails the claim at a point, in outward-rounded arithmetic."""
    return verdict["verdict"] == "contradicted" and (verdict.get("proof") or {}).get("outcome") == "refuted"


def by_verdict(verdicts: Sequence[Verdict]) -> str:
    """The number of each verdict; with proofs, also how many contradictions are rigorous."""
    parts = _counts(verdicts)
    if "contradicted" in parts and any(v.get("proof") for v in verdicts):
        certain, all_of_them = sum(map(rigorous, verdicts)), sum(v["verdict"] == "contradicted" for v in verdicts)
        parts["contradicted"] += f" ({certain} rigorously, {all_of_them - certain} by measurement alone)"
    return ", ".join(parts.values())


def counted(verdicts: Sequence[Verdict]) -> str:
    """The number of each verdict."""
    return ", ".join(_counts(verdicts).values())


def _counts(verdicts: Sequence[Verdict]) -> dict[str, str]:
    counts = Counter(v["verdict"] for v in verdicts)
    return {word: f"{counts[word]} {word}" for word in VERDICTS if counts[word]}


def tally(verdicts: Sequence[Verdict]) -> list[str]:
    """Sentences on how the verdicts were reached, and on their joint error rate."""
    stored = [v for v in verdicts if v.get("stored")]
    tables = [v for v in verdicts if how(v) == "from the published tables"]
    fresh = len(verdicts) - len(stored) - len(tables) - sum(how(v) == "not tried" for v in verdicts)
    audits = " or ".join(map(str, sorted({v["audits"] for v in verdicts if v.get("audits")})))
    sentences = []
    if fresh:
        points = f", at {audits} audit points unless a counterexample came first" if audits else ""
        sentences.append(f"{_claims(fresh)} tried in this run{points}.")
    if stored:
        sentences.append(
            f"{_claims(len(stored))} not tried in this run: their verdicts on trained towers are stored with the "
            "package (check without --quick trains them)."
        )
    if tables:
        sentences.append(f"{_claims(len(tables))} judged from the published tables, without a model.")
    if family := family_sentence(verdicts):
        sentences.append(f"{family}.")
    return sentences


def _claims(count: int) -> str:
    return f"{count} claim{' was' if count == 1 else 's were'}"


def evidence(verdict: Verdict) -> list[tuple[str, str]]:
    """The numbers behind a verdict as (term, value) pairs."""
    term, where = place(verdict)
    rows = [("why", verdict.get("reason")), ("claimed", claimed(verdict)), ("measured", measured(verdict))]
    rows.append((term, where))
    if verdict["route"]:
        replicates = f", {verdict['replicates']} replicates" if verdict["replicates"] else ""
        rows.append(("route", f"{verdict['route']}, n = {verdict['n']:.4g}{replicates}"))
    alpha = "" if verdict["alpha"] is None else f"α = {verdict['alpha']:g}, "
    rows.append(("design", f"{alpha}τ = {verdict['tau']:g}{_search(verdict)}"))
    if proof := verdict.get("proof"):
        rows.append(("proof", _proof(proof)))
    rows += [("case", line) for line in _cases(verdict.get("cases", ()))]
    if verdict.get("stored"):
        ran = f"run on {verdict['device']} in {verdict['seconds']:g} s on {verdict['date']}"
        rows.append(("stored", f"{ran}, {_ago(verdict)}, {versions(verdict)}"))
    return [(term, value) for term, value in rows if term and (value or term != "why")]


def versions(verdict: Verdict) -> str:
    """The commit and the torch version of a stored verdict."""
    return ", ".join(f"{k} {v}" for k, v in verdict["versions"].items() if k in ("commit", "torch"))


def days(verdict: Verdict) -> int:
    """Days since a stored verdict was reached."""
    return (datetime.now(UTC).date() - date.fromisoformat(verdict["date"])).days


def _ago(verdict: Verdict) -> str:
    ago = days(verdict)
    return f"{ago} day{'' if ago == 1 else 's'} ago"


def _cases(cases: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line per trained case: the world, the settings away from their defaults, and every row."""
    defaults = {name: field.default for name, field in Recipe.model_fields.items()}
    for case in cases:
        settings = ", ".join(f"{k} {v}" for k, v in case["recipe"].items() if v != defaults.get(k, v))
        rows = "; ".join(
            f"{row['group']}{' by ' + row['prompt'] if row['prompt'] else ''} {number(row['measured'])}"
            + ("" if row["predicted"] is None else f" (theory {number(row['predicted'])})")
            for row in case["rows"]
        )
        yield f"{_world(case['world'])}{'; ' + settings if settings else ''}: {rows}"


def _world(world: dict[str, Any]) -> str:
    """The fields in which the worlds of trained towers differ."""
    if world.get("views"):
        return ", ".join(f"{name} = {world[name]:.4g}" for name in ("p_inv", "p_spu", "classes", "mention_spu"))
    return point({name: world[name] for name in ("p_spu", "mu_spu", "classes", "sigma_xi", "dim_image")})


def _proof(proof: dict[str, Any]) -> str:
    where = f" ({point(proof['counterexample'])})" if proof["counterexample"] else ""
    checked = f", checked in {proof['check_seconds']:.2g} s" if proof["outcome"] in ("proved", "refuted") else ""
    return f"{proof['reason']}{where}; {proof['seconds']:.2g} s{checked}"


def _search(verdict: Verdict) -> str:
    if "search_evaluations" not in verdict:
        return ""
    audits = ""
    if verdict["audits"]:
        largest = number(verdict["largest_violation_bounded"])
        audits = f"; {verdict['audits']} audit points, violation at most {largest} at each"
    return (
        f"; search of {verdict['search_evaluations']} points, largest violation by theory "
        f"{number(verdict['largest_violation_found'])}{audits}"
    )
