"""Common to all learners: a name, options, answers over any grid, and a reason where there is no answer."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from reference import worlds_with

from simulator.accuracy import Accuracy
from simulator.world import Attribute, World
from theory import learners
from theory.learners.base import Learner, attempt


@pytest.mark.parametrize("name", learners.names())
def test_a_learner_is_found_by_its_name(name):
    learner = learners.named(name)
    assert learner.name == name
    assert learners.named(learner) is learner


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("infonse", {}, "learner = 'infonse' is not one of .*; the nearest is infonce"),
        ("zzz", {}, "learner = 'zzz' is not one of [^;]*$"),
        ("bayes", {"prompt": "mean"}, "prompt = mean has no meaning for learner 'bayes'"),
        ("infonce", {"embed_dim": 4}, "embed_dim = 4 has no meaning for learner 'infonce'"),
        ("linear", {"embed_dim": 0}, "embed_dim = 0 is below 1"),
    ],
)
def test_a_wrong_name_or_option_is_one_sentence(name, options, message):
    with pytest.raises(ValueError, match=message):
        learners.named(name, **options)


@pytest.mark.parametrize("name", ["linear", "infonce", "logistic", "least-squares", "bayes"])
def test_a_world_and_a_row_and_a_grid_agree(name):
    learner = learners.named(name)
    grid = worlds_with(p_spu=[[0.7], [0.9]], mu_spu=[1.0, 2.0, 3.0], p_inv=[1.0, 0.9, 0.3], nu=0.3)
    whole = learner.accuracy(grid)
    assert whole.common.shape == whole.counter.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        one = learner.accuracy(grid[i, j])
        assert [float(one.common), float(one.counter)] == pytest.approx(
            [whole.common[i, j], whole.counter[i, j]], abs=1e-6
        )


def test_a_grid_may_hold_several_class_counts():
    grid = World(classes=[2, 3, 3, 2], p_spu=[0.6, 0.7, 0.8, 0.9], sigma_xi=1.0)
    for name in ("linear", "max-margin"):
        learner = learners.named(name)
        whole = learner.accuracy(grid)
        for i in range(4):
            one = learner.accuracy(grid[i])
            assert [whole.common[i], whole.counter[i]] == pytest.approx([float(one.common), float(one.counter)])
        assert learner.direction(grid).shape == (4, 2)
    # K = 3 is sampled, so its interval has a width; K = 2 is exact.
    low, high = learners.named("max-margin").accuracy(grid).interval.ends["counter"]
    assert ((high - low) > 0).tolist() == [False, True, True, False]


def test_a_learner_gives_a_reason_if_it_has_no_answer():
    assert "sigma_xi = 0" in learners.named("infonce").refuses(World(sigma_xi=0.0))
    assert learners.named("infonce").refuses(World()) is None
    for name in ("infonce", "bayes"):
        with pytest.raises(ValueError, match="not a linear rule"):
            learners.named(name).direction(World())


def test_attempt_gives_nan_and_a_reason_for_worlds_without_an_answer():
    grid = World(sigma_xi=[[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    infonce = learners.named("infonce")
    values, reasons = attempt(lambda w: infonce.accuracy(w).counter, grid)
    assert np.isnan(values).tolist() == [[False, True, False], [True, False, False]]
    assert set(reasons) == {(0, 1), (1, 0)}
    assert all("sigma_xi = 0" in reason for reason in reasons.values())
    assert values[0, 0] == pytest.approx(float(infonce.accuracy(grid[0, 0]).counter), abs=1e-6)
    nothing, why = attempt(lambda w: infonce.accuracy(w).counter, World(sigma_xi=[0.0]))
    assert (np.isnan(nothing).tolist(), len(why)) == ([True], 1)


@dataclass(frozen=True)
class Blind(Learner):
    """The nearest class mean of the object block; ignores the background."""

    name: ClassVar[str] = "blind"
    words: ClassVar[str] = "a rule blind to the background"

    def direction(self, world):
        return world.mean * (np.arange(world.mean.shape[-1]) == 0)


def test_a_custom_linear_rule_needs_only_a_direction():
    grid = worlds_with(p_spu=[0.6, 0.99], mu_spu=3.0, sigma_inv=0.8)
    accuracy = Blind().accuracy(grid)
    assert isinstance(accuracy, Accuracy)
    assert accuracy.drop == pytest.approx([0.0, 0.0], abs=1e-15)
    scores = Blind().scores(World(), np.array([[1.0, -5.0], [-0.5, 3.0]]))
    assert scores.argmax(1).tolist() == [0, 1]
    three = World(classes=3, attribute=(Attribute(),), dim_image=9, dim_text=9)
    images = np.zeros((1, 9))
    images[0, 2], images[0, 3] = 1.0, 9.0  # object of class 2, background of class 0
    assert Blind().scores(three, images).argmax(1).tolist() == [2]


@pytest.mark.parametrize("fields", [{"p_spu": np.zeros((0, 3))}, {"classes": np.zeros(0, int)}])
@pytest.mark.parametrize("learner", [
    learners.LinearCLIP(), learners.LinearCLIP(embed_dim=1), learners.InfoNCE("mean"), learners.InfoNCE("captions"),
    learners.GaussianPMI(), learners.Logistic(), learners.LeastSquares(), learners.Bayes(),
])  # fmt: skip
def test_an_empty_grid_has_no_accuracies(learner, fields):
    worlds = World(**fields)
    assert learner.accuracy(worlds).common.shape == learner.accuracy(worlds).counter.shape == worlds.shape
