"""Memory and threads of our processes, in fresh interpreters."""

import ctypes
import os

import pytest
from fresh import printed

from experiments.runtime import THREAD_COUNTS, one_thread_each

GLIBC = os.name == "posix" and hasattr(ctypes.CDLL(None), "mallopt")
FAULTS = """
import resource
import numpy as np
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    made = [np.ones(2**20) for _ in range(6)]  # of 8 MB each
work()
work()
before = faults()
for _ in range(20):
    work()
print(faults() - before)
"""


@pytest.mark.skipif(not GLIBC, reason="only glibc has these settings")
def test_new_arrays_reuse_freed_memory():
    """Without the setting each of 20 rounds requests new pages of at most 2 MB."""
    plain = int(printed(FAULTS))
    kept = int(printed(f"from experiments.command.main import prepare_process; prepare_process()\n{FAULTS}"))
    assert kept < 20 <= plain


MEMORY, SPIN, BLAS = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"], ["GOMP_SPINCOUNT"], "OPENBLAS_THREAD_TIMEOUT"


@pytest.mark.parametrize(
    ("name", "value", "ours"),
    [
        ("MALLOC_MMAP_THRESHOLD_", "131072", [*SPIN, BLAS]),
        ("MALLOC_TRIM_THRESHOLD_", "0", [*SPIN, BLAS]),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072", [*SPIN, BLAS]),
        ("GLIBC_TUNABLES", "glibc.cpu.x86_ibt=off", [*SPIN, *MEMORY, BLAS]),
        ("OMP_WAIT_POLICY", "ACTIVE", [*MEMORY, BLAS]),
        ("GOMP_SPINCOUNT", "7", [*MEMORY, BLAS]),
        (BLAS, "9", [*SPIN, *MEMORY]),
    ],
)
def test_settings_of_the_user_are_kept(name, value, ours):
    code = (
        "import os; from experiments.command.main import prepare_process as p; was = dict(os.environ); p(); "
        "print(*sorted(n for n in os.environ if os.environ[n] != was.get(n)))"
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
        (["soberclip", "--version"], "main()", ["1000", str(2**28)]),  # a process of the command line
        (["host"], "main(['--version'])", ["None", "None"]),
    ],
)
def test_only_our_processes_set_threads_and_memory(argv, call, expected):
    code = (
        f"import sys, os; sys.argv = {argv}; from experiments.command.main import main; {call}; "
        "print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('MALLOC_TRIM_THRESHOLD_'))"
    )
    assert printed(code).splitlines()[-1].split() == expected
