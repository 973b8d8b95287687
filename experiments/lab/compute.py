"""`compute(block)`: the numbers of all cells of a block of a study. It may run in any process.

A cell's numbers depend on the study's seed and the cell, not on the block or on the order of
computation. A cell's replicates equal those of `soberclip simulate` for its world, n and seed.
"""

from dataclasses import replace
from itertools import chain

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.inference import FRACTION, REALS
from experiments.lab.answers import trainings, unable
from experiments.lab.axes import OF_RECIPE
from experiments.lab.grid import NUMBERS, OF_TRAINING, Grid, Index, Place, Setting
from experiments.lab.mitigations import MITIGATIONS
from experiments.lab.schema import ENDS, Cells, Legend, measure, quantities, variables
from simulator.accuracy import GROUPS, LEVEL, mean_interval
from simulator.world import World
from theory.accuracy import reliance
from theory.learners.base import UNDEFINED, Learner, attempt

NO_LAW = "no closed form is known for this training"
COLUMNS = (*GROUPS, *(f"{group}_{end}" for group in GROUPS for end in ("low", "high")), "reliance")


def compute(part: tuple[int, Grid]) -> tuple[int, Cells, list[str]]:
    """The number of a block, the variables of `experiments.lab.schema` in its cells, and their
    reasons by number.
    """
    number, study = part
    cells = {name: variable.values.copy() for name, variable in variables(study).items()}
    legend = Legend()
    unread = OF_TRAINING - OF_RECIPE if study.trained else OF_TRAINING
    for at, group in study.settings({*study.dims} - NUMBERS - unread):
        _predict(group, at, cells, legend)
    for r, route in enumerate(study.measured):
        tail = (r,) if len(study.measured) > 1 else ()
        if route == "trained":
            from experiments.lab.towers import train_towers  # start-up time: loads torch

            train_towers(study, cells, tail, legend)
        else:
            _fit(study, route == "exact", cells, tail, legend)
    ends = [name for name in cells if name.endswith(ENDS)]
    # no number is sampled
    if not study.measured and all(np.isnan(cells[name]).all() for name in ends):
        cells = {name: values for name, values in cells.items() if name not in ends}
    for name in quantities(study) if study.measured else ():
        support = REALS if name == "reliance" else FRACTION
        _, error, low, high = mean_interval(cells[name], LEVEL, support)
        cells |= {f"{name}_se": error, f"{name}_low": low, f"{name}_high": high}
    return number, cells, legend.sentences


def _predict(group: Setting, at: Index, cells: Cells, legend: Legend) -> None:
    """Fill in the theory of some cells, all worlds at once; nan with the reason where there is no
    answer.
    """
    prefix = "predicted_" if group.study.measured else ""

    def columns(worlds: World) -> Float[np.ndarray, "*w columns"]:
        try:
            law = replace(group, worlds=worlds).law()
        except RequestError as error:
            raise ValueError(str(error)) from None
        if law is None:
            raise ValueError(NO_LAW)
        return _columns(law[1], law[0])

    refusals: dict[Place, str] = {}
    try:
        values = columns(group.worlds)
    except UNDEFINED:
        values, refusals = attempt(columns, group.worlds)
        if len(refusals) == group.worlds.size:
            values = np.full((*group.worlds.shape, len(COLUMNS)), np.nan)
    for column, numbers in zip(COLUMNS, np.moveaxis(values, -1, 0), strict=True):
        if prefix + column in cells:  # measurements have intervals of their own
            cells[prefix + column][at] = numbers
    # an array, also of one cell
    reasons = cells[f"{prefix}undefined"][*at, ...]
    code = legend.code
    for world, sentence in refusals.items():
        # The worlds have length 1 along axes that do not change them.
        reasons[
            *(i if n > 1 else slice(None) for i, n in zip(world, group.worlds.shape, strict=True))
        ] = code(sentence)


def _columns(learner: Learner, worlds: World) -> Float[np.ndarray, "*w columns"]:
    """COLUMNS of a learner in each world; nan for a group that the worlds lack, no interval, and no
    reliance.
    """
    accuracy = learner.accuracy(worlds)
    # None, no such group, becomes nan
    groups = [np.asarray(getattr(accuracy, group), float) for group in GROUPS]
    ends = (
        [(np.nan, np.nan)] * 3
        if accuracy.interval is None
        else [*accuracy.interval, (np.nan, np.nan)]
    )
    try:
        t = reliance(learner.direction(worlds))
        relied = np.where(np.isfinite(t), t, np.nan)
    except UNDEFINED:
        relied = np.nan
    columns = (*groups, *chain.from_iterable(ends[: len(GROUPS)]), relied)
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _fit(study: Grid, exact: bool, cells: Cells, tail: tuple[int, ...], legend: Legend) -> None:
    """Fit learners to n pairs in every cell, by the exact law of the fit or on drawn pairs."""
    for index, one in study.settings(study.dims):
        at = (*index, *tail)
        sampler = MITIGATIONS[one.mitigation].sampler
        try:
            # With the first prompt: a prompt that the learner does not have is another reason,
            # found below.
            if why := unable(*replace(one, prompt=None).mitigated_learner(), exact, one.mitigation):
                raise RequestError(why)
            world, learner = one.mitigated_learner()
            parts = trainings(world, learner, one.n, study.replicates, exact, one.seed, sampler)
            accuracies, reliances = (np.concatenate(each) for each in zip(*parts, strict=True))
            values = {**dict(zip(GROUPS, accuracies.T, strict=False)), "reliance": reliances}
            measure(cells, at, values)
        except (RequestError, *UNDEFINED) as error:  # for example, separable pairs
            cells["undefined"][at] = legend.code(str(error))
