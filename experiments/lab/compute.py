"""The numbers of one block: `compute(plan, block)`, a pure function that may run in any process.

A cell's numbers depend on the study's seed and the cell, not on the block or the order of computation. Cells share the
random streams of `soberclip simulate`: a cell's replicates equal those of `simulate` for its world, n and seed, and
differences between neighbouring cells scatter less than the values.
"""

import numpy as np
from scipy.special import stdtrit

from experiments.inference import LEVEL
from experiments.lab.planning import Plan
from experiments.lab.routes.fitted import fit_cells
from experiments.lab.routes.theory import predict_cells
from experiments.lab.routes.towers import train_cells
from experiments.lab.schema import Block, quantities


def compute(planned: Plan, number: int) -> Block:
    """All variables of `experiments.lab.schema` in block `number`."""
    study, region = planned.study, planned.region(number)
    block = Block(study, region, planned.estimated)
    predict_cells(study, region, block)
    for r, route in enumerate(study.measured):
        tail = (r,) if len(study.measured) > 1 else ()
        for k in range(len(study.learners)):
            if route == "trained":
                train_cells(study, region, k, block, tail)
            else:
                fit_cells(study, region, k, route, block, tail)
    for name in quantities(study) if study.measured else ():
        _summarise(block.arrays, name)
    return block.encode()


def _summarise(arrays: dict[str, np.ndarray], name: str) -> None:
    """Fill in standard errors and t intervals of the mean over replicates that have a number."""
    values = arrays[name]
    finite = np.isfinite(values)
    count = finite.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # nan where one replicate is left, or none
        mean = np.where(finite, values, 0.0).sum(-1) / count
        squares = (np.where(finite, values - mean[..., None], 0.0) ** 2).sum(-1)
        error = np.where(count > 1, np.sqrt(squares / (count - 1) / count), np.nan)
        half = stdtrit(np.maximum(count - 1, 1), (1 + LEVEL) / 2) * error
    arrays[f"{name}_se"] = error
    arrays[f"{name}_low"], arrays[f"{name}_high"] = mean - half, mean + half
