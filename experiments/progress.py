"""Progress on stderr: bars on a terminal, a line every SILENCE seconds in a pipe.

Nothing appears in the first PATIENCE seconds. Under torchrun only the first process reports.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import Timer
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 3.0  # seconds before anything appears
SILENCE = 10.0  # seconds between two lines in a pipe


def say(line: str) -> None:
    """Print a line on stderr. A closed stderr does not end the work."""
    if os.environ.get("RANK", "0") == "0":
        with suppress(BrokenPipeError):
            print(line, file=sys.stderr, flush=True)


class Throttle:
    """Say lines about running work: one every PATIENCE seconds on a terminal, every SILENCE seconds in a pipe."""

    def __init__(self) -> None:
        self.began = monotonic()
        self.last: float | None = None

    def __call__(self, line: str) -> None:
        pause = PATIENCE if sys.stderr.isatty() else SILENCE
        if monotonic() >= (self.began + PATIENCE if self.last is None else self.last + pause):
            self.last = monotonic()
            say(line)


tell = Throttle()  # for all reports by lines


def track(items: Iterable[T], total: int, description: str, label: Callable[[T], str] | None = None) -> Iterator[T]:
    """Yield the items and count those that are done; `label` names the current one."""
    with counting(description, total) as advance:
        for item in items:
            advance(0, "" if label is None else label(item))
            yield item
            advance(1)


@contextmanager
def counting(description: str, total: int | None = None, unit: str = "") -> Iterator[Callable[..., None]]:
    """A function advance(more, now="") that counts finished work and names the current item.

    A terminal shows a bar, the rate in `unit` and the time left, or without a total a clock. A pipe gets lines.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") in ("dumb", "unknown") or os.environ.get("RANK", "0") != "0":
        yield _lines(description, total)
        return
    from rich.progress import (  # slow to import
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    if total is not None:
        left = TextColumn("left {task.fields[now]}", markup=False)
        columns += [MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), left]
    progress = Progress(*columns, console=_console(), transient=True)
    task = progress.add_task(description, total=total, rate="", now="")

    def advance(more: int, now: str = "") -> None:
        speed = progress.tasks[0].speed
        progress.update(task, advance=more, now=now, rate=f"{speed:.0f} {unit}" if unit and speed else "")

    def start() -> None:
        if hasattr(signal, "pthread_sigmask"):  # Ctrl-C belongs to the main thread; rich's thread inherits the mask
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        progress.start()

    timer = Timer(PATIENCE, start)
    timer.daemon = True
    timer.start()
    try:
        yield advance
    finally:
        timer.cancel()
        timer.join()
        progress.stop()


def _lines(description: str, total: int | None) -> Callable[..., None]:
    """The function `advance` of a pipe."""
    began, done, report = monotonic(), 0, Throttle()

    def advance(more: int, now: str = "") -> None:
        nonlocal done
        done += more
        if total is None or done in (0, total):
            return
        seconds = monotonic() - began
        left = seconds / done * (total - done)
        now = now and f"; now {now}"
        report(f"{description}: {done} of {total} after {seconds:.0f} s, about {left:.0f} s left{now}")

    return advance


@cache
def _console():
    """One console for all bars, so that bars inside each other share the display."""
    from rich.console import Console  # start-up time

    return Console(stderr=True)
