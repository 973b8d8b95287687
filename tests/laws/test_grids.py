"""Law 1: one world of a grid is that world alone. Cells of studies have it in
`experiments/lab/test_blocks.py`.
"""

from copy import deepcopy
from functools import cached_property
from traceback import extract_tb

import numpy as np
import pytest
import torch
from laws.grids import (
    EDGES,
    TABLE,
    TOLERANCE,
    Counted,
    differences,
    distinct,
    every_learner,
    in_all_shapes,
    tried,
    with_edges,
)

from experiments.court import arms
from experiments.errors import RequestError
from experiments.lab import history, mitigations
from simulator import Recipe, train
from simulator.accuracy import Accuracy
from simulator.gaussian import pairs, statistics
from simulator.prompts import PROMPTS
from simulator.samplers import SAMPLERS
from simulator.towers.objectives import OBJECTIVES
from simulator.world import World
from theory import learners
from theory.claims.claim import Claim
from theory.claims.frontier import frontier
from theory.claims.quantities import QUANTITIES
from theory.ideal_curve import equivalent, equivalent_of_draws
from theory.learners import bayes, captions, contour, infonce
from theory.learners.base import attempt
from theory.published import papers

PLAIN = distinct(1)[0]
LOOPS = ("filtered", "gap-closed")  # over worlds, by their critic alone: once each
LEARNERS = [
    learner
    for learner in every_learner()
    # unit embeddings: a loop, too, of a minute per world
    if getattr(learner, "scale", None) is None
    and learner.name != "siglip"  # InfoNCE's law without a scale
    and (learner.name not in LOOPS or learner == type(learner)())
]
EXACT = TOLERANCE["rounding"]
# Edges that are tried where one world costs .1 s or more, or where a grid is a loop over its
# worlds.
FEW = {
    ("infonce", "captions"): 4,
    ("infonce", "scores"): 4,
    ("filtered", None): 1,
    ("gap-closed", None): 5,
}
KINDS = {
    "classes": {"classes": [2, 3, 2, 3, 2]},
    "attributes": {"attributes": 2},
    "table": {"table": TABLE, "p_inv": [1.0, 0.8, 0.9, 1.0, 0.7]},
}
PLACED = {
    "two classes": {},
    "mixed": {"classes": [2, 3, 2, 3, 2]},
    "attribute": {"attributes": 1},
    "table": {"table": ((0.3, 0.2), (0.1, 0.4))},
    "three groups": {"table": TABLE},
}


@pytest.fixture(autouse=True)
def chunks_of_two(monkeypatch):
    """Grids are answered two worlds at a time; the last part of an odd number is smaller."""
    Counted.seen = 0
    for module in (bayes, contour):
        monkeypatch.setattr(module, "CHUNK", Counted(2))
    # The law holds for any number of points.
    monkeypatch.setattr(infonce, "TERMS", 2**14)
    monkeypatch.setattr(bayes, "TERMS", 2**17)
    for size, value in {
        "IMAGES": 32,
        "CAPTIONS": 16,
        "IMAGE_STEP": 1.0,
        "CAPTION_STEP": 0.5,
    }.items():
        monkeypatch.setattr(captions, size, value)


def law_holds(found):
    assert not any(found.values()), {what: wrong for what, wrong in found.items() if wrong}


@pytest.mark.parametrize("learner", LEARNERS, ids=repr)
def test_learners(learner):
    edges = [*EDGES.values()]
    prompt = getattr(learner, "prompt", None)
    edges = edges[: FEW.get((learner.name, prompt), FEW.get((learner.name, None), len(edges)))]
    worlds = with_edges(edges)
    if learner.name == "printed":  # the theorem is about these fields alone
        worlds = World(
            p_spu=[0.9, 0.95, 0.99], mu_spu=[3.0, 4.0, 5.0], sigma_spu=[0.5, 0.4, 0.3], sigma_xi=0.0
        )
    elif isinstance(tried(learner.accuracy, PLAIN), Exception):
        pytest.skip("no prompt of this learner's")
    found = {"accuracy": differences(learner.accuracy, worlds, EXACT)}
    if len(edges) > 10 and learner.name in ("infonce", "bayes"):
        assert Counted.seen > 3 * 2
    if not isinstance(tried(learner.direction, PLAIN), Exception):
        found["direction"] = differences(learner.direction, worlds, EXACT)
    law_holds(found)


