"""The route "trained": towers that approach a learner's optimum; cells of one shape train as one
ensemble.
"""

from collections import defaultdict
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.lab.config import checked_prompt
from experiments.lab.grid import Grid, Index
from experiments.lab.mitigations import inflation
from experiments.lab.schema import Cells, Legend, measure
from simulator.samplers import EmptyGroup
from simulator.towers.api import Towers, train_ensemble
from simulator.towers.ensemble import ensemble_of, least_bytes
from simulator.towers.multiprocess import EveryModelDiverged, threads_for
from simulator.towers.probes import score_reliance
from simulator.towers.recipe import Recipe
from simulator.views import shown
from simulator.world import World

MODELS = 64  # per ensemble; larger ones are hardly faster, and need more memory
MOST_BYTES = 2**30  # that an ensemble needs at least; fixed sets of images are large


def train_towers(study: Grid, cells: Cells, tail: tuple[int, ...], legend: Legend) -> None:
    """Train a learner in each cell; cells of one recipe, seed and shape of world train together.

    Model r has the same streams and initial weights in all cells of a seed, so differences are
    paired.
    """
    groups: dict[Any, dict[World, dict[Index, str | None]]] = defaultdict(lambda: defaultdict(dict))
    for (*place, k, slot), one in study.settings(study.dims):
        at = (*place, k, slot, *tail)
        try:
            world, recipe, prompt = one.mitigated_towers()
            inflation(one.mitigation, world, recipe)  # an empty group cannot be balanced
            prompt = checked_prompt(recipe, prompt)
        except (RequestError, ValueError) as error:
            cells["undefined"][at] = legend.code(str(error))
            continue
        shape = (world.classes, world.table, *shown(world).inputs(world).values())
        groups[k, recipe, one.seed, shape][world][at] = prompt
    for (_, recipe, seed, _), own in groups.items():
        jobs = [*own.items()]
        one = least_bytes(ensemble_of([jobs[0][0]], recipe, study.replicates, seed))
        size = max(1, min(MODELS // study.replicates, MOST_BYTES // one))
        for start in range(0, len(jobs), size):
            _train(recipe, study.replicates, seed, jobs[start : start + size], cells, legend)


def _train(
    recipe: Recipe,
    models: int,
    seed: int,
    jobs: list[tuple[World, dict[Index, Any]]],
    cells: Cells,
    legend: Legend,
) -> None:
    values = {}
    refusal = f"every model diverged; try an lr below {recipe.lr:g} first"
    ensemble = ensemble_of([world for world, _ in jobs], recipe, models, seed)
    try:
        with threads_for(ensemble):
            # the theory beside them says how far they have come
            towers, _ = train_ensemble(ensemble, (len(jobs),))
            values = _measured(
                towers, {prompt for _, requests in jobs for prompt in requests.values()}
            )
    except EveryModelDiverged:
        pass
    except EmptyGroup as error:
        if len(jobs) > 1:
            for job in jobs:  # the training sets of other worlds may have a pair of each group
                _train(recipe, models, seed, [job], cells, legend)
            return
        refusal = str(error)
    for w, (_, requests) in enumerate(jobs):
        for at, prompt in requests.items():
            if not values or not np.isfinite(values[prompt]["common"][w]).any():
                cells["undefined"][at] = legend.code(refusal)
            else:
                measure(cells, at, {name: numbers[w] for name, numbers in values[prompt].items()})


def _measured(
    towers: Towers, prompts: set[str | None]
) -> dict[str | None, dict[str, Float[np.ndarray, "worlds R"]]]:
    """Accuracies by group, and the reliance, of each model by prompt; nan for a model that
    diverged.
    """
    ensemble = towers.ensemble
    by_prompt = towers.by_prompt(prompts)
    for prompt, values in by_prompt.items():
        if ensemble.worlds[0].views is None:
            reliance = score_reliance(ensemble, towers.parameters, prompt).reshape(
                values["common"].shape
            )
            values["reliance"] = np.where(np.isfinite(values["common"]), reliance, np.nan)
    return by_prompt
