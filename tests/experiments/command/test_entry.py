"""The installed command refuses to start if another package hides one of ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
START = "from soberclip import main; raise SystemExit(main())"


@pytest.mark.parametrize("package", ["experiments", "theory", "simulator", "thesis"])
def test_another_package_with_a_name_of_ours_is_named(tmp_path, package):
    other = tmp_path / package / "__init__.py"
    other.parent.mkdir()
    other.touch()
    path = os.pathsep.join(map(str, (tmp_path, ROOT / "experiments/command/entry", ROOT)))
    command = [sys.executable, "-c", START, "--version"]
    run = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if package == "thesis":
        assert (run.returncode, run.stderr) == (0, "")
    else:
        assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
        assert repr(str(other)) in run.stderr
        assert repr(str(ROOT / package / "__init__.py")) in run.stderr
