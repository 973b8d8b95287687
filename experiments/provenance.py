"""The provenance of a result: versions, machine, commit, and the files of a user's own classes."""

import inspect
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("simulator", "theory", "experiments", "pyproject.toml")  # changes of other files do not change results
PACKAGES = ("soberclip", "torch", "numpy", "scipy", "pydantic", "xarray", "matplotlib")
ROUNDING = ("soberclip", "numpy", "scipy", "torch")  # those whose versions may round differently


def provenance() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, the machine and the commit."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    return {**machine, **versions(), "commit": commit()}


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of packages, by default of those that results depend on."""
    result = {}
    for name in packages:
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            result[name] = "not installed"
    return result


def rounding() -> dict[str, str]:
    """Versions that must agree where numbers are to agree bit by bit."""
    return {name: version for name, version in versions().items() if name in ROUNDING}


def commit(root: Path = ROOT) -> str:
    """The commit of a checkout, with + if the sources have uncommitted changes.

    "unknown" for an installed copy, or one unpacked inside another repository.
    """
    if not (root / ".git").exists():
        return "unknown"
    # A git hook sets variables such as GIT_DIR, which name the hook's repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "status", "--porcelain=v2", "--branch", "--", *SOURCES]
    try:
        run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    head, *rest = run.stdout.splitlines()  # "# branch.oid HASH", "# branch.head NAME", then one line per changed file
    changed = any(not line.startswith("#") for line in rest)
    return head.split()[-1][:12] + ("+" if changed else "")


@cache
def source(kind: type) -> str | None:
    """First 16 hexadecimal digits of the SHA-256 of the file of a user's class, read once.

    None for a class of the project or without a file. A module that the file imports does not count.
    """
    if kind.__module__.partition(".")[0] in SOURCES:
        return None
    methods = (inspect.unwrap(method) for method in vars(kind).values() if inspect.isfunction(method))
    files = {Path(method.__code__.co_filename) for method in methods}  # "<string>" for those that a dataclass makes
    texts = [file.read_bytes() for file in sorted(files) if file.is_file()]
    return sha256(b"\n".join(texts)).hexdigest()[:16] if texts else None
