"""The xarray Dataset that a study becomes: its variables, coordinates and attributes, declared once.

Dimensions are the axes in order, then learner, prompt, route (if several routes measure) and replicate (if any does).

common, counter, reliance            by theory, or measured: one value per replicate
unseen                               the same for cells of a table that training never shows, if there are any
predicted_common, ...                by theory, if there are measurements
rand, rev, rest                      further groups of worlds of pixels (`simulator.pixels.groups`), measured only
common_se, ...                       standard error of the mean over replicates
common_low, common_high, ...         confidence interval of an estimate; the level is an attribute
seconds                              time of the cell; cells that are computed together share their time equally
undefined, predicted_undefined       why common, or predicted_common, is nan: 0, or an index of the legend
legend                               the reasons, sorted; 0 has none

A learner without prompts fills the first prompt; its other cells are nan. Two runs of one study agree bit by bit in
everything but `seconds`.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from experiments.provenance import provenance
from simulator.accuracy import GROUPS, LEVEL, PIXEL_GROUPS
from simulator.quantities import MEASURED
from simulator.tables import named as named_table

if TYPE_CHECKING:
    from experiments.lab.studies import Study

FORMAT = 4
FORMULAS = (*GROUPS, "reliance")  # by theory
CODED = ("undefined", "predicted_undefined")  # variables whose values are numbers of reasons
REASON = "0, or why there is no {}: an index of the legend"  # what such a number means
Index = tuple[Any, ...]  # of some cells
Place = tuple[int, ...]  # indices along the axes
Region = tuple[slice, ...]  # a box of places
_NUMBER = re.compile(r"(?<![\w.^])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w^])")


class Variable(NamedTuple):
    """A variable with one length per dimension; `empty` is the value of a cell without a number."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    attrs: dict[str, Any]
    dtype: str
    empty: Any


def _sizes(study: "Study") -> dict[str, int]:
    """Length of each dimension, in order."""
    lengths = {axis.name: len(axis.values) for axis in study.axes}
    lengths |= {"learner": len(study.learners), "prompt": len(study.prompts)}
    if len(study.measured) > 1:
        lengths["route"] = len(study.measured)
    return lengths | ({"replicate": study.replicates} if study.measured else {})


def quantities(study: "Study") -> tuple[str, ...]:
    """Names of what a study measures; its theory has those of FORMULAS.

    "unseen" is left out unless a table has a cell that training never shows.
    """
    varied = [named_table(str(text)) for axis in study.axes if axis.name == "table" for text in axis.values]
    tables = varied or [study.world.table]
    unseen = any(table is not None and 0.0 in chain.from_iterable(table) for table in tables)
    names = tuple(name for name in FORMULAS if unseen or name != "unseen")
    return names if study.world.views is None else (*names, *PIXEL_GROUPS)


def variables(study: "Study", estimated: bool) -> dict[str, Variable]:
    """Each variable that is stored in chunks; `estimated`: whether the theory is sampled and so has an interval."""
    length = _sizes(study)
    cell = tuple(name for name in length if name != "replicate")
    theory = tuple(name for name in cell if name != "route")
    whole = quantities(study)
    formulas = tuple(name for name in whole if name in FORMULAS)
    names = whole if study.measured else formulas
    given: dict[str, tuple[Iterable[str], dict[str, Any]]] = {name: (length, _attrs(name)) for name in names}
    if study.measured:
        given |= {f"predicted_{name}": (theory, _attrs(name, "by theory, at n = infinity")) for name in formulas}
        given["predicted_undefined"] = theory, {"meaning": REASON.format("number by theory")}
        words = "standard error of the mean over replicates"
        given |= {f"{name}_se": (cell, _attrs(name, words)) for name in names}
    for name in names if study.measured else formulas[:-1] if estimated else ():
        for end in ("low", "high"):
            words = f"{end} end of the interval{' of the mean' if study.measured else ''}"
            given[f"{name}_{end}"] = cell, {**_attrs(name, words), "level": LEVEL}
    given["undefined"] = cell, {"meaning": REASON.format("number")}
    given["seconds"] = cell, {"symbol": "", "meaning": "time of the cell", "unit": "s"}
    declared = {}
    for name, (dims, attrs) in given.items():
        kind = ("int32", 0) if name in CODED else ("float64", np.nan)
        declared[name] = Variable(tuple(dims), tuple(length[d] for d in dims), attrs, *kind)
    return declared


def _attrs(name: str, words: str = "") -> dict[str, str]:
    quantity = MEASURED[name]
    meaning = f"{quantity.meaning}, {words}" if words else quantity.meaning
    return {"symbol": quantity.symbol, "meaning": meaning, "unit": quantity.unit}


