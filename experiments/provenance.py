"""Where a result comes from: versions, machine, commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("simulator", "theory", "experiments", "pyproject.toml")  # results lie beside them, and change nothing
PACKAGES = ("soberclip", "torch", "numpy", "scipy", "pydantic", "xarray", "matplotlib")


def provenance() -> dict[str, str]:
    """Versions of Python and the packages that results depend on, the processor and the commit if known."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    return {**machine, **versions(), "commit": commit()}


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit(root: Path = ROOT) -> str:
    """The commit of a checkout, with + if what results depend on has uncommitted changes.

    "unknown" for an installed copy, and for one unpacked inside another repository, whose commit says nothing of it.
    """
    # Variables such as GIT_DIR, set where a git hook runs us, would speak of the hook's repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return "unknown"
        changed = git("status", "--porcelain", "--", *SOURCES)
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
