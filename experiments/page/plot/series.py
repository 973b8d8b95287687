"""The numbers to draw: a quantity of every learner, or the difference of two learners, over the
axes of a study.

A quantity's interval is the Dataset's own where it has one. Over replicates of another quantity or
of a difference it is Student's t interval, with paired replicates. Otherwise the ends of the
groups' intervals are combined; the result covers when all of them do, so its level is 1 - 2 alpha
for two groups.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import product
from typing import NamedTuple

import numpy as np
import xarray as xr

from experiments.errors import RequestError, RunError, unknown
from experiments.inference import FRACTION, REALS
from experiments.page.plot.axes import literal
from experiments.page.plot.places import PLACES
from simulator.accuracy import GROUPS, LEVEL, PIXEL_GROUPS, WORDS, Accuracy, mean_interval
from simulator.naming import suggestion
from simulator.prompts import prompt_name, prompt_row
from theory.learners import named, names

WHAT = (*WORDS, *PLACES)  # quantities of every study
DIFFERENCE = "counter"  # the quantity in which two learners are compared
MINUS = " minus "
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
    def words(self) -> str:
        """The learner in words; one of a user's file, and an objective without a law, by its
        name.
        """
        words = named(self.learner).words if self.learner in names() else self.learner
        return words.removeprefix("the ").removesuffix(" optimum")

    @property
    def label(self) -> str:
        """As a figure shows it."""
        parts = (self.words, self.prompt and prompt_row(self.prompt).words, self.route)
        return literal(", ".join(part for part in parts if part))

    @property
    def anywhere(self) -> "Who":
        """The same learner without its route."""
        return self._replace(route=None)


class Series(NamedTuple):
    """Numbers of one learner, or of a difference, over the axes."""

    who: Who
    against: Who | None
    # value, undefined (index in the legend), pending; perhaps low, high, predicted, and its
    # undefined
    data: xr.Dataset
    level: float | None  # of the interval
    replicates: int  # 0 if nothing was measured

    def numbers(self, name: str) -> np.ndarray:
        """One of the arrays; nan where it does not exist."""
        return (self.data[name] if name in self.data else self.data.value * np.nan).values


def select(dataset: xr.Dataset, at: Mapping[str, str | float]) -> xr.Dataset:
    """The part of a study at these values of axes, learners, prompts or routes."""
    for name, value in at.items():
        name = name.replace("-", "_")
        names = [str(d) for d in dataset.dims if d not in ("replicate", "legend")]
        if name not in names:
            raise unknown(f"--at {name}={value}: axis", name, names)
        dataset = dataset.isel({name: [_index(dataset[name].values, name, value)]})
    return dataset


def _index(values: np.ndarray, name: str, value: str | float) -> int:
    if values.dtype.kind not in "fiu":
        words = [str(v) for v in values]
        word = prompt_name(str(value)) if name == "prompt" else str(value)
        if word not in words:
            raise unknown(f"--at {name} =", word, words)
        return words.index(word)
    try:
        number = float(value)
    except ValueError:
        raise RequestError(f"--at {name}={value}: {value!r} is not a number") from None
    index = int(np.argmin(np.abs(values - number))) if np.isfinite(number) else 0
    if not np.isclose(values[index], number, rtol=1e-6, atol=1e-12):
        raise RequestError(
            f"--at {name}={value} is not a value of the study; the nearest is {values[index]:.12g}"
        )
    return index


def load(dataset: xr.Dataset) -> xr.Dataset:
    """The Dataset in memory, with ascending numeric axes. Raises RequestError if it is too
    large.
    """
    largest = max((v.size for v in dataset.data_vars.values()), default=0)
    if largest > MOST_NUMBERS:
        name = max((d for d in dataset.dims if d not in NOT_AXES), key=lambda d: dataset.sizes[d])
        middle = dataset[name].values[dataset.sizes[name] // 2]
        raise RequestError(
            f"the study holds {largest:.1e} numbers per quantity and a plot reads at most"
            f" {MOST_NUMBERS:.0e}; fix an axis, such as --at {name}={middle}"
        )
    try:
        dataset = dataset.load()
    except (OSError, ValueError, RuntimeError) as error:
        words = f"a chunk of the study is damaged ({error}); the same `soberclip sweep` repairs it"
        raise RunError(words) from error
    return dataset.sortby(
        [str(d) for d in dataset.dims if d not in NOT_AXES and dataset[d].dtype.kind in "fiu"]
    )


def series_of(dataset: xr.Dataset, what: str) -> list[Series]:
    """Every learner's numbers of a quantity, or the difference "A minus B"."""
    optional = [name for name in ("reliance", "unseen", *PIXEL_GROUPS) if name in dataset]
    everybody = everyone(dataset)
    quantities = (*WHAT, *optional)
    if what in quantities:
        return [_quantity(dataset, who, what) for who in everybody]
    if MINUS not in what:
        raise RequestError(
            f"--what = {what!r} is not one of {', '.join(quantities)}, nor A{MINUS}B with two"
            f" learners of the study{suggestion(what, quantities)}"
        )
    first, second = (_learners_of(name.strip(), everybody, what) for name in what.split(MINUS, 1))
    if first[0] == second[0]:
        raise RequestError(
            f"--what = {what!r} compares a learner with itself; name two that differ"
        )
    return [_difference(dataset, a, b) for a, b in zip(first, second, strict=True)]


