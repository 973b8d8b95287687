"""Devices and their memory, threads of the processes that we start, and signals that interrupt a
run.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

from experiments.errors import Interrupted, RequestError, RunError

# the last two override the first
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def checked_device(name: str) -> str:
    """The device, if it is available; every name of the CPU becomes "cpu". Raises RequestError."""
    import torch  # start-up time

    try:
        kind = torch.device(name)
        torch.empty(1, device=kind)
        torch.Generator(device=kind)  # "meta" has tensors but no random numbers
    except (RuntimeError, AssertionError, NotImplementedError):
        raise RequestError(
            f"device {name!r} is not available here; the nearest valid choice is cpu"
        ) from None
    return "cpu" if kind.type == "cpu" else name


def device_name(device: str) -> str:
    """The name of the hardware of a CUDA device; any other device as it is."""
    import torch  # start-up time

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def free_bytes(device: str) -> int | None:
    """Bytes that a new allocation may take; None if the system does not report them."""
    if device.startswith("cuda"):
        import torch  # start-up time

        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next(
        (1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None
    )


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes that start inside this block compute on one thread: two of two threads took three
    times as long.
    """
    before = {name: os.environ[name] for name in THREAD_COUNTS if name in os.environ}
    os.environ.update(dict.fromkeys(THREAD_COUNTS, "1"))
    try:
        yield
    finally:
        for name in THREAD_COUNTS:
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def handling(numbers: tuple[int, ...], handler: Callable) -> Iterator[None]:
    """Handle signals in the block. Only the main thread receives them; elsewhere nothing
    happens.
    """
    numbers = numbers if current_thread() is main_thread() else ()
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def keeping(state: Callable[[], str]) -> Iterator[None]:
    """Add what is kept to the message of an interruption or failure; SIGTERM interrupts as Ctrl-C
    does.
    """

    def interrupt(number, frame):
        raise KeyboardInterrupt

    try:
        with handling((signal.SIGTERM,), interrupt):
            yield
    except (KeyboardInterrupt, RunError) as error:
        resume = f"{state()}; run the same command to resume from them"
        if isinstance(error, RunError):
            raise RunError(f"{error}; {resume}") from error
        raise Interrupted(f"interrupted; {resume}") from None
