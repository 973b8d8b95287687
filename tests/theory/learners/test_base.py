"""Common to all learners: a name, options, answers over any grid, and a reason where there is no
answer.
"""

from typing import ClassVar

import numpy as np
import pytest

from simulator.world import Attribute, World
from theory import learners
from theory.learners.base import Learner, latent_critic


class ByScores(Learner):
    """Linear CLIP, which has exact accuracies, by its scores alone."""

    name: ClassVar[str] = "by-scores"

    def scores(self, world, images):
        return learners.LinearCLIP("mean").scores(world, images)


TABLE = [[0.4, 0.1, 0.0], [0.05, 0.2, 0.25]]
SAMPLED = [
    {"classes": 3, "p_inv": 0.8},
    {"attribute": (Attribute(mu=2.0),)},
    {"table": TABLE},
    {"table": np.reshape(TABLE, (3, 2))},
]


@pytest.mark.parametrize("fields", [{}, *SAMPLED])
def test_a_rule_that_tells_its_scores_alone_is_integrated_or_sampled(fields):
    """Within its intervals, which are below .01."""
    world = World(mu_spu=2.0, sigma_xi=2.0, **fields)
    exact = learners.LinearCLIP("mean").accuracy(world)
    found = ByScores().accuracy(world)
    assert (ByScores().is_linear, found.interval is None) == (False, not fields)
    if not fields:
        assert [*found] == pytest.approx([*exact], abs=1e-7)
    for value, (low, high) in zip(exact, found.interval or (), strict=bool(fields)):
        assert low - 0.002 < value < high + 0.002
        assert 0 < high - low < 0.01


@pytest.mark.parametrize("fields", [{}, {"classes": 3}, {"table": TABLE}])
def test_a_critic_that_is_nan_has_no_accuracies(fields):
    """Beside a table, nan stands for a group that does not exist."""

    class Lost(Learner):
        name: ClassVar[str] = "lost"

        def critic(self, world):
            return latent_critic(np.full((world.classes, world.latents), np.nan))

    with pytest.raises(ValueError, match="the critic of learner 'lost' is nan"):
        Lost().accuracy(World(**fields))


@pytest.mark.parametrize("fields", [{"p_spu": np.zeros((0, 3))}, {"classes": np.zeros(0, int)}])
@pytest.mark.parametrize(
    "learner",
    [
        learners.LinearCLIP(),
        learners.LinearCLIP(embed_dim=1),
        learners.InfoNCE("mean"),
        learners.InfoNCE("captions"),
        learners.GaussianPMI(),
        learners.Logistic(),
        learners.LeastSquares(),
        learners.Bayes(),
    ],
)
def test_an_empty_grid_has_no_accuracies(learner, fields):
    worlds = World(**fields)
    assert (
        learner.accuracy(worlds).common.shape
        == learner.accuracy(worlds).counter.shape
        == worlds.shape
    )


@pytest.mark.parametrize(
    ("learner", "fields", "known"),
    [
        (learners.LinearCLIP(), {"bare": 0.5}, True),
        (learners.LinearCLIP(embed_dim=1), {}, True),
        (learners.LinearCLIP(embed_dim=1), {"bare": 0.5}, False),
        (learners.LinearCLIP(projected=True), {"bare": 0.5, "mention_spu": 0.5}, False),
        (learners.Logistic(), {"dim_image": 2, "dim_text": 2}, False),
        (learners.LeastSquares(), {"dim_image": 2, "dim_text": 2}, True),
        (learners.LeastSquares(), {}, False),  # views wider than the latents
        (learners.LinearCLIP(), {"classes": 3, "mismatch": 0.1}, True),
        # 30^4 pairs of groups
        (
            learners.LinearCLIP(),
            {"classes": 30, "mismatch": 0.1, "dim_image": 60, "dim_text": 60},
            False,
        ),
    ],
)
def test_an_exact_law_is_known_or_not(learner, fields, known):
    assert ("exact" in learner.routes(World(**{"dim_image": 6, "dim_text": 6, **fields}))) == known
