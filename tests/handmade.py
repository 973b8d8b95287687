"""Small studies whose measurements are the theory plus chosen noise; for tests of plots and
tables.
"""

import numpy as np
import xarray as xr

from experiments.inference import FRACTION, REALS, t_bounds
from experiments.lab.studies import study
from simulator.world import World


def theory(axes, names=("linear",), prompts=("name",), scales=None, **world) -> xr.Dataset:
    """A study of learners over axes of the world, by theory only."""
    table = study(
        World(**world), {n: np.asarray(v, float).tolist() for n, v in axes.items()}, names, prompts
    ).run()
    for name in axes:
        table[name].attrs["scale"] = (scales or {}).get(name, "linear")
    return table


def measured(
    dataset: xr.Dataset, replicates: int = 8, spread: float = 0.02, seed: int = 0
) -> xr.Dataset:
    """The study with measurements scattered about its theory, and t intervals of their means."""
    rng = np.random.default_rng(seed)
    result = dataset[["undefined", "legend"]].assign(predicted_undefined=dataset.undefined)
    for name in ("common", "counter", "reliance"):
        values = dataset[name].values[..., None] + spread * rng.standard_normal(
            (*dataset[name].shape, replicates)
        )
        if name != "reliance":
            values = np.clip(values, 0, 1)
        dims = dataset[name].dims
        result[name] = ((*dims, "replicate"), values)
        result[f"predicted_{name}"] = dataset[name]
        if replicates > 1:
            ends = t_bounds(values, 0.025, REALS if name == "reliance" else FRACTION)
            result[f"{name}_low"] = (dims, ends.low, {"level": 0.95})
            result[f"{name}_high"] = (dims, ends.high, {"level": 0.95})
    result.attrs = dataset.attrs
    return result
