"""Cells beyond the grid of a study, where they tell most: `--refine BUDGET`, for cells that are measured and cost much.

A study of one or two axes is computed on its grid; then new cells are placed between those that are there, where the
sign of the difference of two learners is not certain or the counter accuracy changes by more than noise explains. The
library `adaptive` places them (Learner1D cuts intervals, Learner2D triangles, on the axes' own scales); what it is to
reduce is `loss`. It is asked for BATCH cells at a time and told all that were found before, so that the cells do not
depend on who computes them: a run that was cut short, or goes on with a larger budget, places the same ones.

The cells lie in the store of the grid, see `experiments.lab.points`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import combinations, product
from typing import Any

import numpy as np

from experiments.errors import RequestError
from experiments.lab import points, store
from experiments.lab.executors import Execute
from experiments.lab.plan import Plan
from experiments.lab.study import Study

BATCH = 8  # cells placed at a time: what several workers share, few beside what steers them
Z = 2.0  # standard errors that a sign or a change has to exceed
FLAT = 0.02  # what a stretch is worth where nothing is uncertain, in units of accuracy: no gap stays for ever

FORWARD = {"log": np.log10, "one-minus": lambda x: -np.log10(1 - x)}
BACKWARD = {"log": lambda t: 10.0**t, "one-minus": lambda t: 1 - 10.0**-t}


def refuse(study: Study, budget: int, path: Any) -> None:
    """Raise RequestError for a study that cannot be refined, before any work."""
    if isinstance(budget, bool) or not 1 <= budget <= points.MOST:
        near = min(max(budget, 1), points.MOST)
        raise RequestError(f"refine = {budget} lies outside [1, {points.MOST}]; the nearest valid value is {near}")
    if not study.measured:
        raise RequestError(
            "refine has no meaning for the theory alone: closed forms cost next to nothing; give the axes more values"
        )
    if len(study.axes) not in (1, 2):
        raise RequestError(f"refine places cells along one axis or two, and this study has {len(study.axes)}")
    for axis in study.axes:
        if not all(isinstance(value, float) for value in axis.values):
            raise RequestError(f"refine: between the values of {axis.name} there are no others; vary a real number")
        if len(axis.values) < 2:
            raise RequestError(f"refine: axis {axis.name} has one value, and cells are placed between two")
    if study.replicates < 2:
        raise RequestError("refine needs two replicates or more, to tell a change from noise; the nearest is 2")
    if path is None:
        raise RequestError("refine needs a store (--output) for cells that cost so much")
    if find_spec("adaptive") is None:
        raise RequestError(
            "refine needs adaptive, which is not installed; in the checkout run: python -m pip install -e '.[refine]'"
        )


def beyond(planned: Plan, where: str, budget: int, execute: Execute, counter: np.ndarray, advance: Callable) -> None:
    """Compute `budget` cells beyond the grid, save those that are there already.

    They lie at `where`, see `experiments.lab.store.refined`. `counter` holds the grid's accuracies on the counter
    group; `advance` hears how many cells more are there.
    """
    study = planned.study
    learner = _learner(study)
    grid = values(counter.reshape(-1, *counter.shape[len(study.axes) :]), study)
    for place, told in zip(product(*(axis.values for axis in study.axes)), grid, strict=True):
        learner.tell(_key(_scaled(study, place)), told)
    for start in range(0, budget, BATCH):
        asked = learner.ask(BATCH)[0]
        places = [_unscaled(study, key) for key in asked]
        numbers = range(start, min(start + BATCH, budget))
        missing = _missing(where, numbers, study, places)
        advance(len(numbers) - len(missing))
        for _ in execute(partial(finish, study, planned.estimated, where, start, places), missing):
            advance(1)
        if len(numbers) == BATCH:
            found = store.arrays(where)["counter"][start : start + BATCH]
            for key, told in zip(asked, values(found, study), strict=True):
                learner.tell(key, told)


def finish(study: Study, estimated: bool, where: str, first: int, places: list[tuple], number: int) -> int:
    """Compute cell `number` at places[number - first] and write it; its number."""
    store.write(where, points.LAYOUT, number, points.computed(study, estimated, places[number - first]))
    return number


def _missing(where: str, numbers: range, study: Study, places: list[tuple]) -> list[int]:
    """Those of the cells that are not finished. RequestError for one that is, at another place."""
    missing, arrays = [], store.arrays(where)
    for number, here in zip(numbers, places, strict=False):
        if not store.is_finished(where, points.LAYOUT, number):
            missing.append(number)
        elif (there := tuple(float(arrays[name][number]) for name in study.dims)) != here:
            raise RequestError(
                f"cell {number} of {where!r} lies at {there} and would now lie at {here}; go on with the version of "
                "adaptive that placed it, or name a store of its own"
            )
    return missing


def _learner(study: Study) -> Any:
    """What places cells, on the axes' own scales."""
    from adaptive.learner.learner1D import Learner1D
    from adaptive.learner.learner2D import Learner2D

    low, high = (_scaled(study, [end(axis.values) for axis in study.axes]) for end in (min, max))
    bounds = list(zip(low, high, strict=True))
    series = sum(len(study.asked(k)) for k in range(len(study.learners)))
    differences = len(study.measured) * series * (series - 1) // 2
    if len(bounds) == 1:
        return Learner1D(None, bounds[0], loss_per_interval=partial(_of_interval, differences=differences))
    return Learner2D(None, bounds, loss_per_triangle=partial(_of_triangles, differences=differences))


