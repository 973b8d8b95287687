"""Tests are tested: each fault of `planted.py` must make its test fail."""

import functools
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from planted import FAULTS

TESTS = Path(__file__).parent


def test_every_fault_has_its_function_and_its_test():
    for fault in FAULTS.values():
        module, _, path = fault.function.partition(":")
        functools.reduce(getattr, path.split("."), import_module(module))
        file, *_, test = fault.test.split("::")
        assert f"def {test.partition('[')[0]}(" in (TESTS / file).read_text(encoding="utf-8")


@pytest.mark.deep
def test_planted_faults_are_caught():
    command = [sys.executable, "-m", "tests.planted"]
    run = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, f"{run.stderr}\n{run.stdout[-4000:]}"