@pytest.mark.parametrize(
    "fields", [{"classes": 7}, {"attributes": 2}, {"classes": 3, "attributes": 1}, {"table": TABLE}]
)
def test_a_refusal_is_a_sentence_of_the_project(fields):
    """Each learner answers for an image or raises by itself; what numpy or scipy raise is a fault,
    not a refusal.
    """
    world = distinct(1, p_inv=1.0, **fields)[0]
    raised = {repr(own): tried(own.scores, world, np.ones((1, world.latents))) for own in LEARNERS}
    refusals = {own: x for own, x in raised.items() if isinstance(x, Exception)}
    assert not {
        own: x
        for own, x in refusals.items()
        if "raise " not in extract_tb(x.__traceback__)[-1].line
    }


# A world of masked attributes costs InfoNCE 10 s of a processor; by bare captions it is the Bayes
# rule.
KINDS_OF = {("infonce", "attributes"): ["bare"]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", [name for name in learners.names() if name not in ("printed", "siglip")]
)
def test_learners_of_other_kinds(name, kind):
    worlds = distinct(5, 1, **KINDS[kind])[1:3]
    prompts = [None]
    if hasattr(learners.named(name), "prompt"):
        prompts = KINDS_OF.get((name, kind), ["name", "bare"])
    law_holds(
        {
            prompt: differences(learners.named(name, prompt=prompt).accuracy, worlds, EXACT)
            for prompt in prompts
        }
    )


# Functions of worlds that are no learners


def properties():
    """What a world tells without an argument, and by a prompt."""
    for name in dir(World):
        if isinstance(vars(World).get(name), property | cached_property) and name not in (
            "shape",
            "size",
            "ndim",
        ):
            yield name, lambda worlds, name=name: getattr(worlds, name)
    yield "variances", lambda worlds: tuple(worlds.variances())
    yield "test law", lambda worlds: worlds.test_law()
    yield (
        "kinds of captions",
        lambda worlds: tuple(kind.chance for kind in worlds.caption_kinds.every),
    )
    for prompt in PROMPTS:
        yield f"prompt {prompt}", lambda worlds, prompt=prompt: worlds.prompt(prompt)


def laws():
    """Samplers and mitigations: the law of their pairs, and what these cost."""
    for name, sampler in SAMPLERS.items():
        yield f"{name}, law", lambda worlds, own=sampler: (own.law(worlds), own.captioned(worlds))
        yield (
            f"{name}, cost",
            lambda worlds, own=sampler: (
                own.effective(worlds),
                own.effective(worlds, 3.0),
            ),
        )
    for name in mitigations.MITIGATIONS:
        for learner in (
            learners.named("linear"),
            learners.named("infonce", prompt="mean"),
            learners.named("bayes"),
        ):
            yield (
                f"mitigation {name} of {learner.name}",
                lambda worlds, of=(name, learner): mitigated(*of, worlds),
            )


def mitigated(name, learner, worlds):
    """The law of the pairs and their cost; a mitigation that knows no law refuses."""
    try:
        pairs, fitted = mitigations.mitigated(name, worlds, learner)
    except RequestError as error:
        raise ValueError(str(error)) from error
    return pairs, mitigations.inflation(name, pairs, fitted)


def quantities():
    """The quantities of claims, each of a learner that has it."""
    for quantity in QUANTITIES.values():
        claim = Claim(
            id="x",
            source="x",
            statement="x.",
            quantity="common",
            relation=">=",
            domain={"p_spu": 0.9},
        )
        object.__setattr__(claim, "against", learners.named("least-squares"))
        object.__setattr__(
            claim, "reference", lambda worlds: np.eye(2) + np.zeros((*worlds.shape, 1, 1))
        )
        yield (
            quantity.name,
            lambda worlds, of=quantity, about=claim: of.truth(
                about, learners.named("linear"), worlds
            ),
        )


def with_noise(worlds):
    if np.any(worlds.sigma_xi == 0):
        raise ValueError("no noise")
    return np.broadcast_to(worlds.mu_spu, worlds.shape)


