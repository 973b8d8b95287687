"""The routes "exact" and "drawn": a rule fitted to n pairs, by its exact law or on drawn pairs.

Each cell equals `experiments.lab.answers.simulate` for its world, n and seed.
"""

from collections.abc import Iterator
from time import perf_counter

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.estimators import estimator_of, has_exact_law
from experiments.lab.answers import trainings
from experiments.lab.blocks import Region, places
from experiments.lab.routes.measurement import Measurement
from experiments.lab.spec import StudySpec

METHODS = {"exact": "exact", "drawn": "direct"}  # route -> method of `simulate`


def fit_cells(study: StudySpec, region: Region, k: int, route: str) -> Iterator[Measurement]:
    """Learner k fitted at each place of a region."""
    for place, offset in places(region):
        cell, began = Measurement(offset), perf_counter()
        for slot, prompt in study.slots(k):
            why = unable(study, k, route, place)
            if why is None:
                try:
                    cell.values[slot] = _fitted(study, k, place, prompt, route)
                except (ValueError, ArithmeticError) as error:  # for example, separable pairs
                    why = str(error)
            if why is not None:
                cell.refusals[slot] = why
        cell.seconds = (perf_counter() - began) / len(study.slots(k))
        yield cell


def _fitted(
    study: StudySpec, k: int, place: tuple[int, ...], prompt: str | None, route: str
) -> dict[str, Float[np.ndarray, " R"]]:
    setting, n, seed = study.setting(k, place, prompt, towers=False), study.n_at(place), study.seed_at(place)
    parts = trainings(setting.world, setting.learner, n, study.replicates, METHODS[route], seed, setting.sampler)
    accuracies, reliances = (np.concatenate(each) for each in zip(*parts, strict=True))
    return {"common": accuracies[:, 0], "counter": accuracies[:, 1], "reliance": reliances}


def unable(study: StudySpec, k: int, route: str, place: tuple[int, ...]) -> str | None:
    """Why a route cannot measure learner k at one place, in a sentence; None if it can."""
    try:
        setting = study.setting(k, place, None, route == "trained")
    except RequestError as error:
        return str(error)
    if route == "trained":
        return None
    if not setting.fitted:
        return "no learner is fitted to drawn pairs so"
    if route == "exact" and setting.sampler != "drawn":
        return f"the exact law of {setting.sampler} pairs is not known"
    learner = setting.learner
    estimator = estimator_of(learner)
    if route == "exact" and not has_exact_law(learner, setting.world):
        where = "in worlds of this shape" if estimator.exact else "at all"
        return f"the exact law of {learner.name} given n pairs is not known {where}"
    if route == "drawn" and estimator.fit is None:
        return f"{learner.name} is not fitted to pairs"
    return None
