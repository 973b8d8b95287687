"""Cells beyond the grid of a study, as a list along the dimension `cell`: what is stored, computed and read back.

In a store they lie in the group GROUP: every variable is an array over `cell` instead of the axes, and so is every axis
itself, a chunk a cell. The arrays are as long as a list can become; chunks that are not there cost nothing, so a list
grows by being written, and all that `experiments.lab.store` says of blocks holds of cells.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from experiments.lab.axes import Axis
from experiments.lab.blocks import Layout
from experiments.lab.cells import compute
from experiments.lab.result import Block, Variable, coordinates, variables
from experiments.lab.study import Study

if TYPE_CHECKING:
    import xarray as xr

GROUP = "refined"
MOST = 10_000  # cells of a list
LAYOUT = Layout((MOST,), (1,))


def declared(study: Study, estimated: bool) -> dict[str, Variable]:
    """Every variable of the list: the axes, then those of the study."""
    attributes = {name: attrs for name, (_, _, attrs) in coordinates(study).items()}
    axes = {name: Variable(("cell",), "float64", attributes[name]) for name in study.dims}
    listed = {
        name: variable._replace(dims=("cell", *variable.dims[len(study.axes) :]))
        for name, variable in variables(study, estimated).items()
    }
    return axes | listed


def computed(study: Study, estimated: bool, place: tuple[float, ...]) -> Block:
    """The numbers of the cell at one place, as a list of one."""
    alone = replace(study, axes=tuple(Axis(axis.name, (x,)) for axis, x in zip(study.axes, place, strict=True)))
    found = compute(alone, tuple(slice(0, 1) for _ in place), estimated)
    arrays = {name: array.reshape(1, *array.shape[len(place) :]) for name, array in found.arrays.items()}
    return Block(
        {**{name: np.array([x]) for name, x in zip(study.dims, place, strict=True)}, **arrays}, found.sentences
    )


def joined(grid: "xr.Dataset", cells: Mapping[str, np.ndarray]) -> "xr.Dataset":
    """The Dataset of a grid and further cells.

    One axis has the values of both, ascending; two become coordinates along `cell`, the grid's cells first.
    """
    import xarray as xr

    axes = [str(name) for name in grid["counter"].dims if name in cells]
    mesh = np.meshgrid(*(grid[name].values for name in axes), indexing="ij")
    coords = {
        name: ("cell", np.concatenate([np.ravel(each), cells[name]]), grid[name].attrs)
        for name, each in zip(axes, mesh, strict=True)
    }
    listed = {}
    for name, variable in grid.data_vars.items():
        values = variable.values.reshape(-1, *variable.shape[len(axes) :])
        listed[name] = (("cell", *variable.dims[len(axes) :]), np.concatenate([values, cells[name]]), variable.attrs)
    others = {name: coordinate for name, coordinate in grid.coords.items() if name not in axes}
    table = xr.Dataset(listed, {**others, **coords}, grid.attrs)
    return table.swap_dims(cell=axes[0]).sortby(axes[0]) if len(axes) == 1 else table
