"""How threads of torch wait, in processes that are ours: a host that imports us keeps its own settings."""

import os


def sleep_soon() -> None:
    """Let threads (GNU OpenMP) spin for microseconds before they sleep, not for milliseconds; call before torch loads.

    Beside one other busy process on two cores training is 100 times faster so (2.5 and 229 model steps a second), and
    on quiet ones no slower. Processes that are started later inherit it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
