"""How long a study will take, from the time that a few of its cells take."""

from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

import numpy as np

from experiments.lab.blocks import LEAST_REPLICATES, Layout, Region, cell_seconds, spread
from experiments.lab.cells import theory
from experiments.lab.measuring import fitted, unable
from experiments.lab.study import Study

PLACES = 3  # of the grid, at which everything is timed once
GLANCE = 0.02  # seconds that closed forms of a few worlds may take
PAIRS = 20_000  # drawn pairs from which more are extrapolated
STEPS = (2, 8)  # of training, whose difference tells what a step takes


def expected(study: Study, cut: Layout, estimated: bool) -> float:
    """Seconds of all cells on one core: the mean over a few places, times the number of places."""
    places = spread(study, PLACES)
    total, begun = 0.0, set()
    for index in places:
        for k in range(len(study.learners)):
            total += _theory(study, k, index, cut, estimated)
            for route in study.measured:
                if unable(study, k, route, index) is not None:
                    continue
                if route not in begun:  # what is imported on first use
                    _TIMED[route](study, k, index)
                    begun.add(route)
                total += _TIMED[route](study, k, index)
    return total / len(places) * int(np.prod(study.shape, dtype=object))


def _seconds(work: Callable[[], object]) -> float:
    """Of work, and of what it takes to find that there is none."""
    began = perf_counter()
    with suppress(ValueError, ArithmeticError):  # no answer at this place
        work()
    return perf_counter() - began


def _theory(study: Study, k: int, index: tuple[int, ...], cut: Layout, estimated: bool) -> float:
    region = _row(index, max(1, int(GLANCE / cell_seconds(study, estimated))), cut)
    cells = int(np.prod([part.stop - part.start for part in region], dtype=int))
    theory(study, region, k, study.asked(k)[0][1])  # what is imported on first use
    times = [_seconds(lambda p=prompt: theory(study, region, k, p)) for _, prompt in study.asked(k)]
    return sum(times) / cells


def _row(index: tuple[int, ...], length: int, cut: Layout) -> Region:
    """Up to `length` cells along the last axis around a place."""
    if not index:
        return ()
    length = min(length, cut.chunk[-1])
    start = min(index[-1], cut.shape[-1] - length)
    return (*(slice(i, i + 1) for i in index[:-1]), slice(start, start + length))


def _exact(study: Study, k: int, index: tuple[int, ...]) -> float:
    few = min(study.replicates, LEAST_REPLICATES)
    each = sum(_seconds(lambda p=prompt: fitted(study, k, index, p, "exact", few)) for _, prompt in study.asked(k))
    return each * study.replicates / few


def _drawn(study: Study, k: int, index: tuple[int, ...]) -> float:
    n = study.cell(index).get("n", study.n)
    some = min(n, PAIRS)
    each = sum(_seconds(lambda p=prompt: fitted(study, k, index, p, "drawn", 1, some)) for _, prompt in study.asked(k))
    return each * study.replicates * n / some


def _trained(study: Study, k: int, index: tuple[int, ...]) -> float:
    from simulator.towers.trained import train
    from simulator.towers.training import EveryModelDiverged

    world, recipe = study.world_at(index), study.recipe_at(index, k)
    few = min(study.replicates, 8)

    def steps(number: int) -> None:
        with suppress(EveryModelDiverged):
            short = recipe.model_copy(update={"steps": number})
            train(world, short, models=few, device=study.device).accuracy()

    first, second = (_seconds(lambda m=number: steps(m)) for number in STEPS)
    each = max(0.0, second - first) / (STEPS[1] - STEPS[0])
    return (first + each * recipe.steps) * study.replicates / few


_TIMED = {"exact": _exact, "drawn": _drawn, "trained": _trained}
