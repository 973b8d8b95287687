"""Processes that are started, and the signals that they do not hear."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def block_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Processes started in the block, or by its threads, do not hear these signals; who started them does.

    In the block itself they are heard at the end.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # or multiprocessing starts it meanwhile, and unblocks the signal for that
    # Threads and processes inherit it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(numbers) or {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
