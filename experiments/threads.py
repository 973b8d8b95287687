"""Threads of processes that are ours, how many and how they wait: a host that imports us keeps its own settings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def sleep_soon() -> None:
    """Let threads (GNU OpenMP) spin for microseconds before they sleep, not for milliseconds; call before torch loads.

    Beside one other busy process on two cores training is 100 times faster so (2.5 and 229 model steps a second), and
    on quiet ones no slower. Processes that are started later inherit it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile compute on one thread: theirs is one core of several.

    BLAS and torch read this once, when they are loaded. On two cores the exact laws of many classes took three times as
    long where two processes had two threads each.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
