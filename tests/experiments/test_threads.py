"""How many threads our processes have."""

import os

import pytest

from experiments.threads import one_thread_each


@pytest.mark.parametrize("before", [None, "3"])
def test_one_thread_each_lasts_while_processes_are_started(monkeypatch, before):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if before is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", before)
    with one_thread_each():
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ.get("OMP_NUM_THREADS") == before
