"""A learner of the user's own file on the command line, and whom an error is blamed on."""

import json

import pytest

from experiments.user_code import blamed, learner_in
from simulator.world import World

FILE = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.accuracy import Accuracy
from theory.learners import Learner, LinearCLIP, latent_critic, named


@dataclass(frozen=True)
class Twice(Learner):
    name: ClassVar[str] = "twice"

    def direction(self, worlds):
        return 2 * named("least-squares").direction(worlds)


class Undefined(Twice):
    name = "undefined"

    def direction(self, worlds):
        return np.nan * super().direction(worlds)


class Certain(Twice):
    name = "certain"

    def accuracy(self, worlds):
        return Accuracy(1.5, 0.5)


class Failing(Twice):
    name = "failing"

    def direction(self, worlds):
        return worlds.undefined / 0


class FailingOnGrids(Twice):
    name = "failing-on-grids"

    def direction(self, worlds):
        return super().direction(worlds) if np.ndim(worlds.mu_spu) == 0 else undefined


class Wide(Twice):
    name = "wide"

    def direction(self, worlds):
        return np.ones(3)


@dataclass(frozen=True)
class Incomplete(Twice):
    name: ClassVar[str] = "incomplete"
    penalty: float


class Nameless(LinearCLIP):
    pass


class NotALearner:
    pass


class Critical(Learner):
    name = "critical"

    def critic(self, world):
        return named("linear").critic(world)


def broken(worlds):
    return worlds.undefined


class FailingBelow(Twice):
    name = "failing-below"

    def direction(self, worlds):
        return broken(worlds)


class Ruleless(Learner):
    name = "ruleless"


class Plain(Critical):
    name = "plain"

    def critic(self, world):
        return np.ones((1, 1, 2))


class Broad(Critical):
    name = "broad"

    def critic(self, world):
        return latent_critic(np.ones((2, 3)))


class Single(Learner):
    name = "single"

    def scores(self, world, images):
        return images[:, 0]


class Pair(Twice):
    name = "pair"

    def accuracy(self, worlds):
        return 0.9, 0.5
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_a_class_with_a_critic_alone_is_predicted_like_the_learner_it_copies(soberclip, file):
    """One with a direction: `test_own_learner.py`."""
    critical, linear = (
        soberclip("predict", "--learner", kind, "--mu-spu", 1.5, "--json").document
        for kind in (f"{file}:Critical", "linear")
    )
    for name in ("common", "counter", "reliance", "equivalent_correlation", "shortfall"):
        assert critical[name] == pytest.approx(linear[name], rel=1e-9)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Twise", "defines no learner class 'Twise'; the nearest is Twice"),
        ("NotALearner", "defines no learner class 'NotALearner'"),
        ("Learner", "defines no learner class 'Learner'"),
        ("Nameless", "has name = 'linear'; give it a name of its own"),
        ("Incomplete", "missing 1 required positional argument: 'penalty'"),
        ("Wide", "the direction of learner 'wide' has shape (3,); expected (2,)"),
        ("Undefined", "the direction of learner 'undefined' is nan"),
        ("Certain", "accuracies [1.5, 0.5] are no fractions"),
        ("Twice --prompt mean", "--prompt = mean has no meaning for learner 'twice'"),
        ("Ruleless", "learner 'ruleless' has no rule"),
        ("Plain", "the critic of learner 'plain' is of type ndarray; `latent_critic` makes a critic"),
        ("Broad", "the critic of learner 'broad' has score vectors of shape (1, 3); expected (1, 2)"),
        ("Single", "the scores of learner 'single' have shape "),
        ("Pair", "the accuracy is of type tuple"),
        ("Failing", "mine.py, line 37: AttributeError: "),
        ("FailingBelow", "mine.py, line 76: AttributeError: "),
    ],
)
def test_a_wrong_class_is_refused_in_one_sentence(soberclip, file, name, words):
    run = soberclip("predict", "--learner", *f"{file}:{name}".split(" "))
    assert (run.status, run.out, run.err.count("\n")) == (2, "", 1)
    assert words in run.err


