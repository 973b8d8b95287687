"""Every wrong call of the library is refused in one sentence, which names the value and often a way
on: one table.
"""

import re
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from experiments.effective_robustness import fit_line, offset
from experiments.errors import RequestError
from experiments.ground_truth.export import check_request
from experiments.photos import evaluation
from experiments.photos.options import Options
from experiments.photos.robustness import compare, gather
from experiments.results import Row
from simulator import Attribute, Pixels, Recipe, World, fit, train
from simulator.accuracy import Accuracy
from simulator.extras import installed
from simulator.gaussian.critic import removed_captions
from simulator.gaussian.fitting import score_vectors
from simulator.gaussian.pairs import dictionaries, draw_block, draw_pairs
from simulator.gaussian.sobol import check_sobol
from simulator.gaussian.statistics import (
    full_critics,
    labelled_moments,
    projected_critics,
    projected_scatter,
)
from simulator.pixels.pairs import draw
from simulator.prompts import caption
from simulator.quantities import check_count
from simulator.tables import named
from simulator.towers.distributed import Group, rows
from simulator.world import refusal
from theory import equivalent, learners, theorems
from theory.docket.separating import Separating
from theory.learners import Bayes, GaussianPMI, InfoNCE, LinearCLIP, Logistic, Printed, SigLIP
from theory.learners.filtered import Filtered

NAN = float("nan")
INF = float("inf")
TABLE = ((0.3, 0.1, 0.0), (0.2, 0.2, 0.2))
EVEN = np.full((2, 3), 1 / 6)
COCO = {"objects": "coco", "root": "r", "attribute": "background-colour", "categories": ("car",)}
MANY = {"classes": 51, "dim_image": 200, "dim_text": 200}
SMALL = World(dim_image=2, dim_text=2)

