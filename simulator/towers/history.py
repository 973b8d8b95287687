"""The history of a training: loss and accuracies of every model at some of its steps, as plain
rows.

    {"step": 40, "loss": [...], "scale": [...] or None, "prompts": {"name": {"common": [...],
    "counter": [...]}, ...}}

Lists have one number per model. The loss is the mean since the row before, None for a model that
diverged.
"""

from typing import Any

import numpy as np

from simulator.accuracy import finite
from simulator.quantities import check_count
from simulator.towers import evaluation
from simulator.towers.ensemble import Ensemble
from simulator.towers.last_layer_retraining import with_retrained_head
from simulator.towers.layers import logit_scale
from simulator.towers.training import State

# accuracies to about .005; power 9 would double the cost of a history
COARSE = {"power": 8, "replicates": 4}
MOST_ROWS = 1000


def log_spaced(steps: int, count: int) -> list[int]:
    """At most `count` whole steps from 1 to the last, evenly spaced on a log scale; none for 0."""
    check_count("history", count, 0, MOST_ROWS)
    return np.unique(np.rint(np.geomspace(1, steps, count)).astype(int)).tolist() if count else []


def history_row(ensemble: Ensemble, state: State, since: int) -> dict[str, Any]:
    """The row of a state, whose loss is a sum over the steps after `since`; accuracies are within
    COARSE.
    """
    scale = logit_scale(ensemble.recipe, state.parameters)
    step = int(state.step)
    lost = state.diverged
    taken = (lost.where(lost >= 0, step + 1) - 1 - since).clamp(min=0)  # steps in each model's sums
    prompts = evaluation.default_prompts(ensemble.recipe)
    parameters = with_retrained_head(ensemble, state.eval_parameters)
    trial = evaluation.trial(ensemble, prompts, **COARSE)
    accuracy = evaluation.accuracies(ensemble, parameters, prompts, trial)
    return {
        "step": step,
        "loss": [finite(loss) for loss in (state.loss / taken).tolist()],
        "scale": None if scale is None else scale.tolist(),
        "prompts": {
            p or "none": {g: a.mean(0).tolist() for g, a in own.items()}
            for p, own in accuracy.items()
        },
    }