@dataclass(frozen=True)
class Cells:
    """Numbers of the cells of a study by variable, and the reasons for those that have none.

    A variable of CODED holds numbers of reasons. A part of the cells is a view that shares the reasons.
    """

    arrays: dict[str, np.ndarray]
    reasons: dict[str, int]

    @classmethod
    def of(cls, study: "Study") -> "Cells":
        """Cells without numbers."""
        declared = variables(study, estimated=True).items()
        return cls({name: np.full(v.shape, v.empty, v.dtype) for name, v in declared}, {"": 0})

    def __getitem__(self, region: Region) -> "Cells":
        return Cells({name: array[region] for name, array in self.arrays.items()}, self.reasons)

    def measure(self, at: Index, values: dict[str, np.ndarray], seconds: float) -> None:
        for name in values.keys() & self.arrays.keys():
            self.arrays[name][at] = values[name]
        self.arrays["seconds"][at] = seconds

    def refuse(self, at: Index, sentence: str, variable: str = "undefined") -> None:
        """Enter why some cells have no number."""
        self.arrays[variable][at] = self.reasons.setdefault(sentence, len(self.reasons))

    def merged(self) -> "Cells":
        """The cells with one reason for all sentences of a variable that differ only in their numbers.

        A million separable laws would give a million sentences.
        """
        sentences, merged = list(self.reasons), Cells(dict(self.arrays), {"": 0})
        for variable in filter(self.arrays.__contains__, CODED):
            numbers, alike = np.unique(self.arrays[variable]), defaultdict(set)
            for number in numbers:
                alike[_NUMBER.sub("#", sentences[number])].add(sentences[number])
            shared = {one: _with_ranges(template, some) for template, some in alike.items() for one in some}
            new = [merged.reasons.setdefault(shared[sentences[i]], len(merged.reasons)) for i in numbers]
            merged.arrays[variable] = np.array(new, np.int32)[np.searchsorted(numbers, self.arrays[variable])]
        return merged


def _with_ranges(template: str, sentences: set[str]) -> str:
    """Sentences of one template as one sentence, with a range for each number that differs.

    >>> _with_ranges("a # of 3^2 #", {"a 1 of 3^2 5", "a 2 of 3^2 5"})
    'a 1 to 2 of 3^2 5'
    """
    first, *between = template.split("#")
    shared = first
    for column, following in zip(zip(*map(_NUMBER.findall, sentences), strict=True), between, strict=True):
        ends = sorted(set(column), key=float)
        shared += (ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}") + following
    return shared


def empty_table(study: "Study") -> xr.Dataset:
    coordinates: dict[str, Any] = {}
    for axis in study.axes:
        quantity = axis.quantity()
        attrs = {"symbol": quantity.symbol, "unit": quantity.unit, "meaning": quantity.meaning, "scale": axis.scale}
        words = isinstance(axis.values[0], str)
        coordinates[axis.name] = (axis.name, np.array(axis.values, dtype=object if words else None), attrs)
    without_prompt = [label for k, label in enumerate(study.labels) if study.slots(k)[0][1] is None]
    named = {
        "learner": (study.labels, {"meaning": "what is trained", "without_prompt": without_prompt}),
        "prompt": (study.prompts, {"meaning": "how captions name a class"}),
    }
    if len(study.measured) > 1:
        named["route"] = (study.measured, {"meaning": "how it was measured"})
    coordinates |= {name: (name, np.array(values, dtype=object), attrs) for name, (values, attrs) in named.items()}
    versions = provenance()
    attributes = {"study": study.toml(), "hash": study.hash, "seed": study.seed, "commit": versions.pop("commit")}
    attributes |= {"versions": json.dumps(versions), "format": FORMAT}
    return xr.Dataset(coords={name: xr.Variable(*given) for name, given in coordinates.items()}, attrs=attributes)


def with_legend(table: xr.Dataset, reasons: Iterable[tuple[Region, list[str]]]) -> xr.Dataset:
    """The Dataset with one sorted legend in place of the reasons of each region; without reasons no number is read."""
    given = [(region, sentences) for region, sentences in reasons if len(sentences) > 1]
    legend = sorted({"", *chain.from_iterable(sentences for _, sentences in given)})
    index = {sentence: i for i, sentence in enumerate(legend)}
    for name in filter(table.__contains__, CODED if given else ()):
        codes = table[name].values.copy()
        for region, sentences in given:
            codes[region] = np.array([index[sentence] for sentence in sentences], np.int32)[codes[region]]
        table[name] = table[name].copy(data=codes)
    table["legend"] = ("legend", np.array(legend, dtype=object))
    return table
