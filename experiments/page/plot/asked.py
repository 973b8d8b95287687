"""What is to be drawn of a study: a word of accuracy, or one learner minus another, as labelled arrays over its axes.

A word's interval is the Dataset's own where it carries one. Over replicates of another word or of a difference it is
Student's t of the replicates, each replicate taken as a pair; without replicates both ends are combined so that the
interval covers whenever the two that it is made of do (its level is then 1 - 2 alpha).
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from experiments.errors import RequestError
from experiments.inference import LEVEL, t_bounds
from simulator.accuracy import PIXEL_GROUPS, WORDS, Accuracy, in_words
from simulator.naming import suggestion
from theory import learners

WHAT = (*WORDS, "reliance")  # what every study can show
DIFFERENCE = "counter"  # what is compared where two learners are
MINUS = " minus "
FALLING = ("drop", "error-counter")  # words that fall with the accuracy on the counter group


class Who(NamedTuple):
    """Whose numbers: a learner, how it is asked, and how it was measured, where a study says so."""

    learner: str
    prompt: str | None = None
    route: str | None = None

    @property
    def written(self) -> str:
        """As --what takes it: infonce:name."""
        return self.learner + (f":{self.prompt}" if self.prompt else "")

    @property
    def label(self) -> str:
        """For a legend or a title."""
        return ", ".join(part for part in (self.learner, self.prompt and f"{self.prompt} prompt", self.route) if part)


class Series(NamedTuple):
    """One learner's numbers (or a difference) over the axes.

    data holds `value`, `undefined` (a reason's place in the legend), `pending` (not computed yet), and where there are
    such `low`, `high`, `predicted` and `predicted_undefined`; `level` is the interval's.
    """

    who: Who
    against: Who | None
    data: xr.Dataset
    level: float | None
    replicates: int  # 0 where nothing was measured


def series_of(dataset: xr.Dataset, what: str) -> list[Series]:
    """All learners' numbers of a word, or the difference that is asked for.

    Raises RequestError for a word or a learner that there is not, naming the nearest.
    """
    there, words = everyone(dataset), (*WHAT, *(group for group in PIXEL_GROUPS if group in dataset))
    if what in words:
        return [_word(dataset, who, what) for who in there]
    if MINUS not in what:
        raise RequestError(
            f"--what = {what!r} is not one of {', '.join(words)}, nor A{MINUS}B with two learners of the study"
            f"{suggestion(what, words)}"
        )
    first, second = (_named(dataset, name.strip(), there, what) for name in what.split(MINUS, 1))
    if first[0] == second[0]:
        raise RequestError(f"--what = {what!r} takes a learner from itself, which leaves 0; name two that differ")
    return [_difference(dataset, a, b) for a, b in zip(first, second, strict=True)]


def everyone(dataset: xr.Dataset) -> list[Who]:
    """Learners of a study with their prompts and measured routes, without the places that none fills.

    A learner without prompts stands under the first prompt alone.
    """
    routes = [str(r) for r in dataset.route.values] if "route" in dataset.dims else [None]
    found = []
    for learner in map(str, dataset.learner.values):
        prompts = [str(p) for p in dataset.prompt.values] if "prompt" in dataset.dims else [None]
        if not _asked_by_prompt(dataset, learner):
            prompts = [None]
        found += [Who(learner, prompt, route) for prompt in prompts for route in routes]
    return found


def _asked_by_prompt(dataset: xr.Dataset, learner: str) -> bool:
    """Whether a learner is asked by a prompt: its class says so; of one that has no name here, the numbers do."""
    if learner in learners.names():
        return hasattr(learners.named(learner), "prompt")
    part = dataset.sel(learner=learner)
    if "prompt" not in part.dims or part.sizes["prompt"] == 1:
        return False
    rest = part.isel(prompt=slice(1, None))
    return bool(rest.common.notnull().any() | (rest.undefined != 0).any())


def part_of(dataset: xr.Dataset, who: Who) -> xr.Dataset:
    """The numbers of one learner, without its dimensions."""
    at = {"learner": who.learner}
    if "prompt" in dataset.dims:
        at["prompt"] = dataset.prompt.values[0] if who.prompt is None else who.prompt
    part = dataset.sel(at, drop=True)
    if who.route is None:
        return part
    return part.sel(route=who.route, drop=True)


def _named(dataset: xr.Dataset, name: str, there: list[Who], what: str) -> list[Who]:
    """The learner that half of a difference names, once for every measured route."""
    written = list(dict.fromkeys(who.written for who in there))
    choices = written + [who.learner for who in there if written.count(who.written) == 1]
    learner, _, prompt = name.partition(":")
    mine = [who for who in there if who.written == name]
    if not mine and not prompt:  # infonce, in a study with one prompt
        mine = [who for who in there if who.learner == learner]
        if len({who.prompt for who in mine}) > 1:
            both = " or ".join(dict.fromkeys(who.written for who in mine))
            raise RequestError(f"--what = {what!r} leaves open how {learner} is asked; write {both}")
    if not mine:
        raise RequestError(
            f"--what = {what!r} names {name!r}, which is not in the study; there are {', '.join(written)}"
            f"{suggestion(name, dict.fromkeys(choices))}"
        )
    return mine


def _word(dataset: xr.Dataset, who: Who, word: str) -> Series:
    part = part_of(dataset, who)
    value, own = _values(part, word), part.get("undefined")
    mean = _mean(value)
    data = xr.Dataset({"undefined": _codes(own, mean), "value": mean})
    replicates = value.sizes.get("replicate", 0)
    data["pending"] = ~_answered(part)
    if f"predicted_{DIFFERENCE}" in part and word not in PIXEL_GROUPS:  # of which the theory does not speak
        data["predicted"] = _values(part, word, "predicted_")
        data["predicted_undefined"] = _codes(part.get("predicted_undefined"), data.predicted)
        if not data.value.notnull().any():  # no route measures this learner at all: it stands by its theory
            data["undefined"] = data.undefined.where(data.predicted.isnull(), 0)
    low, high, level = _interval(part, word, value)
    if level is not None:
        data["low"], data["high"] = low, high
    return Series(who, None, data, level, replicates)


def _codes(own: xr.DataArray | None, like: xr.DataArray) -> xr.DataArray:
    """Codes of reasons, 0 where a Dataset that was cut or selected from has none any more."""
    return xr.zeros_like(like, dtype=int) if own is None else own.fillna(0).astype(int)


def _values(part: xr.Dataset, word: str, prefix: str = "") -> xr.DataArray:
    if word in ("reliance", *PIXEL_GROUPS):
        return part[prefix + word]
    return _in_words(word, part[f"{prefix}common"], part[f"{prefix}counter"])


def _in_words(word: str, common: xr.DataArray, counter: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(lambda a, b: in_words(word, Accuracy(a, b)), common, counter)


def _mean(value: xr.DataArray) -> xr.DataArray:
    return value.mean("replicate") if "replicate" in value.dims else value


def _interval(part: xr.Dataset, word: str, value: xr.DataArray):
    """(low, high, level), level None where nothing was estimated."""
    ends = {g: _ends(part, g) for g in ("common", "counter", "reliance", *PIXEL_GROUPS) if f"{g}_low" in part}
    if word in ends:
        return ends[word]
    if word == "error-counter" and "counter" in ends:
        low, high, level = ends["counter"]
        return 1 - high, 1 - low, level
    if value.sizes.get("replicate", 0) > 1:
        return _of_replicates(value)
    if word not in WORDS or not {"common", "counter"} <= ends.keys():
        return None, None, None
    (a, b, level), (c, d, _) = ends["common"], ends["counter"]
    low, high = ((a, d), (b, c)) if word in FALLING else ((a, c), (b, d))
    return _in_words(word, *low), _in_words(word, *high), 2 * level - 1


def _ends(part: xr.Dataset, name: str):
    low, high = part[f"{name}_low"], part[f"{name}_high"]
    return low, high, float(low.attrs.get("level", part.attrs.get("level", LEVEL)))


def _of_replicates(value: xr.DataArray):
    bounds = t_bounds(value.transpose(..., "replicate").values, (1 - LEVEL) / 2)
    like = value.isel(replicate=0, drop=True)
    return like.copy(data=bounds.low), like.copy(data=bounds.high), LEVEL


def _difference(dataset: xr.Dataset, first: Who, second: Who) -> Series:
    one, two = (_word(dataset, who, DIFFERENCE) for who in (first, second))
    data = xr.Dataset({"undefined": _either(one, two, "undefined")})
    data["value"] = one.data.value - two.data.value
    data["pending"] = one.data.pending | two.data.pending
    if "predicted" in one.data and "predicted" in two.data:
        data["predicted"] = one.data.predicted - two.data.predicted
        data["predicted_undefined"] = _either(one, two, "predicted_undefined")
    level = None
    if one.replicates > 1:
        parts = [_values(part_of(dataset, who), DIFFERENCE) for who in (first, second)]
        data["low"], data["high"], level = _of_replicates(parts[0] - parts[1])
    elif one.level is not None or two.level is not None:
        ends = [(s.data.get("low", s.data.value), s.data.get("high", s.data.value)) for s in (one, two)]
        data["low"], data["high"] = ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]
        levels = [s.level for s in (one, two) if s.level is not None]
        level = 1 - sum(1 - x for x in levels)
    return Series(first, second, data, level, one.replicates)


def _either(one: Series, two: Series, name: str) -> xr.DataArray:
    """Why one of two has no number: the first one's reason, else the second one's."""
    return one.data[name].where(one.data[name] != 0, two.data[name])


def computed(dataset: xr.Dataset) -> tuple[int, int]:
    """(cells that are there or known to have no answer, cells of the whole study)."""
    done = whole = 0
    for who in everyone(dataset):
        there = _answered(part_of(dataset, who))
        done, whole = done + int(there.sum()), whole + there.size
    return done, whole


def _answered(part: xr.Dataset) -> xr.DataArray:
    """Cells with a number, or with a reason why there is none."""
    there = _mean(part.common).notnull() | _mean(part.counter).notnull()
    return there | (part.undefined != 0) if "undefined" in part else there


def sentence(dataset: xr.Dataset, code: int) -> str:
    """Why a cell has no answer, in its learner's own words."""
    return str(np.asarray(dataset.legend.values)[code])
