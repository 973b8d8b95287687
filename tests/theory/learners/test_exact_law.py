"""Which learners have an exact law of n pairs, in which worlds."""

import pytest

from simulator.world import World
from theory.learners import LinearCLIP, Logistic
from theory.learners.base import block_weights
from theory.population import START

WORLD = World(dim_image=6, dim_text=6)


@pytest.mark.parametrize(
    ("learner", "fields", "known"),
    [
        (LinearCLIP(), {"bare": 0.5}, True),
        (LinearCLIP(embed_dim=1), {}, True),
        (LinearCLIP(embed_dim=1), {"bare": 0.5}, False),
        (LinearCLIP(projected=True), {"bare": 0.5, "mention_spu": 0.5}, False),
        (Logistic(), {}, False),
    ],
)
def test_narrow_embeddings_have_no_exact_law_beside_bare_captions(learner, fields, known):
    assert ("exact" in learner.routes(WORLD.replace(**fields))) == known


@pytest.mark.parametrize("start", [START, 0.2])
def test_the_exact_law_of_a_stopped_training_begins_where_the_learner_does(start):
    """At 1e10 pairs its rules are the closed form's, from small weights and from large ones."""
    learner = LinearCLIP("name", time=1.0, start=start)
    expected = learner.direction(WORLD)
    for critic in learner.exact_law(WORLD, 10**10, 4, 0, "test"):
        for u in critic.inside:
            rule = block_weights(u)
            assert rule[1] / rule[0] == pytest.approx(expected[1] / expected[0], rel=1e-3)
