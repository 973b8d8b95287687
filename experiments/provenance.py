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
from typing import Any

ROOT = Path(__file__).parents[1]
STANDARD = Path(os.__file__).parent
# changes of other files do not change results
SOURCES = ("simulator", "theory", "experiments", "pyproject.toml")
PACKAGES = ("soberclip", "torch", "numpy", "scipy", "pydantic", "xarray", "matplotlib")
ROUNDING = ("soberclip", "numpy", "scipy", "torch")  # those whose versions may round differently


def provenance() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, the machine and the commit."""
    machine = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
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
    """The commit of a checkout, with + if the sources have changed since; "unknown" for any other
    copy.
    """
    if not (root / ".git").exists():
        return "unknown"
    # A git hook sets variables such as GIT_DIR, which name the hook's repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "status", "--porcelain=v2", "--branch", "--", *SOURCES]
    try:
        run = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    # "# branch.oid HASH", "# branch.head NAME", then one line per changed file
    head, *rest = run.stdout.splitlines()
    changed = any(not line.startswith("#") for line in rest)
    return head.split()[-1][:12] + ("+" if changed else "")


@cache
def source(kind: Any) -> str | None:
    """Digits of the SHA-256 of a user's class or function, read once: of its file and the user's
    files it imports.
    """
    if kind.__module__.partition(".")[0] in SOURCES:
        return None
    files = set[Path]()
    pending = [*_parts(kind)]
    while pending:
        file, names = pending.pop()
        if file not in files and _is_users(file):
            files.add(file)
            pending += [part for value in names.values() for part in _parts(value)]
    return (
        sha256(b"\n".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]
        if files
        else None
    )


def _parts(value: Any) -> list[tuple[Path, dict[str, Any]]]:
    """The files of a module, a function, or a class and its bases, each with the names that it
    knows.
    """
    if inspect.ismodule(value):
        return [(Path(value.__file__), vars(value))] if getattr(value, "__file__", None) else []
    if inspect.isclass(value):
        methods = (
            method
            for base in value.__mro__
            for method in vars(base).values()
            if inspect.isfunction(method)
        )
        return [part for method in methods for part in _parts(method)]
    if not inspect.isfunction(value):
        return []
    both = (value, inspect.unwrap(value))  # a decorator, and what it decorates
    return [(Path(each.__code__.co_filename), each.__globals__) for each in both]


def _is_users(file: Path) -> bool:
    """Whether a file is neither of Python, nor of an installed package, nor of the project, nor
    made, as "<string>".
    """
    if not file.is_file() or {"site-packages", "dist-packages"} & {*file.parts}:
        return False
    return not any(
        file.is_relative_to(home)
        for home in (STANDARD, *(ROOT / name for name in (*SOURCES, "tests")))
    )
