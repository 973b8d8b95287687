"""Laws that a claim about related work computes itself."""

import pytest

from simulator.world import World
from theory.docket.related_work import best_source
from theory.learners import LinearCLIP


@pytest.mark.parametrize("prompt", ["name", "mean"])
def test_two_sources_mix_to_the_world_and_the_better_one_counts(prompt):
    learner, world = LinearCLIP(prompt), World(p_spu=[0.6, 0.9], mu_spu=1.5)
    low, high = (learner.accuracy(world.replace(p_spu=p)).counter for p in ([0.5, 0.8], [0.7, 1.0]))
    assert best_source(world, learner).tolist() == [max(pair) for pair in zip(low, high, strict=True)]
