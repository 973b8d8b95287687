"""Progress on stderr for anything that takes more than a second, and nothing for what does not."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 1.0  # seconds before a bar appears


def track(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield the items; after a second of waiting on a terminal, show a bar with the time left."""
    if not sys.stderr.isatty():
        yield from items
        return
    began, bar, task = monotonic(), None, None
    try:
        for done, item in enumerate(items, start=1):
            yield item
            if bar is None and monotonic() - began > PATIENCE and done < total:
                bar = _bar()
                bar.start()
                task = bar.add_task(description, total=total)
            if bar is not None:
                bar.update(task, completed=done)
    finally:
        if bar is not None:
            bar.stop()


def tell(line: str) -> None:
    """A line on stderr if somebody watches; a bar on display stays below it."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


@contextmanager
def counting(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A function that hears how much more is done; on a terminal a bar with the rate, in `unit`, and the time left."""
    from rich.progress import TextColumn

    with _bar(TextColumn("{task.fields[rate]}"), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(description, total=total, rate="")

        def advance(done: int) -> None:
            bar.advance(task, done)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.0f} {unit}" if speed else "")

        yield advance


def _bar(*columns, disable: bool = False):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=disable,
    )
