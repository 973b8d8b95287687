"""Which learners have an exact law of n pairs, in which worlds."""

import pytest

from simulator.world import World
from theory.learners import LinearCLIP, Logistic

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