WORLDS = [  # fields of a world, a regular expression of the sentence
    ({"p_spu": [0.5, 1.5]}, r"^p_spu = 1.5 .* 1$"),
    ({"p_spu": [0.5, NAN]}, r"^p_spu = nan .*\]$"),
    ({"mu_spu": INF}, "^mu_spu = inf .* 1000$"),
    ({"p_spu": [[0.5], [0.5, 0.6]]}, r"^p_spu = \[\[0.5\], "),
    ({"p_spo": 0.5}, "^p_spo is not a field of a world; the nearest is 'p_spu'$"),
    ({"p_spu": [0.5] * 2, "mu_spu": [1.0] * 3}, r"\[\(2,\), \(3,\)\]"),
    ({"dim_text": [64, 1]}, "^dim_text = 1 .* 2 latents .* 2$"),
    ({"classes": 5, "dim_text": 9}, "the nearest valid value is 10$"),
    ({"dim_image": 2, "attribute": (Attribute(),)}, "the nearest valid value is 3$"),
    ({"classes": [2, 40]}, "^dim_image = 64 .* 80 latents .* 80$"),
    ({"attribute": (Attribute(),) * 5}, "^attribute = .* at most 4"),
    ({"attribute": (3,)}, "^attribute.0 = 3"),
    ({"table": [[0.5, 0.6], [0.0, 0.1]]}, "table.* 2 x 2 numbers that sum to 1.2;"),
    ({"table": [[0.5, 0.5], [0.0, 0.0]]}, "table.* 0 in all of row 2;"),
    ({"table": [[1.5, 0.0], [0.0, 0.0]]}, r"table.* 1.5 lies outside \[0, 1\]"),
    ({"table": [0.5, 0.5]}, r"table.* \[0.5, 0.5\] is not a list of at least two rows"),
    ({"table": [0.5] * 1000}, r"\A.{,400}\Z"),
    ({"table": TABLE, "p_spu": 0.5}, "p_spu = 0.5 has no meaning beside a table"),
    ({"table": TABLE, "classes": 3}, "classes = 3 differs from the 2 rows"),
    ({"table": TABLE, "attribute": (Attribute(),)}, "leave out either .*attribute.* or the table"),
    ({"table": TABLE, "common": [[0], [3]]}, "common = .* one per class, of columns 0 to 2"),
    ({"table": TABLE, "dim_text": 3}, "dim_text = 3 .* nearest valid value is 4"),
    ({"common": [[0], [1]]}, "common = .* without a table"),
]
PIXEL_WORLDS = [
    ({"classes": 11}, "classes = 11 are more than the 10 digits; the nearest valid value is 10"),
    ({"views": Pixels(**COCO)}, "classes = 2 are more than the 1 categories"),
    ({"views": Pixels(tied=(0, 2))}, r"tied = \[0, 2\] names class 2; the classes are 0 to 1"),
    ({"table": np.full((2, 11), 1 / 22)}, "backgrounds = 11 are more than the 10 colours"),
    (
        {"table": EVEN, "views": Pixels(tied=(0, 1))},
        r"tied = \[0, 1\] has no meaning beside a table",
    ),
    ({"detail_inv": 0.5}, r"detail_inv = 0.5 is of Gaussian views .* captions tell classes alone"),
    ({"bare": 0.3}, r"bare = 0.3 is of Gaussian views .* captions tell classes alone"),
    ({"mu_spu": 1.0}, "mu_spu = 1.0 is of Gaussian views"),  # refused even at its default
    ({"attribute": ({},)}, "pixels show one attribute"),
]
PIXELS = [
    (
        {"objects": "mnist"},
        "objects = 'mnist' needs root, the folder that torchvision.datasets.MNIST",
    ),
    ({"root": "here"}, "root = 'here' is of no use to objects = 'digits'"),
    ({"attribute": "photos"}, "go together"),
    ({"tied": (0,)}, r"tied = \[0\] are not two or more"),
    (
        {"categories": ("car",)},
        r"categories = \['car'\] are of no use to objects = 'digits'; use them with 'coco'",
    ),
    ({"tied": (0, 1, 0)}, "different classes"),
    ({"tied": (-1, 0)}, "counted from 0"),
    ({"objects": "cutouts", "root": "here"}, "have colours of their own"),
]
TABLES = [
    ("diagonl(0.9)", "'diagonl' is not one of .* nearest is diagonal"),
    ("diagonal(1.5)", "p = 1.5 lies outside .* nearest valid value is 1"),
    ("compositional(3, 3, 3)", r"hole = 3 lies outside \[0, 2\]"),
    ("leave_one_domain_out(2, 3, 3)", r"domain = 3 lies outside \[0, 2\]"),
    ("compositional(3, 3, 0.5)", "hole = 0.5 is not|is not a table"),  # the tests check types first
    ("mixture([diagonal(1), diagonal(1, 3)], [1, 1])", "shapes"),
    ("mixture([diagonal(1)], [-1])", r"weights \[-1\]"),
    *(
        (text, "is not a table such as")
        for text in ("", "3", "[1]", "diagonal", "diagonal('1')", "diagonal(")
    ),
    ("diagonal(open('a'))", "'open' is not one of"),
    ("(" * 10_000, "is not a table such as"),
]
LEARNERS = [
    (("infonse", {}), "learner = 'infonse' is not one of .*; the nearest is infonce"),
    (("InfoNCE", {}), "the nearest is infonce$"),
    (("lstsq", {}), "the nearest is least-squares$"),
    *(((far, {}), f"learner = '{far}' is not one of [^;]*$") for far in ("zzz", "clip", "lsq")),
    (("bayes", {"prompt": "mean"}), "prompt = mean has no meaning for learner 'bayes'"),
    (
        ("infonce", {"embed_dim": 4}),
        "embed_dim = 4 is the width of unit embeddings, which need a scale",
    ),
    *(
        (("linear", {"embed_dim": d}), f"^embed_dim = {d} is {w}")
        for d, w in ((0, "below 1"), (True, "not an"))
    ),
    *(
        (("siglip", fields), f"^{name} ")
        for name, fields in [
            *(("scale", {"scale": x}) for x in (0.0, 101.0, NAN)),
            ("embed_dim", {"scale": 1.0, "embed_dim": 1}),
            ("bias", {"bias": -10.0}),
            ("bias", {"scale": 1.0, "bias": NAN, "batch_size": 2}),
            ("bias", {"scale": 1.0, "bias": -10.0}),
            *(
                ("batch_size", {"batch_size": n, **scale})
                for n, scale in ((256, {}), (1, {"scale": 1.0}))
            ),
        ]
    ),
]
LAWS = [  # a learner, fields of a world
    (Bayes(), MANY, "classes = 51"),
    (Bayes(), {"p_spu": 1.0, "sigma_inv": 0.0, "sigma_spu": 0.0, "sigma_xi": 0.0}, "no density"),
    *(
        (Filtered(), f, "two classes and one background")
        for f in ({"classes": 3}, {"table": "diagonal(0.9)"})
    ),
    (GaussianPMI("mean"), {"sigma_xi": 0.0}, "sigma_xi = 0: without noise in the images"),
    (
        GaussianPMI("mean"),
        {"sigma_xi_text": 0.0, "sigma_spu": 0.0, "mu_spu": 0.0},
        "a block that never varies",
    ),
    (
        GaussianPMI("captions"),
        {},
        r"'captions' \(log-mean-exp .* from name, mean, background, bare, scores",
    ),
    (Logistic(), MANY, "classes = 51"),
    (Logistic(), {"classes": 3, "mu_inv": 30.0}, "hardly contain an error"),
    (InfoNCE("bare"), {}, "no training caption is bare"),
    *((InfoNCE(prompt), {"bare": 1.0}, "bare = 1") for prompt in ("name", "mean", "background")),
    (InfoNCE("name"), {"sigma_xi": 0.0, "detail_inv": 0.5}, "detail = 1"),
    (InfoNCE("scores"), {"sigma_xi": 0.0}, "sigma_xi = 0"),
    (InfoNCE("captions"), {"classes": 11}, "classes = 11"),
    (InfoNCE("background"), {"sigma_xi_text": 0.0, "mention_spu": 0.0}, "never mention"),
    (LinearCLIP("captions"), {}, "linear scores"),
    (Printed(), {"mu_spu": 1.49}, r"^Theorem 6.2 is about mu_spu >= 1 \+ sigma_inv\^2/2$"),
    (Printed(), {"mu_spu": 2.0, "sigma_spu": 1.0}, "^Theorem 6.2 is about sigma_inv > sigma_spu$"),
    *(
        (Printed(), {"mu_spu": 2.0, x: 0.9}, f"is about {x} = 1$")
        for x in ("mention_spu", "p_inv", "detail_spu")
    ),
    (Printed(), {"mu_spu": 2.0, "bare": 0.1}, "^Theorem 6.2 is about bare = 0$"),
    *(
        (Printed(), {"mu_spu": 2.0, **f}, "two classes and one background$")
        for f in ({"classes": 3}, {"attribute": ({},)})
    ),
    (GaussianPMI("scores"), {"table": TABLE}, "choose from name, mean, background, bare"),
    (GaussianPMI(), {"table": TABLE, "sigma_xi": 1e-5}, "little noise"),
    (
        GaussianPMI(),
        {"table": TABLE, "sigma_xi": 1e-5, "sigma_xi_text": 1.0, "sigma_spu": 0.0},
        "little noise",
    ),
    (Printed(), {"table": TABLE, "mu_spu": 2.0}, "no p_spu"),
    (Separating(), {"table": TABLE}, "'separating' tells its direction alone"),
    (InfoNCE("captions"), {"table": TABLE}, "choose from name, mean, background"),
    (InfoNCE(scale=1.0), {"classes": 3}, "two classes"),
    (InfoNCE(scale=1.0), {"sigma_xi_text": 0.0}, "sigma_xi_text"),
    (InfoNCE(scale=1.0), {"sigma_xi": 0.1}, "nodes"),
    (InfoNCE("bare", scale=1.0), {}, "bare"),
    (InfoNCE(scale=1.0), {"bare": 1.0}, "bare"),
    (InfoNCE(scale=1.0, embed_dim=5000), {"mu_spu": 1.5, "sigma_xi": 6.0}, "two CPU minutes"),
    (
        SigLIP(scale=1.0, bias=-10.0, batch_size=256),
        {"mu_spu": 1.5, "sigma_xi": 6.0},
        "all embeddings are equal",
    ),
    (InfoNCE(), {"table": TABLE, "sigma_xi": 0.0}, "sigma_xi = 0"),
    (Logistic(), {"table": TABLE, "sigma_xi": 0.0, "sigma_spu": 0.0}, "little noise"),
    (Bayes(), {"table": TABLE, "sigma_xi": 0.0, "sigma_spu": 0.0}, "need sigma"),
]
NUMBERS = {
    kind: [
        name for name, field in kind.model_fields.items() if isinstance(field.default, float | int)
    ]
    for kind in (World, Recipe)
}
RECIPES = [
    ({"loss": "linear"}, "towers = 'linear'"),
    ({"loss": "infonse"}, "'infonce'"),
    ({"n": 100, "batch_size": 101}, "value is 100"),
    ({"batch_size": 1}, "value is 2"),
    ({"loss": "supervised", "temperature": 0.1}, "temperature"),
    ({"loss": "supervised", "frozen": "text"}, "frozen = 'text'"),
    ({"learning_rate": 0.1}, "learning_rate"),
]
PIXEL_RECIPES = [
    Recipe(towers="conv", **fields) for fields in ({"points": "sobol"}, {"sampler": "contradicted"})
]
OTHER_PIXELS = World(classes=4, views=Pixels())
TRAININGS = [
    ({"models": 0}, "models = 0"),
    ({"world": []}, "at least one world"),
    ({"world": World(p_spu=[[0.5], [0.6]])}, r"\(2, 1\)"),
    ({"seed": -1}, "seed = -1"),
    ({"world": [SMALL, World(dim_image=3, dim_text=2)]}, r"dim_image = 3 .* 2"),
    ({"models": 3, "processes": 0}, "processes = 0 .* 1$"),
    ({"models": 3, "processes": 4}, "processes = 4 .* 3$"),
    ({"recipe": Recipe(points="sobol", batch_size=32, steps=2**27 + 1)}, "4294967328"),
    ({"recipe": Recipe(towers="conv")}, "^towers = 'conv' .* linear or mlp"),
    *(
        ({"world": World(views=Pixels()), "recipe": r}, "needs Gaussian views, not pixels")
        for r in PIXEL_RECIPES
    ),
    *(
        ({"world": [World(views=Pixels()), one]}, "need the same views")
        for one in (World(), OTHER_PIXELS)
    ),
    *(
        ({"world": SMALL.replace(p_spu=p), "recipe": Recipe(loss=loss, n=n, batch_size=16)}, words)
        for loss in ("group-dro", "group-dro-infonce")
        for p, n, words in (
            (1.0, None, "p_spu = 1: .* counter "),
            (0.999, 99, "n = 99: no pair has label . and back"),
        )
    ),
]
EXPORTS = [
    ({"dim_image": 2, "dim_text": 2, "sigma_xi": 1.0}, "dim_image = 64 and sigma_xi = 5.65685"),
    ({"sigma_xi": 0.01}, "choose at least"),
    ({"mu_inv": 0.0, "sigma_xi": 6.0}, "mu_inv = 0"),
    ({"sigma_spu": 0.0, "sigma_xi": 6.0, "sigma_xi_text": 0.0}, "sigma_xi_text above 0"),
    ({"classes": 11}, "for 10 classes"),
    ({"attribute": (Attribute(),)}, r"\[\[attribute\]\]"),
    ({"views": Pixels()}, r"\[views\]"),
    ({"p_spu": [0.5, 0.9]}, "one world"),
]
PROTOCOL = {"mean": "macro", "labels": "1000", "prompt": "simple"}
RESULTS = [
    ({"specs": ["published:CLIP-OpenAI-RN5O"]}, "'CLIP-OpenAI-RN50'"),
    ({"specs": []}, "nothing to compare"),
    ({"specs": ["published"], "labels": "45"}, "45"),
    ({"specs": [str(Path(__file__).parent)]}, "holds no summary.json"),
]
EVALUATE = {
    "data": Path("none"),
    "models": [f"python:{__file__}"],
    "options": Options(),
    "output": Path(__file__),
}
OPTIONS = [
    {"batch_size": 0},
    {"precision": "fp16"},
    *({"device": d} for d in ("cpuu", "cpu:abc", "cpu:", "cuda:99")),
]


