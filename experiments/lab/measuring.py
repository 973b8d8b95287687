"""The measured routes of a study: what is measured of one learner at every cell of a block, by route.

Each is the one-world function of the same name and seed: `simulate` for exact and drawn, `simulator.train` for trained.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from jaxtyping import Float

from experiments.abilities import ability_of, has_law
from experiments.lab.blocks import Region, places
from experiments.lab.study import Study
from experiments.lab.trained import train_cells


@dataclass
class Cells:
    """What was measured at one place of the axes of one learner.

    at        the place within the block
    found     place of a prompt -> (common, counter, reliance) of every replicate, nan where one has none
    refused   place of a prompt -> why there is none at all
    """

    at: tuple[int, ...]
    found: dict[int, Float[np.ndarray, "R 3"]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    seconds: float = np.nan


def _fitted(study: Study, region: Region, k: int, method: str) -> Iterator[Cells]:
    """Rules fitted to n pairs."""
    from experiments.lab.answers import trainings

    fixed = dict(study.recipe).get("embed_dim")
    for index, at in places(region):
        cell, world, cells = study.cell(index), study.world_at(index), Cells(at)
        n, seed = cell.get("n", study.n), cell.get("seed", study.seed)
        for place, prompt in study.asked(k):
            learner = study.learner(k, prompt, cell.get("embed_dim", fixed))
            why, began = _unable(learner, world, method), perf_counter()
            if why is None:
                try:
                    parts = trainings(world, learner, n, study.replicates, method, seed)
                    cells.found[place] = np.concatenate([np.column_stack(part) for part in parts])
                except (ValueError, ArithmeticError) as error:  # separable pairs, for one
                    why = str(error)
            if why is not None:
                cells.refused[place] = why
            cells.seconds = perf_counter() - began
        yield cells


def _unable(learner, world, method: str) -> str | None:
    if method == "exact" and not has_law(learner, world):
        where = "in worlds of this shape" if ability_of(learner).exact else "at all"
        return f"the exact law of {learner.name} given n pairs is not known {where}"
    if method == "direct" and ability_of(learner).estimator is None:
        return f"{learner.name} is not fitted to pairs"
    return None


def _exact(study: Study, region: Region, k: int) -> Iterator[Cells]:
    return _fitted(study, region, k, "exact")


def _drawn(study: Study, region: Region, k: int) -> Iterator[Cells]:
    return _fitted(study, region, k, "direct")


ROUTES = {"exact": _exact, "drawn": _drawn, "trained": train_cells}
