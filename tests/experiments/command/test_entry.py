"""The installed module: all public names, and a command; both refuse if another package hides one
of ours.
"""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import experiments
import simulator
import theory

ROOT = Path(__file__).parents[3]
START = "from soberclip import main; raise SystemExit(main())"


def run_beside(tmp_path: Path, package: str, *python: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder that holds an empty package of this name."""
    other = tmp_path / package / "__init__.py"
    other.parent.mkdir()
    other.touch()
    path = os.pathsep.join(map(str, (tmp_path, ROOT / "experiments/command/entry", ROOT)))
    command = [sys.executable, *python, "--version"]
    return subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("package", "python"),
    [
        *((package, ("-c", START)) for package in ("experiments", "thesis")),
        ("theory", ("-m", "experiments")),
        ("thesis", ("-m", "experiments")),
        ("experiments", ("-c", "import soberclip\nfrom soberclip import World")),
    ],
)
def test_another_package_with_a_name_of_ours_is_named(tmp_path, package, python):
    other = tmp_path / package / "__init__.py"
    run = run_beside(tmp_path, package, *python)
    if package == "thesis":
        assert (run.returncode, run.stderr) == (0, "")
    else:
        said = run.stderr.splitlines()
        imported = python[-1].startswith("import")
        assert (run.returncode, run.stdout, len(said) > 1) == (1 if imported else 2, "", imported)
        assert repr(str(other)) in said[-1]
        assert repr(str(ROOT / package / "__init__.py")) in said[-1]


def test_every_public_name_is_there(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "experiments" / "command" / "entry")
    soberclip = import_module("soberclip")
    for package in (simulator, theory, experiments):
        for name in package._HOMES:
            assert getattr(soberclip, name) is getattr(package, name), name
            assert name in dir(soberclip)
    with pytest.raises(AttributeError, match="wordl"):
        soberclip.wordl  # noqa: B018
