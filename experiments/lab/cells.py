"""A block of cells: `compute(study, region, estimated)` -> arrays, pure and picklable, wherever it runs.

The numbers of a cell depend on the study's seed and the cell alone, never on the block, the grid or the order in which
it is computed. Cells read the same streams ("simulate", as the verb of that name): a cell's replicates are those that
`soberclip simulate` prints for its world, n and seed, and differences between neighbouring cells scatter less than the
values. Closed forms draw nothing, save sampled ones, each from the same points.
"""

from itertools import product
from time import perf_counter

import numpy as np
from scipy.special import stdtrit

from experiments.errors import RequestError
from experiments.inference import LEVEL
from experiments.lab.blocks import Region
from experiments.lab.reasons import Reasons
from experiments.lab.result import GROUPS, QUANTITIES, Block, measured, sizes, variables
from experiments.lab.study import Study
from simulator.world import Worlds
from theory.accuracy import reliance
from theory.learners.base import UNDEFINED, Learner, attempt

NO_LAW = "no closed form is known of what is learned so"
COLUMNS = 7  # common, counter, reliance, then low and high of both groups


def compute(study: Study, region: Region, estimated: bool) -> Block:
    """Every variable of the cells of a block; see `experiments.lab.result`."""
    lengths = {axis.name: part.stop - part.start for axis, part in zip(study.axes, region, strict=True)}
    arrays = {}
    for name, variable in variables(study, estimated).items():
        shape = _shape(study, variable.dims, lengths)
        arrays[name] = np.zeros(shape, variable.dtype) if variable.dtype == "int32" else np.full(shape, np.nan)
    prefix = "predicted_" if study.measured else ""
    unpredicted = Reasons(arrays[f"{prefix}undefined"])
    for k in range(len(study.learners)):
        began = perf_counter()
        for place, prompt in study.asked(k):
            at = (*(slice(None) for _ in study.axes), k, place)
            found, why = theory(study, region, k, prompt)
            for column, name in enumerate(QUANTITIES):
                arrays[prefix + name][at] = found[..., column]
            for cell, sentence in why.items():
                unpredicted.add((*cell, k, place), sentence)
            if estimated and not study.measured:
                for g, name in enumerate(GROUPS):
                    arrays[f"{name}_low"][at], arrays[f"{name}_high"][at] = (
                        found[..., 3 + 2 * g],
                        found[..., 4 + 2 * g],
                    )
        if not study.measured:
            places = len(study.asked(k))
            arrays["seconds"][..., k, :places] = (perf_counter() - began) / (places * found[..., 0].size)
    sentences = unpredicted.finish()
    if study.measured:
        reasons = Reasons(arrays["undefined"])
        for r, route in enumerate(study.measured):
            _measure(study, region, route, r, arrays, reasons)
        sentences |= reasons.finish()
        _summarise(arrays, measured(study))
    return Block(arrays, sentences)


def _shape(study: Study, dims: tuple[str, ...], lengths: dict[str, int]) -> tuple[int, ...]:
    known = {**sizes(study), **lengths}
    return tuple(known[name] for name in dims)


def theory(study: Study, region: Region, k: int, prompt: str | None):
    """(numbers (*block, COLUMNS), reasons by place in the block) of a learner at n = infinity."""
    shape = tuple(part.stop - part.start for part in region)
    found = np.full((*shape, COLUMNS), np.nan)
    why: dict[tuple[int, ...], str] = {}
    for part, law in _laws(study, region, k, prompt):
        if isinstance(law, str):
            why |= dict.fromkeys(product(*(range(each.start, each.stop) for each in part)), law)
            continue
        worlds = Worlds.of(law.world)
        # Grids broadcast: what an axis does not change is computed once along it.
        grid = tuple(length if length > 1 or not worlds.ndim else 1 for length in worlds.shape)
        numbers, refused = _asked(law.learner, worlds)
        block = found[part]
        block[...] = numbers.reshape((*grid, COLUMNS) if grid else (*[1] * len(shape), COLUMNS))
        for place, sentence in refused.items():
            _spread(place, grid, part, shape, sentence, why)
    return found, why


