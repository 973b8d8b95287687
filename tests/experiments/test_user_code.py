"""A learner of the user's own file on the command line, and whom an error is blamed on."""

import pytest

from experiments.user_code import blamed, learner_in
from simulator.world import World
from tests.experiments.test_own_learner import FILE as MINE

FILE = f"""{MINE}
import numpy as np

from simulator.accuracy import Accuracy
from theory.learners import latent_critic


@dataclass(frozen=True, kw_only=True)
class Incomplete(Mine):
    name: ClassVar[str] = "incomplete"
    penalty: float


class Nameless(LinearCLIP):
    pass


class NotALearner:
    pass


def broken(worlds):
    return worlds.undefined
"""
DIRECTION = "def direction(self, worlds): return "


def with_wrong(base: str, body: str) -> str:
    """The file with a further class."""
    return f'{FILE}\n\nclass Wrong({base}):\n    name = "wrong"\n\n    {body}\n'


LAST = with_wrong("", "").count("\n")  # the line of the body
BROKEN = FILE[: FILE.index("undefined")].count("\n") + 1


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Mime", "defines no learner class 'Mime'; the nearest is Mine"),
        ("NotALearner", "defines no learner class 'NotALearner'"),
        ("Learner", "defines no learner class 'Learner'"),
        ("Nameless", "has name = 'linear'; give it a name of its own"),
        ("Incomplete", "missing 1 required keyword-only argument: 'penalty'"),
    ],
)
def test_a_wrong_name_is_refused_in_one_sentence(soberclip, file, name, words):
    run = soberclip("predict", "--learner", f"{file}:{name}")
    assert (run.status, run.out, run.err.count("\n")) == (2, "", 1)
    assert words in run.err


@pytest.mark.parametrize(
    ("base", "body", "words"),
    [
        ("Mine", f"{DIRECTION}np.ones(3)", "the direction of learner 'wrong' has shape (3,); expected (2,)"),
        ("Mine", f"{DIRECTION}np.full(2, np.nan)", "the direction of learner 'wrong' is nan"),
        ("Mine", f"{DIRECTION}worlds.undefined / 0", f"mine.py, line {LAST}: AttributeError: "),
        ("Mine", f"{DIRECTION}broken(worlds)", f"mine.py, line {BROKEN}: AttributeError: "),
        ("Mine", "def accuracy(self, worlds): return Accuracy(1.5, 0.5)", "accuracies [1.5, 0.5] are no fractions"),
        ("Mine", "def accuracy(self, worlds): return 0.9, 0.5", "the accuracy is of type tuple"),
        ("Learner", "pass", "learner 'wrong' has no rule"),
        (
            "Learner",
            "def critic(self, world): return np.ones((1, 1, 2))",
            "the critic of learner 'wrong' is of type ndarray; `latent_critic` makes a critic",
        ),
        (
            "Learner",
            "def critic(self, world): return latent_critic(np.ones((2, 3)))",
            "the critic of learner 'wrong' has score vectors of shape (1, 3); expected (1, 2)",
        ),
        (
            "Learner",
            "def scores(self, world, images): return images[:, 0]",
            "the scores of learner 'wrong' have shape ",
        ),
    ],
)
def test_a_wrong_class_is_refused_in_one_sentence(soberclip, file, base, body, words):
    file.write_text(with_wrong(base, body))
    run = soberclip("predict", "--learner", f"{file}:Wrong")
    assert (run.status, run.out, run.err.count("\n")) == (2, "", 1)
    assert words in run.err


def test_only_errors_that_pass_through_the_file_are_the_users(soberclip, file, monkeypatch):
    file.write_text(with_wrong("Mine", f"{DIRECTION}np.ones(2) if np.ndim(worlds.mu_spu) == 0 else undefined"))
    learner = learner_in(f"{file}:Wrong")()
    with pytest.raises(NameError) as failed:
        learner.accuracy(World(mu_spu=[1.0, 2.0]))
    assert f"{file}, line {LAST}: NameError: name 'undefined' is not defined" == blamed(failed.value)
    with pytest.raises(AttributeError) as failed:  # ours, although it has the user's learner
        learner.name.undefined()
    assert blamed(failed.value) is None
    # Nothing that a user can write lets our own code fail.
    monkeypatch.setattr("experiments.lab.answers.population", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        soberclip("predict", "--learner", f"{file}:Mine")


LOSSES = """
from simulator.towers.objectives import Objective, register


class Pulled(Objective):
    name = "pulled"

    def loss(self, batch):
        return (batch.images - batch.texts).square().sum(2).mean(1)


@register
class Registered(Pulled):
    name = "registered"
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
    from simulator.towers.objectives import OBJECTIVES

    folder = tmp_path / "run"
    assert train("Pulled", "--output", folder).status == 0
    for text, status in ((LOSSES, 0), (LOSSES.replace("mean(1)", "sum(1)"), 2)):
        (tmp_path / "mine.py").write_text(text)
        del OBJECTIVES["pulled"], OBJECTIVES["registered"]
        run = train("Pulled", "--resume", folder)
        assert run.status == status, run.err
    assert "holds another run (the file of the loss is" in run.err


def test_only_a_shipped_loss_is_shared_out_to_processes(train, soberclip, monkeypatch):
    """Further processes do not know the loss of a file."""
    asked = []
    monkeypatch.setattr("experiments.lab.training.train", lambda *_, share_out, **__: asked.append(share_out))
    train("Pulled")
    soberclip(*SMALL.split())
    assert asked == [False, True]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("pass", "defines no loss class 'Wrong'; the nearest is Strong"),
        ('name = "infonce"', "has name = 'infonce'; give it a name of its own"),
        ('name, captions = "headless", False', "reads no captions, so it needs heads"),
        ("def loss(self, batch): return batch.images.sum()", "loss 'pulled' has shape (); expected (1,), one number"),
        ("def loss(self, batch): return batch.colours", "mine.py, line 17: AttributeError"),
    ],
)
def test_a_wrong_loss_is_refused_in_one_sentence(train, tmp_path, body, words):
    (tmp_path / "mine.py").write_text(
        f"{LOSSES}\nclass {'Strong' if body == 'pass' else 'Wrong'}(Pulled):\n    {body}\n"
    )
    run = train("Wrong")
    assert (run.status, run.out) == (2, "")
    assert words in run.err.splitlines()[-1]
