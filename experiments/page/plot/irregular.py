"""A study with cells beyond its grid, over two axes, as an even grid that maps can draw: linear on triangles.

Cells are the corners of a Delaunay triangulation on the axes' own scales; numbers between them are linear, and what is
no number is that of the nearest corner. The cells' own places stay as `dots`.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from experiments.errors import RequestError
from experiments.page.plot.scales import axis_of

RASTER = 121  # places along an axis: finer than eyes follow at the width of a page
DOTS = "dots"  # before the name of an axis: where the cells lie along it


def regular(dataset: xr.Dataset, at: Mapping[str, str | float]) -> xr.Dataset:
    """The Dataset over its axes; one that is so already as it is.

    Raises RequestError for an axis that is to be held: cells off the grid lie on no line.
    """
    if "cell" not in dataset.dims:
        return dataset
    from scipy.spatial import Delaunay

    axes = {str(name): axis_of(c) for name, c in dataset.coords.items() if c.dims == ("cell",)}
    for name, value in at.items():
        if name.replace("-", "_") in axes:
            raise RequestError(f"--at {name}={value}: cells beyond the grid lie on no line of {name}; leave it out")
    scaled, even = [], {}
    for name, axis in axes.items():
        t = axis.scale.forward(axis.values)
        low, high = t.min(), t.max()
        scaled.append((t - low) / (high - low))
        values = axis.scale.backward(np.linspace(low, high, RASTER))
        values[[0, -1]] = axis.values[[np.argmin(t), np.argmax(t)]]  # without rounding
        even[name] = (name, values, dataset[name].attrs)
    triangles = Delaunay(np.stack(scaled, axis=-1))
    step = np.linspace(0, 1, RASTER)
    places = np.stack([np.ravel(each) for each in np.meshgrid(step, step, indexing="ij")], axis=-1)
    corners, weights = _barycentric(triangles, places)
    found = {}
    for name, variable in dataset.data_vars.items():
        if "cell" not in variable.dims:
            found[name] = variable
            continue
        rest = [d for d in variable.dims if d != "cell"]
        values = _between(variable.transpose("cell", ...).values, corners, weights)
        found[name] = ((*axes, *rest), values.reshape(RASTER, RASTER, *values.shape[1:]), variable.attrs)
    found |= {f"{DOTS} {name}": ("cell", dataset[name].values) for name in axes}
    others = {name: c for name, c in dataset.coords.items() if "cell" not in c.dims}
    return xr.Dataset(found, {**others, **even}, dataset.attrs)


def _barycentric(triangles, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3) corners of the triangle around each place, and their weights."""
    which = triangles.find_simplex(places, tol=1e-9)
    transform = triangles.transform[which]
    two = np.einsum("pij,pj->pi", transform[:, :2], places - transform[:, 2])
    return triangles.simplices[which], np.column_stack([two, 1 - two.sum(1)])


def _between(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return values[np.take_along_axis(corners, weights.argmax(1)[:, None], 1)[:, 0]]
    weights = weights.reshape(*weights.shape, *[1] * (values.ndim - 1))
    return sum(weights[:, j] * values[corners[:, j]] for j in range(3))
