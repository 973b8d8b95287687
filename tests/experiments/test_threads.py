"""How many threads our processes have."""

import os
import subprocess
import sys

import pytest

from experiments.threads import COUNTS, one_thread_each


@pytest.mark.parametrize("before", [None, "3"])
def test_one_thread_each_lasts_while_processes_are_started(monkeypatch, before):
    for name in COUNTS:
        monkeypatch.delenv(name, raising=False)
        if before is not None:
            monkeypatch.setenv(name, before)
    with one_thread_each():
        assert [os.environ[name] for name in COUNTS] == ["1"] * len(COUNTS)
    assert [os.environ.get(name) for name in COUNTS] == [before] * len(COUNTS)


def test_a_process_started_meanwhile_has_one(monkeypatch):
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    with one_thread_each():
        code = "import torch; print(torch.get_num_threads())"
        started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert started.stdout.split() == ["1"]
