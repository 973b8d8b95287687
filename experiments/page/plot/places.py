"""Equivalent correlation and shortfall of every cell of a study. They are computed on request and never stored."""

import numpy as np
import xarray as xr

from experiments.errors import RequestError
from experiments.lab.studies import Study
from simulator.accuracy import GROUPS, Accuracy
from simulator.world import World
from simulator.worlds import Worlds
from theory.ideal_curve import MOST_CLASSES, equivalent, equivalent_of_draws
from theory.quadrature import LEVEL

PLACES = ("equivalent-correlation", "shortfall")
PREFIXES = ("", "predicted_")  # of variables: the study's own numbers, and theory's beside measurements
FLAT = "the accuracies do not determine it, since mu_spu = 0 or the ideal drop is constant around theirs"
MANY = f"the ideal curve is computed for at most {MOST_CLASSES} classes"


def placed(dataset: xr.Dataset, study: Study | None, what: str) -> xr.Dataset:
    """The Dataset with `what`, one of PLACES, in each cell, and the reasons why cells have none.

    A cell with replicates has the place of their mean accuracies. Raises RequestError if the ideal curves are unknown.
    """
    if study is None:
        raise RequestError(
            f"--what = {what!r} needs the study's worlds; its request is missing, or names learners not registered here"
        )
    if study.world.table is not None or "table" in study.dims:
        raise RequestError(f"--what = {what!r} is not drawn for worlds with a table; predict prints it for one world")
    if study.world.views is not None:
        raise RequestError(
            f"--what = {what!r} has no value for worlds of pixels: no formula gives the ideal classifier"
        )
    legend = list(dataset["legend"].values) if "legend" in dataset else [""]
    found = dataset.drop_vars("legend", errors="ignore")
    found["legend"] = ("legend", np.array([*legend, FLAT, MANY], dtype=object))
    for prefix in PREFIXES:
        if f"{prefix}common" in dataset:
            found = found.assign(_variables(dataset, study, what, prefix, len(legend)))
    return found


def _variables(dataset: xr.Dataset, study: Study, what: str, prefix: str, reason: int) -> dict[str, xr.DataArray]:
    """The number of each cell, its interval, and why there is none: `reason` is FLAT's place in the legend."""
    rows = [dataset[prefix + group].transpose("replicate", ..., missing_dims="ignore") for group in GROUPS[:2]]
    like = rows[0].isel(replicate=0, drop=True) if "replicate" in rows[0].dims else rows[0]
    draws = np.stack([row.values.reshape(-1, like.size) for row in rows], axis=1)  # (replicate, group, cell)
    worlds = _worlds(dataset, study, like)
    few = np.broadcast_to(worlds.classes, like.size) <= MOST_CLASSES
    known = np.isfinite(draws).any(axis=0).all(axis=0)

    found = np.full((3, like.size), np.nan)  # value, low, high
    names = [f"{prefix}{group}_{end}" for group in GROUPS[:2] for end in ("low", "high")]
    ends = np.stack([_flat(dataset, name, like, np.nan) for name in names])
    replicated = np.isfinite(draws).all(axis=(0, 1)) & (len(draws) > 1)
    bounded = np.isfinite(ends).all(axis=0) & ~replicated
    for cells, kind in ((replicated, "draws"), (bounded, "ends"), (~replicated & ~bounded, "mean")):
        cells = np.flatnonzero(cells & known & few)
        if len(cells):
            found[:, cells] = _place(kind, worlds[cells], draws[..., cells], ends[:, cells], PLACES.index(what))

    codes = _flat(dataset, f"{prefix}undefined", like, 0)
    codes = np.where(known & np.isnan(found[0]), np.where(few, reason, reason + 1), codes)
    made = {prefix + what: found[0], f"{prefix}undefined": codes}
    if np.isfinite(found[1]).any():
        made |= {f"{prefix}{what}_low": found[1], f"{prefix}{what}_high": found[2]}
    cells = {name: numbers.reshape(like.shape) for name, numbers in made.items()}
    return {name: xr.DataArray(numbers, dims=like.dims, attrs={"level": LEVEL}) for name, numbers in cells.items()}


def _place(kind: str, worlds: Worlds, draws: np.ndarray, ends: np.ndarray, number: int) -> np.ndarray:
    """(value, low, high) of some cells; draws have axes (replicate, group, cell), ends (end, cell)."""
    if kind == "draws":
        found = equivalent_of_draws(worlds, draws)
    else:
        level, pairs = (LEVEL, zip(ends[::2], ends[1::2], strict=True)) if kind == "ends" else (None, ())
        found = equivalent(worlds, Accuracy.of(np.nanmean(draws, axis=0), level, pairs))
    value = tuple(found)[number]
    missing = np.full((2, *value.shape), np.nan)
    return np.array([value, *([*found.interval][number] if found.interval else missing)])


def _flat(dataset: xr.Dataset, name: str, like: xr.DataArray, otherwise: float) -> np.ndarray:
    """A variable in the order of the cells; a constant where the study does not have it."""
    return dataset[name].transpose(*like.dims).values.ravel() if name in dataset else np.full(like.size, otherwise)


def _worlds(dataset: xr.Dataset, study: Study, like: xr.DataArray) -> Worlds:
    """The world of each cell, in one row."""
    axes = [str(d) for d in like.dims if d in World.model_fields]
    varied = {name: dataset[name].broadcast_like(like).transpose(*like.dims).values.ravel() for name in axes}
    return Worlds.of(study.world).replace(**{"p_spu": np.full(like.size, study.world.p_spu), **varied})
