"""The package as a stranger imports it, each time in a fresh interpreter."""

import pytest
from fresh import printed


@pytest.mark.parametrize(
    ("argv", "call", "expected"),
    [
        (["soberclip", "claims"], "main()", ["1000", str(2**28)]),  # the process is the command line's own
        (["host"], "main(['claims'])", ["None", "None"]),
    ],
)
def test_only_a_process_of_ours_has_its_threads_and_memory_set(argv, call, expected):
    code = (
        f"import sys, os; sys.argv = {argv}; from experiments.command.main import main; {call}; "
        "print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('MALLOC_TRIM_THRESHOLD_'))"
    )
    assert printed(code).splitlines()[-1].split() == expected


def test_a_user_s_own_setting_stands():
    code = (
        "import os; from experiments.runtime import sleep_soon; sleep_soon(); print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    assert printed(code, OMP_WAIT_POLICY="ACTIVE") == "None"
    assert printed(code, GOMP_SPINCOUNT="7") == "7"
