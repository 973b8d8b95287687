"""How far trained towers are from their law, and what keeps them from it: three numbers, each measured.

    optimisation   accuracy now minus accuracy after half as many steps: what more steps still move
    finite_n       accuracy now minus that of a twin which saw fresh pairs: what a fixed set of n pairs costs
    capacity       accuracy now minus that of a twin twice as wide: what larger towers would change

Differences are between the same models: a twin has its streams and its seed. Each comes with the 95% t interval of its
mean over models; one model has none. What is left of the gap when all three are small is none of them: at a rate that
does not fall it may be noise, .003 to .005 of the counter group in the worlds of `simulator.towers.recipe`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.errors import RequestError
from experiments.inference import t_interval
from simulator.towers.recipe import Recipe

GROUPS = ("common", "counter")
LEAST_UNTIL = 0.002  # twice what quasi-Monte Carlo leaves of a difference at the points of `--until`

Accuracies = dict[str, dict[str, list[float]]]  # prompt -> group -> every model's
Difference = list[float | None]  # mean, low, high; the ends None of a single model


def refuse_until(until: float, recipe: Recipe, models: int, processes: int) -> None:
    """Raise RequestError for a distance that cannot be told, or a recipe for which standing still says nothing."""
    if not LEAST_UNTIL <= until < 1:
        near = LEAST_UNTIL if until < 1 else 0.01
        raise RequestError(
            f"--until = {until:g} lies outside [{LEAST_UNTIL}, 1), below which the evaluation's own error lies; "
            f"the nearest valid value is {near}"
        )
    if recipe.schedule != "constant":
        raise RequestError(
            f"--until needs a rate that does not fall, and schedule = {recipe.schedule!r} stands still at its end "
            "whatever it has reached; the nearest valid choice is constant"
        )
    if models < 2:
        raise RequestError(
            f"--until needs the interval of a mean over models, and --ensemble = {models} has none; "
            "the nearest valid choice is --ensemble 2"
        )
    if processes > 1:
        raise RequestError(f"--until looks at the models of one process, and {processes} share this run; leave it out")


def moved(trace: Sequence[dict[str, Any]]) -> dict[str, dict[str, Difference]] | None:
    """[mean, low, high] of what every accuracy gained since half as many steps; None without a checkpoint there."""
    half = next((row for row in trace if 2 * row["step"] == trace[-1]["step"]), None)
    return None if half is None else _differences(trace[-1]["prompts"], half["prompts"], _finite(trace[-1]))


def arrived(trace: Sequence[dict[str, Any]], until: float) -> bool:
    """Whether no accuracy has moved by more than `until` since half as many steps, its interval included."""
    found = moved(trace)
    return found is not None and all(
        low is not None and high is not None and max(abs(low), abs(high)) <= until
        for groups in found.values()
        for _, low, high in groups.values()
    )


def twins(recipe: Recipe, steps: int) -> dict[str, Recipe]:
    """Recipes that differ in one thing: the pairs are fresh, or the towers twice as wide."""
    same = recipe.model_copy(update={"steps": steps})
    found = {} if recipe.n is None else {"finite_n": same.model_copy(update={"n": None})}
    if recipe.towers != "linear":
        found["capacity"] = same.model_copy(update={"width": 2 * recipe.width})
    return found


def gaps(
    now: Accuracies,
    predicted: dict[str, dict[str, float] | None],
    moving: dict[str, dict[str, Difference]] | None,
    others: dict[str, Callable[[], tuple[Accuracies, list[int]]]],
    lost: Sequence[int] = (),
) -> dict[str, dict[str, dict[str, Difference | None]]]:
    """prompt -> group -> "total" and the three numbers, [mean, low, high] each; None where there is no such number."""
    found = {
        prompt: {group: {"total": None, "optimisation": None, "finite_n": None, "capacity": None} for group in GROUPS}
        for prompt in now
    }

    def enter(name: str, differences: dict[str, dict[str, Difference]]) -> None:
        for prompt in found:
            for group in GROUPS if prompt in differences else ():
                found[prompt][group][name] = differences[prompt][group]

    laws = {prompt: {g: [law[g]] * len(now[prompt][g]) for g in GROUPS} for prompt, law in predicted.items() if law}
    enter("total", _differences(now, laws, _going(now, lost)))
    enter("optimisation", moving or {})
    for name, train in others.items():
        accuracies, gone = train()
        enter(name, _differences(now, accuracies, _going(now, [*lost, *gone])))
    return found


def _finite(row: dict[str, Any]) -> list[bool]:
    return [loss is not None for loss in row["loss"]]


def _going(accuracies: Accuracies, lost: Sequence[int]) -> list[bool]:
    models = len(next(iter(accuracies.values()))["common"])
    return [k not in lost for k in range(models)]


def _differences(now: Accuracies, then: Accuracies, going: list[bool]) -> dict[str, dict[str, Difference]]:
    found: dict[str, dict[str, Difference]] = {}
    for prompt in now.keys() & then.keys():
        found[prompt] = {}
        for group in GROUPS:
            values = np.subtract(now[prompt][group], then[prompt][group])[going]
            interval = t_interval(values)
            ends = [None, None] if interval is None else [float(interval.low), float(interval.high)]
            found[prompt][group] = [float(values.mean()), *ends]
    return found
