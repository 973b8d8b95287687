"""The benchmark of composites measures what it says, and its goal of 800 a second is met many times over."""

from experiments.benchmarks.composites import rows, whole


def test_a_composite_takes_less_than_its_goal():
    (row,) = rows()
    assert 0 < row.limit < row.ours < 1 / 800


def test_the_whole_verb_is_timed():
    assert whole(objects=2, photos=2) > 0
