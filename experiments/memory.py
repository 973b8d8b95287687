"""Memory of processes that are ours: a host that imports us keeps its own settings."""

import ctypes
import os

# glibc: by environment variable, where a process has not started yet, the parameter's number and its value.
SETTINGS = {
    # Bytes from which an array has pages of its own: by itself 128 KiB, or as many as the largest that was freed.
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**25),
    # Bytes that are kept beyond the last that is in use: by itself twice the former.
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**28),
}


def keep_memory() -> None:
    """Let arrays that are freed be used again, not given back to the system, which hands out pages one by one (glibc).

    A training step makes dozens of arrays of megabytes, and fetching their pages took a tenth of its time: 8 models,
    512 pairs, width 128. Processes that are started later inherit it. A user's own settings stand.
    """
    if any(name in os.environ for name in SETTINGS) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", ""):
        return
    os.environ.update({name: str(value) for name, (_, value) in SETTINGS.items()})
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if set_parameter is not None:  # neither musl nor macOS has it
        for number, value in SETTINGS.values():
            set_parameter(number, value)
