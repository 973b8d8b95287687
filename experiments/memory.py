"""Memory of processes that are ours: a host that imports us keeps its own settings."""

import ctypes
import os

# glibc: by environment variable, where a process has not started yet, the parameter's number and its value.
SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**25),  # bytes of the largest array that is kept, by itself 128 KiB
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**28),  # bytes that are kept at most, at the end of what is in use
}


def keep_memory() -> None:
    """Let arrays that are freed be used again, not given back to the system, which hands out pages one by one (glibc).

    A training step makes dozens of arrays of megabytes, and fetching their pages took a fifth of its time: 8 models,
    512 pairs, width 128. Processes that are started later inherit it. A user's own settings stand.
    """
    if any(name in os.environ for name in SETTINGS):
        return
    os.environ.update({name: str(value) for name, (_, value) in SETTINGS.items()})
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if set_parameter is not None:  # neither musl nor macOS has it
        for number, value in SETTINGS.values():
            set_parameter(number, value)
