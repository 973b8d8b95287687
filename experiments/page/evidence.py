"""A verdict in words, for the terminal and the report alike: what was claimed, what was found, where, how surely."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from experiments.verdict import family_sentence
from simulator.towers.recipe import Recipe
from simulator.world import World

LEVEL = 0.95  # of a verdict's interval, unless it says another
VERDICTS = ("proved", "supported", "contradicted", "undecided", "refused")
MARKS = {"proved": "✓✓", "supported": "✓", "contradicted": "✗", "undecided": "?", "refused": "–"}
SIGNS = {"differs from": "≠", ">=": "≥", "<=": "≤", "=": "=", "above": ">", "not above": "≤", "within": "≈"}


def number(value: Any) -> str:
    """Four digits."""
    return f"{value:.4g}" if isinstance(value, float | int) else "" if value is None else str(value)


def measured(verdict: dict[str, Any]) -> str:
    """The measured number with its interval and the interval's level."""
    return ", ".join(part for part in (number(verdict["measured"]), interval(verdict)) if part)


def interval(verdict: dict[str, Any]) -> str:
    """The interval after its level, "95% interval 0.1 to 0.2"; empty for none."""
    return f"{level(verdict)} interval {ends(verdict)}" if verdict["interval"] else ""


def ends(verdict: dict[str, Any]) -> str:
    """The ends of the interval, empty for none."""
    return " to ".join(map(number, verdict["interval"] or ()))


def level(verdict: dict[str, Any]) -> str:
    """Level of the verdict's interval, as "95%"."""
    return f"{100 * verdict.get('level', LEVEL):g}%"


def claimed(verdict: dict[str, Any]) -> str:
    """What the claim says of the measured number: "counter ≥ 0.5", or what it says instead of a bound."""
    quantity, value = verdict.get("quantity"), number(verdict["predicted"])
    if (share := verdict.get("share")) is not None:
        sign = SIGNS.get(verdict["relation"], verdict["relation"])
        return f"{quantity} {sign} its bound in at least {100 * share:g}% of trainings"
    match verdict.get("relation"):
        case None:
            return value
        case "increasing" | "decreasing" as way:
            return f"{quantity} {way}, a {'fall' if way == 'increasing' else 'rise'} of at most {value}"
        case "slope":
            return f"slope of log {quantity} = {value}"
        case "iff":
            return f"{quantity} above {value} exactly where the condition holds"
        case relation:
            return f"{quantity} {SIGNS.get(relation, relation)} {value}"


def bound(verdict: dict[str, Any]) -> str:
    """The claimed number with its sign, for a column: "≥ 0.5" is a bound, "= 0.5" a prediction."""
    sign = {"increasing": "fall ≤", "decreasing": "rise ≤", "slope": "=", "iff": "at"}
    relation = verdict.get("relation")
    return f"{sign.get(relation) or SIGNS.get(relation, '')} {number(verdict['predicted'])}".strip()


def kind(verdict: dict[str, Any]) -> str:
    """What the claimed number is: an equality's prediction, an inequality's bound, the threshold of an iff."""
    relation = verdict.get("relation")
    if relation is None or verdict["predicted"] is None:
        return ""
    return {"=": "predicted", "slope": "predicted", "within": "predicted", "iff": "threshold"}.get(relation, "bound")


def mark(verdict: dict[str, Any]) -> str:
    """A sign for the eye, double where there is a proof."""
    return MARKS[verdict["verdict"]] * (1 + rigorous(verdict))


def place(verdict: dict[str, Any]) -> tuple[str, str]:
    """(what the point is, the point): the counterexample, the point that is shown, or an exception in words."""
    if isinstance(verdict["counterexample"], str):
        return "exception", verdict["counterexample"]
    if verdict["counterexample"]:
        return "counterexample", point(verdict["counterexample"])
    if verdict.get("point"):
        return "worst audited point" if verdict["verdict"] == "undecided" else "at this point", point(verdict["point"])
    return "", ""


def point(parameters: dict[str, float]) -> str:
    """Parameters of one point, and the view noise of an image coordinate there, whether or not it was named."""
    fields = {**{name: World.model_fields[name].default for name in ("sigma_xi", "dim_image")}, **parameters}
    named = {**parameters, "ν": fields["sigma_xi"] ** 2 / fields["dim_image"]}
    return ", ".join(f"{name} = {value:.4g}" for name, value in named.items())


def how(verdict: dict[str, Any]) -> str:
    """How the verdict came about, in a few words: stored earlier, read off tables, or tried now and how thoroughly."""
    if verdict.get("stored"):
        return f"stored verdict of a training on {verdict['date']}"
    if "cases" in verdict:
        return f"trained now, {verdict['replicates']} models a case"
    if verdict["verdict"] == "refused":
        return "not tried"
    if "search_evaluations" not in verdict:
        return "from the published tables"
    tried = f"{verdict['audits']} points audited" if verdict["audits"] else "counterexample measured"
    shown = f"; {_shown(verdict['proof'])}" if verdict["verdict"] == "proved" or rigorous(verdict) else ""
    return f"searched, {tried}{shown}"


def _shown(proof: dict[str, Any]) -> str:
    """How a proof went, in a few words."""
    if proof["outcome"] == "refuted":
        return "refuted rigorously"
    return "proved by algebra" if proof["exact"] else f"proved on {proof['boxes']:,} boxes"


def shown_by(verdict: dict[str, Any]) -> str:
    """What the verdict rests on: the counterexample where there is one, and how it came about."""
    term, where = place(verdict)
    parts = [f"{term}: {where}"] if term in ("counterexample", "exception") else []
    return "; ".join([*parts, how(verdict)])


def certified(verdict: dict[str, Any]) -> bool:
    """Whether a certificate was written: of a proof, or of a rigorous refutation."""
    return (verdict.get("proof") or {}).get("outcome") in ("proved", "refuted")


