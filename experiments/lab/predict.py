"""The route "theory": accuracies at infinitely many pairs, in all worlds of a study at once."""

from functools import partial
from itertools import chain
from time import perf_counter

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.lab.axes import OF_LEARNERS
from experiments.lab.cells import Place, StudyData
from experiments.lab.schema import Cells
from simulator.accuracy import GROUPS
from simulator.world import World
from theory.accuracy import reliance
from theory.learners.base import UNDEFINED, Learner, attempt

NO_LAW = "no closed form is known for this training"
CHANGE_MORE = ("embed_dim", "mitigation", "table", *OF_LEARNERS)  # axes that change more than numbers of the world
COLUMNS = (*GROUPS, *(f"{group}_{end}" for group in GROUPS for end in ("low", "high")), "reliance")


def predict(study: StudyData, cells: Cells) -> None:
    """Fill in the theory of each learner and prompt; the law of towers depends on every axis."""
    for k in range(len(study.learners)):
        began, slots = perf_counter(), study.slots(k)
        for slot, prompt in slots:
            for region, piece in study.pieces(study.dims if study.trained else CHANGE_MORE):
                _predict(piece, k, slot, prompt, cells[region])
        if not study.measured:
            seconds = cells.arrays["seconds"][..., k, : len(slots)]
            seconds[...] = (perf_counter() - began) / seconds.size


def _predict(study: StudyData, k: int, slot: int, prompt: str | None, cells: Cells) -> None:
    """Fill in the accuracies of a law, or the reason for none. Where a grid is refused, each of its worlds is tried."""
    prefix, law, why = "predicted_" if study.measured else "", None, NO_LAW
    try:
        law = study.law(k, prompt)
    except (RequestError, *UNDEFINED) as error:
        why = str(error)
    if law is not None:
        _fill(*law, (k, slot), cells, prefix)
    elif why == NO_LAW or max(study.shape, default=1) == 1:
        cells.refuse((..., k, slot), why, f"{prefix}undefined")
    else:
        for region, place in study.pieces(study.dims):
            _predict(place, k, slot, prompt, cells[region])


def _fill(learner: Learner, worlds: World, series: tuple[int, int], cells: Cells, prefix: str) -> None:
    """Fill in COLUMNS of a learner in each world, nan with the reason where it has no answer."""
    refusals: dict[Place, str] = {}
    try:
        values = _columns(learner, worlds)
    except UNDEFINED:
        values, refusals = attempt(partial(_columns, learner), worlds)
        if len(refusals) == worlds.size:
            values = np.full((*worlds.shape, len(COLUMNS)), np.nan)
    for column, numbers in zip(COLUMNS, np.moveaxis(values, -1, 0), strict=True):
        if prefix + column in cells.arrays:  # measurements have intervals of their own
            # The grid has length 1 along axes that do not change the world, and broadcasts along them.
            cells.arrays[prefix + column][(..., *series)] = np.broadcast_to(numbers, worlds.shape)
    for world, sentence in refusals.items():
        at = (i if length > 1 else slice(None) for i, length in zip(world, worlds.shape, strict=True))
        cells.refuse((*at, ..., *series), sentence, f"{prefix}undefined")


def _columns(learner: Learner, worlds: World) -> Float[np.ndarray, "*w columns"]:
    """COLUMNS of a learner in each world; a group that the worlds lack is nan."""
    accuracy = learner.accuracy(worlds)
    groups = (*accuracy, np.nan)[: len(GROUPS)]
    ends = [(x, x) for x in groups] if accuracy.interval is None else [*accuracy.interval, (np.nan, np.nan)]
    columns = (*groups, *chain.from_iterable(ends[: len(GROUPS)]), _reliance(learner, worlds))
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _reliance(learner: Learner, worlds: World) -> Float[np.ndarray, "..."] | float:
    """Reliance in each world; nan for a rule that is not linear, or that ignores the invariant latent."""
    try:
        t = reliance(learner.direction(worlds))
    except UNDEFINED:
        return np.nan
    return np.where(np.isfinite(t), t, np.nan)