def others():
    yield "attempt", lambda worlds: attempt(with_noise, worlds)[0]
    yield "rarest", arms.rarest
    yield "drawable, infinite", lambda worlds: arms.drawable(worlds, 10**12)
    yield "drawable", lambda worlds: arms.drawable(worlds, 10**6)
    yield "papers", papers


FUNCTIONS = {name: f for part in (properties, laws, quantities, others) for name, f in part()}
# Not one per world.
OF_ALL_WORLDS = (
    "class_count",
    "background_count",
    "binary",
    "text_width",
    "block_latents",
    "caption_kinds",
)
ROOTS = ("equivalent-correlation", "shortfall", "effective-robustness")


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in OF_ALL_WORLDS])
def test_functions(name):
    f = FUNCTIONS[name]
    found = {}
    tolerance = TOLERANCE["root"] if name in ROOTS else EXACT
    cheap = name not in ROOTS
    kinds = {kind: distinct(5, 2, **fixed) for kind, fixed in KINDS.items() if cheap}
    if name.startswith("mitigation narrow"):
        del kinds["classes"]  # a learner has one width, and so one number of classes
    for kind, worlds in {
        "edges": with_edges([*EDGES.values()][:: 1 if cheap else 6]),
        **kinds,
    }.items():
        if not all(
            isinstance(tried(f, world), Exception) for world in map(worlds.__getitem__, range(3))
        ):
            found[kind] = differences(f, worlds, tolerance)
    law_holds(found)
    if not found:
        pytest.skip("no law")


# Places of classifiers


def accuracies(worlds, level, groups=2):
    rng = np.random.default_rng(7)
    values = [low + rng.uniform(0, 0.1, worlds.shape) for low in (0.8, 0.5, 0.4)[:groups]]
    return Accuracy.of(values, level, [(x - 0.01, x + 0.02) for x in values] if level else ())


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        *(pytest.param(kind, 0.8, marks=pytest.mark.deep) for kind in PLACED),
        ("two classes", None),
        ("attribute", None),
    ],
)
def test_places(kind, level):
    """Two worlds where their curves are sampled, which takes a second each."""
    exact = kind in ("two classes", "attribute")
    worlds = distinct(5, 2, **PLACED[kind]) if exact else distinct(5, 2, **PLACED[kind])[1:3]
    row = accuracies(worlds, level, 3 if kind == "three groups" else 2)
    law = in_all_shapes if exact or kind == "mixed" else differences
    found = {"places": law(equivalent, worlds, TOLERANCE["root"], row)}
    if kind == "two classes":
        worlds = with_edges(EDGES.values())
        row = accuracies(worlds, level)
        found["edges"] = differences(equivalent, worlds, TOLERANCE["root"], row)
    if level and (exact or kind == "mixed"):
        scatter = np.random.default_rng(1).normal(size=(worlds.size, 2, 5)) / 50
        found["draws"] = differences(
            of_draws, worlds, TOLERANCE["root"], np.stack([*row], axis=-1)[..., None] + scatter
        )
    law_holds(found)


def of_draws(worlds, draws):
    return equivalent_of_draws(worlds, np.moveaxis(draws, (-1, -2), (0, 1)))


def test_frontiers():
    worlds = distinct(5, 3)
    common = np.random.default_rng(0).uniform(0.7, 0.9, (5, 1))[..., 0]
    found = lambda w, c: frontier(w, np.asarray(c), learners.named("least-squares"))  # noqa: E731
    law_holds({"": differences(found, worlds, TOLERANCE["root"], common)})


# What is drawn, trained, measured and stored