@cache
def pairs(n=10):
    return World(sigma_xi=2.0).draw(n)


def first(route, *arguments):
    return next(iter(route(*arguments)))


CALLS = [
    # Every field that is a number, of whatever domain: neither a truth value, a text nor nan.
    *(
        (partial(kind, **{name: wrong}), rf"\b{name} = {re.escape(repr(wrong))}")
        for kind, names in NUMBERS.items()
        for name in names
        for wrong in (True, "1", NAN)
    ),
    *(
        (lambda name=name: getattr(World(views=Pixels()), name), "pixels")
        for name in ("nu_image", "nu_text", "mean")
    ),
    (World(views=Pixels()).mixture, "pixels"),
    *(
        (
            partial(learners.named(name).accuracy, World(views=Pixels())),
            "these worlds are pixels, which no formula des",
        )
        for name in learners.names()
    ),
    (partial(World(views=Pixels()).prompts, "name"), "pixels"),
    *((partial(World, **fields), words) for fields, words in WORLDS),
    *((partial(World, **{"views": Pixels(), **fields}), words) for fields, words in PIXEL_WORLDS),
    *((partial(Pixels, **fields), words) for fields, words in PIXELS),
    *((partial(Recipe, **fields), words) for fields, words in RECIPES),
    *((partial(named, text), words) for text, words in TABLES),
    *((partial(learners.named, name, **options), words) for (name, options), words in LEARNERS),
    *(
        (lambda one=one, fields=fields: one.accuracy(World(**fields)), words)
        for one, fields, words in LAWS
    ),
    *(
        (partial(train, **{"world": SMALL, "recipe": Recipe(steps=9), "models": 1, **c}), words)
        for c, words in TRAININGS
    ),
    (lambda: World.stack([World(), World(sigma_xi_text=0.5)]), "some set sigma_xi_text"),
    (lambda: World.stack([World(), World(table=TABLE)]), "differ in table"),
    (
        lambda: World.stack([World(), World(views=Pixels())]),
        "worlds that differ in views make no grid",
    ),
    (lambda: World(table=TABLE).correlation, "have no p_spu"),
    (lambda: World(classes=[[2, 2], [3, 5]], p_spu=0.5).class_count, "one number of classes"),
    (lambda: fit("linear", World(views=Pixels()).draw(4)), "pixels"),
    (partial(Row, "a", "m", "CLIP", common=75.0, counter=0.5), "fraction"),
    # before photos are read
    (partial(evaluation.run, **EVALUATE), "is a file, but a folder is needed"),
    *(
        (partial(one.direction, World()), f"{one.name!r} is not a linear rule")
        for one in (Bayes(), InfoNCE())
    ),
    (lambda: fit("liner", pairs()), "^estimator = 'liner' .* linear$"),
    (lambda: fit("logistic", pairs(), embed_dim=2), "^embed_dim = 2 .*'logistic'"),
    (lambda: fit("linear", pairs(), embed_dim=0), "^embed_dim = 0 .* 1$"),
    (lambda: fit("least-squares", pairs()).accuracy("mean"), "^prompt = 'mean' "),
    (lambda: fit("linear", pairs(1)), "^n = 1 .* 2$"),
    (
        partial(score_vectors, "max-margin", np.eye(2), np.arange(2), World(), np.ones(2)),
        "takes no weights",
    ),
    (lambda: World().draw(10**12), rf"^n = {10**12} .* [0-9]+$"),
    (
        partial(check_sobol, World(classes=4000, dim_image=8000, dim_text=8000), 1),
        r"8000 latents .*'random'",
    ),
    (partial(check_sobol, World(), 2**32 + 1), "4294967297"),
    # The test run checks the types of `draw` and `fit`, a notebook does not: there this sentence
    # appears.
    *(
        (partial(check_count, "n", n, 1), f"^n = {n!r} is not an integer$")
        for n in (2.5, True, "3")
    ),
    (partial(first, draw_pairs, World(), dictionaries(World(), 0), 0, 0), "n = 0 "),
    *((partial(draw, World(views=Pixels()), n), f"n = {n} lies outside") for n in (0, 10**9)),
    *(
        (
            partial(
                draw_block,
                [World(), World(**one)],
                dictionaries(World(), 3),
                3,
                0,
                streams=["a", "b"],
            ),
            f"^{next(iter(one))} = .* an ensemble needs one value$",
        )
        for one in ({"dim_image": 7}, {"table": [[0.5, 0.0], [0.0, 0.5]]})
    ),
    *(
        (partial(first, labelled_moments, World(**one), 10, 1, 0), "2 classes and dim_image")
        for one in ({"classes": 3, "dim_image": 6, "dim_text": 6}, {"dim_image": 3})
    ),
    *(
        (partial(first, route, World(), *prompt, n, 1, 0), rf"n = {n} .* {near}$")
        for route, *prompt in (
            (projected_critics, "name"),
            (projected_scatter,),
            (full_critics, "name"),
        )
        for n, near in ((1, 2), (0, 2), (10**12 + 1, 10**12))
    ),
    (partial(first, projected_critics, World(), "name", 5, 0, 0), "replicates = 0 "),
    *(
        (
            partial(fit_line, np.array(common), np.linspace(0.1, 0.3, len(common)), "logit"),
            "a line needs 3 models",
        )
        for common in ([0.1, 0.2], [0.5, 0.5, 0.5], [0.1, 0.2, 1.0])
    ),
    (
        partial(
            offset,
            (np.arange(1, 4) / 10,) * 2,
            (np.array([0.9]),) * 2,
            "plain",
            np.random.default_rng(0),
        ),
        "range",
    ),
    *((partial(Options, **wrong), str(*wrong.values())) for wrong in OPTIONS),
    *(
        (lambda fields=fields: check_request(World(**fields), 10, 0, 10), words)
        for fields, words in EXPORTS
    ),
    *((partial(gather, **{**PROTOCOL, **sources}), words) for sources, words in RESULTS),
    (lambda: compare(gather(["published"], **PROTOCOL), "LVLM"), "'LVLM'"),
    (partial(caption, "captions"), "captions"),
    (partial(rows, Group(0, 3), 100), "99"),
    (
        partial(installed, "absent", "Absent", "x", "a world"),
        r"^Absent, which a world needs, is not .* '\.\[x\]'$",
    ),
    (partial(LinearCLIP, time=-1.0), "time = -1.0 is below 0; the nearest valid value is 0"),
    (
        partial(LinearCLIP, time=1.0, projected=True),
        "time = 1.0: a projected embedding has a law at the optimum only",
    ),
    (partial(LinearCLIP, start=0.0), "start = 0.0 is no positive number"),
    (
        lambda: InfoNCE("scores").scores(World(table=TABLE), np.zeros((1, 4))),
        "has no law in worlds with a table",
    ),
    (lambda: theorems.pmi(np.array([[0.5, 0.5], [0.0, 0.0]])), "positive sum"),
    (lambda: equivalent(World(views=Pixels()), Accuracy(0.9, 0.5)), "pixels"),
    (lambda: equivalent(World(), Accuracy(1.2, 0.5)), "1.2"),
    (lambda: equivalent(World(), Accuracy(0.5, NAN)), "nan"),
    (
        lambda: equivalent(World(table=[[0.5, 0.0], [0.1, 0.4]]), Accuracy(0.9, 0.5)),
        "also has the group unseen",
    ),
    *(
        (
            partial(removed_captions, World(**fields), (1.0,) * numbers),
            f"one number per block, {5 - numbers} here",
        )
        for fields, numbers in (({}, 3), ({"attribute": (Attribute(),)}, 2))
    ),
]


def sentence_of(call) -> str | None:
    try:
        call()
    except (ValueError, ArithmeticError, RequestError) as error:
        return refusal(error) if isinstance(error, ValidationError) else str(error)
    return None


@pytest.mark.parametrize(("call", "words"), CALLS, ids=[words[:40] for _, words in CALLS])
def test_a_wrong_call_is_one_sentence(call, words):
    sentence = sentence_of(call)
    assert sentence is not None
    assert re.search(words, sentence)
    assert "\n" not in sentence
