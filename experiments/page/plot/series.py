"""The numbers to draw: a quantity of every learner, or the difference of two learners, over the axes of a study.

A quantity's interval is the Dataset's own where it has one. Over replicates of another quantity or of a difference it
is Student's t interval, with paired replicates. Otherwise the ends of two intervals are combined; the result covers
when both do, so its level is 1 - 2 alpha.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from experiments.errors import RequestError, RunError
from experiments.inference import LEVEL, t_bounds
from experiments.lab.store import read
from simulator.accuracy import PIXEL_GROUPS, WORDS, Accuracy, in_words
from simulator.naming import suggestion
from theory import learners

WHAT = (*WORDS, "reliance")  # quantities of every study
DIFFERENCE = "counter"  # the quantity in which two learners are compared
MINUS = " minus "
FALLING = ("drop", "error-counter")  # quantities that fall as the counter accuracy rises
MOST_NUMBERS = 100_000_000  # of one quantity that a plot reads
NOT_AXES = ("learner", "prompt", "route", "replicate", "legend")


class Who(NamedTuple):
    """A learner, its prompt and the route by which it was measured, where the study has several."""

    learner: str
    prompt: str | None = None
    route: str | None = None

    @property
    def spec(self) -> str:
        """As --what accepts it: infonce:name."""
        return self.learner + (f":{self.prompt}" if self.prompt else "")

    @property
    def label(self) -> str:
        return ", ".join(part for part in (self.learner, self.prompt and f"{self.prompt} prompt", self.route) if part)

    @property
    def anywhere(self) -> "Who":
        """The same learner without its route."""
        return self._replace(route=None)


class Series(NamedTuple):
    """Numbers of one learner, or of a difference, over the axes.

    `data` holds `value`, `undefined` (the index of a reason in the legend) and `pending` (not computed yet), and where
    they exist `low`, `high`, `predicted` and `predicted_undefined`.
    """

    who: Who
    against: Who | None
    data: xr.Dataset
    level: float | None  # of the interval
    replicates: int  # 0 if nothing was measured


def open_store(store: str) -> xr.Dataset:
    """The study in a store, without reading its numbers. Raises RequestError for anything else."""
    path = Path(store)
    if "://" not in store and not path.exists():
        others = [p.name for p in path.parent.iterdir() if p.suffix == ".zarr"] if path.parent.is_dir() else []
        raise RequestError(f"store {store!r} does not exist{suggestion(path.name, others, quoted=True)}")
    if "://" not in store and path.is_file():
        raise RequestError(f"store {store!r} is a file; a store is a folder that `soberclip sweep` writes")
    try:
        return read(store)
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged(error) from error


def select(dataset: xr.Dataset, at: Mapping[str, str | float]) -> xr.Dataset:
    """The part of a study at these values of axes, learners, prompts or routes.

    Raises RequestError, with the nearest choice, for a name or value that the study does not have.
    """
    for name, value in at.items():
        name = name.replace("-", "_")
        names = [str(d) for d in dataset.dims if d not in ("replicate", "legend")]
        if name not in names:
            raise RequestError(f"--at {name}={value}: the study has no axis {name!r}{suggestion(name, names)}")
        dataset = dataset.isel({name: [_index(dataset[name].values, name, value)]})
    return dataset


def _index(values: np.ndarray, name: str, value: str | float) -> int:
    if values.dtype.kind not in "fiu":
        words = [str(v) for v in values]
        if str(value) not in words:
            choices = f"choose from {', '.join(words)}{suggestion(str(value), words)}"
            raise RequestError(f"--at {name}={value} is not a value of the study; {choices}")
        return words.index(str(value))
    try:
        number = float(value)
    except ValueError:
        raise RequestError(f"--at {name}={value}: {value!r} is not a number") from None
    index = int(np.argmin(np.abs(values - number))) if np.isfinite(number) else 0
    if not np.isclose(values[index], number, rtol=1e-6, atol=1e-12):
        raise RequestError(f"--at {name}={value} is not a value of the study; the nearest is {values[index]:.12g}")
    return index


def load(dataset: xr.Dataset) -> xr.Dataset:
    """The Dataset in memory, with ascending numeric axes. Raises RequestError if it is too large."""
    largest = max((v.size for v in dataset.data_vars.values()), default=0)
    if largest > MOST_NUMBERS:
        name = max((d for d in dataset.dims if d not in NOT_AXES), key=lambda d: dataset.sizes[d])
        middle = dataset[name].values[dataset.sizes[name] // 2]
        raise RequestError(
            f"the study holds {largest:.1e} numbers per quantity and a plot reads at most {MOST_NUMBERS:.0e}; "
            f"fix an axis, such as --at {name}={middle}"
        )
    try:
        dataset = dataset.load()
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged(error) from error
    for name in dataset.dims:
        if name not in NOT_AXES and dataset[name].dtype.kind in "fiu":
            dataset = dataset.sortby(str(name))
    return dataset


def _damaged(error: Exception) -> RunError:
    return RunError(f"a chunk of the study is damaged ({error}); the same `soberclip sweep` repairs it")


def series_of(dataset: xr.Dataset, what: str) -> list[Series]:
    """Every learner's numbers of a quantity, or the difference "A minus B".

    Raises RequestError, with the nearest choice, for an unknown quantity or learner.
    """
    everybody, quantities = everyone(dataset), (*WHAT, *(group for group in PIXEL_GROUPS if group in dataset))
    if what in quantities:
        return [_quantity(dataset, who, what) for who in everybody]
    if MINUS not in what:
        raise RequestError(
            f"--what = {what!r} is not one of {', '.join(quantities)}, nor A{MINUS}B with two learners of the study"
            f"{suggestion(what, quantities)}"
        )
    first, second = (_named(dataset, name.strip(), everybody, what) for name in what.split(MINUS, 1))
    if first[0] == second[0]:
        raise RequestError(f"--what = {what!r} compares a learner with itself; name two that differ")
    return [_difference(dataset, a, b) for a, b in zip(first, second, strict=True)]


def everyone(dataset: xr.Dataset) -> list[Who]:
    """Every learner of a study with its prompts and routes; a learner without prompts appears once per route."""
    routes = [str(r) for r in dataset.route.values] if "route" in dataset.dims else [None]
    found = []
    for learner in map(str, dataset.learner.values):
        prompted = "prompt" in dataset.dims and _has_prompts(dataset, learner)
        prompts = [str(p) for p in dataset.prompt.values] if prompted else [None]
        found += [Who(learner, prompt, route) for prompt in prompts for route in routes]
    return found


def _has_prompts(dataset: xr.Dataset, learner: str) -> bool:
    """Whether a learner has prompts. For one that theory does not know, its numbers tell."""
    if learner in learners.names():
        return hasattr(learners.named(learner), "prompt")
    others = dataset.sel(learner=learner).isel(prompt=slice(1, None))
    return bool(others.common.notnull().any() | (others.undefined != 0).any())


def part_of(dataset: xr.Dataset, who: Who) -> xr.Dataset:
    """The numbers of one learner, without the dimensions of learner, prompt and route."""
    at = {"learner": who.learner}
    if "prompt" in dataset.dims:
        at["prompt"] = dataset.prompt.values[0] if who.prompt is None else who.prompt
    if who.route is not None:
        at["route"] = who.route
    return dataset.sel(at, drop=True)


def _named(dataset: xr.Dataset, name: str, everybody: list[Who], what: str) -> list[Who]:
    """The learner that one half of a difference names, once per route."""
    specs = list(dict.fromkeys(who.spec for who in everybody))
    learner, _, prompt = name.partition(":")
    mine = [who for who in everybody if who.spec == name]
    if not mine and not prompt:
        mine = [who for who in everybody if who.learner == learner]
        if len({who.prompt for who in mine}) > 1:
            choices = " or ".join(dict.fromkeys(who.spec for who in mine))
            raise RequestError(f"--what = {what!r} does not say which prompt of {learner}; write {choices}")
    if not mine:
        names = dict.fromkeys([*specs, *(who.learner for who in everybody)])
        raise RequestError(
            f"--what = {what!r} names {name!r}, which is not in the study; choose from {', '.join(specs)}"
            f"{suggestion(name, names)}"
        )
    return mine


def _quantity(dataset: xr.Dataset, who: Who, name: str) -> Series:
    part = part_of(dataset, who)
    value = _values(part, name)
    mean = _mean(value)
    data = xr.Dataset({"undefined": _codes(part.get("undefined"), mean), "value": mean, "pending": ~_answered(part)})
    if f"predicted_{DIFFERENCE}" in part and name not in PIXEL_GROUPS:  # theory does not predict these
        data["predicted"] = _values(part, name, "predicted_")
        data["predicted_undefined"] = _codes(part.get("predicted_undefined"), data.predicted)
        if not data.value.notnull().any():  # no route measures this learner: it has its theory alone
            data["undefined"] = data.undefined.where(data.predicted.isnull(), 0)
    low, high, level = _interval(part, name, value)
    if level is not None:
        data["low"], data["high"] = low, high
    return Series(who, None, data, level, value.sizes.get("replicate", 0))


def _codes(codes: xr.DataArray | None, like: xr.DataArray) -> xr.DataArray:
    """Indices of reasons; all 0 for a Dataset without reasons."""
    return xr.zeros_like(like, dtype=int) if codes is None else codes.fillna(0).astype(int)


def _values(part: xr.Dataset, name: str, prefix: str = "") -> xr.DataArray:
    if name in ("reliance", *PIXEL_GROUPS):
        return part[prefix + name]
    return _in_words(name, part[f"{prefix}common"], part[f"{prefix}counter"])


def _in_words(name: str, common: xr.DataArray, counter: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(lambda a, b: in_words(name, Accuracy(a, b)), common, counter)


def _mean(value: xr.DataArray) -> xr.DataArray:
    return value.mean("replicate") if "replicate" in value.dims else value


def _interval(part: xr.Dataset, name: str, value: xr.DataArray):
    """(low, high, level); level is None if nothing was estimated."""
    ends = {g: _ends(part, g) for g in ("common", "counter", "reliance", *PIXEL_GROUPS) if f"{g}_low" in part}
    if name in ends:
        return ends[name]
    if name == "error-counter" and "counter" in ends:
        low, high, level = ends["counter"]
        return 1 - high, 1 - low, level
    if value.sizes.get("replicate", 0) > 1:
        return _of_replicates(value)
    if name not in WORDS or not {"common", "counter"} <= ends.keys():
        return None, None, None
    (a, b, level), (c, d, _) = ends["common"], ends["counter"]
    low, high = ((a, d), (b, c)) if name in FALLING else ((a, c), (b, d))
    return _in_words(name, *low), _in_words(name, *high), 2 * level - 1


def _ends(part: xr.Dataset, name: str):
    low, high = part[f"{name}_low"], part[f"{name}_high"]
    return low, high, float(low.attrs.get("level", part.attrs.get("level", LEVEL)))


def _of_replicates(value: xr.DataArray):
    bounds = t_bounds(value.transpose(..., "replicate").values, (1 - LEVEL) / 2)
    like = value.isel(replicate=0, drop=True)
    return like.copy(data=bounds.low), like.copy(data=bounds.high), LEVEL


def _difference(dataset: xr.Dataset, first: Who, second: Who) -> Series:
    one, two = (_quantity(dataset, who, DIFFERENCE) for who in (first, second))
    data = xr.Dataset({"undefined": _first_reason(one, two, "undefined")})
    data["value"] = one.data.value - two.data.value
    data["pending"] = one.data.pending | two.data.pending
    if "predicted" in one.data and "predicted" in two.data:
        data["predicted"] = one.data.predicted - two.data.predicted
        data["predicted_undefined"] = _first_reason(one, two, "predicted_undefined")
    level = None
    if one.replicates > 1:
        parts = [_values(part_of(dataset, who), DIFFERENCE) for who in (first, second)]
        data["low"], data["high"], level = _of_replicates(parts[0] - parts[1])
    elif one.level is not None or two.level is not None:
        ends = [(s.data.get("low", s.data.value), s.data.get("high", s.data.value)) for s in (one, two)]
        data["low"], data["high"] = ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]
        level = 1 - sum(1 - s.level for s in (one, two) if s.level is not None)
    return Series(first, second, data, level, one.replicates)


def _first_reason(one: Series, two: Series, name: str) -> xr.DataArray:
    return one.data[name].where(one.data[name] != 0, two.data[name])


def computed(dataset: xr.Dataset) -> tuple[int, int]:
    """(cells with an answer or a reason why there is none, all cells)."""
    answered = [_answered(part_of(dataset, who)) for who in everyone(dataset)]
    return sum(int(one.sum()) for one in answered), sum(one.size for one in answered)


def _answered(part: xr.Dataset) -> xr.DataArray:
    answered = _mean(part.common).notnull() | _mean(part.counter).notnull()
    return answered | (part.undefined != 0) if "undefined" in part else answered