def everyone(dataset: xr.Dataset) -> list[Who]:
    """Every learner of a study with its prompts and routes; a learner without prompts appears once
    per route.
    """
    routes = [str(r) for r in dataset.route.values] if "route" in dataset.dims else [None]
    every = []
    for learner in map(str, dataset.learner.values):
        prompted = "prompt" in dataset.dims and learner not in dataset.learner.attrs.get(
            "without_prompt", ()
        )
        prompts = [str(p) for p in dataset.prompt.values] if prompted else [None]
        every += [Who(learner, prompt, route) for prompt in prompts for route in routes]
    return every


def _learners_of(name: str, everybody: list[Who], what: str) -> list[Who]:
    """The learner in one half of a difference, once per route. A single prompt may be omitted."""
    learner, colon, prompt = name.partition(":")
    mine = [
        who for who in everybody if learner + colon + prompt_name(prompt) in (who.spec, who.learner)
    ]
    specs = dict.fromkeys(who.spec for who in mine or everybody)
    if not mine:
        raise RequestError(
            f"--what = {what!r} names {name!r}, which is not in the study; choose from"
            f" {', '.join(specs)}{suggestion(name, [*specs, *(who.learner for who in everybody)])}"
        )
    if len(specs) > 1:
        raise RequestError(
            f"--what = {what!r} does not say which prompt of {name}; write {' or '.join(specs)}"
        )
    return mine


def part_of(dataset: xr.Dataset, who: Who) -> xr.Dataset:
    """The numbers of one learner, without the dimensions of learner, prompt and route."""
    at = {"learner": who.learner}
    if "prompt" in dataset.dims:
        at["prompt"] = dataset.prompt.values[0] if who.prompt is None else who.prompt
    if who.route is not None:
        at["route"] = who.route
    return dataset.sel(at, drop=True)


def _quantity(dataset: xr.Dataset, who: Who, name: str) -> Series:
    part = part_of(dataset, who)
    value = _values(part, name)
    answered = _mean(part.common).notnull() | _mean(part.counter).notnull() | (part.undefined != 0)
    data = xr.Dataset({"undefined": part.undefined, "value": _mean(value), "pending": ~answered})
    # theory does not predict these
    if f"predicted_{DIFFERENCE}" in part and name not in PIXEL_GROUPS:
        data["predicted"] = _values(part, name, "predicted_")
        data["predicted_undefined"] = part.predicted_undefined
        if not data.value.notnull().any():  # no route measures this learner: only theory has values
            data["undefined"] = data.undefined.where(data.predicted.isnull(), 0)
    ends, level = _interval(part, name, value)
    return Series(who, None, data.assign(ends), level, part[DIFFERENCE].sizes.get("replicate", 0))


