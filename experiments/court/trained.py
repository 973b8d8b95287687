"""Trials of claims about trained towers: ensembles whose models are replicates, with the decision
rule of all claims.

The number of models is fixed before training. It follows from the claim's `spread`, so that a bound
comes within the tolerance with power .95. Every row of every case gets bounds of a mean of
independent models at alpha/(2 rows). They are Student's, since accuracies over models of one recipe
are nearly normal (tests check the error rates). If a claim says that its models cluster, they are
betting bounds, which hold for any law on a bounded range. A model without a finite loss gets the
value that is worst for the claim. Its row then has bounds that hold for any law.

Full trials take minutes. `check --quick` and `reproduce` show the verdicts stored with the package,
with their date. They try only claims without a stored verdict: linear towers, which train in
seconds.
"""

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from experiments.court import budget
from experiments.court.decision import decide, violation_bounds
from experiments.errors import RequestError
from experiments.inference import FRACTION, Bounds, Sample, interval95
from experiments.provenance import provenance
from experiments.verdict import WORDS, Verdict, words_of
from simulator.accuracy import GROUPS, Accuracy
from simulator.progress import tell
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.claims.trained import Case, TrainedClaim
from theory.docket.catalogue import TRAINED
from theory.ideal_curve import equivalent

STORED = "stored/trained.json"
UNSTORED = {*WORDS, "formula", "level", "stored", "route", "counterexample", "world", "recipe"} - {
    "claim"
}
ROUTE = "trained towers"
DEVICE = "cpu"
MOST_MODELS = 64
POWER = 0.95  # of a whole claim

# documents of ensembles, which claims about the same towers share
Trainings = dict[tuple, dict[str, Any]]
# A number that a claim is about: its group, the prediction, and an accuracy or a difference of two
# over models.
Comparison = tuple[str, float, Sample]


def models_for(claim: TrainedClaim) -> int:
    """Models per case: bounds at the claim's tails lie within its tolerance with probability
    POWER.
    """
    tail = claim.error_rate / (2 * rows_of(claim))
    models = np.inf
    for _ in range(3):  # the first size is that of normal bounds
        gap = stdtrit(models - 1, 1 - tail) + stdtrit(models - 1, POWER)  # in deviations of a mean
        models = max(budget.FITS.fewest, (gap * claim.spread / claim.tolerance) ** 2)
    return int(min(MOST_MODELS, np.ceil(models)))


def rows_of(claim: TrainedClaim) -> int:
    """Number of accuracies, or differences of two, in the claim."""
    prompts = sum(len(case.row_prompts) for case in claim.cases)
    return int(prompts * SAYS[claim.says].per_prompt(len(claim.groups)))


def judge(
    claim: TrainedClaim,
    *,
    seed: int = 0,
    quick: bool = False,
    error_rate: float | None = None,
    trainings: Trainings | None = None,
    **proving: Any,
) -> Verdict:
    """Train every case that is not among the trainings, and return the verdict. It has no proof.

    predicted, measured and interval are those of the row with the largest violation. A quick trial
    shows the verdict stored with the package, where there is one. Raises RequestError for a stored
    verdict of another seed.
    """
    if quick and error_rate is None and (stored := stored_for(claim)) is not None:
        if stored.seed != seed:
            shown = (
                f"--quick shows the verdict of claim {claim.id!r} that is stored for seed"
                f" {stored.seed}"
            )
            raise RequestError(
                f"--seed = {seed}: {shown}; leave --seed out, or leave --quick out to train"
            )
        return stored
    trainings = {} if trainings is None else trainings
    claim = claim if error_rate is None else replace(claim, error_rate=error_rate)
    began = perf_counter()
    models = models_for(claim)
    cases = []
    for number, case in enumerate(claim.cases, start=1):
        name = f"{claim.id}, case {number} of {len(claim.cases)}, {models} models"
        cases.append(run_case(case, models, seed, name, trainings))
    # A case that an earlier claim has trained is not trained again, but its seconds count.
    seconds = max(perf_counter() - began, sum(case["seconds"] for case in cases))
    return replace(verdict_of(claim, cases, seed, seconds), device=DEVICE, versions=provenance())


