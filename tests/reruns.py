"""pytest again and again in a folder whose sources change, in children of one process that holds the libraries.

A run begins with three seconds of imports; of those only the project's own are needed anew.
"""

import gc
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

LONGEST = 600  # seconds of one run
OUTPUT = "output.txt"
LIBRARIES = (
    "matplotlib.pyplot", "torch", "xarray", "scipy.optimize", "scipy.stats", "pydantic", "hypothesis.strategies",
    "hypothesis.extra.numpy", "beartype", "jaxtyping",
)  # fmt: skip
EARLY = "ignore::pytest.PytestAssertRewriteWarning"  # plugins that are libraries above were imported before pytest


class Reruns:
    """pytest in `folder`: calling it with arguments gives the exit status and what was printed."""

    def __init__(self, folder: Path):
        self._folder = folder
        command = [sys.executable, str(Path(__file__).resolve())]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads do not outlive a fork
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a second a run goes into compiling sources otherwise
        self._parent = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, *arguments: str) -> tuple[int, str]:
        print(*arguments, file=self._parent.stdin, flush=True)
        status = int(self._parent.stdout.readline())
        return status, (self._folder / OUTPUT).read_text(encoding="utf-8")

    def close(self) -> None:
        self._parent.stdin.close()
        self._parent.wait()
        self._parent.stdout.close()


def main() -> None:
    """Fork once for every line of arguments."""
    import matplotlib

    matplotlib.use("agg")
    for library in LIBRARIES:
        import_module(library)
    import pytest

    sys.path[0] = os.getcwd()  # the copy, before any installed version
    gc.freeze()  # pytest collects garbage twice a run, and looks through all that the libraries hold
    for line in sys.stdin:
        child = os.fork()
        if not child:
            signal.alarm(LONGEST)
            with open(OUTPUT, "w", encoding="utf-8") as file:
                for stream in (0, 1, 2):
                    os.dup2(os.open(os.devnull, os.O_RDONLY) if stream == 0 else file.fileno(), stream)
            status = int(pytest.main([*line.split(), "-W", EARLY]))
            sys.stdout.flush()
            os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
