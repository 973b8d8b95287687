"""The routes "exact" and "drawn": a rule fitted to n pairs, by its exact law or on drawn pairs.

Each cell equals `experiments.lab.answers.simulate` for its world, n and seed.
"""

from time import perf_counter

import numpy as np
from jaxtyping import Float

from experiments.lab.answers import trainings
from experiments.lab.planning import Region, places
from experiments.lab.schema import Block
from experiments.lab.spec import StudySpec

METHODS = {"exact": "exact", "drawn": "direct"}  # route -> method of `simulate`


def fit_cells(study: StudySpec, region: Region, k: int, route: str, block: Block, tail: tuple[int, ...]) -> None:
    """Fit learner k at each place of a region; `tail` is the index of the route, if there are several."""
    for place, offset in places(region):
        why = study.unable(k, route, place)
        for slot, prompt in study.slots(k):
            at, began = (*offset, k, slot, *tail), perf_counter()
            if why is not None:
                block.refuse(at, why)
                continue
            try:
                block.measure(at, _fitted(study, k, place, prompt, route), perf_counter() - began)
            except (ValueError, ArithmeticError) as error:  # for example, separable pairs
                block.refuse(at, str(error))


def _fitted(
    study: StudySpec, k: int, place: tuple[int, ...], prompt: str | None, route: str
) -> dict[str, Float[np.ndarray, " R"]]:
    setting, n, seed = study.setting(k, place, prompt, towers=False), study.n_at(place), study.seed_at(place)
    parts = trainings(setting.world, setting.learner, n, study.replicates, METHODS[route], seed, setting.sampler)
    accuracies, reliances = (np.concatenate(each) for each in zip(*parts, strict=True))
    return {"common": accuracies[:, 0], "counter": accuracies[:, 1], "reliance": reliances}
