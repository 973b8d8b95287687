"""Datasets as a study makes them, by hand from the closed forms."""

from contextlib import suppress
from typing import get_type_hints

import numpy as np
import tomli_w
import xarray as xr

from simulator.quantities import quantity_of
from simulator.world import World, Worlds
from theory import learners
from theory.accuracy import reliance
from theory.learners.base import UNDEFINED, attempt

HINTS = get_type_hints(World, include_extras=True)


def attributes(name: str, scale: str) -> dict[str, str]:
    """Symbol, meaning, unit and scale of a coordinate."""
    q = quantity_of(HINTS[name])
    return {"symbol": q.symbol, "meaning": q.meaning, "unit": q.unit, "scale": scale}


def theory(axes, names=("linear",), prompts=("name",), scales=None, **world) -> xr.Dataset:
    """The theory of learners over axes of the world."""
    base = World(**world)
    grids = np.meshgrid(*axes.values(), indexing="ij")
    worlds = Worlds.of(base).replace(**dict(zip(axes, grids, strict=True)))
    shape = (*worlds.shape, len(names), len(prompts))
    numbers = {name: np.full(shape, np.nan) for name in ("common", "counter", "reliance")}
    undefined, legend = np.zeros(shape, int), [""]
    for i, name in enumerate(names):
        asked = hasattr(learners.named(name), "prompt")
        for j, prompt in enumerate(prompts if asked else prompts[:1]):
            learner = learners.named(name, prompt=prompt if asked else None)
            values, reasons = attempt(lambda w, l=learner: np.stack(list(l.accuracy(w)), -1), worlds)
            numbers["common"][..., i, j], numbers["counter"][..., i, j] = values[..., 0], values[..., 1]
            for at, why in reasons.items():
                legend += [why] if why not in legend else []
                undefined[(*at, i, j)] = legend.index(why)
            with suppress(UNDEFINED):
                numbers["reliance"][..., i, j] = reliance(learner.direction(worlds))
    dims = (*axes, "learner", "prompt")
    return xr.Dataset(
        {
            **{name: (dims, values) for name, values in numbers.items()},
            "undefined": (dims, undefined),
            "legend": ("legend", np.array(legend, dtype=object)),
        },
        coords={
            **{n: (n, np.asarray(v), attributes(n, (scales or {}).get(n, "linear"))) for n, v in axes.items()},
            "learner": np.array(names, dtype=object),
            "prompt": np.array(prompts, dtype=object),
        },
        attrs={"study": tomli_w.dumps({"world": base.model_dump(exclude_defaults=True)})},
    )


def measured(dataset: xr.Dataset, replicates: int = 8, spread: float = 0.02, seed: int = 0) -> xr.Dataset:
    """Measurements scattered about a theory, with t intervals, the theory beside them."""
    from experiments.inference import t_bounds

    rng = np.random.default_rng(seed)
    result = dataset[["undefined", "legend"]].copy()
    for name in ("common", "counter", "reliance"):
        values = dataset[name].values[..., None] + spread * rng.standard_normal((*dataset[name].shape, replicates))
        if name != "reliance":
            values = np.clip(values, 0, 1)
        dims = dataset[name].dims
        result[name] = ((*dims, "replicate"), values)
        result[f"predicted_{name}"] = dataset[name]
        if replicates > 1:
            ends = t_bounds(values, 0.025)
            result[f"{name}_low"] = (dims, ends.low, {"level": 0.95})
            result[f"{name}_high"] = (dims, ends.high, {"level": 0.95})
    result.attrs = dataset.attrs
    return result
