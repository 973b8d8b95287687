"""The xarray Dataset that a study becomes: its variables, coordinates and attributes, declared once.

Dimensions are the axes in order, then learner, prompt, route (if several routes measure) and replicate (if any does).

common, counter, reliance            by theory, or measured: one value per replicate
predicted_common, ...                by theory, beside measurements
rand, rev, rest                      further groups of worlds of pixels (`simulator.pixels.groups`), measured only
common_se, ...                       standard error of the mean over replicates
common_low, common_high, ...         confidence interval of an estimate; the level is an attribute
seconds                              time of the cell; cells that are computed together share their time equally
undefined, predicted_undefined       why common, or predicted_common, is nan: 0, or an index of the legend
legend                               the reasons

A learner without prompts fills the first prompt; its other cells are nan. Two runs of one study agree bit by bit in
everything but `seconds`.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.inference import LEVEL
from experiments.lab.blocks import Region
from experiments.lab.spec import StudySpec
from experiments.provenance import provenance
from simulator.accuracy import PIXEL_GROUPS
from simulator.quantities import MEASURED

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 3
GROUPS = ("common", "counter")
QUANTITIES = (*GROUPS, "reliance")
CODED = ("undefined", "predicted_undefined")  # variables whose values are indices of the legend
LOST = "the sentence was lost with a file of the store"


class Variable(NamedTuple):
    """Declaration of one variable of the Dataset."""

    dims: tuple[str, ...]
    dtype: str
    attrs: dict[str, Any]

    @property
    def empty(self) -> Any:
        """The value where nothing is computed yet."""
        return 0 if self.dtype == "int32" else np.nan


class Block(NamedTuple):
    """The numbers of a region by variable, and the sentence of each code in the variables of `CODED`."""

    arrays: dict[str, np.ndarray]
    sentences: dict[int, str]


def sizes(study: StudySpec) -> dict[str, int]:
    """Length of each dimension, in order."""
    lengths = {axis.name: len(axis.values) for axis in study.axes}
    lengths |= {"learner": len(study.learners), "prompt": len(study.prompts)}
    if len(study.measured) > 1:
        lengths["route"] = len(study.measured)
    return lengths | ({"replicate": study.replicates} if study.measured else {})


def quantities(study: StudySpec) -> tuple[str, ...]:
    """What is measured in each cell."""
    return QUANTITIES if study.world.views is None else (*QUANTITIES, *PIXEL_GROUPS)


def variables(study: StudySpec, estimated: bool) -> dict[str, Variable]:
    """Each variable that is stored in chunks; `estimated`: whether the theory is sampled and so has an interval."""
    dims = tuple(sizes(study))
    cell = tuple(name for name in dims if name != "replicate")
    theory = tuple(name for name in cell if name != "route")
    names = quantities(study) if study.measured else QUANTITIES
    declared = {name: Variable(dims, "float64", _attrs(name)) for name in names}
    if study.measured:
        for name in QUANTITIES:
            declared[f"predicted_{name}"] = Variable(theory, "float64", _attrs(name, "by theory, at n = infinity"))
        declared["predicted_undefined"] = _code(theory, "number by theory")
        for name in names:
            declared[f"{name}_se"] = Variable(
                cell, "float64", _attrs(name, "standard error of the mean over replicates")
            )
    for name in names if study.measured else GROUPS if estimated else ():
        for end in ("low", "high"):
            words = f"{end} end of the interval{' of the mean' if study.measured else ''}"
            declared[f"{name}_{end}"] = Variable(cell, "float64", {**_attrs(name, words), "level": LEVEL})
    declared["undefined"] = _code(cell, "number")
    declared["seconds"] = Variable(cell, "float64", {"symbol": "", "meaning": "time of the cell", "unit": "s"})
    return declared


def _attrs(name: str, words: str = "") -> dict[str, str]:
    quantity = MEASURED[name]
    meaning = f"{quantity.meaning}, {words}" if words else quantity.meaning
    return {"symbol": quantity.symbol, "meaning": meaning, "unit": quantity.unit}


def _code(dims: tuple[str, ...], what: str) -> Variable:
    return Variable(dims, "int32", {"meaning": f"0, or why there is no {what}: an index of the legend"})


def coordinates(study: StudySpec) -> dict[str, tuple[str, np.ndarray, dict[str, Any]]]:
    """(dimension, values, attributes) of each coordinate."""
    found: dict[str, Any] = {}
    for axis in study.axes:
        quantity = axis.quantity()
        attrs = {"symbol": quantity.symbol, "unit": quantity.unit, "meaning": quantity.meaning, "scale": axis.scale}
        words = isinstance(axis.values[0], str)
        found[axis.name] = (axis.name, np.array(axis.values, dtype=object if words else None), attrs)
    without_prompt = [label for k, label in enumerate(study.labels) if study.slots(k)[0][1] is None]
    words = {
        "learner": (study.labels, {"meaning": "what is trained", "without_prompt": without_prompt}),
        "prompt": (study.prompts, {"meaning": "how captions name a class"}),
    }
    if len(study.measured) > 1:
        words["route"] = (study.measured, {"meaning": "how it was measured"})
    return found | {name: (name, np.array(values, dtype=object), attrs) for name, (values, attrs) in words.items()}


def attributes(study: StudySpec) -> dict[str, Any]:
    """Attributes of the Dataset: the request, its hash and seed, versions, commit and format."""
    versions = provenance()
    commit = versions.pop("commit")
    return {
        "study": study.toml(),
        "hash": study.hash,
        "seed": study.seed,
        "versions": json.dumps(versions),
        "commit": commit,
        "format": FORMAT,
    }


def with_legend(table: "xr.Dataset", sentences: dict[int, str]) -> "xr.Dataset":
    """The Dataset with codes of reasons replaced by indices of a sorted legend.

    Without sentences no number is read.
    """
    if not sentences:
        table["legend"] = ("legend", np.array([""], dtype=object))
        return table
    coded = {name: table[name] for name in CODED if name in table}
    codes = np.unique(np.concatenate([np.unique(variable.values) for variable in coded.values()]))
    meanings = ["" if code == 0 else sentences.get(int(code), LOST) for code in codes]
    legend = ["", *sorted(set(meanings) - {""})]
    index = np.array([legend.index(sentence) for sentence in meanings], np.int32)
    for name, variable in coded.items():
        table[name] = (variable.dims, index[np.searchsorted(codes, variable.values)], variable.attrs)
    table["legend"] = ("legend", np.array(legend, dtype=object))
    return table


def assembled(study: StudySpec, estimated: bool, blocks: Iterable[tuple[Region, Block]]) -> "xr.Dataset":
    """The Dataset of a study from its blocks, in memory."""
    import xarray as xr  # start-up time

    declared, length = variables(study, estimated), sizes(study)
    whole = {name: np.empty(tuple(length[d] for d in v.dims), v.dtype) for name, v in declared.items()}
    sentences: dict[int, str] = {}
    for region, block in blocks:
        for name, array in block.arrays.items():
            whole[name][region] = array
        sentences |= block.sentences
    table = xr.Dataset(
        {name: (variable.dims, whole[name], variable.attrs) for name, variable in declared.items()},
        coords={name: xr.Variable(*given) for name, given in coordinates(study).items()},
        attrs=attributes(study),
    )
    return with_legend(table, sentences)
