"""Trials of claims about trained towers: ensembles whose models are replicates, with the decision rule of all claims.

The number of models is fixed before training. It follows from the claim's `spread`, so that a bound comes within the
tolerance with power .95. Every row of every case gets bounds of a mean of independent models at alpha/(2 rows). They
are Student's, since accuracies over models of one recipe are nearly normal (tests check the error rates). If a claim
says that its models cluster, they are betting bounds, which hold for any law on a bounded range. A model without a
finite loss counts as wrong about everything, with bounds that hold for any law.

Full trials take minutes. `check --quick` and `reproduce` show the verdicts stored with the package, with their date.
They try only claims without a stored verdict: linear towers, which train in seconds.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from time import perf_counter
from typing import Any

import numpy as np

from experiments.court.decision import POWER, decide, normal_size, violation_bounds
from experiments.inference import Bounds, Sample, interval95
from experiments.lab.arrival import GROUPS
from experiments.lab.training import train
from experiments.provenance import provenance
from experiments.verdict import Verdict
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.claims.trained import Case, TrainedClaim

STORED = "stored/trained.json"
ROUTE = "trained towers"
MOST_MODELS = 64
RELATIONS = {"reaches": "=", "misses": "differs from", "ahead": ">=", "alike": "=", "bridged": "="}


def models_for(claim: TrainedClaim) -> int:
    """Models of every case: bounds at the claim's tails come within its tolerance, except with probability .05."""
    tail = _tail(claim, rows_of(claim))
    return int(min(MOST_MODELS, normal_size(claim.spread, claim.tolerance, tail, 1 - POWER)))


