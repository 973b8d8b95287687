"""What mitigations gain and cost beside doing nothing, a row a cell: points on both groups, and pairs.

counter_gained, common_lost   fractions, measured where there is a measurement, else by theory
predicted_...                 the same at infinitely many pairs
pairs                         that must be drawn for each effective one (`mitigations.Setting.pairs`)
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.errors import RequestError
from experiments.lab.mitigations import NONE
from experiments.lab.spec import StudySpec

if TYPE_CHECKING:
    import xarray as xr

AXIS = "mitigation"
GAINS = {"counter_gained": ("counter", 1), "common_lost": ("common", -1)}


def gains(study: StudySpec, table: "xr.Dataset") -> list[dict[str, Any]]:
    """The rows of every mitigation of a study that has "none" beside it; no row otherwise."""
    names = [] if AXIS not in study.dims else list(study.axes[study.dims.index(AXIS)].values)
    if NONE not in names:
        return []
    prefixes = ("", "predicted_") if study.measured else ("",)
    change = {
        prefix + name: sign * (_means(table[prefix + group]) - _means(table[prefix + group]).sel({AXIS: NONE}))
        for prefix in prefixes
        for name, (group, sign) in GAINS.items()
    }
    found = []
    for index in np.ndindex(*study.shape):
        cell = study.values_at(index)
        if cell[AXIS] == NONE:
            continue
        for k, learner in enumerate(study.labels):
            for place, prompt in study.slots(k):
                at = {**dict(zip(study.dims, index, strict=True)), "learner": k, "prompt": place}
                for r, route in enumerate(study.measured or ("theory",)):
                    where = {**at, "route": r} if len(study.measured) > 1 else at
                    numbers = {
                        name: _number(values.isel({dim: i for dim, i in where.items() if dim in values.dims}))
                        for name, values in change.items()
                    }
                    if any(number is not None for number in numbers.values()):
                        who = {"learner": learner, "prompt": prompt, "route": route}
                        found.append({**cell, **who, **numbers, "pairs": _pairs(study, k, index, prompt, route)})
    return found


def _means(values: "xr.DataArray") -> "xr.DataArray":
    return values.mean("replicate") if "replicate" in values.dims else values


def _number(value: "xr.DataArray") -> float | None:
    number = value.item()
    return number if np.isfinite(number) else None


def _pairs(study: StudySpec, k: int, index: tuple[int, ...], prompt: str | None, route: str) -> float | None:
    """None where no cell of the theory alone says how it is trained."""
    try:
        return float(study.setting(k, index, prompt, route == "trained").pairs())
    except (RequestError, ValueError):
        return None
