"""The route "theory": accuracies at infinitely many pairs, over a region of places at once."""

from collections.abc import Iterator
from functools import partial
from itertools import chain, product
from time import perf_counter

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError
from experiments.lab.planning import Region
from experiments.lab.schema import Block
from experiments.lab.setting import Law
from experiments.lab.spec import StudySpec
from simulator.accuracy import GROUPS
from simulator.worlds import Worlds
from theory.accuracy import reliance
from theory.learners.base import UNDEFINED, Learner, attempt

NO_LAW = "no closed form is known for this training"
COLUMNS = (*GROUPS, *(f"{group}_{end}" for group in GROUPS for end in ("low", "high")), "reliance")


def predict_cells(study: StudySpec, region: Region, block: Block) -> None:
    prefix = "predicted_" if study.measured else ""
    for k in range(len(study.learners)):
        began, slots = perf_counter(), study.slots(k)
        for slot, prompt in slots:
            for part, law in _laws(study, region, k, prompt):
                _fill(block, prefix, part, (k, slot), law)
        if not study.measured:
            seconds = block.arrays["seconds"][..., k, : len(slots)]
            seconds[...] = (perf_counter() - began) / seconds.size


def _fill(block: Block, prefix: str, part: Region, series: tuple[int, int], law: Law | str) -> None:
    if isinstance(law, str):
        block.refuse((*part, *series), law, f"{prefix}undefined")
        return
    worlds = Worlds.of(law.world)
    # The grid has length 1 along axes that do not change the world, and broadcasts along them.
    grid = worlds.shape if worlds.ndim else (1,) * len(part)
    values, refusals = _attempted(law.learner, worlds)
    for column, numbers in zip(COLUMNS, np.moveaxis(values, -1, 0), strict=True):
        if prefix + column in block.arrays:  # only estimates have intervals
            block.arrays[prefix + column][(*part, *series)] = np.broadcast_to(numbers, worlds.shape).reshape(grid)
    for world, sentence in refusals.items():
        places = zip(world or (0,) * len(grid), grid, part, strict=True)
        at = [each if length == 1 else each.start + i for i, length, each in places]
        block.refuse((*at, *series), sentence, f"{prefix}undefined")


def _laws(study: StudySpec, region: Region, k: int, prompt: str | None) -> Iterator[tuple[Region, Law | str]]:
    """(part of the region, its law or the reason for none); a value that changes more than the world is a part."""
    cuts = [
        _each(slice(0, part.stop - part.start))
        if study.trained or axis.name in ("embed_dim", "mitigation", "table")
        else [slice(0, part.stop - part.start)]
        for axis, part in zip(study.axes, region, strict=True)
    ]
    for part in product(*cuts):
        law = _law(study, region, part, k, prompt)
        if isinstance(law, Law) or law == NO_LAW:
            yield part, law
        else:  # some places may have a law
            yield from ((place, _law(study, region, place, k, prompt)) for place in product(*map(_each, part)))


def _each(part: slice) -> list[slice]:
    return [slice(i, i + 1) for i in range(part.start, part.stop)]


def _law(study: StudySpec, region: Region, part: Region, k: int, prompt: str | None) -> Law | str:
    whole = tuple(slice(r.start + p.start, r.start + p.stop) for r, p in zip(region, part, strict=True))
    first = tuple(each.start for each in whole)
    try:
        worlds = None if study.trained else study.worlds(whole)
        return study.setting(k, first, prompt, study.trained, worlds).law() or NO_LAW
    except (RequestError, *UNDEFINED) as error:
        return str(error)


def _attempted(learner: Learner, worlds: Worlds) -> tuple[Float[np.ndarray, "*w columns"], dict[tuple[int, ...], str]]:
    """(COLUMNS of a learner over a grid, nan where it has no answer; reasons by world)."""
    try:
        return _columns(learner, worlds), {}
    except UNDEFINED:
        values, reasons = attempt(partial(_columns, learner), worlds)
        return np.full((*worlds.shape, len(COLUMNS)), np.nan) if len(reasons) == worlds.size else values, reasons


def _columns(learner: Learner, worlds: Worlds) -> Float[np.ndarray, "*w columns"]:
    """nan for a group that there is not."""
    accuracy = learner.accuracy(worlds)
    groups = (*accuracy, np.nan)[: len(GROUPS)]
    ends = [(x, x) for x in groups] if accuracy.interval is None else [*accuracy.interval, (np.nan, np.nan)]
    columns = (*groups, *chain.from_iterable(ends[: len(GROUPS)]), _reliance(learner, worlds))
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _reliance(learner: Learner, worlds: Worlds) -> Float[np.ndarray, "..."] | float:
    """nan if the learner is not a linear rule, or ignores the invariant latent."""
    try:
        t = reliance(learner.direction(worlds))
    except UNDEFINED:
        return np.nan
    return np.where(np.isfinite(t), t, np.nan)
