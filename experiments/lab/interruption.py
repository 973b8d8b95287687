"""Ctrl-C in a run that several processes may share: all stop at the same step and fail together, or one stops all."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread

from experiments.errors import Interrupted, RequestError, RunError, SoberclipError
from experiments.progress import say


@contextmanager
def interruption(group) -> Iterator[Callable[[], bool]]:
    """A function that turns true once Ctrl-C (or torchrun's SIGTERM) came, for all processes at the same step.

    A second Ctrl-C is not held back: the step at work may be compiling, which takes a minute.
    """
    from simulator.towers import distributed

    asked = False

    def remember(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # In a thread, since the signal may have come in the midst of another line.
        Thread(target=say, args=("soberclip: stopping after the step at work; Ctrl-C again stops at once",)).start()

    # Signals belong to the main thread; elsewhere nobody presses Ctrl-C.
    numbers = (signal.SIGINT, signal.SIGTERM) if current_thread() is main_thread() else ()
    handlers = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield lambda: distributed.anywhere(group, asked)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def together(group) -> Iterator[None]:
    """If the block fails in one process, fail in all of them, rather than let the others wait for it."""
    from simulator.towers import distributed

    failure = None
    try:
        yield
    except (SoberclipError, ValueError) as error:
        failure = error
    failed = distributed.anywhere(group, failure is not None)
    if failure is not None:
        raise failure
    if failed:
        raise RequestError("another process refused the request")


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM, a scheduler's or a shutdown's, ends the block as Ctrl-C does: by KeyboardInterrupt."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    if current_thread() is not main_thread():  # signals are not ours to hear
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def keeping(kept: Callable[[], str]) -> Iterator[None]:
    """Whatever stops the work, what is finished stays; the sentence says how much that is."""
    try:
        with terminable():
            yield
    except (KeyboardInterrupt, RunError) as error:
        goes_on = f"{kept()}, and the same command goes on from them"
        if isinstance(error, RunError):
            raise RunError(f"{error}; {goes_on}") from error
        raise Interrupted(f"interrupted; {goes_on}") from None
