"""`compute(block)`: the numbers of all cells of a block of a study. It may run in any process.

A cell's numbers depend on the study's seed and the cell, not on the block or on the order of computation. A cell's
replicates equal those of `soberclip simulate` for its world, n and seed.
"""

from functools import partial
from itertools import chain
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.inference import FRACTION, REALS
from experiments.lab.answers import trainings, unable
from experiments.lab.axes import OF_LEARNERS
from experiments.lab.mitigations import MITIGATIONS
from experiments.lab.schema import CODED, Cells, Place, coded, measure, quantities, variables
from simulator.accuracy import GROUPS, LEVEL, mean_interval
from simulator.world import World
from theory.accuracy import reliance
from theory.learners.base import UNDEFINED, Learner, attempt

if TYPE_CHECKING:
    from experiments.lab.studies import Study

NO_LAW = "no closed form is known for this training"
CHANGE_MORE = ("classes", "embed_dim", "mitigation", "table", *OF_LEARNERS)  # axes that need a call of their own
COLUMNS = (*GROUPS, *(f"{group}_{end}" for group in GROUPS for end in ("low", "high")), "reliance")

Block: TypeAlias = "tuple[int, Study]"  # its number, and its part of the study


def compute(block: Block) -> tuple[int, Cells, list[str]]:
    """The number of a block, all variables of `experiments.lab.schema` in its cells, and their reasons by number."""
    number, study = block
    cells = {
        name: np.full(v.shape, "", object) if name in CODED else np.full(v.shape, np.nan)
        for name, v in variables(study, estimated=True).items()
    }
    for k in range(len(study.learners)):
        for slot, prompt in study.slots(k):
            # The law of towers depends on every axis.
            for region, piece in study.pieces(study.dims if study.trained else CHANGE_MORE):
                _predict(piece, k, slot, prompt, {name: array[region] for name, array in cells.items()})
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
        _, error, low, high = mean_interval(cells[name], LEVEL, support)
        cells |= {f"{name}_se": error, f"{name}_low": low, f"{name}_high": high}
    return number, *coded(cells)


def _predict(study: "Study", k: int, slot: int, prompt: str | None, cells: Cells) -> None:
    """Fill in the theory of learner k in all worlds at once, nan with the reason where there is no answer."""
    began, series, prefix = perf_counter(), (..., k, slot), "predicted_" if study.measured else ""
    try:
        law, why = study.law(k, prompt), NO_LAW
    except (RequestError, *UNDEFINED) as error:
        if max(study.shape, default=1) > 1:  # some of the worlds may have a law
            for region, place in study.pieces(study.dims):
                _predict(place, k, slot, prompt, {name: array[region] for name, array in cells.items()})
            return
        law, why = None, str(error)
    if law is None:
        cells[f"{prefix}undefined"][series] = why
    else:
        worlds, learner = law
        refusals: dict[Place, str] = {}
        try:
            values = _columns(learner, worlds)
        except UNDEFINED:
            values, refusals = attempt(partial(_columns, learner), worlds)
            if len(refusals) == worlds.size:
                values = np.full((*worlds.shape, len(COLUMNS)), np.nan)
        for column, numbers in zip(COLUMNS, np.moveaxis(values, -1, 0), strict=True):
            if prefix + column in cells:  # measurements have intervals of their own
                # The grid has length 1 along axes that do not change the world, and broadcasts along them.
                cells[prefix + column][series] = np.broadcast_to(numbers, worlds.shape)
        for world, sentence in refusals.items():
            at = (i if length > 1 else slice(None) for i, length in zip(world, worlds.shape, strict=True))
            cells[f"{prefix}undefined"][*at, *series] = sentence
    if not study.measured:
        cells["seconds"][series] = (perf_counter() - began) / prod(study.shape)


def _columns(learner: Learner, worlds: World) -> Float[np.ndarray, "*w columns"]:
    """COLUMNS of a learner in each world; nan for a group that the worlds lack, and for no reliance.

    A rule that is not linear, or that ignores the invariant latent, has no reliance.
    """
    accuracy = learner.accuracy(worlds)
    groups = [np.asarray(getattr(accuracy, group), float) for group in GROUPS]  # None, no such group, becomes nan
    ends = [(x, x) for x in groups] if accuracy.interval is None else [*accuracy.interval, (np.nan, np.nan)]
    try:
        t = reliance(learner.direction(worlds))
        relied = np.where(np.isfinite(t), t, np.nan)
    except UNDEFINED:
        relied = np.nan
    columns = (*groups, *chain.from_iterable(ends[: len(GROUPS)]), relied)
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _fit(study: "Study", k: int, exact: bool, cells: Cells, tail: tuple[int, ...]) -> None:
    """Fit learner k to n pairs at each place, by the exact law of the fit or on drawn pairs."""
    for place in np.ndindex(study.shape):
        here = study.at(place)
        for slot, prompt in study.slots(k):
            at, began = (*place, k, slot, *tail), perf_counter()
            try:
                # With the first prompt: a prompt that the learner does not have is another reason, found below.
                if why := unable(*here.mitigated_learner(k, None), exact, here.mitigation):
                    raise RequestError(why)
                (world, learner), sampler = here.mitigated_learner(k, prompt), MITIGATIONS[here.mitigation].sampler
                parts = trainings(world, learner, here.n, study.replicates, exact, here.seed, sampler)
                accuracies, reliances = (np.concatenate(each) for each in zip(*parts, strict=True))
                values = {**dict(zip(GROUPS, accuracies.T, strict=False)), "reliance": reliances}
                measure(cells, at, values, perf_counter() - began)
            except (RequestError, ValueError, ArithmeticError) as error:  # for example, separable pairs
                cells["undefined"][at] = str(error)
