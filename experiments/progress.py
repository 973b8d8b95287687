"""Progress on stderr: within a second what goes on, on a terminal a bar, in a pipe a line now and then.

One thread of a process watches what goes on and speaks where nothing else has spoken. Nothing is said of what is soon
done, and under torchrun one process speaks for all.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from threading import Event, Thread
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 0.9  # seconds before work is spoken of, or a bar appears
SILENCE = 30.0  # seconds after which a reader hears that work goes on

_going_on: list[tuple[float, Callable[[], str]]] = []  # when it began and what to say of it, the innermost last
_heard = 0.0  # when something was said
_bars = 0  # on display, or about to be: rich shows one at a time


def say(line: str) -> None:
    """A line on stderr. A reader who has left does not end the work."""
    global _heard
    _heard = monotonic()
    if os.environ.get("RANK", "0") != "0":
        return
    with suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)


def tell(line: str) -> None:
    """A line of many about work that goes on: all of them on a terminal, above a bar; one now and then in a pipe."""
    if _going_on and (sys.stderr.isatty() or _heard < _going_on[0][0] or monotonic() - _heard >= SILENCE):
        say(line)


@contextmanager
def doing(words: Callable[[], str] | str) -> Iterator[None]:
    """Say what goes on while the block lasts: once after PATIENCE, then after every SILENCE in which nothing was said.

    Of blocks within each other the innermost is spoken of; words that are a function are asked each time.
    """
    began = monotonic()

    def spoken() -> str:
        return words() if callable(words) else f"{words}, {monotonic() - began:.0f} s so far"

    watch = nullcontext() if _going_on else _thread(_watch)
    _going_on.append((began, spoken))
    try:
        with watch:
            yield
    finally:
        _going_on.remove((began, spoken))


def track(items: Iterable[T], total: int, description: str, called: Callable[[T], str] | None = None) -> Iterator[T]:
    """Yield the items, counting those done; `called` gives the name of the one that is being worked on."""
    with counting(description, total) as advance:
        for item in items:
            advance(0, "" if called is None else called(item))
            yield item
            advance(1)


@contextmanager
def counting(description: str, total: int, unit: str = "") -> Iterator[Callable[..., None]]:
    """A function advance(more, now="") that hears how much more is done and what is being worked on, and shows it.

    On a terminal a bar after PATIENCE, with the rate in `unit` and the time left, labelled; of bars within each other
    the outermost. In a pipe lines as `doing` has them, with the time left.
    """
    global _bars
    began, done, at = monotonic(), 0, ""
    bar = None if _bars or not _draws() else _bar(unit)
    task = None if bar is None else bar.add_task(description, total=total, rate="", now="")

    def advance(more: int, now: str = "") -> None:
        nonlocal done, at
        done, at = done + more, now
        if bar is not None:
            bar.advance(task, more)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.0f} {unit}" if unit and speed else "", now=now)

    def line() -> str:
        seconds = monotonic() - began
        left = f", about {seconds / done * (total - done):.0f} s left" if 0 < done < total else ""
        after = "so far" if seconds < 1 else f"after {seconds:.0f} s"
        return f"{description}: {done} of {total} {after}{left}{at and f'; now {at}'}"

    if bar is None:
        with doing(line):
            yield advance
        return
    _bars += 1
    try:
        with _thread(lambda over: over.wait(PATIENCE) or bar.start()):
            yield advance
    finally:
        bar.stop()
        _bars -= 1


def _watch(over: Event) -> None:
    """Speak of the innermost work whenever it is due, until it is over. A bar on display speaks for itself."""
    while not over.wait(PATIENCE / 10):
        began, words = _going_on[-1]
        due = began + PATIENCE if _heard < began else _heard + SILENCE
        if monotonic() >= due and not _bars:
            say(words())


@contextmanager
def _thread(run: Callable[[Event], object]) -> Iterator[None]:
    """A thread beside the block; its event is set when the block is over."""
    over = Event()

    def alone() -> None:
        if hasattr(signal, "pthread_sigmask"):  # Ctrl-C is the main thread's, which may hold it back
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        run(over)

    thread = Thread(target=alone, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _draws() -> bool:
    """Whether stderr is a terminal that can rewrite its last line."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


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
    from rich.table import Column

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *([TextColumn("{task.fields[rate]}")] if unit else []),
        TimeElapsedColumn(),
        TextColumn("so far,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        TextColumn("{task.fields[now]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        console=Console(stderr=True),
        transient=True,
    )
