"""Progress on stderr: a bar on a terminal; a line now and then in a pipe; nothing for what is soon done."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 1.0  # seconds before a bar appears
SILENCE = 30.0  # seconds after which a reader of a pipe hears that work goes on


def track(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield the items, counting those done: on a terminal a bar after a second, in a pipe a line every 30."""
    with counting(description, total, patience=PATIENCE) as advance:
        for item in items:
            yield item
            advance(1)


def tell(line: str) -> None:
    """A line on stderr if somebody watches; a bar on display stays below it."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


@contextmanager
def counting(description: str, total: int, unit: str = "", patience: float = 0.0) -> Iterator[Callable[[int], None]]:
    """A function that hears how much more is done, and shows it.

    On a terminal, once `patience` seconds have passed, a bar with the rate in `unit` and the time left, labelled; in a
    pipe a line every SILENCE seconds, whether or not anything was finished meanwhile.
    """
    began, done = monotonic(), 0
    bar = _bar(unit) if sys.stderr.isatty() else None
    task = None if bar is None else bar.add_task(description, total=total, rate="")

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if bar is not None:
            bar.advance(task, more)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.0f} {unit}" if unit and speed else "")

    def line() -> None:
        print(f"{description}: {done} of {total} after {monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    if bar is None:
        with _meanwhile(SILENCE, line, again=True):
            yield advance
        return
    try:
        with _meanwhile(patience, bar.start, again=False):
            yield advance
    finally:
        bar.stop()


@contextmanager
def heartbeat(words: Callable[[float], str]) -> Iterator[Callable[[], None]]:
    """A function to be called whenever something was said; words(seconds) is said after SILENCE without it.

    For work that reports by itself, but not while it compiles. Under torchrun one process speaks for all.
    """
    heard = began = monotonic()

    def said() -> None:
        nonlocal heard
        heard = monotonic()

    def beat() -> None:
        if monotonic() - heard >= SILENCE * 0.99:
            print(words(monotonic() - began), file=sys.stderr, flush=True)

    if os.environ.get("RANK", "0") != "0":
        yield said
        return
    with _meanwhile(SILENCE, beat, again=True):
        yield said


@contextmanager
def _meanwhile(seconds: float, call: Callable[[], None], again: bool) -> Iterator[None]:
    """Call from a thread of its own once the block has lasted so long, or every time that it has."""
    over = Event()

    def run() -> None:
        while not over.wait(seconds):
            call()
            if not again:
                return

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _bar(unit: str):
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([TextColumn("{task.fields[rate]}")] if unit else []),
        TimeElapsedColumn(),
        TextColumn("so far,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    )
