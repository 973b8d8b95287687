"""A commit is named only if it identifies the code that ran."""

import shutil
import subprocess
from pathlib import Path

import pytest

from experiments.files import staging_folder
from experiments.provenance import SOURCES, commit


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    run = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A small repository with the layout of this one."""
    root = tmp_path / "checkout"
    for name in ("experiments", "theory"):
        (root / name).mkdir(parents=True)
        (root / name / "module.py").write_text("x = 1\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_results_in_a_clean_checkout_give_no_plus(checkout, monkeypatch):
    head = git(checkout, "rev-parse", "--short=12", "HEAD")
    processes = []
    with monkeypatch.context() as counted:
        run = subprocess.run
        counted.setattr(
            subprocess,
            "run",
            lambda command, **how: processes.append(command) or run(command, **how),
        )
        assert commit(checkout) == head
    assert len(processes) == 1
    (staging_folder(checkout / "soberclip-report") / "verdicts.json").write_text("[]")
    (checkout / "run").mkdir()
    (checkout / "run" / "result.json").write_text("{}")
    assert commit(checkout) == head


@pytest.mark.parametrize("name", ["experiments/module.py", "theory/new.py"])
def test_changed_sources_have_a_plus(checkout, name):
    (checkout / name).write_text("x = 2\n")
    assert commit(checkout) == git(checkout, "rev-parse", "--short=12", "HEAD") + "+"


def test_a_copy_inside_another_repository_has_no_commit(checkout, monkeypatch):
    copy = checkout / "vendor" / "soberclip"
    shutil.copytree(checkout / "experiments", copy / "experiments")
    assert commit(copy) == "unknown"
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))
    assert commit(copy) == "unknown"
    assert all((Path(__file__).parents[2] / name).exists() for name in SOURCES)
