"""Whether training has arrived: the change of each accuracy since half as many steps, with its interval.

The change is a mean over models, with the 95% t interval of that mean. One model has no interval.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.errors import RequestError
from experiments.inference import interval95
from simulator.accuracy import GROUPS
from simulator.towers.recipe import Recipe

LEAST_UNTIL = 0.002  # twice the error of a difference of two evaluations with `--until`

Change = list[float | None]  # mean, low, high; the ends are None for one model


def check_until(until: float, recipe: Recipe, models: int, processes: int) -> None:
    for wrong, sentence in (
        (not LEAST_UNTIL <= until < 1, f"lies outside [{LEAST_UNTIL}, 1), above the evaluation's own error"),
        (recipe.schedule != "constant", f"needs --schedule constant; {recipe.schedule!r} ends at the rate 0"),
        (models < 2, f"needs the interval of a mean over models; --ensemble = {models} has none, --ensemble 2 has"),
        (processes > 1, f"compares the models of one process, and {processes} share this run; leave it out"),
    ):
        if wrong:
            raise RequestError(f"--until = {until:g} {sentence}")


def moved(history: Sequence[dict[str, Any]]) -> dict[str, dict[str, Change]] | None:
    """prompt -> group -> [mean, low, high] of the change since half as many steps; None without a checkpoint there.

    Half of an odd number of steps is rounded either way. Models without a finite loss are left out.
    """
    half = next((row for row in history[:-1] if abs(2 * row["step"] - history[-1]["step"]) <= 1), None)
    if half is None:
        return None
    last = history[-1]
    finite = [loss is not None for loss in last["loss"]]
    return {
        prompt: {
            group: _change(np.subtract(now[group], half["prompts"][prompt][group])[finite])
            for group in GROUPS
            if group in now
        }
        for prompt, now in last["prompts"].items()
    }


def _change(values: np.ndarray) -> Change:
    return [float(values.mean()), *(interval95(values, (-1.0, 1.0)) or (None, None))]


def arrived(history: Sequence[dict[str, Any]], until: float) -> bool:
    """Whether each interval of the change since half as many steps lies within [-until, until]."""
    changes = moved(history)
    return changes is not None and all(
        low is not None and high is not None and max(abs(low), abs(high)) <= until
        for groups in changes.values()
        for _, low, high in groups.values()
    )
