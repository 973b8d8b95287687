"""The benchmark of dask measures what it says; sizes here are toys."""

import pytest

pytest.importorskip("distributed")

from experiments.benchmarks.cluster import cells_of_10_ms, overhead, run
from experiments.lab.executors import here
from experiments.lab.planning import plan
from experiments.lab.studies import study


def test_blocks_are_as_many_as_it_says():
    assert plan(cells_of_10_ms(blocks=3)).layout.count == 3


def test_a_run_takes_time_with_a_store_and_without(tmp_path):
    asked = study(axes={"mu_spu": "0.5:4:9"}, learners=["linear"], routes=["exact"], n=1000, replicates=2)
    assert run(asked, here, tmp_path / "a.zarr") > 0
    assert run(asked, here, None) > 0


def test_overhead_is_a_block_s():
    processor, wall = overhead(here, 1000)
    assert 0 <= processor < 1e-3
    assert 0 < wall < 1e-2
