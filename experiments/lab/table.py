"""A study's Dataset as a flat table, a row a cell, and as a summary: pure functions of the Dataset."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.errors import RequestError
from experiments.files import check_ours, check_writable, write_atomically
from experiments.lab.gains import gains
from experiments.lab.schema import CODED
from experiments.lab.spec import StudySpec

if TYPE_CHECKING:
    import xarray as xr

ROWS = 2**16  # cells that are read from a store at a time
MARK = b",undefined,seconds\n"  # the header of every flat table ends so


def columns(table: "xr.Dataset") -> list[str]:
    """Names of the flat table's columns: dimensions, then variables; replicates by their mean."""
    return [*_cell_dims(table), *(name for name in table.data_vars if name != "legend")]


def _cell_dims(table: "xr.Dataset") -> list[str]:
    return [str(name) for name in table["seconds"].dims]


def rows(table: "xr.Dataset") -> Iterator[list[Any]]:
    """Rows in C order; undefined cells say why. A learner without prompts has one row, and no prompt in it."""
    dims, alone = _cell_dims(table), set(table["learner"].attrs["without_prompt"])
    learner, prompt = dims.index("learner"), dims.index("prompt")
    first = dims[0]
    each = max(1, int(ROWS * table.sizes[first] / max(1, table["common"].size)))
    legend = table["legend"].values
    for start in range(0, table.sizes[first], each):
        part = table.isel({first: slice(start, start + each)})
        names = columns(table)[len(dims) :]
        shape = part["seconds"].shape
        values = []
        for name in names:
            variable = part[name]
            array = variable.values
            if "replicate" in variable.dims:
                array = _mean(array)
            if array.ndim < len(shape):  # the theory, beside several routes
                array = array[..., None]
            values.append(np.broadcast_to(array, shape))
        asked = np.isfinite(part["seconds"].values) | (values[names.index("undefined")] > 0)
        ends = [part[name].values.tolist() for name in dims]
        for index in np.argwhere(asked):
            place = tuple(index)
            row: list[Any] = [along[i] for along, i in zip(ends, place, strict=True)]
            row[prompt] = "" if row[learner] in alone else row[prompt]
            cell = {name: array[place] for name, array in zip(names, values, strict=True)}
            yield row + [str(legend[value]) if name in CODED else float(value) for name, value in cell.items()]


def _mean(values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0.0).sum(-1) / there.sum(-1)


def csv_target(path: Path) -> None:
    """Raise RequestError, before any work, unless a flat table can be written there; an earlier one is replaced."""
    if path.is_dir():
        raise RequestError(f"--csv {str(path)!r} is a folder; a table is a file such as {str(path / 'cells.csv')!r}")
    check_writable(path.parent)
    check_ours(path, MARK, "sweep")


def write_csv(path: Path, table: "xr.Dataset") -> None:
    """The flat table as CSV, atomically; nan is an empty field."""

    path.parent.mkdir(parents=True, exist_ok=True)

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns(table))
            writer.writerows(["" if value != value else value for value in row] for row in rows(table))

    write_atomically(path, write)


def summary(study: StudySpec, table: "xr.Dataset", path: "Path | str | None", most: int) -> dict[str, Any]:
    """What came out, as one document: the request, where it lies, ranges a learner, and up to `most` rows."""
    kept = study.cells <= most
    return {
        "study": study.document(),
        **{name: table.attrs[name] for name in ("hash", "seed", "commit")},
        "cells": study.cells,
        "output": None if path is None else str(path),
        "dimensions": {str(name): size for name, size in table.sizes.items() if name != "legend"},
        "ranges": _ranges(table),
        "gains": gains(study, table),
        "columns": columns(table),
        "rows": [[None if x != x else x for x in row] for row in rows(table)] if kept else None,
    }


def _ranges(table: "xr.Dataset") -> list[dict[str, Any]]:
    """Least and largest accuracies of every learner as it is asked, and how many cells have none."""
    found = {}
    who_asked = [name for name in ("learner", "prompt", "route") if name in _cell_dims(table)]
    names = columns(table)
    for row in rows(table):
        cell = dict(zip(names, row, strict=True))
        who = tuple(cell[name] for name in who_asked)
        coded = [name for name in CODED if name in names]
        one = found.setdefault(who, {"cells": 0, **{name: {} for name in coded}, "common": [], "counter": []})
        one["cells"] += 1
        for name in coded:
            if cell[name]:
                one[name][cell[name]] = one[name].get(cell[name], 0) + 1
        for name in ("common", "counter"):
            value = cell[name]
            if value == value:
                ends = one[name] or [value, value]
                one[name] = [min(ends[0], value), max(ends[1], value)]
    return [{**dict(zip(who_asked, who, strict=True)), **one} for who, one in found.items()]
