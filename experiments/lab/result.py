"""What a study becomes: one xarray Dataset; its variables, coordinates and attributes, declared once.

Dimensions are the axes in order, then learner, prompt, route (where several measure) and replicate (where something is
measured).

common, counter, reliance            the theory, or what was measured, a value a replicate
predicted_common, ...                the theory beside measurements
rand, rev, rest                      further groups of worlds of pixels (`simulator.pixels.trials`), measured alone
common_se, ...                       standard error of the mean over replicates
common_low, common_high, ...         interval of what is estimated, its level an attribute
seconds                              of the cell: the time of its block's cells of that learner and route, shared out
undefined, predicted_undefined       why a cell of common, or of predicted_common, is nan: 0, or a place in the legend
legend                               the reasons

A learner without prompts fills the first prompt; the rest is nan. `seconds` is a measurement: runs of one study are
bit-identical in every other variable.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.inference import LEVEL
from experiments.lab.study import Study
from simulator.accuracy import PIXEL_GROUPS
from simulator.quantities import MEASURED

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 2
GROUPS = ("common", "counter")
CODED = ("undefined", "predicted_undefined")  # places in the legend
QUANTITIES = (*GROUPS, "reliance")


_CODE = "0, or why there is no {}: a place in the legend"


class Variable(NamedTuple):
    """A variable of the Dataset as it is stored."""

    dims: tuple[str, ...]
    dtype: str
    attrs: dict[str, Any]


class Block(NamedTuple):
    """The numbers of a block by variable, and the sentences behind the codes of `CODED`."""

    arrays: dict[str, np.ndarray]
    sentences: dict[int, str]


def sizes(study: Study) -> dict[str, int]:
    """Length of every dimension, in order."""
    known = {axis.name: len(axis.values) for axis in study.axes}
    known |= {"learner": len(study.learners), "prompt": len(study.prompts)}
    if len(study.measured) > 1:
        known["route"] = len(study.measured)
    return known | ({"replicate": study.replicates} if study.measured else {})


def measured(study: Study) -> tuple[str, ...]:
    """What is measured at every cell: QUANTITIES, and the further groups of worlds of pixels."""
    return QUANTITIES if study.world.views is None else (*QUANTITIES, *PIXEL_GROUPS)


def variables(study: Study, estimated: bool) -> dict[str, Variable]:
    """Every variable with chunks; `estimated`: whether a number of the theory is sampled and has an interval."""
    dims = tuple(sizes(study))
    cell = tuple(name for name in dims if name != "replicate")
    theory = tuple(name for name in cell if name != "route")
    found = {}
    for name in measured(study) if study.measured else QUANTITIES:
        found[name] = Variable(dims, "float64", _attrs(name))
    if study.measured:
        for name in QUANTITIES:
            found[f"predicted_{name}"] = Variable(theory, "float64", _attrs(name, "by theory, at n = infinity"))
        found["predicted_undefined"] = Variable(theory, "int32", {"meaning": _CODE.format("number by theory")})
        for name in measured(study):
            words = "standard error of the mean over replicates"
            found[f"{name}_se"] = Variable(cell, "float64", _attrs(name, words))
    estimates = measured(study) if study.measured else GROUPS if estimated else ()
    for name in estimates:
        for end in ("low", "high"):
            words = f"{end} end of the interval of the mean" if study.measured else f"{end} end of the interval"
            found[f"{name}_{end}"] = Variable(cell, "float64", {**_attrs(name, words), "level": LEVEL})
    found["undefined"] = Variable(cell, "int32", {"meaning": _CODE.format("number")})
    found["seconds"] = Variable(cell, "float64", {"symbol": "", "meaning": "time of the cell", "unit": "s"})
    return found


def _attrs(name: str, words: str = "") -> dict[str, str]:
    what = MEASURED[name]
    return {"symbol": what.symbol, "meaning": f"{what.meaning}, {words}" if words else what.meaning, "unit": what.unit}


def coordinates(study: Study) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """Coordinates: (dimension, values, attributes) by name."""
    found: dict[str, Any] = {}
    for axis in study.axes:
        what = axis.quantity()
        attrs = {"symbol": what.symbol, "unit": what.unit, "meaning": what.meaning, "scale": axis.scale}
        words = isinstance(axis.values[0], str)
        found[axis.name] = (axis.name, np.array(axis.values, dtype=object if words else None), attrs)
    alone = [label for k, label in enumerate(study.labels) if study.asked(k)[0][1] is None]
    attrs = {"meaning": "what is trained", "without_prompt": alone}
    found["learner"] = ("learner", np.array(study.labels, dtype=object), attrs)
    found["prompt"] = ("prompt", np.array(study.prompts, dtype=object), {"meaning": "how captions name a class"})
    if len(study.measured) > 1:
        found["route"] = ("route", np.array(study.measured, dtype=object), {"meaning": "how it was measured"})
    return found


def attributes(study: Study) -> dict[str, Any]:
    """What is said of the whole: the request, its hash and seed, versions, commit and format."""
    from experiments.provenance import provenance

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


LOST = "the sentence was lost with a file of the store"


def with_legend(table: "xr.Dataset", sentences: dict[int, str]) -> "xr.Dataset":
    """Codes of reasons as places in a legend, in the order of the sentences.

    Where every cell has a number, nothing is read.
    """
    if not sentences:
        table["legend"] = ("legend", np.array([""], dtype=object))
        return table
    coded = {name: table[name] for name in CODED if name in table}
    codes = np.unique(np.concatenate([np.unique(variable.values) for variable in coded.values()]))
    told = ["" if code == 0 else sentences.get(int(code), LOST) for code in codes]
    legend = ["", *sorted(set(told) - {""})]
    place = np.array([legend.index(sentence) for sentence in told], np.int32)
    for name, variable in coded.items():
        table[name] = (variable.dims, place[np.searchsorted(codes, variable.values)], variable.attrs)
    table["legend"] = ("legend", np.array(legend, dtype=object))
    return table


def assembled(study: Study, estimated: bool, blocks: Iterable[tuple[tuple[slice, ...], Block]]) -> "xr.Dataset":
    """The Dataset of a study from its blocks, in memory."""
    import xarray as xr

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
