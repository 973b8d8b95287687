"""Progress on stderr: one line on a terminal, nothing elsewhere and nothing in the first PATIENCE
seconds.

The line shows the innermost work, and after a quarter of the outermost counted work a forecast of
it. The forecast only falls: while it would rise, the line says that work is slower than forecast.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.text import Text

from simulator.signals import block_signals

T = TypeVar("T")
PATIENCE = 3.0  # seconds before anything appears
FORECAST = 0.25  # share of the work that must be done before the time left is printed
# times the earlier forecast: from here on it is withheld; items differ in length, too
SLOWER = 1.25
PER_SECOND = 5  # states of the line


class _Words(ProgressColumn):
    """What a task is, how far it is, and how long it will take."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        done = int(task.completed)
        total = task.total
        now = task.fields["now"]
        if total is None:
            return Text(
                f"{now or task.description}, after {seconds:.0f} s",
                no_wrap=True,
                overflow="ellipsis",
            )
        parts = [f"{task.description}: {done} of {total} after {seconds:.0f} s"]
        if task.fields["unit"] and seconds:
            parts.append(f"{done / seconds:.3g} {task.fields['unit']}")
        parts += _forecast()
        return Text(", ".join(parts) + (now and f"; now {now}"), no_wrap=True, overflow="ellipsis")


class _Line(Progress):
    """The innermost task, once the outermost has taken PATIENCE seconds."""

    def get_renderables(self):
        if self.tasks and (self.tasks[0].elapsed or 0.0) >= PATIENCE:
            yield self.make_tasks_table(self.tasks[-1:])


line = _Line(
    BarColumn(bar_width=12),
    _Words(),
    # it is started on a terminal alone
    console=Console(stderr=True, force_terminal=True, force_interactive=True),
    transient=True,
    redirect_stdout=False,
    refresh_per_second=PER_SECOND,
)


def _forecast() -> list[str]:
    """How long the outermost counted work will take, no more than said before; nothing if this is
    unknown.
    """
    task = next((task for task in line.tasks if task.total is not None), None)
    if task is None or not task.completed or task.completed < FORECAST * task.total:
        return []
    left = (task.elapsed or 0.0) / task.completed * (task.total - task.completed)
    said = task.fields["left"]
    task.fields["left"] = min(said, left)
    return [
        (
            "slower than forecast"
            if left > SLOWER * said
            else f"about {task.fields['left']:.0f} s left"
        )
    ]


def say(sentence: str) -> None:
    """Print a sentence that is no part of a result on stderr. A closed stderr does not end the
    work.
    """
    if os.environ.get("RANK", "0") == "0":
        with suppress(BrokenPipeError):
            # above the progress, if there is any
            print(f"soberclip: {sentence}", file=sys.stderr, flush=True)


def tell(state: str) -> None:
    """Set the current item of the innermost work."""
    if line.tasks:
        line.update(line.tasks[-1].id, now=state)


def track(
    items: Iterable[T], total: int, description: str, label: Callable[[T], str] | None = None
) -> Iterator[T]:
    """Yield the items and count those that are done; `label` names the current one."""
    with counting(description, total) as advance:
        for item in items:
            advance(0, "" if label is None else label(item))
            yield item
            advance(1)


@contextmanager
def counting(
    description: str, total: int | None = None, unit: str = ""
) -> Iterator[Callable[..., None]]:
    """A function advance(more, now="") that counts finished work and names the current item."""
    task = line.add_task(description, total=total, unit=unit, now="", left=float("inf"))

    def advance(more: int, now: str = "") -> None:
        line.update(task, advance=more, now=now)

    first = os.environ.get("RANK", "0") == "0" and parent_process() is None
    if first and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        # the thread that draws inherits this: Ctrl-C belongs to the main thread
        with block_signals():
            line.start()
    try:
        yield advance
    finally:
        line.remove_task(task)
        if not line.tasks:
            with suppress(BrokenPipeError):
                line.stop()
