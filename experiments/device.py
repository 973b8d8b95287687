"""The devices of this machine: whether one is there, what it is called, how much memory it has left."""

from pathlib import Path

from experiments.errors import RequestError


def checked_device(name: str) -> str:
    """The device, if it is there. Raises RequestError with the nearest that is.

    Every name of the CPU becomes "cpu": cpu:1 is the same memory by a name that files do not know.
    """
    import torch

    try:
        kind = torch.device(name)
        torch.empty(1, device=kind)
        torch.Generator(device=kind)  # meta has tensors and nothing to draw
    except (RuntimeError, AssertionError, NotImplementedError):
        raise RequestError(f"device {name!r} is not available here; the nearest valid choice is cpu") from None
    return "cpu" if kind.type == "cpu" else name


def device_name(device: str) -> str:
    """The name of the hardware behind a CUDA device; the device itself otherwise."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def free_bytes(device: str) -> int | None:
    """Bytes that a new allocation may take; None where nobody says (a CPU away from Linux)."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)
