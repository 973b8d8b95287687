"""A study's Dataset as tables: one row per cell, a summary, what mitigations gain, and printed
numbers to compare.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from experiments.errors import RequestError
from experiments.files import check_writable, write_atomically
from experiments.lab.grid import Grid
from experiments.lab.mitigations import NONE, inflation
from experiments.lab.schema import CODED
from experiments.published.tables import coloured_digits
from simulator.accuracy import GROUPS, finite

ROWS = 2**16  # cells that are read from a store at a time
MARK = b",undefined"  # in the header of each flat table
AXIS = "mitigation"
GAINS = {"counter_gained": ("counter", 1), "common_lost": ("common", -1)}


def frames(table: xr.Dataset) -> Iterator[pd.DataFrame]:
    """The flat table in parts: one row per cell that is computed or has no answer; a missing prompt
    is empty.

    A number is the mean over the replicates that have one.
    """
    dims = list(table["undefined"].dims)
    without_prompt = table["learner"].attrs["without_prompt"]
    legend = table["legend"].values.astype(object)
    length = table.sizes[dims[0]]
    step = max(1, int(ROWS * length / max(1, table["common"].size)))
    for start in range(0, length, step):
        part = table.drop_vars("legend").isel({dims[0]: slice(start, start + step)}).load()
        part = part.mean("replicate") if "replicate" in part.dims else part
        frame = part.to_dataframe(dim_order=dims).reset_index()[[*dims, *table.data_vars]]
        frame = frame[frame["common"].notna() | frame["counter"].notna() | (frame["undefined"] > 0)]
        frame["prompt"] = frame["prompt"].where(~frame["learner"].isin(without_prompt), "")
        for name in CODED:
            if name in frame:
                frame[name] = legend[frame[name]]
        yield frame


def check_csv(path: Path) -> None:
    """Raise RequestError, before any work, unless the path is free or holds an earlier flat
    table.
    """
    if path.is_dir():
        raise RequestError(
            f"--csv {str(path)!r} is a folder; a table is a file such as"
            f" {str(path / 'cells.csv')!r}"
        )
    check_writable(path.parent, "sweep", [path.name], MARK)


def write_csv(path: Path, table: xr.Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            for i, frame in enumerate(frames(table)):
                frame.to_csv(file, header=i == 0, index=False, lineterminator="\n")

    write_atomically(path, write)


def summary(study: Grid, table: xr.Dataset, path: "Path | str | None", most: int) -> dict[str, Any]:
    """The result as one document: the request, the path, ranges per learner, and the rows of at
    most `most` cells.
    """
    ranges: dict[tuple[str, ...], dict[str, Any]] = {}
    rows: list[list[Any]] = []
    for frame in frames(table):
        _widen(ranges, frame)
        if study.cells <= most:
            rows += frame.astype(object).where(frame.notna(), None).values.tolist()
    return {
        "study": study.document(),
        **{name: table.attrs[name] for name in ("hash", "seed", "commit")},
        "cells": study.cells,
        "output": None if path is None else str(path),
        "dimensions": {str(name): size for name, size in table.sizes.items() if name != "legend"},
        "ranges": list(ranges.values()),
        "gains": gains(study, table) if AXIS in study.dims else [],
        "columns": [*table["undefined"].dims, *table.data_vars],
        "rows": rows if study.cells <= most else None,
    }


def _widen(rows: dict[tuple[str, ...], dict[str, Any]], frame: pd.DataFrame) -> None:
    """Add cells to their series: how many, how many lack a number for each reason, and the range of
    accuracies.
    """
    keys = [name for name in ("learner", "prompt", "route") if name in frame]
    coded, groups = ([name for name in names if name in frame] for names in (CODED, GROUPS))
    for who, own in frame.groupby(keys, sort=False):
        row = rows.setdefault(who, {**dict(zip(keys, who, strict=True)), "cells": 0})
        row["cells"] += len(own)
        for name in coded:
            reasons = Counter(row.get(name, {})) + Counter(own[name][own[name] != ""])
            row[name] = dict(sorted(reasons.items()))
        for name in groups:
            ends = [*row.get(name, ()), *own[name].dropna()]
            row[name] = [min(ends), max(ends)] if ends else []


def gains(study: Grid, table: xr.Dataset) -> list[dict[str, Any]]:
    """Gains and costs of each mitigation compared with "none", as fractions; empty if the axis
    lacks "none".
    """
    if NONE not in table[AXIS].values:
        return []
    columns = {}
    rows = []
    for prefix in ("", "predicted_") if study.measured else ("",):
        for name, (group, sign) in GAINS.items():
            numbers = table[prefix + group].load()
            means = numbers.mean("replicate") if "replicate" in numbers.dims else numbers
            columns[prefix + name] = sign * (means - means.sel({AXIS: NONE})).values
    for (*place, k, slot), one in study.settings(study.dims):
        for r, route in enumerate(study.measured or ("theory",)):
            gained = {
                name: finite(values[(*place, k, slot, r)[: values.ndim]])
                for name, values in columns.items()
            }
            if one.mitigation == NONE or all(number is None for number in gained.values()):
                continue
            pairs = None
            # the mitigation cannot be applied to the learner of this route
            with suppress(RequestError, ValueError):
                world, what = (
                    one.mitigated_towers()[:2] if route == "trained" else one.mitigated_learner()
                )
                pairs = float(inflation(one.mitigation, world, what))
            who = {"learner": study.labels[k], "prompt": one.prompt, "route": route}
            rows.append({**one.values, **who, **gained, "pairs": pairs})
    return rows


def beside(table: xr.Dataset) -> list[dict[str, Any]]:
    """Rows of Table 8 of [W] whose setting the study has, each with the mean and deviation of our
    trainings.
    """
    rows = []
    for row in coloured_digits():
        setting = {name: row[name] for name in ("classes", "p_inv", "p_spu", "learner")}
        try:
            # none of these learners has a prompt
            cells = table[row["group"]].isel(prompt=0).sel(setting)
        except KeyError:  # the quick size has fewer settings
            continue
        if set(cells.dims) - {"replicate"}:  # a further axis: several settings for one of the table
            return []
        values = cells.values[np.isfinite(cells.values)]  # without trainings that diverged
        if values.size:
            deviation = float(values.std(ddof=1)) if values.size > 1 else None
            rows.append({**row, "measured": float(values.mean()), "deviation": deviation})
    return rows
