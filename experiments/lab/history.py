"""The history of a training: changes since half as many steps, and p' and r of every model, as
rows, table and Dataset.

A change is a mean over models, with the 95% t interval of that mean; one model has no interval. The
Dataset has the schema of a study (`experiments.lab.schema`) with one axis, step. So `soberclip plot
RUN` draws it.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from experiments.errors import RequestError
from experiments.files import HISTORY_CSV, HISTORY_ZARR, RESULT, write_atomically
from experiments.inference import interval95
from experiments.lab.compute import NO_LAW
from experiments.lab.studies import study
from simulator.accuracy import GROUPS, PLACE, Accuracy
from simulator.world import World
from theory.ideal_curve import equivalent
from theory.learners.base import UNDEFINED

Change = list[float | None]  # mean, low, high; the ends are None for one model


def moved(history: Sequence[dict[str, Any]]) -> dict[str, dict[str, Change]] | None:
    """prompt -> group -> [mean, low, high] of the change since half as many steps; None without a
    checkpoint there.

    Half of an odd number of steps is rounded either way. Models without a finite loss are left out.
    """
    half = next(
        (row for row in history[:-1] if abs(2 * row["step"] - history[-1]["step"]) <= 1), None
    )
    if half is None:
        return None
    last = history[-1]
    finite = [loss is not None for loss in last["loss"]]
    changes: dict[str, dict[str, Change]] = {prompt: {} for prompt in last["prompts"]}
    for prompt, now in last["prompts"].items():
        for group in filter(now.__contains__, GROUPS):
            change = np.subtract(now[group], half["prompts"][prompt][group])[finite]
            ends = interval95(change, (-1.0, 1.0)) or (None, None)
            changes[prompt][group] = [float(change.mean()), *ends]
    return changes


def with_places(world: World, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with every model's p' and r by prompt, None where they are not known. A table's take
    too long.
    """
    for prompt in rows[0]["prompts"]:
        common, counter = (_numbers(rows, prompt, group) for group in GROUPS[:2])
        places = np.full((2, *common.shape), np.nan)
        finite = np.isfinite(common + counter)
        if world.table is None and finite.any():
            with suppress(*UNDEFINED):
                place = equivalent(world, Accuracy(common[finite], counter[finite]))
                places[:, finite] = place.correlation, place.shortfall
        for row, numbers in zip(rows, np.moveaxis(places, 1, 0), strict=True):
            values = np.where(np.isfinite(numbers), numbers, None).tolist()
            row["prompts"][prompt] |= dict(zip(PLACE, values, strict=True))
    return rows


def _numbers(rows: list[dict[str, Any]], prompt: str, name: str) -> np.ndarray:
    """(rows, models), nan for models that have diverged and for what is not known."""
    values = np.array(
        [row["prompts"][prompt].get(name, [None] * len(row["loss"])) for row in rows], float
    )
    lost = [[loss is None for loss in row["loss"]] for row in rows]
    return np.where(lost, np.nan, values)


def dataset_of(document: dict[str, Any]) -> xr.Dataset:
    """The history in a document of `experiments.lab.training`; a replicate is a model."""
    rows, recipe = document["history"], document["recipe"]
    prompts = list(rows[0]["prompts"])
    models = len(rows[0]["loss"])
    groups = [group for group in GROUPS if group in rows[0]["prompts"][prompts[0]]]
    dims = ("step", "learner", "prompt", "replicate")

    def stacked(name: str) -> np.ndarray:
        return np.stack([_numbers(rows, prompt, name) for prompt in prompts], axis=1)[:, None]

    data = {name: (dims, stacked(name)) for name in (*groups, *PLACE)}
    loss = np.array([row["loss"] for row in rows], float)[:, None, None]
    data["loss"] = (dims, np.broadcast_to(loss, data["common"][1].shape))
    laws = [document["prompts"][prompt]["predicted"] or {} for prompt in prompts]
    ends = {
        f"predicted_{group}": np.array([law.get(group) for law in laws], float) for group in groups
    }
    codes = {
        "predicted_undefined": np.array([not law for law in laws], np.int32),
        "undefined": np.int32(0),
    }
    for name, values in {**ends, **codes}.items():
        data[name] = (dims[:3], np.broadcast_to(values, (len(rows), 1, len(prompts))))
    step = {"symbol": "t", "meaning": "steps of training so far", "unit": "steps", "scale": "log"}
    without = [recipe["loss"]] if prompts == ["none"] else []
    request = study(
        document["world"], learners=[recipe["loss"]], routes=["trained"], replicates=models
    )
    return xr.Dataset(
        data,
        coords={
            "step": ("step", np.array([row["step"] for row in rows], float), step),
            "learner": ("learner", np.array([recipe["loss"]], object), {"without_prompt": without}),
            "prompt": ("prompt", np.array(prompts, object)),
            "legend": ("legend", np.array(["", NO_LAW], object)),
        },
        attrs={"study": request.toml(), "hash": document["hash"], "seed": document["seed"]},
    )


def write(folder: Path, document: dict[str, Any]) -> None:
    """Write the numbers of every model to a run's folder: as zarr, and as a flat table with a row
    per number.
    """
    table = dataset_of(document).drop_vars(["legend", "undefined", "predicted_undefined"])
    table.to_zarr(folder / HISTORY_ZARR, mode="w", zarr_format=3, consolidated=False)
    flat = table.to_dataframe().reset_index().rename(columns={"replicate": "model"})
    write_atomically(
        folder / HISTORY_CSV, lambda path: flat.to_csv(path, index=False, lineterminator="\n")
    )


def of_run(folder: Path) -> xr.Dataset | None:
    """The history in the folder of a training run; None for another folder."""
    result = folder / RESULT
    if not result.is_file():
        return None
    document = json.loads(result.read_text(encoding="utf-8"))
    if not document.get("history"):
        raise RequestError(f"{str(result)!r} is no result of a training, which has a history")
    return dataset_of(document | {"world": World(**document["world"])})
