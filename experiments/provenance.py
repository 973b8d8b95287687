"""Where a result comes from: versions, machine, commit."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("soberclip", "torch", "numpy", "scipy", "pydantic", "xarray", "matplotlib")


def provenance() -> dict[str, str]:
    """Versions of Python and the packages that results depend on, the processor and the commit if known."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["commit"] = commit()
    return found


def commit() -> str:
    """The commit of a checkout, with + if it has uncommitted changes; "unknown" for an installed copy."""
    root = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
