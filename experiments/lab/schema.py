"""The xarray Dataset that a study becomes: its variables, coordinates and attributes, declared
once.

Dimensions are the axes in order, then learner, prompt, route (if several routes measure) and
replicate (if any does).

common, counter, reliance            by theory, or measured: one value per replicate
unseen                               the same for cells of a table that training never shows, if
                                     there are any
predicted_common, ...                by theory, if there are measurements
rand, rev, rest                      further groups of worlds of pixels (`simulator.pixels.groups`),
                                     measured only
common_se, ...                       standard error of the mean over replicates
common_low, common_high, ...         confidence interval of an estimate; the level is an attribute.
                                     If a theory is sampled in any cell, its exact numbers have
                                     intervals of width 0
undefined, predicted_undefined       why common, or predicted_common, is nan: 0, or an index of the
                                     legend
legend                               the reasons, sorted; 0 has none. Those that differ in numbers
                                     alone are one

A learner without prompts fills the first prompt; its other cells are nan. Two runs of one study
agree bit by bit.
"""

import json
import re
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any

import numpy as np
import xarray as xr

from experiments.lab.axes import QUANTITIES
from experiments.lab.grid import Grid, Index, Region
from experiments.provenance import provenance
from simulator.accuracy import GROUPS, LEVEL, PIXEL_GROUPS
from simulator.quantities import MEASURED
from simulator.tables import named as named_table

FORMAT = 6
FORMULAS = (*GROUPS, "reliance")  # by theory
CODED = ("undefined", "predicted_undefined")  # variables whose values are numbers of reasons
ENDS = ("_low", "_high")  # of names of variables
REASON = "0, or why there is no {}: an index of the legend"  # what such a number means
Cells = dict[str, np.ndarray]  # values by variable
# its places, the variables that it has, its reasons by number
Block = tuple[Region, Collection[str], list[str]]
_NUMBER = re.compile(r"(?<![\w.^])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w^])")


def quantities(study: Grid) -> tuple[str, ...]:
    """Names of what a study measures; its theory has those of FORMULAS.

    "unseen" is left out unless a table has a cell that training never shows.
    """
    varied = [
        named_table(str(text))
        for axis in study.axes
        if axis.name == "table"
        for text in axis.values
    ]
    tables = varied or [study.world.table]
    unseen = any(table is not None and 0.0 in chain.from_iterable(table) for table in tables)
    names = tuple(name for name in FORMULAS if unseen or name != "unseen")
    return names if study.world.views is None else (*names, *PIXEL_GROUPS)


def variables(study: Grid) -> dict[str, xr.Variable]:
    """Each variable that is stored in chunks, without a number yet: one value in memory, which all
    cells share.

    A block without a sampled number leaves out the theory's intervals.
    """
    length = dict(zip(study.dims, study.shape, strict=True))
    length |= {"learner": len(study.learners), "prompt": len(study.prompts)}
    if len(study.measured) > 1:
        length["route"] = len(study.measured)
    if study.measured:
        length["replicate"] = study.replicates
    cell = tuple(name for name in length if name != "replicate")
    theory = tuple(name for name in cell if name != "route")
    whole = quantities(study)
    formulas = tuple(name for name in whole if name in FORMULAS)
    names = whole if study.measured else formulas
    columns: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        name: (tuple(length), _attrs(name)) for name in names
    }
    if study.measured:
        columns |= {
            f"predicted_{name}": (theory, _attrs(name, "by theory, at n = infinity"))
            for name in formulas
        }
        columns["predicted_undefined"] = theory, {"meaning": REASON.format("number by theory")}
        words = "standard error of the mean over replicates"
        columns |= {f"{name}_se": (cell, _attrs(name, words)) for name in names}
    for name in names if study.measured else formulas[:-1]:
        for end in ("low", "high"):
            words = f"{end} end of the interval{' of the mean' if study.measured else ''}"
            columns[f"{name}_{end}"] = cell, {**_attrs(name, words), "level": LEVEL}
    columns["undefined"] = cell, {"meaning": REASON.format("number")}
    empty = {name: np.int32(0) if name in CODED else np.nan for name in columns}
    return {
        name: xr.Variable(dims, np.broadcast_to(empty[name], [length[d] for d in dims]), attrs)
        for name, (dims, attrs) in columns.items()
    }


