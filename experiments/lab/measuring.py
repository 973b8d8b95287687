"""The measured routes of a study: what is measured of one learner at every cell of a block, by route.

Each is the one-world function of the same name and seed: `simulate` for exact and drawn, `simulator.train` for trained.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from jaxtyping import Float

from experiments.abilities import ability_of, has_law
from experiments.errors import RequestError
from experiments.lab.blocks import Region, places
from experiments.lab.study import Study
from experiments.lab.trained import train_cells


@dataclass
class Cells:
    """What was measured at one place of the axes of one learner.

    at        the place within the block
    found     place of a prompt -> `experiments.lab.result.measured` of every replicate, nan where one has none
    refused   place of a prompt -> why there is none at all
    """

    at: tuple[int, ...]
    found: dict[int, Float[np.ndarray, "R Q"]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    seconds: float = np.nan


METHODS = {"exact": "exact", "drawn": "direct"}  # in the words of `simulate`


def _fitted(study: Study, region: Region, k: int, route: str) -> Iterator[Cells]:
    """Rules fitted to n pairs."""
    for index, at in places(region):
        cells, began = Cells(at), perf_counter()
        for place, prompt in study.asked(k):
            why = unable(study, k, route, index)
            if why is None:
                try:
                    cells.found[place] = fitted(study, k, index, prompt, route)
                except (ValueError, ArithmeticError) as error:  # separable pairs, for one
                    why = str(error)
            if why is not None:
                cells.refused[place] = why
        cells.seconds = (perf_counter() - began) / len(study.asked(k))
        yield cells


def fitted(study: Study, k: int, index: tuple[int, ...], prompt: str | None, route: str) -> Float[np.ndarray, "R 3"]:
    """(common, counter, reliance) of every replicate of learner k fitted to the n pairs of one place."""
    from experiments.lab.answers import trainings

    cell, setting = study.cell(index), study.setting(k, index, prompt, towers=False)
    n, seed = cell.get("n", study.n), cell.get("seed", study.seed)
    parts = trainings(setting.world, setting.learner, n, study.replicates, METHODS[route], seed, setting.sampler)
    return np.concatenate([np.column_stack(part) for part in parts])


def unable(study: Study, k: int, route: str, index: tuple[int, ...]) -> str | None:
    """Why a route does not measure learner k at one place, in a sentence; None if it does."""
    try:
        setting = study.setting(k, index, None, route == "trained")
    except RequestError as error:
        return str(error)
    if route == "trained":
        return None
    if not setting.fitted:
        return "no learner is fitted to drawn pairs so"
    if route == "exact" and setting.sampler != "drawn":
        return f"the exact law of {setting.sampler} pairs is not known"
    learner = setting.learner
    ability = ability_of(learner)
    if route == "exact" and not has_law(learner, setting.world):
        where = "in worlds of this shape" if ability.exact else "at all"
        return f"the exact law of {learner.name} given n pairs is not known {where}"
    if route == "drawn" and ability.estimator is None:
        return f"{learner.name} is not fitted to pairs"
    return None


def _exact(study: Study, region: Region, k: int) -> Iterator[Cells]:
    return _fitted(study, region, k, "exact")


def _drawn(study: Study, region: Region, k: int) -> Iterator[Cells]:
    return _fitted(study, region, k, "drawn")


ROUTES = {"exact": _exact, "drawn": _drawn, "trained": train_cells}