def _laws(study: Study, region: Region, k: int, prompt):
    """(part of the block, its law, or why there is none): a part for every value that changes more than the world."""
    towers = "trained" in study.measured  # what they become depends on all of their recipe
    cut = [
        [slice(i, i + 1) for i in range(r.stop - r.start)]
        if towers or axis.name in ("embed_dim", "mitigation")
        else [slice(0, r.stop - r.start)]
        for axis, r in zip(study.axes, region, strict=True)
    ]
    for part in product(*cut):
        yield from _law(study, region, part, k, prompt, towers)


def _law(study: Study, region: Region, part: Region, k: int, prompt, towers: bool):
    """The law of one part, or of each of its places where some have none."""
    whole = tuple(slice(r.start + p.start, r.start + p.stop) for r, p in zip(region, part, strict=True))
    try:
        first = tuple(each.start for each in whole)
        law = study.setting(k, first, prompt, towers, None if towers else study.worlds(whole)).law()
    except (RequestError, *UNDEFINED) as error:
        places = [[slice(i, i + 1) for i in range(p.start, p.stop)] for p in part]
        if all(len(p) == 1 for p in places):
            yield part, str(error)
            return
        for alone in product(*places):
            yield from _law(study, region, alone, k, prompt, towers)
        return
    yield part, NO_LAW if law is None else law


def _spread(place, grid, part, shape, sentence, why) -> None:
    """Give a reason to every place of a block that a broadcast world stands for."""
    axes = []
    for j, (each, length) in enumerate(zip(part, shape, strict=True)):
        alone = not grid or grid[j] == 1
        axes.append(range(each.start, min(each.stop, length)) if alone else [each.start + place[j]])
    for index in np.ndindex(*(len(a) for a in axes)):
        why[tuple(axes[j][i] for j, i in enumerate(index))] = sentence


def _asked(learner: Learner, worlds: Worlds) -> tuple[np.ndarray, dict[tuple[int, ...], str]]:
    """(numbers (*w, COLUMNS), reasons) of a learner over a grid; nan where it has no answer."""

    def numbers(some: Worlds) -> np.ndarray:
        found = np.full((*some.shape, COLUMNS), np.nan)
        accuracy = learner.accuracy(some)
        found[..., 0], found[..., 1] = accuracy
        found[..., 2] = _reliance(learner, some)
        ends = accuracy if accuracy.interval is None else None
        for g in (0, 1):  # the interval of an exact number has no width
            low, high = ((accuracy.common, accuracy.counter)[g],) * 2 if ends else accuracy.interval[g]
            found[..., 3 + 2 * g], found[..., 4 + 2 * g] = low, high
        return found

    try:
        return numbers(worlds), {}
    except UNDEFINED:
        found, why = attempt(numbers, worlds)
        if len(why) == worlds.size:  # nobody told how many numbers a world has
            found = np.full((*worlds.shape, COLUMNS), np.nan)
        return found, why


def _reliance(learner: Learner, worlds: Worlds) -> np.ndarray | float:
    try:
        t = reliance(learner.direction(worlds))
    except UNDEFINED:
        return np.nan  # no linear rule
    return np.where(np.isfinite(t), t, np.nan)


def _measure(study: Study, region: Region, route: str, r: int, arrays: dict[str, np.ndarray], reasons: Reasons) -> None:
    from experiments.lab.measuring import ROUTES

    route_at = (r,) if len(study.measured) > 1 else ()
    for k in range(len(study.learners)):
        for cells in ROUTES[route](study, region, k):
            for place, found in cells.found.items():
                at = (*cells.at, k, place, *route_at)
                for column, name in enumerate(measured(study)):
                    arrays[name][at] = found[:, column]
                arrays["seconds"][at] = cells.seconds
            for place, sentence in cells.refused.items():
                reasons.add((*cells.at, k, place, *route_at), sentence)


def _summarise(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> None:
    """Standard errors and t intervals of the means over replicates that have a number."""
    for name in names:
        values = arrays[name]
        there = np.isfinite(values)
        count = there.sum(-1)
        with np.errstate(invalid="ignore", divide="ignore"):  # nan where one replicate is left, or none
            mean = np.where(there, values, 0.0).sum(-1) / count
            squares = (np.where(there, values - mean[..., None], 0.0) ** 2).sum(-1)
            error = np.where(count > 1, np.sqrt(squares / (count - 1) / count), np.nan)
            half = stdtrit(np.maximum(count - 1, 1), (1 + LEVEL) / 2) * error
        arrays[f"{name}_se"] = error
        arrays[f"{name}_low"], arrays[f"{name}_high"] = mean - half, mean + half
