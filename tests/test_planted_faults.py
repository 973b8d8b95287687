"""Tests are tested: each fault of `planted.py` must make its test fail."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from planted import FAULTS

TESTS = Path(__file__).parent


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_function_and_its_test(name):
    fault = FAULTS[name]
    module, _, path = fault.function.partition(":")
    owner = import_module(module)
    for part in path.split("."):
        owner = getattr(owner, part)
    file, *_, test = fault.test.split("::")
    assert f"def {test}(" in (TESTS / file).read_text(encoding="utf-8")


@pytest.mark.deep
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name):
    command = [sys.executable, "-m", "pytest", "-p", "planted", "-o", "addopts=--import-mode=importlib", "-x"]
    environment = {
        **os.environ,
        "SOBERCLIP_FAULT": name,
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
    }
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(TESTS / FAULTS[name].test)],
        cwd=TESTS.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 1, f"status {run.returncode}\n{run.stdout[-4000:]}"
    last = run.stdout.splitlines()[-1]
    assert "failed" in last
    assert "error" not in last, "a fault must fail a test, not its collection or set-up"
