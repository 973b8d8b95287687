"""Progress on stderr for anything that takes more than a second, and nothing for what does not."""

import sys
from collections.abc import Iterable, Iterator
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


def _bar():
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
