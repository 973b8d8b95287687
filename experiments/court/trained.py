"""Judging claims about trained towers: train, compare with the prediction, keep the verdicts.

A full verdict takes minutes of training and is stored in the package (experiments/stored/trained.json, with commit,
device and seconds); `check --quick` and `reproduce` train one case and show the stored verdicts, marked as stored.
"""

import json
from collections.abc import Callable
from importlib.resources import files
from time import perf_counter
from typing import Any

import numpy as np

from experiments.errors import RequestError
from experiments.inference import interval95
from experiments.lab.train import train
from experiments.provenance import provenance
from simulator.towers.recipe import Recipe
from theory.claims.trained import SEEDS, Case, TrainedClaim

STORED = "stored/trained.json"
ROUTE = "trained towers"


def judge_trained(
    claim: TrainedClaim, *, seed: int = 0, device: str = "cpu", report: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """The full verdict: every case trained. Fields as of `court.judge.Verdict`, and every case under "cases".

    predicted, measured and interval are those of the group accuracy farthest from its prediction. `report` receives a
    line a checkpoint.
    """
    began = perf_counter()
    cases = []
    for number, case in enumerate(claim.cases, start=1):
        where = f"{claim.id}, case {number} of {len(claim.cases)}"
        cases.append(run_case(case, seed, device, lambda line, where=where: report(f"{where}: {line}")))
    document = _verdict(claim, cases, seed, perf_counter() - began)
    return {**document, "stored": False, "device": device, "versions": provenance()}


def refuse_error_rate(claim: TrainedClaim, error_rate: float | None) -> None:
    """Raises RequestError for an error rate: these verdicts hold means of few models to a tolerance."""
    if error_rate is not None:
        raise RequestError(
            f"--error-rate = {error_rate} has no meaning for claim {claim.id!r}, which holds the mean of {SEEDS} "
            f"trained models to a tolerance of {claim.tolerance:g}; leave it out or name other claims"
        )


def quick_verdict(claim: TrainedClaim, *, seed: int = 0, device: str = "cpu") -> dict[str, Any] | None:
    """The stored verdict, marked as stored; None if there is none.

    A claim with a quick case trains it first, and a case that fails is the verdict.
    """
    kept = stored_verdict(claim.id)
    if claim.quick is not None:
        began = perf_counter()
        cases = [run_case(claim.cases[claim.quick], seed, device)]
        document = _verdict(claim, cases, seed, perf_counter() - began)
        if kept is None or document["verdict"] == "contradicted":
            return {**document, "stored": False, "device": device, "versions": provenance()}
    return None if kept is None else {**kept, "stored": True, "route": f"{ROUTE} (stored)"}


def run_case(case: Case, seed: int, device: str, report: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Train one ensemble; rows of measured beside predicted, one a prompt and a group."""
    recipe = Recipe(**case.recipe)
    document = train(recipe, case.world, models=SEEDS, seed=seed, device=device, report=report, keep=False)
    rows = []
    for prompt, predicted in case.predictions().items():
        found = document["prompts"][str(prompt or "none")]
        for group, value in zip(("common", "counter"), predicted, strict=True):
            samples = [replicate[group] for replicate in found["replicates"]]
            rows.append(
                {
                    "prompt": prompt,
                    "group": group,
                    "predicted": value,
                    "measured": float(np.mean(samples)),
                    "interval": interval95(np.array(samples)),
                    "models": samples,
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


def _verdict(claim: TrainedClaim, cases: list[dict[str, Any]], seed: int, seconds: float) -> dict[str, Any]:
    rows = [row for case in cases for row in case["rows"]]
    worst = max(rows, key=lambda row: abs(row["measured"] - row["predicted"]))
    violation = abs(worst["measured"] - worst["predicted"])
    holds = violation <= claim.tolerance and not any(case["diverged"] for case in cases)
    if claim.order is not None:
        counter = [row["measured"] for row in rows if row["group"] == "counter"]
        holds = holds and (counter[0] > counter[1]) == (claim.order == "first")
    return {
        "claim": claim.id,
        "source": claim.source,
        "statement": claim.statement,
        "verdict": "supported" if holds else "contradicted",
        "predicted": worst["predicted"],
        "measured": worst["measured"],
        "interval": worst["interval"],
        "counterexample": None,
        "route": ROUTE,
        "n": max(case["recipe"]["steps"] * case["recipe"]["batch_size"] for case in cases),
        "replicates": SEEDS,
        "alpha": None,  # a tolerance on a mean of three, not a test
        "tau": claim.tolerance,
        "seconds": round(seconds, 1),
        "formula": claim.formula,
        "quantity": worst["group"],
        "relation": "=",
        "largest_violation_found": violation,
        "seed": seed,
        "cases": cases,
    }


def stored_verdicts() -> list[dict[str, Any]]:
    """The full verdicts that ship with the package."""
    source = files("experiments.court") / STORED
    return json.loads(source.read_text(encoding="utf-8")) if source.is_file() else []


def stored_verdict(claim: str) -> dict[str, Any] | None:
    """The stored full verdict of a claim, None if it never ran."""
    return next((verdict for verdict in stored_verdicts() if verdict["claim"] == claim), None)