def stored_for(claim: TrainedClaim) -> Verdict | None:
    """The stored verdict, marked as stored; None if there is none."""
    document = next(
        (document for document in stored_documents() if document["claim"] == claim.id), None
    )
    if document is None:
        return None
    own = {**words_of(claim), "formula": claim.formula, "level": 1 - document["alpha"]}
    # A copy: the documents are cached, and a verdict is its reader's.
    return Verdict(
        kind="trained",
        **deepcopy({**document, **own, "stored": True, "route": f"{ROUTE} (stored)"}),
    )


def run_case(case: Case, models: int, seed: int, name: str, trainings: Trainings) -> dict[str, Any]:
    """Train one ensemble; its document has one row per prompt and group, with measured and
    predicted accuracy.
    """
    from experiments.lab.training import train  # start-up time: loads torch
    from simulator.towers.evaluation import default_prompts

    recipe = Recipe(**case.recipe)
    # Default prompts are always evaluated, so claims that differ only in them share one training.
    further = tuple(
        p for p in case.row_prompts if p is not None and p not in default_prompts(recipe)
    )
    key = (case.world, recipe, models, seed, further)
    if key not in trainings:
        trainings[key] = train(
            recipe,
            case.world,
            models=models,
            seed=seed,
            further=further,
            device=DEVICE,
            # linear towers train in less time than their step compiles
            compile=recipe.towers != "linear",
            report=lambda line: tell(f"{name}: {line}"),
        )
    document = trainings[key]
    rows = []
    predictions = case.predictions()
    bridge = document["bridge"] or {}
    for prompt in case.row_prompts:
        predicted = dict(zip(GROUPS, predictions.get(prompt, ()), strict=False))
        measured = document["prompts"][str(prompt or "none")]
        for group in predicted or measured["interval95"]:
            if group in measured["replicates"][0]:  # a table may lack it
                each = [replicate[group] for replicate in measured["replicates"]]
                row = {
                    "prompt": prompt,
                    "group": group,
                    "predicted": predicted.get(group),
                    "models": each,
                }
                rows.append({**row, "bridge": bridge.get(group)})
    parts = {name: document[name] for name in ("hash", "diverged", "seconds", "compiled")}
    return {"world": case.world.model_dump(), "recipe": recipe.model_dump(), "rows": rows, **parts}


def verdict_of(
    claim: TrainedClaim, cases: list[dict[str, Any]], seed: int, seconds: float
) -> Verdict:
    """The verdict on trained cases."""
    statement = SAYS[claim.says]
    rows = statement.rows(claim, cases)
    tail = claim.error_rate / (2 * len(rows))
    violations = [
        violation_bounds(statement.side, sample.bounds, due, tail) for _, due, sample in rows
    ]
    if statement.denied:
        violations = [
            Bounds(claim.tolerance - high, claim.tolerance - low) for low, high in violations
        ]
    lows, highs = zip(*violations, strict=True)
    against = int(np.argmax(lows))
    allowed = 0.0 if statement.denied else claim.tolerance
    word, reason = decide(violations[against], violations, -np.inf, allowed, called=("row", "rows"))
    if lost := sum(len(case["diverged"]) for case in cases):
        reason = f"{reason}; {lost} models diverged and count against the claim"
    group, predicted, sample = rows[against if word == "contradicted" else int(np.argmax(highs))]
    return Verdict(
        kind="trained",
        **words_of(claim),
        verdict=word,
        reason=reason,
        predicted=predicted,
        measured=sample.mean,
        interval=[*sample.bounds(claim.error_rate / 2)],
        level=1 - claim.error_rate,
        route=ROUTE,
        n=max(
            r.get("n") or r["steps"] * r["batch_size"] for r in (case["recipe"] for case in cases)
        ),
        replicates=len(sample.values),
        alpha=claim.error_rate,
        tau=claim.tolerance,
        seconds=round(seconds, 1),
        formula=claim.formula,
        quantity=group,
        relation=statement.relation,
        largest_violation_found=max(lows),
        largest_violation_bounded=max(highs),
        seed=seed,
        cases=[{**case, "rows": [_summary(row) for row in case["rows"]]} for case in cases],
    )


