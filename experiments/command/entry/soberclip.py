"""The public names of the three packages in one place, and the command `soberclip`.

>>> from soberclip import World, judge, learners, train

Names are loaded on first use. Both work only if Python finds this project's packages rather than
others of their names. This module is installed beside the packages (see pyproject.toml), so that no
folder named experiments can hide it.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("experiments", "theory", "simulator")
ROOT = next(
    folder
    for folder in Path(__file__).resolve().parents
    if (folder / "experiments/command/main.py").exists()
)


def main() -> int:
    """Run the command line, or refuse in one sentence; the exit status."""
    if (hidden := _hidden()) is not None:
        print(f"soberclip: {hidden}", file=sys.stderr)
        return 2
    from experiments.command.main import main  # only now it is known to be ours

    return main()


def __getattr__(name: str):
    # Python itself asks for names that begin so
    for package in () if name.startswith("_") else _packages():
        if name in package._HOMES:
            return getattr(package, name)
    raise AttributeError(f"module 'soberclip' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({"main"}.union(*(package._HOMES for package in _packages())))


def _packages() -> list:
    if (hidden := _hidden()) is not None:
        raise ImportError(hidden)
    return [import_module(package) for package in PACKAGES]


def _hidden() -> str | None:
    """A sentence on a package that hides one of ours, if there is one."""
    for package in PACKAGES:
        ours = ROOT / package / "__init__.py"
        spec = find_spec(package)
        other = Path((spec and spec.origin) or "nothing")
        if other.resolve() != ours:
            advice = "rename that package, or leave its folder and PYTHONPATH"
            return f"Python finds {str(other)!r} in place of {str(ours)!r}; {advice}"
    return None


if __name__ == "__main__":
    sys.exit(main())
