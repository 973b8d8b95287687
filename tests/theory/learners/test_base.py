"""Common to all learners: a name, options, answers over any grid, and a reason where there is no answer."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from simulator.mixture import class_means
from simulator.world import Attribute, World
from theory import learners
from theory.learners.base import Learner, latent_critic


@dataclass(frozen=True)
class Blind(Learner):
    """The nearest class mean of the object block; ignores the background."""

    name: ClassVar[str] = "blind"
    words: ClassVar[str] = "a rule blind to the background"

    def direction(self, world):
        return world.mean * (np.arange(world.mean.shape[-1]) == 0)


@dataclass(frozen=True)
class BlindCritic(Learner):
    """The same rule by its score vectors."""

    name: ClassVar[str] = "blind-critic"

    def critic(self, world):
        own = world.mu_inv * class_means(world.classes)
        return latent_critic(np.pad(own, [(0, 0), (0, world.latents - own.shape[1])]))


@dataclass(frozen=True)
class BlindScores(Learner):
    """The same rule by its scores."""

    name: ClassVar[str] = "blind-scores"

    def scores(self, world, images):
        own = world.mu_inv * class_means(world.classes)
        return images[:, : own.shape[1]] @ own.T


TABLE = [[0.4, 0.1, 0.0], [0.05, 0.2, 0.25]]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"classes": 3, "p_inv": 0.8},
        {"attribute": (Attribute(mu=2.0),)},
        {"table": TABLE},
        {"table": np.reshape(TABLE, (3, 2))},
    ],
)
def test_one_method_says_a_rule_and_the_others_follow(fields):
    """All three agree within their intervals, which are below .01; so do images that have no ties."""
    world = World(mu_spu=2.0, sigma_xi=2.0, **fields)
    by_critic, by_scores = BlindCritic().accuracy(world), BlindScores().accuracy(world)
    assert [kind().is_linear for kind in (BlindCritic, BlindScores)] == [True, False]
    assert (by_critic.interval is None) == (world.classes == 2)
    assert (by_scores.interval is None) == (not fields)  # integrated
    if not fields:
        assert [*by_scores] == pytest.approx([*by_critic], abs=1e-7)
    for whole, ends in zip(by_critic, by_scores.interval or (), strict=bool(fields)):
        assert ends[0] - 0.002 < whole < ends[1] + 0.002
        assert 0 < ends[1] - ends[0] < 0.01
    images = np.random.default_rng(0).standard_normal((50, world.latents))
    decided = BlindScores().scores(world, images).argmax(axis=1)
    np.testing.assert_array_equal(BlindCritic().scores(world, images).argmax(axis=1), decided)
    if "table" in fields:
        with pytest.raises(ValueError, match="'blind' tells its direction alone"):
            Blind().accuracy(world)
        return
    np.testing.assert_array_equal(Blind().scores(world, images).argmax(axis=1), decided)
    for one, other in zip(Blind().accuracy(world), by_critic, strict=True):
        assert one == pytest.approx(other, abs=1e-12 if world.classes == 2 else 1e-3)
    u = BlindCritic().direction(world.replace(p_spu=[0.6, 0.9]))
    np.testing.assert_allclose(u / u[:, :1], np.eye(1, u.shape[1]) * [[1.0], [1.0]], atol=1e-12)


@pytest.mark.parametrize("fields", [{}, {"classes": 3}, {"table": TABLE}])
def test_a_critic_that_is_nan_has_no_accuracies(fields):
    """Beside a table, nan stands for a group that does not exist."""

    class Lost(Learner):
        name: ClassVar[str] = "lost"

        def critic(self, world):
            return latent_critic(np.full((world.classes, world.latents), np.nan))

    with pytest.raises(ValueError, match="the critic of learner 'lost' is nan"):
        Lost().accuracy(World(**fields))


def test_too_many_groups_are_not_sampled():
    with pytest.raises(ValueError, match="10,000 groups of images with 200 latents are too many"):
        BlindScores().accuracy(World(classes=100, dim_image=200, dim_text=200))


@pytest.mark.parametrize("fields", [{"p_spu": np.zeros((0, 3))}, {"classes": np.zeros(0, int)}])
@pytest.mark.parametrize("learner", [
    learners.LinearCLIP(), learners.LinearCLIP(embed_dim=1), learners.InfoNCE("mean"), learners.InfoNCE("captions"),
    learners.GaussianPMI(), learners.Logistic(), learners.LeastSquares(), learners.Bayes(),
])  # fmt: skip
def test_an_empty_grid_has_no_accuracies(learner, fields):
    worlds = World(**fields)
    assert learner.accuracy(worlds).common.shape == learner.accuracy(worlds).counter.shape == worlds.shape


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
        (learners.LinearCLIP(), {"classes": 30, "mismatch": 0.1, "dim_image": 60, "dim_text": 60}, False),
    ],
)
def test_an_exact_law_is_known_or_not(learner, fields, known):
    assert ("exact" in learner.routes(World(**{"dim_image": 6, "dim_text": 6, **fields}))) == known
