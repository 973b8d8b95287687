"""`run(study, path)`: compute the missing blocks, here or on dask's workers, and return the whole Dataset."""

import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr

from experiments.errors import RequestError, check_within
from experiments.files import check_writable
from experiments.lab.blocks import compute
from experiments.lab.planning import Execute, Plan, plan
from experiments.lab.schema import Block, empty_table, sizes, variables, with_legend
from experiments.lab.spec import StudySpec
from experiments.lab.stopping import keeping
from experiments.lab.words import amount
from experiments.runtime import free_bytes
from simulator.progress import counting

WORKERS_PER_CORE = 4  # more workers wait for each other, and each takes .3 GB


def executor(
    workers: int | None = None,
    scheduler: str | None = None,
    report: Callable[[str], None] = warnings.warn,
) -> AbstractContextManager[Execute]:
    """The executor of this process, of local processes, or of a dask cluster; checked now, started when entered."""
    if workers is None and scheduler is None:
        return nullcontext(map)
    if workers is not None and scheduler is not None:
        raise RequestError(f"workers = {workers} and scheduler = {scheduler!r} are both given; leave one of them out")
    most = WORKERS_PER_CORE * (os.cpu_count() or 1)
    if workers is not None:
        check_within("workers", workers, 1, most, " on this machine")
    if find_spec("distributed") is None:
        report(
            "dask is not installed, so this process computes alone; in the checkout run: "
            "python -m pip install -e '.[cluster]'"
        )
        return nullcontext(map)
    from experiments.lab.cluster import on_dask  # optional extra

    return on_dask(workers, scheduler, report)


def run(
    study: StudySpec,
    path: "Path | str | None" = None,
    *,
    planned: Plan | None = None,
    execute: Execute = map,
    report: Callable[[str], None] = lambda line: None,
) -> xr.Dataset:
    """The Dataset of a study, kept in a store at `path` or computed in memory; `report` gets a line per finding."""
    planned = planned or plan(study)
    if path is None:
        return _in_memory(planned, execute)
    from experiments.lab import store  # start-up time: loads zarr

    path = store.located(path)
    existed = store.begin(path, planned)
    done = store.finished(path, planned)
    if existed:
        for block, chunk in list(store.damaged(path, planned, done)):
            report(f"{chunk} is damaged, so its block is computed again")
            done[block] = False
        report(f"{done.sum():,} of {len(done):,} blocks are in {path} already")
    missing = np.flatnonzero(~done).tolist()
    if missing:
        if isinstance(path, Path):
            check_writable(path)

        def kept() -> str:
            return f"{int(store.finished(path, planned).sum()):,} of {planned.blocks:,} blocks are in {path}"

        with keeping(kept), counting("blocks", len(missing)) as advance:
            for _ in execute(partial(_finish, planned, path), missing):
                advance(1)
    store.consolidate(path)
    return store.read(path)


def _finish(planned: Plan, path: "Path | str", number: int) -> None:
    from experiments.lab import store  # start-up time: loads zarr

    store.write(path, planned, number, compute(planned, number))


def _in_memory(planned: Plan, execute: Execute) -> xr.Dataset:
    study, length, free = planned.study, sizes(planned.study), free_bytes("cpu")
    if free is not None and planned.bytes > free:
        raise RequestError(
            f"the numbers of this study take {amount(planned.bytes)} and memory has {amount(free)} free; a store "
            "(--output) keeps them on disk, one block at a time in memory"
        )
    declared, sentences = variables(study, planned.estimated), {}
    whole = {name: np.empty(tuple(length[d] for d in v.dims), v.dtype) for name, v in declared.items()}
    with counting("blocks", planned.blocks) as advance:
        for number, block in execute(partial(_numbered, planned), range(planned.blocks)):
            for name, array in block.arrays.items():
                whole[name][planned.region(number)] = array
            sentences |= block.sentences
            advance(1)
    table, data = empty_table(study), {name: (v.dims, whole[name], v.attrs) for name, v in declared.items()}
    return with_legend(xr.Dataset(data, table.coords, table.attrs), sentences)


def _numbered(planned: Plan, number: int) -> tuple[int, Block]:
    return number, compute(planned, number)
