"""`run(plan, store)`: compute the missing blocks, here or in other processes, and return the whole
Dataset.

The numbers of a block are a pure function of its part of the study. It is mapped over the parts in
this process, in processes of this machine (joblib), or on a dask cluster. This process alone writes
the numbers.
"""

import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from math import prod
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from rich.filesize import decimal

from experiments.errors import RequestError, RunError, check_within
from experiments.files import check_writable
from experiments.lab.compute import compute
from experiments.lab.config import check_versions
from experiments.lab.plan import Plan
from experiments.lab.schema import Cells, empty_table, finished
from experiments.provenance import rounding
from experiments.runtime import free_bytes, keeping
from simulator.extras import installed
from simulator.progress import counting
from simulator.signals import block_signals

if TYPE_CHECKING:
    from distributed import Client

    from experiments.lab.store import Store

WORKERS_PER_CORE = 4  # more workers wait for each other, and each takes .3 GB
PATIENCE = 10  # seconds to wait for an answer of a scheduler
# blocks that a cluster holds at once: several per worker, also for workers that join later
WAITING = 2_000

Task = Callable[[Any], Any]
Mapped = Callable[[Task, Iterable[Any]], Iterable[Any]]  # like `map`; results may be in any order


@contextmanager
def mapping(
    workers: int | None = None,
    scheduler: str | None = None,
    report: Callable[[str], None] = warnings.warn,
) -> Iterator[Mapped]:
    """A `map` in this process, in processes of this machine, or on the dask cluster of an
    address.
    """
    if workers is not None and scheduler is not None:
        raise RequestError(
            f"workers = {workers} and scheduler = {scheduler!r} are both given; leave one of"
            " them out"
        )
    if workers is not None:
        check_within("workers", workers, 1, WORKERS_PER_CORE * (os.cpu_count() or 1))
        yield partial(_in_processes, workers)
    elif scheduler is not None:
        with _client(scheduler, report) as client:
            yield partial(_on_dask, client)
    else:
        yield map


def _in_processes(workers: int, task: Task, items: Iterable[Any]) -> Iterator[Any]:
    from concurrent.futures.process import BrokenProcessPool

    from joblib import Parallel, delayed, parallel_config  # start-up time

    # Two processes with two threads each would wait for each other, and might round differently.
    with parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
        parallel = Parallel(return_as="generator_unordered", batch_size=1)
    results = None
    try:
        # processes inherit this: Ctrl-C reaches this one alone, at the block's end
        with block_signals():
            results = parallel(delayed(task)(item) for item in items)
        for result in results:  # noqa: UP028 (`yield from` would close the results before the filter below)
            yield result
    except BrokenProcessPool:
        raise RunError("a worker died; its block may need more memory") from None
    finally:
        if results is not None:
            # An interruption cancels blocks: joblib counts them, and its thread may miss them in
            # its own queue.
            hook = threading.excepthook
            threading.excepthook = lambda failed: (
                None if failed.exc_type is KeyError else hook(failed)
            )
            try:
                with warnings.catch_warnings(action="ignore"):
                    results.close()  # waits for that thread
            finally:
                threading.excepthook = hook


def _client(scheduler: str, report: Callable[[str], None]) -> "Client":
    distributed = installed("distributed", "dask", "cluster", "a scheduler", RequestError)
    try:
        client = distributed.Client(scheduler, timeout=PATIENCE)
    except ValueError as error:
        words = f"is not an address ({error}); tcp://127.0.0.1:8786 is one"
        raise RequestError(f"scheduler = {scheduler!r} {words}") from None
    except OSError as error:
        raise RunError(f"the scheduler {scheduler!r} does not answer ({error})") from None
    if not client.ncores():
        report(f"the blocks wait for a worker; start one by: dask worker {scheduler}")
    return client


def _on_dask(client: "Client", task: Task, items: Iterable[Any]) -> Iterator[Any]:
    """Results in order of completion. joblib has a backend for dask, but waits forever for a block
    that was lost.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker, as_completed

    items = iter(items)
    alike = partial(_alike, rounding(), task)
    running = as_completed(
        client.submit(alike, item, pure=False) for item in islice(items, WAITING)
    )
    try:
        for finished in running:
            yield finished.result()
            for item in islice(items, 1):
                running.add(client.submit(alike, item, pure=False))
    except (ImportError, RuntimeError) as error:
        # a scheduler gives a RuntimeError the cause that it met
        missing = error.__cause__ or error
        if not isinstance(missing, ImportError):
            raise
        raise RequestError(
            f"a worker cannot import what this process can ({missing}); install it there"
        ) from None
    except KilledWorker as error:
        raise RunError(
            f"a worker died, {error.last_worker.address}; its block may need more memory"
        ) from None
    except CancelledError:
        raise RunError("the scheduler was lost") from None


def _alike(own: dict[str, str], task: Task, item: Any) -> Any:
    """The result of a task. Raises RequestError in a process whose versions may round
    differently.
    """
    check_versions(f"on the worker {gethostname()}: this study", own, "leave this worker out")
    return task(item)


def run(
    planned: Plan,
    store: "Store | None" = None,
    *,
    mapped: Mapped = map,
    report: Callable[[str], None] = lambda line: None,
) -> xr.Dataset:
    """The Dataset of a study, kept in a store or computed in memory; `report` gets a line per
    finding.
    """
    if store is None:
        return _in_memory(planned, mapped)
    from experiments.lab.store import read  # start-up time: loads zarr

    done = store.finished()
    if store.existed:
        for block, chunk in list(store.damaged(done)):
            report(f"{chunk} is damaged, so its block is computed again")
            done[block] = False
        report(f"{done.sum():,} of {len(done):,} blocks are in {store.path} already")
    missing = np.flatnonzero(~done).tolist()
    if missing:
        if store.existed and isinstance(store.path, Path):
            check_writable(store.path)

        def so_far() -> str:
            return f"{int(store.finished().sum()):,} of {len(done):,} blocks are in {store.path}"

        with keeping(so_far), counting("blocks", len(missing)) as advance:
            for number, cells, reasons in mapped(compute, map(planned.part, missing)):
                store.write(number, cells, reasons)
                advance(1)
    return read(store.path)


def _in_memory(planned: Plan, mapped: Mapped) -> xr.Dataset:
    if (free := free_bytes("cpu")) is not None and planned.bytes > free:
        raise RequestError(
            f"the numbers of this study take {decimal(planned.bytes)} and memory has"
            f" {decimal(free)} free; a store (--output) keeps them on disk, one block at a time in"
            " memory"
        )
    whole: Cells = {}
    blocks = []
    count = prod(planned.blocks)
    with counting("blocks", count) as advance:
        for number, cells, reasons in mapped(compute, map(planned.part, range(count))):
            at = planned.region(number)
            for name, values in cells.items():
                if name not in whole:
                    whole[name] = planned.variables[name].values.copy()
                whole[name][at] = values
            blocks.append((at, cells.keys(), reasons))
            advance(1)
    table = empty_table(planned.study)
    data = {
        name: (v.dims, whole[name], v.attrs)
        for name, v in planned.variables.items()
        if name in whole
    }
    return finished(xr.Dataset(data, table.coords, table.attrs), blocks)
