"""A user's file: its learner does all that a shipped one does, its losses are trained, and whose an
error is.
"""

import json
import re

import pytest
from fresh import printed

from experiments.errors import RequestError
from experiments.lab.store import read
from experiments.lab.studies import study
from experiments.page.plot.frame import caption
from experiments.page.plot.layout import arrange
from experiments.user_code import blamed, learner_in
from simulator.world import World

FILE = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.accuracy import Accuracy
from theory import Axis, Claim
from theory.learners import Learner, LinearCLIP, latent_critic


@dataclass(frozen=True)
class Mine(Learner):
    name: ClassVar[str] = "mine"
    words: ClassVar[str] = "my CLIP"
    estimator: ClassVar[str] = "linear"
    on_images: ClassVar[bool] = False
    prompt: str = "name"
    factor: float = 2.0

    def direction(self, worlds):
        return self.factor * LinearCLIP(self.prompt).direction(worlds)

    def exact_law(self, world, n, replicates, seed, stream):
        return LinearCLIP(self.prompt).exact_law(world, n, replicates, seed, stream)


def robust(id, learner):
    return Claim(
        id=id, source="me", statement="Least squares is the more robust one.",
        quantity="counter", relation=">=",
        domain={
            "p_spu": Axis(0.8, 0.9), "mu_spu": 2.0, "sigma_xi": 2.0, "dim_image": 2, "dim_text": 2
        },
        subject="least-squares", against=learner,
    )


own, shipped = robust("own", Mine("mean")), robust("shipped", LinearCLIP("mean"))


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
FLAGS = ("--sigma-xi", 2, "--dim-image", 2, "--dim-text", 2, "--mu-inv", 1.2, "--json")
GRID = (
    "--axis",
    "p_spu=.5:.95:5",
    "--axis",
    "mu_spu=.5:4:5",
    "--prompt",
    "name",
    "--prompt",
    "mean",
)
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


PICTURES = (  # of the study of a learner (its place is {}): which store, and the words after it
    ("", "--what", "equivalent-correlation", "--at", "mu_spu=4"),
    ("", "--what", "{}:mean minus least-squares"),
    (".measured", "--what", "equivalent-correlation"),
)


def renamed(document):
    """A document whose learners are those that ship, without its folder."""
    words = json.dumps(document).replace('"mine', '"linear').replace("my CLIP", "linear CLIP")
    return {name: value for name, value in json.loads(words).items() if name != "output"}


def test_a_learner_of_ones_own_does_what_a_shipped_one_does(soberclip, file, tmp_path):
    mine = f"{file}:Mine"

    def both(verb, *flags):
        own = soberclip(verb, "--learner", mine, *flags, *FLAGS)
        shipped = soberclip(verb, "--learner", "linear", *flags, *FLAGS)
        assert (own.status, shipped.status) == (0, 0), own.err + shipped.err
        assert renamed(own.document) == renamed(shipped.document)
        return own.document

    assert both("predict", "--prompt", "mean", "--mu-spu", 2)["equivalent_correlation"] > 0.9
    both("predict", "--mitigate", "balance")
    for method in ("exact", "direct"):
        both("simulate", "--n", 500, "--replicates", 4, "--method", method)

    measured = ("--route", "exact", "--route", "drawn", "--n", 300, "--replicates", 3)
    for name, store in ((mine, "mine"), ("linear", "linear")):
        beside = ("--learner", name, "--learner", "least-squares", *FLAGS)
        assert soberclip("sweep", *GRID, *beside, "-o", tmp_path / store).status == 0
        few = soberclip(
            "sweep",
            "--axis",
            "p_spu=.6,.9",
            *measured,
            *beside,
            "-o",
            tmp_path / f"{store}.measured",
        )
        assert few.status == 0

    def plots(name, *more):
        figure = ("-o", str(tmp_path / f"{name}.svg"), "--json")
        return [
            [
                "plot",
                f"{tmp_path / name}{which}",
                *(word.format(name) for word in words),
                *more,
                *figure,
            ]
            for which, *words in PICTURES
        ]

    # A new process, which has the stores and the file alone.
    run = "from experiments.command.main import main\n" + "".join(
        f"assert main({words!r}) == 0\nprint(end=chr(0))\n"
        for words in plots("mine", "--learner", mine)
    )
    drawn = [json.loads(text) for text in printed(run).split(chr(0)) if text]
    shipped = [soberclip(*words).document for words in plots("linear")]
    assert list(map(renamed, drawn)) == list(map(renamed, shipped))
    assert len(drawn[1]["panels"][0]["boundary"]["exact"][0]) > 10
    assert any(
        r"$\mu_{\mathrm{inv}}$ = 1.2" in words
        for words in caption(arrange(read(tmp_path / "mine")))
    )

    own = soberclip("check", "own", "--claims", file, "--quick", "--json").document[0]
    shipped = soberclip("check", "shipped", "--claims", file, "--quick", "--json").document[0]
    # draws have other names
    for name in ("verdict", "reason", "route", "n", "point", "worst", "search_evaluations"):
        assert own[name] == shipped[name]
    assert (own["verdict"], own["route"]) == ("supported", "exact law")


