"""Whether training has arrived: the change of each accuracy since half as many steps, with its interval.

The change is a mean over models, with the 95% t interval of that mean. One model has no interval.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.errors import RequestError
from experiments.inference import t_interval
from simulator.towers.recipe import Recipe

GROUPS = ("common", "counter")
LEAST_UNTIL = 0.002  # twice the evaluation error of a difference at the points that `--until` uses

Change = list[float | None]  # mean, low, high; the ends are None for one model


def refuse_until(until: float, recipe: Recipe, models: int, processes: int) -> None:
    """Raise RequestError where `--until` cannot be decided."""
    if not LEAST_UNTIL <= until < 1:
        near = LEAST_UNTIL if until < 1 else 0.01
        raise RequestError(
            f"--until = {until:g} lies outside [{LEAST_UNTIL}, 1), below which the evaluation's own error lies; "
            f"the nearest valid value is {near}"
        )
    if recipe.schedule != "constant":
        raise RequestError(
            f"--until needs a constant learning rate, and schedule = {recipe.schedule!r} ends at 0 wherever training "
            "is; the nearest valid choice is constant"
        )
    if models < 2:
        raise RequestError(
            f"--until needs the interval of a mean over models, and --ensemble = {models} has none; "
            "the nearest valid choice is --ensemble 2"
        )
    if processes > 1:
        raise RequestError(f"--until compares the models of one process, and {processes} share this run; leave it out")


def moved(trace: Sequence[dict[str, Any]]) -> dict[str, dict[str, Change]] | None:
    """prompt -> group -> [mean, low, high] of the change since half as many steps; None without a checkpoint there.

    Models without a finite loss are left out.
    """
    half = next((row for row in trace if 2 * row["step"] == trace[-1]["step"]), None)
    if half is None:
        return None
    last = trace[-1]
    finite = [loss is not None for loss in last["loss"]]
    return {
        prompt: {group: _change(now[group], half["prompts"][prompt][group], finite) for group in GROUPS}
        for prompt, now in last["prompts"].items()
    }


def _change(now: list[float], then: list[float], finite: list[bool]) -> Change:
    values = np.subtract(now, then)[finite]
    interval = t_interval(values)
    ends = [None, None] if interval is None else [float(interval.low), float(interval.high)]
    return [float(values.mean()), *ends]


def arrived(trace: Sequence[dict[str, Any]], until: float) -> bool:
    """Whether each interval of the change since half as many steps lies within [-until, until]."""
    changes = moved(trace)
    return changes is not None and all(
        low is not None and high is not None and max(abs(low), abs(high)) <= until
        for groups in changes.values()
        for _, low, high in groups.values()
    )
