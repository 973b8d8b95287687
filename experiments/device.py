"""How much memory a device has left."""

from pathlib import Path


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