def _key(t: tuple[float, ...]) -> Any:
    """A place as the learners name it: Learner1D by a number, Learner2D by a pair."""
    return t[0] if len(t) == 1 else t


def _scaled(study: Study, place: Sequence[float]) -> tuple[float, ...]:
    """A place where equal steps of the axes are equal."""
    return tuple(float(FORWARD.get(axis.scale, float)(x)) for axis, x in zip(study.axes, place, strict=True))


def _unscaled(study: Study, key: Any) -> tuple[float, ...]:
    found = []
    for axis, t in zip(study.axes, np.atleast_1d(key), strict=True):
        x = BACKWARD.get(axis.scale, float)(t)
        found.append(float(min(max(x, min(axis.values)), max(axis.values))))  # rounding leads astray
    return tuple(found)


def values(counter: np.ndarray, study: Study) -> np.ndarray:
    """(cell, 2 Q) what the loss looks at: means of Q quantities, then standard errors; -1 where there is no number.

    `counter` holds accuracies on the counter group: (cell, learner, prompt, [route,] replicate). Quantities are those
    of all learners as they are asked and by every route, then the differences of every two that one route measured,
    replicate by replicate, since they share their random streams.
    """
    if len(study.measured) == 1:
        counter = counter[..., None, :]
    who = [(k, place) for k in range(len(study.learners)) for place, _ in study.asked(k)]
    routes = [np.stack([counter[:, k, place, r] for k, place in who], axis=1) for r in range(counter.shape[-2])]
    differences = [route[:, i] - route[:, j] for route in routes for i, j in combinations(range(len(who)), 2)]
    every = np.concatenate([*routes, *(d[:, None] for d in differences)], axis=1)  # (cell, Q, replicate)
    there = np.isfinite(every)
    count = there.sum(-1)
    mean = np.where(there, every, 0).sum(-1) / np.maximum(count, 1)
    squares = (np.where(there, every - mean[..., None], 0) ** 2).sum(-1)
    error = np.where(count > 1, np.sqrt(squares / np.maximum(count * (count - 1), 1)), -1)
    return np.concatenate([mean, error], axis=1)


def loss(size: np.ndarray | float, ends: np.ndarray, differences: int) -> np.ndarray | np.float64:
    """What a stretch between neighbouring cells is worth, `ends` (..., cell, 2 Q) being what `values` says of them.

    size (FLAT + change + sign): the largest change of a quantity along an edge, less Z standard errors of it; 1 if the
    sign of one of the last `differences` quantities is not the same at all ends by Z standard errors. Quantities
    without a number count for nothing, and learners that are equal without any spread differ nowhere.
    """
    mean, error = np.split(ends, 2, axis=-1)
    there = (error >= 0).all(-2)
    changes = [
        np.abs(mean[..., i, :] - mean[..., j, :]) - Z * np.hypot(error[..., i, :], error[..., j, :])
        for i, j in combinations(range(ends.shape[-2]), 2)
    ]
    change = np.where(there, np.max(changes, axis=0), 0).max(-1)
    certain = (mean > Z * error).all(-2) | (mean < -Z * error).all(-2) | ((mean == 0) & (error == 0)).all(-2)
    uncertain = (there & ~certain)[..., there.shape[-1] - differences :].any(-1)
    return size * (FLAT + np.maximum(change, 0) + uncertain)


def _of_interval(xs: Sequence[float], ys: Sequence[np.ndarray], differences: int) -> float:
    """The loss as Learner1D asks for it: of two cells, numbers in units of their range."""
    return float(loss(xs[1] - xs[0], np.stack(ys), differences))


def _of_triangles(ip: Any, differences: int) -> np.ndarray:
    """The loss as Learner2D asks for it: of all triangles; numbers in units of their range, as Learner1D has them."""
    from adaptive.learner.learner2D import areas

    scale = np.ptp(ip.values, axis=0).max() or 1.0
    return loss(areas(ip), ip.values[ip.tri.simplices] / scale, differences)