def test_a_line_is_that_of_the_learner_of_the_study(file, tmp_path):
    """Without the learner there is no line, and another learner of its name is refused."""
    mine = learner_in(f"{file}:Mine")
    axes = {"p_spu": [0.6, 0.9], "mu_spu": [0.5, 2.0]}
    pair = "mine minus least-squares"
    table = study(World(sigma_xi=2.0), axes, [mine(factor=3.0), "least-squares"], "mean").run()
    known, unknown = (arrange(table, pair, {"p_spu": 0.9}, own) for own in ([mine(factor=3.0)], []))
    assert len(known.panels[0].boundary) == 1
    assert unknown.panels[0].boundary == ()
    assert known.world
    assert unknown.world == known.world
    with pytest.raises(RequestError, match="the options of mine changed since the study"):
        arrange(table, pair, None, [mine()])
    with pytest.raises(RequestError, match="learner 'mine' is not one of linear"):
        arrange(study(axes=axes).run(), "counter", None, [mine()])
    file.write_text(FILE.replace("self.factor * ", "-"))
    with pytest.raises(RequestError, match="the file of mine changed since the study"):
        arrange(table, pair, None, [learner_in(f"{file}:Mine")(factor=3.0)])


def test_a_learner_that_reads_captions_is_fitted_to_drawn_pairs(file):
    learners = [learner_in(f"{file}:Mine")(), "linear"]
    table = study(World(sigma_xi=2.0), {}, learners, routes="drawn", n=50, replicates=3).run()
    assert table.counter[0].values.tolist() == table.counter[1].values.tolist()
    assert 0 < table.counter.mean() < 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ('"linear"', '"lineal"'),
            "estimator of learner 'mine' = 'lineal' is not one of linear, .*nearest is linear",
        ),
        (
            ("prompt: str", "asked: str"),
            "estimator 'linear' fits captions, and learner 'mine' has no field prompt",
        ),
    ],
)
def test_an_estimator_that_cannot_fit_is_refused(soberclip, file, change, words):
    file.write_text(
        FILE.replace(*change).replace("self.prompt", "'name'").replace("def exact_law", "def law")
    )
    run = soberclip("simulate", "--learner", f"{file}:Mine", "--n", 100, "--replicates", 2)
    assert (run.status, run.out) == (2, "")
    assert re.search(words, run.err)


# Errors, and whose they are


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
        (
            "Mine",
            f"{DIRECTION}np.ones(3)",
            "the direction of learner 'wrong' has shape (3,); expected (2,)",
        ),
        ("Mine", f"{DIRECTION}np.full(2, np.nan)", "the direction of learner 'wrong' is nan"),
        ("Mine", f"{DIRECTION}worlds.undefined / 0", f"mine.py, line {LAST}: AttributeError: "),
        ("Mine", f"{DIRECTION}broken(worlds)", f"mine.py, line {BROKEN}: AttributeError: "),
        (
            "Mine",
            "def accuracy(self, worlds): return Accuracy(1.5, 0.5)",
            "accuracies [1.5, 0.5] are no fractions",
        ),
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
    file.write_text(
        with_wrong("Mine", f"{DIRECTION}np.ones(2) if np.ndim(worlds.mu_spu) == 0 else undefined")
    )
    learner = learner_in(f"{file}:Wrong")()
    with pytest.raises(NameError) as failed:
        learner.accuracy(World(mu_spu=[1.0, 2.0]))
    assert f"{file}, line {LAST}: NameError: name 'undefined' is not defined" == blamed(
        failed.value
    )
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
SMALL = (
    "train --steps 2 --warmup 0 --batch-size 4 --width 2 --depth 1 --dim-image 2 --dim-text 2"
    " --no-compile --json"
)


@pytest.fixture
def train(soberclip, tmp_path, monkeypatch):
    """Train with the loss of a class in the file of losses."""
    from simulator.towers import objectives

    monkeypatch.setattr(objectives, "OBJECTIVES", dict(objectives.OBJECTIVES))
    (tmp_path / "mine.py").write_text(LOSSES)
    return lambda name, *more: soberclip(
        *SMALL.split(), "--loss", f"{tmp_path / 'mine.py'}:{name}", *more
    )


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
    monkeypatch.setattr(
        "experiments.lab.training.train", lambda *_, share_out, **__: asked.append(share_out)
    )
    train("Pulled")
    soberclip(*SMALL.split())
    assert asked == [False, True]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("pass", "defines no loss class 'Wrong'; the nearest is Strong"),
        ('name = "infonce"', "has name = 'infonce'; give it a name of its own"),
        ('name, captions = "headless", False', "reads no captions, so it needs heads"),
        (
            "def loss(self, batch): return batch.images.sum()",
            "loss 'pulled' has shape (); expected (1,), one number",
        ),
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