@pytest.mark.parametrize(("classes", "dtype"), [(2, torch.float64), (3, torch.float32)])
@pytest.mark.parametrize("points", ["random", "sobol"])
@pytest.mark.parametrize("plain", [{}, {"bare": 0.0}, {"mismatch": 0.0}, {"p_inv": 1.0}])
def test_worlds_of_an_ensemble(points, classes, dtype, plain, monkeypatch):
    """Bit for bit, in chunks of two, two and one; the second world has no noise, and captions that
    describe all.
    """
    grid = distinct(5, 3, attributes=1, classes=classes, dim_image=16, dim_text=16, **plain)
    still = {
        "sigma_xi": 0.0,
        "sigma_xi_text": 0.0,
        "detail_inv": 1.0,
        "detail_spu": 1.0,
        "p_spu": 1.0,
    }
    worlds = [grid[i].replace(**still if i == 1 else {}) for i in range(5)]
    frames = pairs.dictionaries(worlds[0], 0)
    streams = "abcde"
    at = [3, 1, 4, 1, 5]
    parts = []
    size = pairs.block_size(worlds[0]) * max(map(len, frames))
    latents = pairs.draw_latents
    monkeypatch.setattr(pairs, "CHUNK_NUMBERS", 2 * size)
    monkeypatch.setattr(
        pairs, "draw_latents", lambda w, *x, **how: parts.append(len(w)) or latents(w, *x, **how)
    )
    whole = pairs.draw_block(worlds, frames, 0, at, streams=streams, points=points, dtype=dtype)
    assert parts == [2, 2, 1]
    for i, world in enumerate(worlds):
        alone = pairs.draw_block(
            [world], frames, 0, [at[i]], streams=streams[i], points=points, dtype=dtype
        )
        for name, a, b in zip(whole._fields, whole, alone, strict=True):
            assert torch.equal(a[i], b[0]), (i, name)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_models_of_an_ensemble(name):
    """Weights, and of one objective the accuracies on images."""
    grid = distinct(3, 4, dim_image=16, dim_text=16, mismatch=[0.3, 0.0, 0.1])
    towers = {"towers": "linear"} if name == "linear" else {}
    recipe = Recipe(
        loss=name, width=4, steps=4, warmup=0, batch_size=32, precision="float64", lr=1e-2, **towers
    )
    whole = train(grid, recipe, models=2, seed=1)
    for i in range(3):
        alone = train(grid[i], recipe, models=2, seed=1)
        for weights, own in alone.parameters.items():
            np.testing.assert_allclose(
                whole.parameters[weights][2 * i : 2 * i + 2], own, atol=TOLERANCE["training"]
            )
        if name == "infonce":
            for a, b in zip(whole.each(), alone.each(), strict=True):
                np.testing.assert_allclose(a[i], b, atol=TOLERANCE["training"])


@pytest.mark.parametrize("learner", [x for x in LEARNERS if "exact" in x.routes()], ids=repr)
def test_replicates_do_not_depend_on_their_number(learner, monkeypatch):
    """Blocks of two replicates and then of four."""
    monkeypatch.setattr(statistics, "FIRST_BLOCK", 2)
    monkeypatch.setattr(statistics, "LARGEST_BLOCK", 4)
    world = PLAIN.replace(bare=0.0, mismatch=0.0, dim_image=2, dim_text=2)
    if "exact" not in learner.routes(world) or isinstance(
        tried(learner.accuracy, world), Exception
    ):
        pytest.skip("no law in a plain world")
    few = [*learner.exact_law(world, 500, 5, 3, "law")]
    many = [*learner.exact_law(world, 500, 40, 3, "law")]
    assert sum(len(part.inside) for part in many) == 40
    for name in few[0]._fields:

        def rows(part, name=name):
            value = getattr(part, name)  # an intercept may be one number for all
            return np.broadcast_to(value, (len(part.inside), *np.shape(value)[1:]))

        a = np.concatenate([*map(rows, few)])
        b = np.concatenate([*map(rows, many)])
        np.testing.assert_allclose(a, b[:5], rtol=EXACT, atol=EXACT, err_msg=name)


def test_a_row_of_a_history_is_that_row_alone():
    """Models are lost at different steps."""
    rng = np.random.default_rng(0)

    def row(step):
        lost = [step >= at for at in (2, 9, 4, 6)]
        values = {
            group: [None if gone else rng.uniform(0.5, 0.9) for gone in lost]
            for group in ("common", "counter")
        }
        return {"loss": [None if gone else 1.0 for gone in lost], "prompts": {"name": values}}

    rows = [row(step) for step in range(6)]
    whole = history.with_places(PLAIN, deepcopy(rows))
    for place, alone in zip(whole, rows, strict=True):
        (own,) = history.with_places(PLAIN, [deepcopy(alone)])
        for name, values in own["prompts"]["name"].items():
            a = np.array(place["prompts"]["name"][name], float)
            b = np.array(values, float)
            np.testing.assert_allclose(a, b, rtol=TOLERANCE["root"], err_msg=name)
            assert np.isnan(a).tolist() == [loss is None for loss in alone["loss"]]
