"""Fixtures: a study of many blocks, a comparison of two tables, and Ctrl-C at a line of a
report.
"""

import os
import signal

import numpy as np
import pytest

from experiments.lab import plan
from experiments.lab.run import run
from experiments.lab.store import begin
from experiments.lab.studies import study


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(plan, "MOST", 2)


@pytest.fixture(scope="session")
def exact():
    """A study of 24 cells; with `small_blocks` it has 12 blocks of about 12 ms."""
    axes = {"p_spu": "0.5:1:6", "mu_spu": "1:4:4"}
    return study(axes=axes, learners=["linear"], routes=["exact"], n=10**9, replicates=2000)


@pytest.fixture(scope="session")
def undisturbed(exact):
    return exact.run()


@pytest.fixture(scope="session")
def same():
    """Function: asserts that two tables are equal except for the commit."""

    def compare(first, second):
        assert list(first.variables) == list(second.variables)
        assert {**first.attrs, "commit": None} == {**second.attrs, "commit": None}
        for name in first.variables:
            assert (first[name].dims, first[name].attrs) == (second[name].dims, second[name].attrs)
            np.testing.assert_array_equal(first[name].values, second[name].values)

    return compare


@pytest.fixture(scope="session")
def resumed():
    """Function: the table of a study that is kept at a path, by `run` with its options."""

    def run_at(sweep, where, **how):
        planned = plan.plan(sweep)
        return run(planned, begin(where, planned), **how)

    return run_at


@pytest.fixture
def ctrl_c():
    """Function: words -> a `report` that sends SIGINT at the first line that begins with the
    words.
    """
    # background jobs ignore SIGINT
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def reporter(words=""):
        sent = []

        def report(line):
            if line.startswith(words) and not sent:  # a second signal would stop at once
                sent.append(os.kill(os.getpid(), signal.SIGINT))

        return report

    yield reporter
    signal.signal(signal.SIGINT, before)
