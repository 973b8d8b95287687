"""Signals that interrupt a run, and what the interruption says of the work that is kept."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

from experiments.errors import Interrupted, RunError


@contextmanager
def handling(numbers: tuple[int, ...], handler: Callable) -> Iterator[None]:
    """Handle signals in the block. Only the main thread receives them; elsewhere nothing happens."""
    numbers = numbers if current_thread() is main_thread() else ()
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def keeping(kept: Callable[[], str]) -> Iterator[None]:
    """Add what is kept to the message of an interruption or failure; SIGTERM interrupts as Ctrl-C does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    try:
        with handling((signal.SIGTERM,), interrupt):
            yield
    except (KeyboardInterrupt, RunError) as error:
        resume = f"{kept()}, and the same command resumes from them"
        if isinstance(error, RunError):
            raise RunError(f"{error}; {resume}") from error
        raise Interrupted(f"interrupted; {resume}") from None
