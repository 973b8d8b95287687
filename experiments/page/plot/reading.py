"""A study from its store: opened, held at some values of its axes, and only then read.

`opened` and `chosen` read no numbers, so that a plot of a part reads that part.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from experiments.errors import RequestError, RunError
from experiments.lab.store import read
from simulator.naming import suggestion

MOST_NUMBERS = 100_000_000  # that a plot reads of one quantity
NOT_AXES = ("learner", "prompt", "route", "replicate", "legend")


def opened(store: str) -> xr.Dataset:
    """The study in a store, not read yet. Raises RequestError for anything else, saying what it is."""
    where = f"store {store!r}"
    if "://" not in store:
        path = Path(store)
        if not path.exists():
            raise RequestError(f"{where} is not there{_beside(path)}")
        if path.is_file():
            raise RequestError(f"{where} is a file; a store is a folder that `soberclip sweep` writes")
    try:
        return read(store)
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged(error) from error


def _beside(path: Path) -> str:
    parent = path.parent
    others = [p.name for p in parent.iterdir() if p.suffix == ".zarr"] if parent.is_dir() else []
    return suggestion(path.name, others, quoted=True)


def chosen(dataset: xr.Dataset, at: Mapping[str, str | float]) -> xr.Dataset:
    """The part of a study at these values of axes, learners, prompts or routes.

    Raises RequestError for a name or a value that the study does not have, with the nearest.
    """
    for name, value in at.items():
        name = name.replace("-", "_")
        names = [str(d) for d in dataset.dims if d not in ("replicate", "legend")]
        if name not in names:
            raise RequestError(f"--at {name}={value}: the study has no axis {name!r}{suggestion(name, names)}")
        dataset = dataset.isel({name: [_index(dataset[name].values, name, value)]})
    return dataset


def _index(values: np.ndarray, name: str, value: str | float) -> int:
    if values.dtype.kind not in "fiu":
        words = [str(v) for v in values]
        if str(value) not in words:
            raise RequestError(
                f"--at {name}={value} is not a value of the study; there are {', '.join(words)}"
                f"{suggestion(str(value), words)}"
            )
        return words.index(str(value))
    try:
        number = float(value)
    except ValueError:
        raise RequestError(f"--at {name}={value}: {value!r} is not a number") from None
    index = int(np.argmin(np.abs(values - number))) if np.isfinite(number) else 0
    if not np.isclose(values[index], number, rtol=1e-6, atol=1e-12):
        raise RequestError(f"--at {name}={value} is not a value of the study; the nearest is {values[index]:.12g}")
    return index


def loaded(dataset: xr.Dataset) -> xr.Dataset:
    """In memory, numeric axes ascending."""
    largest = max((v.size for v in dataset.data_vars.values()), default=0)
    if largest > MOST_NUMBERS:
        raise RequestError(
            f"the study holds {largest:.1e} numbers a quantity and a plot reads at most {MOST_NUMBERS:.0e}; "
            f"fix an axis, such as {_example(dataset)}"
        )
    try:
        dataset = dataset.load()
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged(error) from error
    for name in dataset.dims:
        if name not in NOT_AXES and dataset[name].dtype.kind in "fiu":
            dataset = dataset.sortby(str(name))
    return dataset


def _example(dataset: xr.Dataset) -> str:
    name = max((d for d in dataset.dims if d not in NOT_AXES), key=lambda d: dataset.sizes[d])
    values = dataset[name].values
    return f"--at {name}={values[len(values) // 2]}"


def _damaged(error: Exception) -> RunError:
    """What a chunk with a wrong checksum is told as."""
    return RunError(f"a chunk of the study is damaged ({error}); the same `soberclip sweep` mends it")