def rows_of(claim: TrainedClaim) -> int:
    """Number of accuracies, or differences of two, in the claim."""
    asked = sum(len(case.asked) for case in claim.cases)
    speaks = len(claim.groups) * asked
    return {"reaches": 2 * asked, "misses": 1, "bridged": speaks}.get(claim.says, speaks // 2)


def _tail(claim: TrainedClaim, rows: int) -> float:
    return claim.error_rate / (2 * rows)


def judge_trained(
    claim: TrainedClaim,
    *,
    seed: int = 0,
    device: str = "cpu",
    error_rate: float | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train every case and return the verdict as a document.

    predicted, measured and interval are those of the row with the largest violation. `report` is called with one line
    per checkpoint.
    """
    claim = claim if error_rate is None else replace(claim, error_rate=error_rate)
    began, models = perf_counter(), models_for(claim)
    cases = []
    for number, case in enumerate(claim.cases, start=1):
        where = f"{claim.id}, case {number} of {len(claim.cases)}, {models} models"
        cases.append(run_case(case, models, seed, device, lambda line, where=where: report(f"{where}: {line}")))
    # Towers that a claim tried before has trained took their time all the same.
    seconds = max(perf_counter() - began, sum(case["seconds"] for case in cases))
    return replace(verdict_of(claim, cases, seed, seconds), device=device, versions=provenance()).as_json()


def stored_for(claim: TrainedClaim, error_rate: float | None = None) -> dict[str, Any] | None:
    """The stored verdict, marked as stored; None if there is none, or if another error rate is requested."""
    kept = stored_verdict(claim.id)
    if kept is None or error_rate is not None:
        return None
    return {**kept, "stored": True, "route": f"{ROUTE} (stored)"}


def run_case(
    case: Case, models: int, seed: int, device: str, report: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Train one ensemble; its document has one row per prompt and group, with measured and predicted accuracy."""
    from simulator.towers.evaluation import default_prompts  # start-up time

    recipe = Recipe(**case.recipe)
    # The usual ones are asked anyway, and claims that differ in them alone share one training.
    further = tuple(p for p in case.asked if p is not None and p not in default_prompts(recipe))
    document = _trained(_Training(case.world, recipe, models, seed, device, further, report))
    rows, predictions, bridge = [], case.predictions(), document["bridge"] or {}
    for prompt in case.asked:
        predicted = dict(zip(GROUPS, predictions.get(prompt, ()), strict=False))
        found = document["prompts"][str(prompt or "none")]
        for group in predicted or found["interval95"]:
            rows.append(
                {
                    "prompt": prompt,
                    "group": group,
                    "predicted": predicted.get(group),
                    "models": [replicate[group] for replicate in found["replicates"]],
                    "bridge": bridge.get(group),
                }
            )
    return {
        "world": case.world.model_dump(),
        "recipe": recipe.model_dump(),
        "hash": document["hash"],
        "rows": rows,
        "diverged": document["diverged"],
        "seconds": document["seconds"],
        "compiled": document["compiled"],
    }


@dataclass(frozen=True)
class _Training:
    """One ensemble, as the key of a cache; the callback is no part of the key."""

    world: World
    recipe: Recipe
    models: int
    seed: int
    device: str
    further: tuple[str, ...]
    report: Callable[[str], None] = field(compare=False)


@lru_cache(maxsize=4)  # claims that speak of the same towers are tried one after another
def _trained(asked: _Training) -> dict[str, Any]:
    worth = asked.recipe.towers != "linear"  # linear towers train in less time than their step compiles
    how = {"seed": asked.seed, "device": asked.device, "compile": worth, "report": asked.report}
    return train(asked.recipe, asked.world, models=asked.models, further=asked.further, **how)


def verdict_of(claim: TrainedClaim, cases: list[dict[str, Any]], seed: int, seconds: float) -> Verdict:
    """The decision on what was trained."""
    rows = _spoken_of(claim, cases)
    tail = _tail(claim, len(rows))
    tau = 0.0 if claim.says == "misses" else claim.tolerance
    violations = [_violation(claim, row, tail) for row in rows]
    worst = int(np.argmax([bound.high for bound in violations]))
    lost = sum(len(case["diverged"]) for case in cases)
    note = [f"{lost} models lost their finite loss and count against the claim"] if lost else []
    against = max(violations, key=lambda bound: bound.low)
    ruling = decide(against, violations, -np.inf, tau, notes=note, called=("row", "rows"))
    shown = rows[worst] if ruling.decision != "contradicted" else rows[violations.index(against)]
    bounds = shown["sample"].bounds(claim.error_rate / 2)
    return Verdict(
        kind="trained",
        claim=claim.id,
        source=claim.source,
        statement=claim.statement,
        verdict=ruling.decision,
        reason=ruling.reason,
        predicted=shown["predicted"],
        measured=shown["sample"].mean,
        interval=[bounds.low, bounds.high],
        level=1 - claim.error_rate,
        route=ROUTE,
        n=max(r.get("n") or r["steps"] * r["batch_size"] for r in (case["recipe"] for case in cases)),
        replicates=len(shown["sample"].values),
        alpha=claim.error_rate,
        tau=claim.tolerance,
        seconds=round(seconds, 1),
        formula=claim.formula,
        quantity=shown["group"],
        relation=RELATIONS[claim.says],
        largest_violation_found=max(bound.low for bound in violations),
        largest_violation_bounded=max(bound.high for bound in violations),
        seed=seed,
        cases=[{**case, "rows": [_summary(row) for row in case["rows"]]} for case in cases],
    )


def _spoken_of(claim: TrainedClaim, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in the claim, each with its sample."""
    rows = [{**row, "case": case} for case in cases for row in case["rows"]]
    if claim.says == "reaches":
        return [{**row, "sample": _sample(row, row["case"])} for row in rows]
    of = {group: [row for row in rows if row["group"] == group] for group in claim.groups}
    if claim.says == "misses":
        return [{**row, "sample": _sample(row, row["case"])} for row in of["counter"]]
    if claim.says == "bridged":
        pairs = [(row, {**row, "models": row["bridge"]}) for each in of.values() for row in each]
    else:
        pairs = [pair for each in of.values() for pair in zip(each[::2], each[1::2], strict=True)]
    margin = claim.margin
    return [{"group": one["group"], "predicted": margin, "sample": _ahead(claim, one, twin)} for one, twin in pairs]


def _ahead(claim: TrainedClaim, first: dict[str, Any], second: dict[str, Any]) -> Sample:
    """Lead of every model over its twin; -1 if either has no finite loss."""
    lost = {one["model"] for row in (first, second) for one in row["case"]["diverged"]}
    values = [-1.0 if k in lost else value for k, value in enumerate(np.subtract(first["models"], second["models"]))]
    return Sample(np.array(values), normal=not (lost or claim.clustered), support=(-1.0, 1.0))


def _sample(row: dict[str, Any], case: dict[str, Any]) -> Sample:
    """Accuracies of all models; a model without a finite loss gets the value farthest from the prediction."""
    lost = {one["model"] for one in case["diverged"]}
    far = 0.0 if row["predicted"] > 0.5 else 1.0
    values = [far if k in lost else value for k, value in enumerate(row["models"])]
    return Sample(np.array(values), normal=not lost, support=(0.0, 1.0))


def _violation(claim: TrainedClaim, row: dict[str, Any], tail: float) -> Bounds:
    if claim.says == "ahead":
        return violation_bounds(">=", row["sample"].bounds, row["predicted"], tail)
    distance = violation_bounds("=", row["sample"].bounds, row["predicted"], tail)
    if claim.says == "misses":
        return Bounds(claim.tolerance - distance.high, claim.tolerance - distance.low)
    return distance


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    going = [value for value in row["models"] if np.isfinite(value)]
    mean = float(np.mean(going)) if going else None
    return {**row, "measured": mean, "interval": interval95(np.array(going)) if going else None}


def stored_form(document: dict[str, Any]) -> dict[str, Any]:
    """A verdict as it is stored: without the single models and the world's defaults, and with its day."""
    cases = [
        {
            **case,
            "world": World(**case["world"]).model_dump(exclude_defaults=True),
            "rows": [{k: v for k, v in row.items() if k not in ("models", "bridge")} for row in case["rows"]],
        }
        for case in document["cases"]
    ]
    return {**document, "cases": cases, "date": datetime.now(UTC).date().isoformat()}


def stored_verdicts() -> list[dict[str, Any]]:
    """The verdicts that ship with the package; `check trained --output DIR` and `stored_form` make them."""
    source = files("experiments.court") / STORED
    verdicts = json.loads(source.read_text(encoding="utf-8")) if source.is_file() else []
    for case in (case for verdict in verdicts for case in verdict["cases"]):
        case["world"] = World(**case["world"]).model_dump()
    return verdicts


def stored_verdict(claim: str) -> dict[str, Any] | None:
    """The stored verdict of a claim, None if it never ran."""
    return next((verdict for verdict in stored_verdicts() if verdict["claim"] == claim), None)
