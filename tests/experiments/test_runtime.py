"""Threads of our processes, in fresh interpreters."""

import os

import pytest
from fresh import printed

from experiments.runtime import THREAD_COUNTS, one_thread_each

SPIN, BLAS = "GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT"


@pytest.mark.parametrize(
    ("name", "value", "ours"),
    [("OMP_WAIT_POLICY", "ACTIVE", [BLAS]), (SPIN, "7", [BLAS]), (BLAS, "9", [SPIN])],
)
def test_settings_of_the_user_are_kept(name, value, ours):
    code = (
        "import os; from experiments.command.main import prepare_process as p; was ="
        " dict(os.environ); p(); print(*sorted(n for n in os.environ if os.environ[n] !="
        " was.get(n)))"
    )
    assert printed(code, **{name: value}).split() == ours


@pytest.mark.parametrize("before", [None, "3"])
def test_one_thread_each_holds_inside_its_block(monkeypatch, before):
    for name in THREAD_COUNTS:
        monkeypatch.delenv(name, raising=False)
        if before is not None:
            monkeypatch.setenv(name, before)
    with one_thread_each():
        assert [os.environ[name] for name in THREAD_COUNTS] == ["1"] * len(THREAD_COUNTS)
        if before:
            assert printed("import torch; print(torch.get_num_threads())") == "1"
    assert [os.environ.get(name) for name in THREAD_COUNTS] == [before] * len(THREAD_COUNTS)


@pytest.mark.parametrize(
    ("argv", "call", "expected"),
    [
        (["soberclip", "--version"], "main()", ["1000", "4"]),  # a process of the command line
        (["host"], "main(['--version'])", ["None", "None"]),
    ],
)
def test_only_our_processes_set_threads(argv, call, expected):
    code = (
        f"import sys, os; sys.argv = {argv}; from experiments.command.main import main; {call}; "
        "print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OPENBLAS_THREAD_TIMEOUT'))"
    )
    assert printed(code).splitlines()[-1].split() == expected
