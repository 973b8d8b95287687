"""Where blocks are computed: in this process, or on dask's workers."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

from experiments.errors import RequestError
from experiments.lab.blocks import Execute, Task

WORKERS_PER_CORE = 4  # more workers only wait for each other, and each takes .3 GB


def here(task: Task, blocks: Sequence[int]) -> Iterator[object]:
    """The executor of this process."""
    return map(task, blocks)


def executor(
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "cpu",
    report: Callable[[str], None] = warnings.warn,
) -> AbstractContextManager[Execute]:
    """The executor of so many local processes, or of a dask cluster; checked now, started when it is entered."""
    if workers is None and scheduler is None:
        return nullcontext(here)
    if workers is not None and scheduler is not None:
        raise RequestError(f"workers = {workers} and scheduler = {scheduler!r} are both given; leave one of them out")
    if workers is not None:
        _check(workers)
    if find_spec("distributed") is None:
        report(
            "dask is not installed, so this process computes alone; in the checkout run: "
            "python -m pip install -e '.[cluster]'"
        )
        return nullcontext(here)
    from experiments.lab.cluster import on_dask  # optional extra

    return on_dask(workers, scheduler, device, report)


def _check(workers: int) -> None:
    most = WORKERS_PER_CORE * (os.cpu_count() or 1)
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise RequestError(f"workers = {workers!r} is not a whole number")
    if not 1 <= workers <= most:
        near = min(max(workers, 1), most)
        raise RequestError(
            f"workers = {workers} lies outside [1, {most}] on this machine; the nearest valid value is {near}"
        )