def _groups(part: xr.Dataset, name: str) -> list[str]:
    """The groups from which a quantity is computed."""
    return [group for group in (GROUPS if name == "worst" else GROUPS[:2]) if group in part]


def _values(
    part: xr.Dataset, name: str, prefix: str = "", ends: Sequence[str] = ("", "", "")
) -> xr.DataArray:
    if name in ("reliance", "unseen", *PLACES, *PIXEL_GROUPS):
        return part[prefix + name + ends[0]]
    groups = (
        part[f"{prefix}{group}{end}"] for group, end in zip(_groups(part, name), ends, strict=False)
    )
    return xr.apply_ufunc(lambda *each: getattr(Accuracy.of(each), name.replace("-", "_")), *groups)


def _mean(value: xr.DataArray) -> xr.DataArray:
    return value.mean("replicate") if "replicate" in value.dims else value


def _interval(
    part: xr.Dataset, name: str, value: xr.DataArray
) -> tuple[dict[str, xr.DataArray], float | None]:
    """(low and high, level); ({}, None) if nothing was estimated."""
    group = DIFFERENCE if name == f"error-{DIFFERENCE}" else name
    own = f"{group}_low" in part
    if not own and value.sizes.get("replicate", 0) > 1:
        return _of_replicates(value, {"reliance": REALS, "drop": (-1.0, 1.0)}.get(name, FRACTION))
    if not own and (name not in WORDS or f"{DIFFERENCE}_low" not in part):
        return {}, None
    level = part[f"{group if own else DIFFERENCE}_low"].attrs.get(
        "level", part.attrs.get("level", LEVEL)
    )
    groups = len(_groups(part, name))
    corners = [_values(part, name, ends=ends) for ends in product(("_low", "_high"), repeat=groups)]
    # every quantity is monotone
    ends = {"low": reduce(np.minimum, corners), "high": reduce(np.maximum, corners)}
    return ends, float(level) if own else 1 - groups * (1 - float(level))


def _of_replicates(
    value: xr.DataArray, support: tuple[float, float]
) -> tuple[dict[str, xr.DataArray], float]:
    _, _, low, high = mean_interval(value.transpose(..., "replicate").values, LEVEL, support)
    like = value.isel(replicate=0, drop=True)
    return {"low": like.copy(data=low), "high": like.copy(data=high)}, LEVEL


def _difference(dataset: xr.Dataset, first: Who, second: Who) -> Series:
    one = _quantity(dataset, first, DIFFERENCE)
    two = _quantity(dataset, second, DIFFERENCE)
    a, b, level = one.data, two.data, None
    data = xr.Dataset(
        {"undefined": a.undefined.where(a.undefined != 0, b.undefined), "value": a.value - b.value}
    )
    data["pending"] = a.pending | b.pending
    if "predicted" in a and "predicted" in b:
        data["predicted"] = a.predicted - b.predicted
        data["predicted_undefined"] = a.predicted_undefined.where(
            a.predicted_undefined != 0, b.predicted_undefined
        )
    if one.replicates > 1:
        ours = _values(part_of(dataset, first), DIFFERENCE)
        theirs = _values(part_of(dataset, second), DIFFERENCE)
        ends, level = _of_replicates(ours - theirs, (-1.0, 1.0))
        data = data.assign(ends)
    elif one.level is not None or two.level is not None:
        data["low"] = a.get("low", a.value) - b.get("high", b.value)
        data["high"] = a.get("high", a.value) - b.get("low", b.value)
        level = 1 - sum(1 - s.level for s in (one, two) if s.level is not None)
    return Series(first, second, data, level, one.replicates)
