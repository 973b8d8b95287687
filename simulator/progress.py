"""Progress on stderr: one line that rewrites itself on a terminal, a line every SILENCE seconds elsewhere.

Nothing appears in the first PATIENCE seconds. Only the first process of a run reports. The line shows the innermost
work. It has a forecast only after a quarter of the work, since items differ in length.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from shutil import get_terminal_size
from threading import RLock, Thread
from time import monotonic, sleep
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 3.0  # seconds before anything appears
SILENCE = 10.0  # seconds between two lines in a pipe
BLINK = 0.2  # seconds between two states of a terminal's line
FORECAST = 0.25  # share of the work that must be done before the time left is printed
ERASE = "\r\x1b[2K"
LOCK = RLock()


class Work:
    """Running work. Calling it counts finished items and names the current one."""

    def __init__(self, description: str = "", total: int | None = None, unit: str = "") -> None:
        self.description, self.total, self.unit = description, total, unit
        self.began, self.done, self.now = monotonic(), 0, ""

    def __call__(self, more: int, now: str = "") -> None:
        self.done, self.now = self.done + more, now
        if self.total is not None and 0 < self.done < self.total:
            _show_in_pipe()

    def __str__(self) -> str:
        seconds = monotonic() - self.began
        if self.total is None:
            return f"{self.now or self.description}, after {seconds:.0f} s"
        parts = [f"{self.description}: {self.done} of {self.total} after {seconds:.0f} s"]
        if self.unit and seconds:
            parts.append(f"{self.done / seconds:.3g} {self.unit}")
        if self.done >= FORECAST * self.total and seconds >= PATIENCE:
            parts.append(f"about {seconds / self.done * (self.total - self.done):.0f} s left")
        return ", ".join(parts) + (self.now and f"; now {self.now}")


class _Display:
    """What is running, the innermost last, and what stderr shows of it."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.began = 0.0  # of the outermost work, or of the states that a call without one tells
        self.told = -SILENCE
        self.last: float | None = None  # when a line was last printed
        self.drawn = False


_display = _Display()


def _reports() -> bool:
    return os.environ.get("RANK", "0") == "0" and parent_process() is None


def _rewrites() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def say(line: str) -> None:
    """Print a line on stderr. A closed stderr does not end the work."""
    if os.environ.get("RANK", "0") == "0":
        with LOCK, suppress(BrokenPipeError):
            print(f"{_erased()}{line}", file=sys.stderr, flush=True)


def _erased() -> str:
    drawn, _display.drawn = _display.drawn, False
    return ERASE if drawn else ""


def tell(state: str) -> None:
    """Set the current item of the innermost work."""
    now = monotonic()
    if _display.works:
        _display.works[-1].now = state
    elif now >= _display.told + SILENCE:
        _display.began, _display.last = now, None
    _display.told = now
    _show_in_pipe(state)


def _show_in_pipe(state: str = "") -> None:
    now = monotonic()
    due = _display.began + PATIENCE if _display.last is None else _display.last + SILENCE
    if now >= due and _reports() and not _rewrites():
        _display.last = now
        say(str(_display.works[-1]) if _display.works else state)


def track(items: Iterable[T], total: int, description: str, label: Callable[[T], str] | None = None) -> Iterator[T]:
    """Yield the items and count those that are done; `label` names the current one."""
    with counting(description, total) as advance:
        for item in items:
            advance(0, "" if label is None else label(item))
            yield item
            advance(1)


@contextmanager
def counting(description: str, total: int | None = None, unit: str = "") -> Iterator[Work]:
    """A function advance(more, now="") that counts finished work and names the current item."""
    work = Work(description, total, unit)
    if not _display.works:
        _display.began, _display.last = work.began, None
        if _reports() and _rewrites():
            Thread(target=_redraw, args=(work,), daemon=True).start()
    _display.works.append(work)
    try:
        yield work
    finally:
        end(work)


def end(work: Work | None = None) -> None:
    """End some work, or all of it before a result is printed: the terminal's line disappears."""
    with LOCK, suppress(BrokenPipeError):
        _display.works[:] = [other for other in _display.works if work not in (None, other)]
        sys.stderr.write(_erased())
        sys.stderr.flush()


def _redraw(outermost: Work) -> None:
    """Rewrite the terminal's line until the outermost work ends."""
    if hasattr(signal, "pthread_sigmask"):  # Ctrl-C belongs to the main thread
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sleep(PATIENCE)
    while True:
        with LOCK, suppress(BrokenPipeError):
            if outermost not in _display.works:
                return
            sys.stderr.write(ERASE + str(_display.works[-1])[: get_terminal_size().columns - 1])
            sys.stderr.flush()
            _display.drawn = True
        sleep(BLINK)
