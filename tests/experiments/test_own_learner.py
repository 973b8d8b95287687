"""A learner of one's own can do all that a shipped one can: a class that restates linear CLIP gives all its numbers."""

import json
import re

import pytest
from fresh import printed

from experiments.errors import RequestError
from experiments.lab.store import read
from experiments.lab.studies import study
from experiments.page.plot.frame import caption
from experiments.page.plot.layout import arrange
from experiments.user_code import learner_in
from simulator.world import World

FILE = """
from dataclasses import dataclass
from typing import ClassVar

from theory import Axis, Claim
from theory.learners import Learner, LinearCLIP


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
        id=id, source="me", statement="Least squares is the more robust one.", quantity="counter", relation=">=",
        domain={"p_spu": Axis(0.8, 0.9), "mu_spu": 2.0, "sigma_xi": 2.0, "dim_image": 2, "dim_text": 2},
        subject="least-squares", against=learner,
    )


own, shipped = robust("own", Mine("mean")), robust("shipped", LinearCLIP("mean"))
"""
FLAGS = ("--sigma-xi", 2, "--dim-image", 2, "--dim-text", 2, "--mu-inv", 1.2, "--json")
GRID = ("--axis", "p_spu=.5:.95:5", "--axis", "mu_spu=.5:4:5", "--prompt", "name", "--prompt", "mean")


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
        own, shipped = (soberclip(verb, "--learner", name, *flags, *FLAGS) for name in (mine, "linear"))
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
        few = soberclip("sweep", "--axis", "p_spu=.6,.9", *measured, *beside, "-o", tmp_path / f"{store}.measured")
        assert few.status == 0

    def plots(name, *more):
        figure = ("-o", str(tmp_path / f"{name}.svg"), "--json")
        return [
            ["plot", f"{tmp_path / name}{which}", *(word.format(name) for word in words), *more, *figure]
            for which, *words in PICTURES
        ]

    # A new process, which has the stores and the file alone.
    run = "from experiments.command.main import main\n" + "".join(
        f"assert main({words!r}) == 0\nprint(end=chr(0))\n" for words in plots("mine", "--learner", mine)
    )
    drawn = [json.loads(text) for text in printed(run).split(chr(0)) if text]
    shipped = [soberclip(*words).document for words in plots("linear")]
    assert list(map(renamed, drawn)) == list(map(renamed, shipped))
    assert len(drawn[1]["panels"][0]["boundary"]["exact"][0]) > 10
    assert any(r"$\mu_{\mathrm{inv}}$ = 1.2" in words for words in caption(arrange(read(tmp_path / "mine"))))

    own, shipped = (
        soberclip("check", name, "--claims", file, "--quick", "--json").document[0] for name in ("own", "shipped")
    )
    for name in ("verdict", "reason", "route", "n", "point", "worst", "search_evaluations"):  # draws have other names
        assert own[name] == shipped[name]
    assert (own["verdict"], own["route"]) == ("supported", "exact law")


def test_a_line_is_that_of_the_learner_of_the_study(file, tmp_path):
    """Without the learner there is no line, and another learner of its name is refused."""
    mine = learner_in(f"{file}:Mine")
    axes, pair = {"p_spu": [0.6, 0.9], "mu_spu": [0.5, 2.0]}, "mine minus least-squares"
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
        (('"linear"', '"lineal"'), "estimator of learner 'mine' = 'lineal' is not one of linear, .*nearest is linear"),
        (("prompt: str", "asked: str"), "estimator 'linear' fits captions, and learner 'mine' has no field prompt"),
    ],
)
def test_an_estimator_that_cannot_fit_is_refused(soberclip, file, change, words):
    file.write_text(FILE.replace(*change).replace("self.prompt", "'name'").replace("def exact_law", "def law"))
    run = soberclip("simulate", "--learner", f"{file}:Mine", "--n", 100, "--replicates", 2)
    assert (run.status, run.out) == (2, "")
    assert re.search(words, run.err)
