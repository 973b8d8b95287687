"""The numbers of one block: `compute(study, region, estimated)`, a pure function that may run in any process.

A cell's numbers depend on the study's seed and the cell, not on the block or the order of computation. Cells share the
random streams of `soberclip simulate`: a cell's replicates equal those of `simulate` for its world, n and seed, and
differences between neighbouring cells scatter less than the values.
"""

from collections.abc import Iterator
from time import perf_counter

import numpy as np
from scipy.special import stdtrit

from experiments.inference import LEVEL
from experiments.lab.blocks import Region
from experiments.lab.reasons import Reasons
from experiments.lab.routes.fitted import fit_cells
from experiments.lab.routes.measurement import Measurement
from experiments.lab.routes.theory import theory
from experiments.lab.routes.towers import train_cells
from experiments.lab.schema import Block, quantities, sizes, variables
from experiments.lab.spec import StudySpec


def compute(study: StudySpec, region: Region, estimated: bool) -> Block:
    """All variables of `experiments.lab.schema` on a region."""
    lengths = {**sizes(study), **{d: part.stop - part.start for d, part in zip(study.dims, region, strict=True)}}
    arrays = {
        name: np.full(tuple(lengths[d] for d in variable.dims), variable.empty, variable.dtype)
        for name, variable in variables(study, estimated).items()
    }
    sentences = _predict(study, region, arrays)
    if study.measured:
        sentences |= _measure(study, region, arrays)
        for name in quantities(study):
            _summarise(arrays, name)
    return Block(arrays, sentences)


def _predict(study: StudySpec, region: Region, arrays: dict[str, np.ndarray]) -> dict[int, str]:
    """Fill in the theory; the sentences behind its codes."""
    prefix = "predicted_" if study.measured else ""
    reasons = Reasons(arrays[f"{prefix}undefined"])
    for k in range(len(study.learners)):
        began, slots = perf_counter(), study.slots(k)
        for slot, prompt in slots:
            values, why = theory(study, region, k, prompt)
            for name, numbers in values.items():
                if prefix + name in arrays:  # only estimates have intervals
                    arrays[prefix + name][..., k, slot] = numbers
            for place, sentence in why.items():
                reasons.add((*place, k, slot), sentence)
        if not study.measured:
            seconds = arrays["seconds"][..., k, : len(slots)]
            seconds[...] = (perf_counter() - began) / seconds.size
    return reasons.finish()


def _measure(study: StudySpec, region: Region, arrays: dict[str, np.ndarray]) -> dict[int, str]:
    """Fill in the measurements; the sentences behind their codes."""
    reasons = Reasons(arrays["undefined"])
    for r, route in enumerate(study.measured):
        at_route = (r,) if len(study.measured) > 1 else ()
        for k in range(len(study.learners)):
            for cell in _cells(study, region, k, route):
                for slot, values in cell.values.items():
                    at = (*cell.offset, k, slot, *at_route)
                    for name in quantities(study):
                        arrays[name][at] = values.get(name, np.nan)
                    arrays["seconds"][at] = cell.seconds
                for slot, sentence in cell.refusals.items():
                    reasons.add((*cell.offset, k, slot, *at_route), sentence)
    return reasons.finish()


def _cells(study: StudySpec, region: Region, k: int, route: str) -> Iterator[Measurement]:
    return train_cells(study, region, k) if route == "trained" else fit_cells(study, region, k, route)


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
