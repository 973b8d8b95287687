"""Threads of processes that are ours, how many and how they wait: a host that imports us keeps its own settings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # the latter two go before the first


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
    before = {name: os.environ.get(name) for name in COUNTS}
    os.environ.update(dict.fromkeys(COUNTS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
