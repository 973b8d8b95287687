"""Equivalent correlation and shortfall of every cell of a study. They are computed on request and
never stored.
"""

from collections.abc import Hashable, Iterator

import numpy as np
import xarray as xr

from experiments.errors import RequestError
from simulator.accuracy import GROUPS, LEVEL, Accuracy
from simulator.mixture import groups_of
from simulator.tables import named
from simulator.world import SCALARS, World
from theory.ideal_curve import MOST_CLASSES, equivalent, equivalent_of_draws

PLACES = ("equivalent-correlation", "shortfall")
MOST_OF_TABLE = 50  # cells of one table: each takes .2 to 3 seconds
FLAT = (
    "the accuracies do not determine it, since mu_spu = 0 or the ideal drop is constant around"
    " theirs"
)
MANY = f"the ideal curve is computed for at most {MOST_CLASSES} classes"


def placed(dataset: xr.Dataset, base: World | None, what: str) -> xr.Dataset:
    """The Dataset with `what`, one of PLACES, in each cell (of replicates that of their mean), or
    why it has none.
    """
    if base is None:
        raise RequestError(
            f"--what = {what!r} needs the study's worlds, and its request is missing"
        )
    if base.views is not None:
        raise RequestError(
            f"--what = {what!r} has no value for worlds of pixels: no formula gives the ideal"
            " classifier"
        )
    legend = [*dataset["legend"].values]
    result = dataset.drop_vars("legend").assign(
        legend=("legend", np.array([*legend, FLAT, MANY], dtype=object))
    )
    # the study's own numbers, and those of theory beside measurements
    for prefix in ("", "predicted_"):
        if f"{prefix}common" in dataset:
            result = result.assign(_variables(dataset, base, what, prefix, len(legend)))
    return result


def _variables(
    dataset: xr.Dataset, base: World, what: str, prefix: str, reason: int
) -> dict[str, xr.DataArray]:
    """The number of each cell, its interval, and why there is none: `reason` is FLAT's place in the
    legend.
    """
    groups = [group for group in GROUPS if prefix + group in dataset]
    like = dataset[prefix + groups[0]].isel(replicate=0, drop=True, missing_dims="ignore")
    cells = dataset.stack(cell=like.dims)
    rows = [
        cells[prefix + group].transpose("replicate", "cell", missing_dims="ignore").values
        for group in groups
    ]
    # (replicate, group, cell)
    draws = np.stack([row.reshape(-1, like.size) for row in rows], axis=1)
    none = xr.DataArray(np.full(like.size, np.nan))
    ends = np.array(
        [[cells.get(f"{prefix}{g}_{end}", none).values for end in ("low", "high")] for g in groups]
    )
    # value, low, high
    numbers = np.full((3, like.size), np.nan)
    codes = cells[f"{prefix}undefined"].values.copy()
    for part, worlds in _worlds(cells, base, like.dims):
        columns = 0 if worlds.table is None else worlds.background_count
        few = np.broadcast_to(np.maximum(worlds.classes, columns), len(part)) <= MOST_CLASSES
        finite = np.isfinite(draws[:, :, part])
        bounds = np.isfinite(ends[:, :, part])
        groups_there = groups_of(worlds.table, worlds.common)
        finite_cells = finite[:, groups_there].any(axis=0).all(axis=0)
        replicated = finite[:, groups_there].all(axis=(0, 1)) & (len(draws) > 1)
        bounded = bounds[groups_there].all(axis=(0, 1)) & ~replicated
        if (
            worlds.table is not None
            and (count := np.count_nonzero(finite_cells & few)) > MOST_OF_TABLE
        ):
            raise RequestError(
                f"--what = {what!r} takes seconds per cell of a table, and {count} cells are more"
                f" than {MOST_OF_TABLE}; fix an axis with --at"
            )
        for chosen, kind in (
            (replicated, "draws"),
            (bounded, "ends"),
            (~replicated & ~bounded, "mean"),
        ):
            some = np.flatnonzero(chosen & finite_cells & few)
            if len(some):
                at = part[some]
                numbers[:, at] = _place(
                    kind, worlds[some], draws[..., at], ends[..., at], PLACES.index(what)
                )
        codes[part] = np.where(
            finite_cells & np.isnan(numbers[0, part]),
            np.where(few, reason, reason + 1),
            codes[part],
        )

    variables = {prefix + what: numbers[0], f"{prefix}undefined": codes}
    if np.isfinite(numbers[1]).any():
        variables |= {f"{prefix}{what}_low": numbers[1], f"{prefix}{what}_high": numbers[2]}
    attrs = {"level": LEVEL}
    return {
        name: xr.DataArray(x.reshape(like.shape), dims=like.dims, attrs=attrs)
        for name, x in variables.items()
    }


def _place(
    kind: str, worlds: World, draws: np.ndarray, ends: np.ndarray, number: int
) -> np.ndarray:
    """(value, low, high) of some cells; draws have axes (replicate, group, cell), ends (group, end,
    cell).
    """
    if kind == "draws":
        result = equivalent_of_draws(worlds, draws)
    else:
        count = np.isfinite(draws).sum(axis=0)
        mean = np.divide(
            np.nansum(draws, axis=0), count, out=np.full(count.shape, np.nan), where=count > 0
        )
        level, bounds = (LEVEL, [*map(tuple, ends)]) if kind == "ends" else (None, ())
        result = equivalent(worlds, Accuracy.of([*mean], level, bounds))
    value = tuple(result)[number]
    missing = np.full((2, *value.shape), np.nan)
    return np.array([value, *([*result.interval][number] if result.interval else missing)])


def _worlds(
    cells: xr.Dataset, base: World, dims: tuple[Hashable, ...]
) -> Iterator[tuple[np.ndarray, World]]:
    """The cells of each table (all cells without one), and their worlds in a row."""
    size = cells.sizes["cell"]
    tables = cells["table"].values if "table" in dims else np.full(size, "")
    fields = {"mu_inv": np.full(size, base.mu_inv)}  # one number per cell
    fields |= {str(name): cells[name].values for name in dims if name in SCALARS}
    for table in np.unique(tables):
        part = np.flatnonzero(tables == table)
        own = {"table": named(table)} if table else {}
        yield part, base.replace(**own, **{name: values[part] for name, values in fields.items()})
