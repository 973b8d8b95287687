"""`compute(study)`: the numbers of all cells of a study, or of a part of one. It may run in any process.

A cell's numbers depend on the study's seed and the cell, not on the part or on the order of computation. A cell's
replicates equal those of `soberclip simulate` for its world, n and seed.
"""

from time import perf_counter

import numpy as np

from experiments.errors import RequestError
from experiments.inference import FRACTION, REALS
from experiments.lab.answers import trainings, unable
from experiments.lab.cells import StudyData
from experiments.lab.mitigations import MITIGATIONS
from experiments.lab.predict import predict
from experiments.lab.schema import Cells, quantities
from simulator.accuracy import GROUPS, LEVEL, mean_interval


def compute(study: StudyData) -> Cells:
    """All variables of `experiments.lab.schema`."""
    cells = Cells.of(study)
    predict(study, cells)
    for r, route in enumerate(study.measured):
        tail = (r,) if len(study.measured) > 1 else ()
        for k in range(len(study.learners)):
            if route == "trained":
                from experiments.lab.towers import train_towers  # start-up time: loads torch

                train_towers(study, k, cells, tail)
            else:
                _fit(study, k, route == "exact", cells, tail)
    for name in quantities(study) if study.measured else ():
        support = REALS if name == "reliance" else FRACTION
        _, error, low, high = mean_interval(cells.arrays[name], LEVEL, support)
        cells.arrays |= {f"{name}_se": error, f"{name}_low": low, f"{name}_high": high}
    return cells.merged()


def _fit(study: StudyData, k: int, exact: bool, cells: Cells, tail: tuple[int, ...]) -> None:
    """Fit learner k to n pairs at each place, by the exact law of the fit or on drawn pairs."""
    for place in np.ndindex(study.shape):
        here = study.at(place)
        for slot, prompt in study.slots(k):
            at, began = (*place, k, slot, *tail), perf_counter()
            try:
                # With the first prompt: a prompt that the learner does not have is another reason, found below.
                if why := unable(*here.fit(k, None), exact, here.mitigation):
                    raise RequestError(why)
                (world, learner), sampler = here.fit(k, prompt), MITIGATIONS[here.mitigation].sampler
                parts = trainings(world, learner, here.n, study.replicates, exact, here.seed, sampler)
                accuracies, reliances = (np.concatenate(each) for each in zip(*parts, strict=True))
                values = {**dict(zip(GROUPS, accuracies.T, strict=False)), "reliance": reliances}
                cells.measure(at, values, perf_counter() - began)
            except (RequestError, ValueError, ArithmeticError) as error:  # for example, separable pairs
                cells.refuse(at, str(error))