def test_only_errors_that_pass_through_the_file_are_the_users(soberclip, file, monkeypatch):
    learner = learner_in(f"{file}:FailingOnGrids")()
    with pytest.raises(NameError) as failed:
        learner.accuracy(World(mu_spu=[1.0, 2.0]))
    assert f"{file}, line 44: NameError: name 'undefined' is not defined" == blamed(failed.value)
    with pytest.raises(AttributeError) as failed:  # ours, although it has the user's learner
        learner.name.undefined()
    assert blamed(failed.value) is None
    # Nothing that a user can write lets our own code fail.
    monkeypatch.setattr("experiments.lab.answers.population", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        soberclip("predict", "--learner", f"{file}:Twice")


LOSSES = """
from simulator.towers.objectives import Objective, register


class Pulled(Objective):
    name = "pulled"

    def loss(self, batch):
        return (batch.images - batch.texts).square().sum(2).mean(1)


@register
class Registered(Pulled):
    name = "registered"


class Grey(Pulled):
    name = "grey"

    def loss(self, batch):
        return batch.images.sum()


class Broken(Pulled):
    name = "broken"

    def loss(self, batch):
        return batch.colours


class Headless(Pulled):
    name, captions = "headless", False


class Taken(Pulled):
    name = "infonce"
"""
SMALL = "train --steps 2 --warmup 0 --batch-size 4 --width 2 --depth 1 --dim-image 2 --dim-text 2 --no-compile --json"


@pytest.fixture
def train(soberclip, tmp_path, monkeypatch):
    """Train with the loss of a class in the file of losses."""
    from simulator.towers import objectives

    monkeypatch.setattr(objectives, "OBJECTIVES", dict(objectives.OBJECTIVES))
    (tmp_path / "mine.py").write_text(LOSSES)
    return lambda name, *more: soberclip(*SMALL.split(), "--loss", f"{tmp_path / 'mine.py'}:{name}", *more)


@pytest.mark.parametrize("name", ["Pulled", "Registered"])
def test_a_loss_of_a_file_is_trained(train, name):
    run = train(name)
    assert run.status == 0, run.err
    assert (run.document["recipe"]["loss"], run.document["processes"]) == (name.lower(), 1)


def test_a_run_continues_with_the_file_of_the_loss_that_it_began_with(train, tmp_path):
    from experiments.lab.runfolder import LOSS_FILE
    from simulator.towers.objectives import OBJECTIVES

    folder = tmp_path / "run"
    assert train("Pulled", "--output", folder).status == 0
    for text, status in ((LOSSES, 0), (LOSSES.replace("mean(1)", "sum(1)"), 2)):
        (tmp_path / "mine.py").write_text(text)
        del OBJECTIVES["pulled"], OBJECTIVES["registered"]
        run = train("Pulled", "--resume", folder)
        assert run.status == status, run.err
    assert "holds another run (the file of the loss is" in run.err
    begun = json.loads((folder / "run.json").read_text())
    del begun["specification"][LOSS_FILE]  # as in a run of an earlier version
    (folder / "run.json").write_text(json.dumps(begun))
    del OBJECTIVES["pulled"], OBJECTIVES["registered"]
    assert train("Pulled", "--output", folder).status == 0


def test_only_a_shipped_loss_is_shared_out_to_processes(train, soberclip, monkeypatch):
    """Further processes do not know the loss of a file."""
    asked = []
    monkeypatch.setattr("experiments.lab.training.train", lambda *_, share_out, **__: asked.append(share_out))
    train("Pulled")
    soberclip(*SMALL.split())
    assert asked == [False, True]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Puled", "defines no loss class 'Puled'; the nearest is Pulled"),
        ("Taken", "has name = 'infonce'; give it a name of its own"),
        ("Headless", "reads no captions, so it needs heads"),
        ("Grey", "loss 'grey' has shape (); expected (1,), one number per model"),
        ("Broken", "mine.py, line 28: AttributeError"),
    ],
)
def test_a_wrong_loss_is_refused_in_one_sentence(train, name, words):
    run = train(name)
    assert (run.status, run.out) == (2, "")
    assert words in run.err.splitlines()[-1]
