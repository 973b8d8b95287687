"""The command `soberclip`: it starts only if Python finds this project's packages rather than others of their names.

This module is installed beside the packages (see pyproject.toml), so that no folder named experiments can hide it.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("experiments", "theory", "simulator")
ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "experiments/command/main.py").exists())


def main() -> int:
    """Run the command line, or refuse in one sentence; the exit status."""
    for package in PACKAGES:
        ours, spec = ROOT / package / "__init__.py", find_spec(package)
        other = Path((spec and spec.origin) or "nothing")
        if other.resolve() != ours:
            print(
                f"soberclip: Python finds {str(other)!r} in place of {str(ours)!r}; "
                f"rename that package, or leave its folder and PYTHONPATH",
                file=sys.stderr,
            )
            return 2
    from experiments.command.main import main  # only now it is known to be ours

    return main()