def _rows(cases: list[dict[str, Any]], group: str | None = None) -> list[dict[str, Any]]:
    """The rows of cases, or those of a group, with nan for every model that has no finite loss."""
    rows = []
    for case in cases:
        lost = [one["model"] for one in case["diverged"]]
        for row in case["rows"]:
            models = np.array(row["models"], float)
            models[lost] = np.nan
            rows.append({**row, "models": models})
    return [row for row in rows if group in (None, row["group"])]


def _sample(
    values: np.ndarray, worst: float, support: tuple[float, float], normal: bool = True
) -> Sample:
    """A sample of models; a lost one has the worst value for the claim, and the law is then not
    normal.
    """
    lost = np.isnan(values)
    return Sample(np.where(lost, worst, values), normal=normal and not lost.any(), support=support)


def _predicted(
    claim: TrainedClaim, cases: list[dict[str, Any]], group: str | None = None
) -> list[Comparison]:
    """Accuracies beside their predictions."""
    return [
        (
            row["group"],
            row["predicted"],
            _sample(row["models"], float(row["predicted"] <= 0.5), FRACTION),
        )
        for row in _rows(cases, group)
    ]


def _paired(claim: TrainedClaim, cases: list[dict[str, Any]]) -> list[Comparison]:
    """Differences between the first row and the second, the third and the fourth, by group, models
    paired by seed.
    """
    rows = []
    for group in claim.groups:
        models = [row["models"] for row in _rows(cases, group)]
        rows += [_lead(claim, group, *pair) for pair in zip(models[::2], models[1::2], strict=True)]
    return rows


def _bridged(claim: TrainedClaim, cases: list[dict[str, Any]]) -> list[Comparison]:
    """Differences between each row and the prediction from its models' own embeddings, by group."""
    return [
        _lead(claim, group, row["models"], row["bridge"])
        for group in claim.groups
        for row in _rows(cases, group)
    ]


def _lead(claim: TrainedClaim, group: str, first: np.ndarray, second: np.ndarray) -> Comparison:
    return (
        group,
        claim.margin,
        _sample(np.subtract(first, second), -1.0, (-1.0, 1.0), not claim.clustered),
    )


def _placed(claim: TrainedClaim, cases: list[dict[str, Any]]) -> list[Comparison]:
    """The distances of a case's equivalent correlation p', model by model, from 1/2 and from p;
    negative outside.
    """
    rows = []
    for case in cases:
        world = World(**case["world"])
        common, counter = (row["models"] for row in _rows([case]))
        grid = world.ravel()[np.zeros(len(common), int)]
        lost = np.isnan(common)  # they have no place, and get one to be left out
        accuracy = Accuracy(*(np.where(lost, 0.5, each) for each in (common, counter)))
        p = np.where(lost, np.nan, equivalent(grid, accuracy).correlation)
        for name, values in (("p' minus 1/2", p - 0.5), ("p minus p'", world.p_spu - p)):
            rows.append((name, 0.0, _sample(values, -0.5, (-0.5, 0.5))))
    return rows


class Assertion(NamedTuple):
    """What a claim says about its rows. `denied` statements hold where a row violates the
    opposite.
    """

    relation: str
    side: int  # of `theory.claims.relations`
    rows: Callable[[TrainedClaim, list[dict[str, Any]]], list[Comparison]]
    per_prompt: Callable[[int], float]  # rows, by the number of the claim's groups
    denied: bool = False


