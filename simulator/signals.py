"""Signals that child processes do not receive."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def block_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Block signals (SIGINT unless given) in processes that start inside the block; this one gets
    them afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # else multiprocessing starts it inside the block and unblocks the signal
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(numbers) or {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
