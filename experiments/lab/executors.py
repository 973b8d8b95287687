"""Where the blocks of a study are computed: in this process, or on dask's workers.

An executor maps a picklable task over the numbers of blocks, in any order and anywhere; `here` is this process.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

from experiments.errors import RequestError

Task = Callable[[int], object]
Execute = Callable[[Task, Sequence[int]], Iterable[object]]  # results in any order

A_CORE = 4  # workers: more than a few only wait for each other, and each takes .3 GB


def here(task: Task, blocks: Sequence[int]) -> Iterator[object]:
    """The executor of this process."""
    return map(task, blocks)


def executor(
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "cpu",
    report: Callable[[str], None] = warnings.warn,
) -> AbstractContextManager[Execute]:
    """The executor that is asked for, checked now and started when it is entered."""
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
    from experiments.lab.cluster import on_dask

    return on_dask(workers, scheduler, device, report)


def _check(workers: int) -> None:
    most = A_CORE * (os.cpu_count() or 1)
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise RequestError(f"workers = {workers!r} is not a whole number")
    if not 1 <= workers <= most:
        near = min(max(workers, 1), most)
        raise RequestError(
            f"workers = {workers} lies outside [1, {most}] on this machine; the nearest valid value is {near}"
        )
