"""A row of the table, and times."""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from torch.utils.benchmark import Timer
from torch.utils.benchmark.utils.common import select_unit


class Timing(NamedTuple):
    """Seconds per unit of work; a limit is None where nobody knows the work that cannot be
    avoided.
    """

    name: str
    unit: str
    ours: float
    peer: float  # the usual way without this package
    limit: float | None  # work that cannot be avoided
    note: str  # what the peer and the limit are

    def __str__(self) -> str:
        unit, scale = select_unit(self.ours)
        limit = "" if self.limit is None else f"{self.ours / self.limit:.3g}"
        ours = f"{self.ours / scale:.3g} {unit} per {self.unit}"
        return f"| {self.name} | {ours} | {limit} | {self.peer / self.ours:,.3g} | {self.note} |"


def seconds(work: Callable[[], object], least: float = 0.2, threads: int = 1) -> float:
    """Median seconds of one call, after a warm-up call. CUDA work is synchronised."""
    timer = Timer("work()", globals={"work": work}, num_threads=threads)
    return timer.blocked_autorange(min_run_time=least).median


def once(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began
