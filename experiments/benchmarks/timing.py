"""Shared by all benchmarks: rows of the table, times, and peak memory."""

from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from torch.utils.benchmark import Timer
from torch.utils.benchmark.utils.common import select_unit


class Row(NamedTuple):
    """Seconds per unit of work: ours, the peer's and the limit's; None if not measured."""

    name: str
    unit: str
    ours: float
    peer: float | None = None  # the usual way without this package
    limit: float | None = None  # work that cannot be avoided
    note: str = ""  # what the peer and the limit are


def seconds(work: Callable[[], object], least: float = 0.2, threads: int = 1) -> float:
    """Median seconds of one call, after a warm-up call. CUDA work is synchronised."""
    timer = Timer("work()", globals={"work": work}, num_threads=threads)
    return timer.blocked_autorange(min_run_time=least).median


def once(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def print_table(title: str, rows: Iterable[Row]) -> None:
    """Print each row of a Markdown table as soon as it is measured."""
    print(f"\n| {title} | ours | ours / limit | peer / ours | peer; limit |")
    print("|---|---|---|---|---|")
    for row in rows:
        limit = "" if row.limit is None else f"{row.ours / row.limit:.3g}"
        peer = "" if row.peer is None else f"{row.peer / row.ours:,.3g}"
        print(f"| {row.name} | {_time(row.ours)} per {row.unit} | {limit} | {peer} | {row.note} |", flush=True)


def _time(value: float) -> str:
    unit, scale = select_unit(value)
    return f"{value / scale:.3g} {unit}"


def extra_bytes(work: Callable[[], object], device: str) -> int | None:
    """Peak bytes that one call adds to the allocated memory; None if the system does not report them."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak on Linux
    except OSError:
        return None
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))