def rigorous(verdict: dict[str, Any]) -> bool:
    """Whether a contradiction is certain of the closed form too: a point fails it in outward-rounded arithmetic."""
    return verdict["verdict"] == "contradicted" and (verdict.get("proof") or {}).get("outcome") == "refuted"


def by_verdict(verdicts: Sequence[dict[str, Any]]) -> str:
    """How many of each verdict; of the contradicted how many rigorously, where proofs were asked for."""
    found = Counter(v["verdict"] for v in verdicts)
    parts = _counted(found)
    if found["contradicted"] and any(v.get("proof") for v in verdicts):
        certain = sum(map(rigorous, verdicts))
        parts["contradicted"] += f" ({certain} rigorously, {found['contradicted'] - certain} by measurement alone)"
    return ", ".join(parts.values())


def counted(verdicts: Sequence[dict[str, Any]]) -> str:
    """How many of each verdict, no more said."""
    return ", ".join(_counted(Counter(v["verdict"] for v in verdicts)).values())


def _counted(found: Counter) -> dict[str, str]:
    return {word: f"{found[word]} {word}" for word in VERDICTS if found[word]}


def tally(verdicts: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences on how verdicts came about: tried now, stored, read off tables; and what they are worth together."""
    stored = [v for v in verdicts if v.get("stored")]
    tables = [v for v in verdicts if how(v) == "from the published tables"]
    fresh = len(verdicts) - len(stored) - len(tables) - sum(how(v) == "not tried" for v in verdicts)
    audits = sorted({v["audits"] for v in verdicts if v.get("audits")})
    sentences = []
    if fresh:
        points = " or ".join(map(str, audits))
        count = f", at {points} audit points unless a counterexample came first" if audits else ""
        sentences.append(f"{_claims(fresh)} tried in this run{count}.")
    if stored:
        sentences.append(
            f"{_claims(len(stored))} not tried in this run: these verdicts on trained towers are stored with the "
            "package (check without --quick trains them)."
        )
    if tables:
        sentences.append(f"{_claims(len(tables))} judged from the published tables; no model is run for these.")
    if family := family_sentence(verdicts):
        sentences.append(f"{family}.")
    return sentences


def _claims(count: int) -> str:
    return f"{count} claim{' was' if count == 1 else 's were'}"


def evidence(verdict: dict[str, Any]) -> list[tuple[str, str]]:
    """The numbers behind a verdict as (term, value) pairs of text."""
    rows = [("claimed", claimed(verdict)), ("measured", measured(verdict))]
    if verdict.get("reason"):
        rows.insert(0, ("why", verdict["reason"]))
    term, where = place(verdict)
    if term:
        rows.append((term, where))
    replicates = f", {verdict['replicates']} replicates" if verdict["replicates"] else ""
    if verdict["route"]:  # nothing could be measured otherwise
        rows.append(("route", f"{verdict['route']}, n = {verdict['n']:.4g}{replicates}"))
    alpha = "" if verdict["alpha"] is None else f"α = {verdict['alpha']:g}, "
    rows.append(("design", f"{alpha}τ = {verdict['tau']:g}{_search(verdict)}"))
    if proof := verdict.get("proof"):
        rows.append(("proof", _proof(proof)))
    if "cases" in verdict:
        rows += [("case", line) for line in _cases(verdict["cases"])]
    if verdict.get("stored"):
        ran = f"run on {verdict['device']} in {verdict['seconds']:g} s on {verdict['date']}"
        rows.append(("stored", f"{ran}, {_ago(verdict)}, {versions(verdict)}"))
    return rows


def versions(verdict: dict[str, Any]) -> str:
    """What a stored verdict was reached with: the commit and the library that trained."""
    return ", ".join(f"{k} {v}" for k, v in verdict["versions"].items() if k in ("commit", "torch"))


def days(verdict: dict[str, Any]) -> int:
    """Days since a stored verdict was reached."""
    return (datetime.now(UTC).date() - date.fromisoformat(verdict["date"])).days


def _ago(verdict: dict[str, Any]) -> str:
    count = days(verdict)
    return f"{count} day{'' if count == 1 else 's'} ago"


def _cases(cases: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Every ensemble of a claim about trained towers: which, and its accuracies beside the predicted ones."""
    for case in cases:
        usual = {name: field.default for name, field in Recipe.model_fields.items()}
        unusual = ", ".join(f"{k} {v}" for k, v in case["recipe"].items() if v != usual[k])
        rows = "; ".join(
            f"{row['group']}{' by ' + row['prompt'] if row['prompt'] else ''} {number(row['measured'])}"
            + ("" if row["predicted"] is None else f" (theory {number(row['predicted'])})")
            for row in case["rows"]
        )
        yield f"{_world(case['world'])}{'; ' + unusual if unusual else ''}: {rows}"


def _world(world: dict[str, Any]) -> str:
    """What tells the worlds of trained towers apart; those of pixels have no view noise."""
    if world.get("views"):
        return ", ".join(f"{name} = {world[name]:.4g}" for name in ("p_inv", "p_spu", "classes", "mention_spu"))
    return point({name: world[name] for name in ("p_spu", "mu_spu", "classes", "sigma_xi", "dim_image")})


def _proof(proof: dict[str, Any]) -> str:
    """What was shown, or why nothing; where, and how long it took."""
    where = f" ({point(proof['counterexample'])})" if proof["counterexample"] else ""
    checked = f", checked in {proof['check_seconds']:.2g} s" if proof["outcome"] in ("proved", "refuted") else ""
    return f"{proof['reason']}{where}; {proof['seconds']:.2g} s{checked}"


def _search(verdict: dict[str, Any]) -> str:
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
