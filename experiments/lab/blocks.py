"""The numbers of one block: `compute(plan, block)`, a pure function that may run in any process.

A cell's numbers depend on the study's seed and the cell, not on the block or the order of computation. A cell's
replicates equal those of `soberclip simulate` for its world, n and seed.
"""

from time import perf_counter

import numpy as np

from experiments.errors import RequestError
from experiments.inference import FRACTION, REALS
from experiments.lab.answers import trainings, unable
from experiments.lab.planning import Plan, Region, places
from experiments.lab.routes.theory import predict_cells
from experiments.lab.schema import Block, quantities
from experiments.lab.spec import StudySpec
from simulator.accuracy import GROUPS, LEVEL, mean_interval

METHODS = {"exact": "exact", "drawn": "direct"}  # route -> method of `simulate`


def compute(planned: Plan, number: int) -> Block:
    """All variables of `experiments.lab.schema` in block `number`."""
    study, region = planned.study, planned.region(number)
    block = Block(study, region, planned.estimated)
    predict_cells(study, region, block)
    for r, route in enumerate(study.measured):
        tail = (r,) if len(study.measured) > 1 else ()
        for k in range(len(study.learners)):
            if route == "trained":
                from experiments.lab.routes.towers import train_cells  # start-up time: loads torch

                train_cells(study, region, k, block, tail)
            else:
                _fit_cells(study, region, k, route, block, tail)
    for name in quantities(study) if study.measured else ():
        support = REALS if name == "reliance" else FRACTION
        _, error, low, high = mean_interval(block.arrays[name], LEVEL, support)
        block.arrays |= {f"{name}_se": error, f"{name}_low": low, f"{name}_high": high}
    return block.encode()


def _fit_cells(study: StudySpec, region: Region, k: int, route: str, block: Block, tail: tuple[int, ...]) -> None:
    """Fit learner k to n pairs at each place, by the exact law of the fit or on drawn pairs."""
    for place, offset in places(region):
        for slot, prompt in study.slots(k):
            at, began = (*offset, k, slot, *tail), perf_counter()
            try:
                # With the first prompt: a prompt that the learner does not have is another reason, found below.
                if why := unable(study.setting(k, place, None, towers=False), METHODS[route]):
                    raise RequestError(why)
                setting = study.setting(k, place, prompt, towers=False)
                n, seed = study.n_at(place), study.seed_at(place)
                parts = trainings(setting, n, study.replicates, METHODS[route], seed)
                accuracies, reliances = (np.concatenate(each) for each in zip(*parts, strict=True))
                values = {**dict(zip(GROUPS, accuracies.T, strict=False)), "reliance": reliances}
                block.measure(at, values, perf_counter() - began)
            except (RequestError, ValueError, ArithmeticError) as error:  # for example, separable pairs
                block.refuse(at, str(error))
