"""The benchmarks of studies measure what they say; sizes here are toys."""

import re

import pytest

from experiments.benchmarks.study import command, function, resume, store_share, whole
from experiments.lab.studies import study

AXES = {"p_spu": [0.6, 0.9], "mu_spu": [1.0, 2.0]}
EXACT = study(axes=AXES, routes="exact", n=1000, replicates=3)


def test_loops_find_what_the_study_finds():
    table = EXACT.run()
    found = function(EXACT, (1, 0), 0, "name")
    assert [one["counter"] for one in found["replicates"]] == table.counter.values[1, 0, 0, 0].tolist()
    asked = study(axes=AXES, learners=["bayes"])
    assert asked.run().counter.values[1, 0, 0, 0] == pytest.approx(float(function(asked, (1, 0), 0, None).counter))


def test_shares_and_seconds():
    row = store_share(EXACT)
    assert re.fullmatch(r"store, \d+ blocks?, cells of \d+ ms, after [\d.]+ s once", row.name)
    assert (row.unit, row.goal) == ("of the time", 0.05)
    row = resume(study(axes=AXES))
    assert (row.name, row.unit) == ("what is done among 20 chunks", "s")


@pytest.mark.deep
def test_processes_are_slower():
    row = whole("", study(axes=AXES), 1.0)
    assert row.commands > row.functions
    assert b'"counter"' in command(EXACT, (0, 0), 0, "name").stdout
