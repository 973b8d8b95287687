"""Which learners have an exact law of n pairs, in which worlds."""

import pytest

from simulator.world import World
from theory.learners import LeastSquares, LinearCLIP, Logistic

WORLD = World(dim_image=6, dim_text=6)


@pytest.mark.parametrize(
    ("learner", "fields", "known"),
    [
        (LinearCLIP(), {"bare": 0.5}, True),
        (LinearCLIP(embed_dim=1), {}, True),
        (LinearCLIP(embed_dim=1), {"bare": 0.5}, False),
        (LinearCLIP(projected=True), {"bare": 0.5, "mention_spu": 0.5}, False),
        (Logistic(), {"dim_image": 2, "dim_text": 2}, False),
        (LeastSquares(), {"dim_image": 2, "dim_text": 2}, True),
        (LeastSquares(), {}, False),  # views wider than the latents
        (LinearCLIP(), {"classes": 3, "mismatch": 0.1}, True),
        (
            LinearCLIP(),
            {"classes": 30, "mismatch": 0.1, "dim_image": 60, "dim_text": 60},
            False,
        ),  # 30^4 pairs of groups
    ],
)
def test_an_exact_law_is_known_or_not(learner, fields, known):
    assert ("exact" in learner.routes(WORLD.replace(**fields))) == known