def _attrs(name: str, words: str = "") -> dict[str, str]:
    quantity = MEASURED[name]
    meaning = f"{quantity.meaning}, {words}" if words else quantity.meaning
    return {"symbol": quantity.symbol, "meaning": meaning, "unit": quantity.unit}


def measure(cells: Cells, at: Index, values: dict[str, np.ndarray]) -> None:
    for name in values.keys() & cells.keys():
        cells[name][at] = values[name]


class Legend:
    """The reasons of a block by number, 0 for none. Sentences that differ in their numbers alone
    are one reason.

    A million separable laws would give a million sentences.
    """

    def __init__(self) -> None:
        self._alike: dict[tuple[str, ...], tuple[int, set[str]]] = {}

    def code(self, sentence: str) -> int:
        number, sentences = self._alike.setdefault(
            tuple(_NUMBER.split(sentence)), (len(self._alike) + 1, set())
        )
        sentences.add(sentence)
        return number

    @property
    def sentences(self) -> list[str]:
        return ["", *(_with_ranges(words, some) for words, (_, some) in self._alike.items())]


def _with_ranges(words: tuple[str, ...], sentences: set[str]) -> str:
    """Sentences with the same words between their numbers as one, with a range for each number that
    differs.

    >>> _with_ranges(("a ", " of 3^2 #", ""), {"a 9 of 3^2 #5", "a 10 of 3^2 #5"})
    'a 9 to 10 of 3^2 #5'
    """
    shared, *between = words
    for column, following in zip(
        zip(*map(_NUMBER.findall, sentences), strict=True), between, strict=True
    ):
        ends = sorted(set(column), key=float)
        shared += (ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}") + following
    return shared


def empty_table(study: Grid) -> xr.Dataset:
    coordinates = {}
    for axis in study.axes:
        quantity = QUANTITIES[axis.name]
        attrs = {
            "symbol": quantity.symbol,
            "unit": quantity.unit,
            "meaning": quantity.meaning,
            "scale": axis.scale,
        }
        words = isinstance(axis.values[0], str)
        coordinates[axis.name] = xr.Variable(
            axis.name, np.array(axis.values, object if words else None), attrs
        )
    without_prompt = [label for k, label in enumerate(study.labels) if study.slots(k)[0][1] is None]
    for name, values, attrs in (
        ("learner", study.labels, {"meaning": "what is trained", "without_prompt": without_prompt}),
        ("prompt", study.prompts, {"meaning": "how captions name a class"}),
        ("route", study.measured, {"meaning": "how it was measured"}),
    ):
        if name != "route" or len(values) > 1:
            coordinates[name] = xr.Variable(name, np.array(values, object), attrs)
    versions = provenance()
    attributes = {
        "study": study.toml(),
        "hash": study.hash,
        "seed": study.seed,
        "commit": versions.pop("commit"),
    }
    attributes |= {"sources": json.dumps(own)} if (own := study.sources()) else {}
    attributes |= {"versions": json.dumps(versions), "format": FORMAT}
    return xr.Dataset(coords=coordinates, attrs=attributes)


def finished(table: xr.Dataset, blocks: Iterable[Block]) -> xr.Dataset:
    """The Dataset of some blocks: with one sorted legend, and with the intervals that a block has.

    No number is read unless a block has a reason, or the theory is sampled: exact numbers then get
    intervals, too.
    """
    blocks = list(blocks)
    there = set().union(*(names for _, names, _ in blocks))
    by_theory = (
        []
        if "predicted_undefined" in table
        else [str(name) for name in table if str(name).endswith(ENDS)]
    )
    table = table.drop_vars({*by_theory} - there)
    for name in {*by_theory} & there:
        table[name] = table[name].fillna(table[name.rpartition("_")[0]])
    texts = [(region, sentences) for region, _, sentences in blocks if len(sentences) > 1]
    legend = sorted({"", *chain.from_iterable(sentences for _, sentences in texts)})
    index = {sentence: i for i, sentence in enumerate(legend)}
    for name in filter(table.__contains__, CODED if texts else ()):
        codes = table[name].values.copy()
        for region, sentences in texts:
            codes[region] = np.array([index[sentence] for sentence in sentences], np.int32)[
                codes[region]
            ]
        table[name] = table[name].copy(data=codes)
    table["legend"] = ("legend", np.array(legend, dtype=object))
    return table