SAYS = {
    "reaches": Assertion("=", 0, _predicted, lambda groups: 2),
    "misses": Assertion(
        "differs from", 0, partial(_predicted, group="counter"), lambda groups: 1, denied=True
    ),
    "ahead": Assertion(">=", -1, _paired, lambda groups: groups / 2),
    "alike": Assertion("=", 0, _paired, lambda groups: groups / 2),
    "placed": Assertion(">=", -1, _placed, lambda groups: 2),
    "bridged": Assertion("=", 0, _bridged, lambda groups: groups),
}


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    going = [value for value in row["models"] if np.isfinite(value)]
    mean = float(np.mean(going)) if going else None
    return {**row, "measured": mean, "interval": interval95(np.array(going)) if going else None}


def stored_text(documents: list[dict[str, Any]]) -> str:
    """The text of the stored file, from verdicts that `check trained --output DIR` wrote; one row
    per line, 6 digits.

    World and recipe of a case are the claim's, and a hash of what differs from the defaults tells
    whether they still are. A row is a prompt, a group and its prediction, then the accuracies of
    the models in one list, or their mean and its interval.
    """
    versions = []
    verdicts = []
    for document in documents:
        own = dict(document["versions"] or {})
        commit = own.pop("commit", None)  # verdicts of one machine differ in it alone
        if own not in versions:
            versions.append(own)
        parts = {name: value for name, value in document.items() if name not in UNSTORED}
        parts |= {
            "versions": versions.index(own),
            "commit": commit,
            "cases": [*map(_stored_case, document["cases"])],
        }
        verdicts.append({"date": f"{datetime.now(UTC):%Y-%m-%d}", **parts})
    whole = json.dumps(
        {"defaults": Recipe().model_dump(), "versions": versions, "verdicts": verdicts}
    )
    rounded = json.loads(whole, parse_float=lambda text: float(f"{float(text):.6g}"))
    # of versions, verdicts, cases and rows
    starts = r'(?=\{"(?:python|date|case)":|\[(?:"\w+"|null),")'
    return re.sub(starts, "\n", json.dumps(rounded, separators=(",", ":"))) + "\n"


def _stored_case(case: dict[str, Any]) -> dict[str, Any]:
    rows = [
        [row["prompt"], row["group"], row["predicted"]]
        + ([row["models"]] if "models" in row else [row["measured"], row["interval"]])
        for row in case["rows"]
    ]
    parts = {name: value for name, value in case.items() if name not in UNSTORED}
    return {"case": case_hash(case["world"], case["recipe"]), **parts, "rows": rows}


def case_hash(world: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    fields = [
        kind.model_dump(mode="json", exclude_defaults=True)
        for kind in (World(**world), Recipe(**recipe))
    ]
    return sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def _row(
    prompt: str | None, group: str, predicted: float | None, measured: Any, interval: Any = None
) -> dict:
    """The row of a stored one."""
    row = {"prompt": prompt, "group": group, "predicted": predicted}
    if isinstance(measured, list):
        return _summary(row | {"models": measured})
    return row | {"measured": measured, "interval": interval}


@cache
def stored_documents() -> list[dict[str, Any]]:
    """The verdicts that ship with the package, without their words; `stored_text` makes them."""
    stored = json.loads((files("experiments.court") / STORED).read_text(encoding="utf-8"))
    claims = {claim.id: claim for claim in TRAINED}
    for document in stored["verdicts"]:
        own = stored["versions"][document["versions"]]
        document["versions"] = {**own, "commit": document.pop("commit")}
        document["cases"] = [
            {
                "world": own.world.model_dump(),
                # its checks would import torch
                "recipe": Recipe.model_construct(**own.recipe).model_dump(),
                **{name: value for name, value in case.items() if name != "case"},
                "rows": [_row(*row) for row in case["rows"]],
            }
            for own, case in zip(claims[document["claim"]].cases, document["cases"], strict=True)
        ]
    return stored["verdicts"]
