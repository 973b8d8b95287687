"""Ctrl-C in a run that several processes may share: they stop at the same step, and fail together."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread

from experiments.errors import Interrupted, RequestError, RunError, SoberclipError
from simulator.progress import say


@contextmanager
def _handling(numbers: tuple[int, ...], handler: Callable) -> Iterator[None]:
    """Handle signals in the block. Only the main thread receives them; elsewhere nothing happens."""
    numbers = numbers if current_thread() is main_thread() else ()
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def interruption(group) -> Iterator[Callable[[], bool]]:
    """A function that returns true after Ctrl-C (or torchrun's SIGTERM), at the same step in all processes."""
    from simulator.towers import distributed  # start-up time: loads torch

    pressed = False

    def remember(number, frame):
        nonlocal pressed
        if pressed:  # the current step may be compiling, which takes a minute
            raise KeyboardInterrupt
        pressed = True
        # In a thread, since the signal may have come while another line was printed.
        Thread(target=say, args=("soberclip: stopping after the current step; Ctrl-C again stops at once",)).start()

    with _handling((signal.SIGINT, signal.SIGTERM), remember):
        yield lambda: distributed.anywhere(group, pressed)


@contextmanager
def together(group) -> Iterator[None]:
    """If the block fails in one process, fail in all of them, so that none waits forever."""
    from simulator.towers import distributed  # start-up time: loads torch

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
def keeping(kept: Callable[[], str]) -> Iterator[None]:
    """Add what is kept to the message of an interruption or failure; SIGTERM interrupts as Ctrl-C does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    try:
        with _handling((signal.SIGTERM,), interrupt):
            yield
    except (KeyboardInterrupt, RunError) as error:
        resume = f"{kept()}, and the same command resumes from them"
        if isinstance(error, RunError):
            raise RunError(f"{error}; {resume}") from error
        raise Interrupted(f"interrupted; {resume}") from None
