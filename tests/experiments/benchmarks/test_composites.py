"""The benchmark of composites makes composites."""

from experiments.benchmarks.composites import composed


def test_composites_and_copies_take_time():
    assert min(composed(32, count=2)) > 0
