"""Mitigations: each law is the limit of drawn pairs and towers; invalid settings are refused."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from experiments.errors import RequestError
from experiments.lab.answers import predict, simulate
from experiments.lab.mitigations import (
    MITIGATIONS,
    NONE,
    Mitigation,
    apply_to_learner,
    apply_to_towers,
    inflation,
    law_of_learner,
    law_of_towers,
    mitigated,
    register,
)
from experiments.lab.training import train as run
from simulator.prompts import PROMPTS
from simulator.towers.api import train
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import named
from theory.learners.filtered import Filtered

WORLD = World(p_spu=0.85, mu_spu=2.0, dim_image=4, dim_text=4)
LINEAR = named("linear")
DECAYING = {"optimizer": "adamw", "schedule": "cosine", "averaging": 0.0, "lr": 0.02}
QUICK = {"towers": "linear", "steps": 400, "embed_dim": 4, "batch_size": 256, **DECAYING}


def drawn(learner: str, mitigation: str, n: int, replicates: int, **options) -> dict:
    return simulate(WORLD, named(learner, **options), n, replicates, "direct", 0, mitigation)


@pytest.mark.parametrize(
    ("mitigation", "learner", "prompt"),
    [
        ("balance", "linear", "mean"),
        ("subsample", "least-squares", None),
        ("reweight", "logistic", None),
    ],
)
def test_the_law_is_the_limit_of_drawn_pairs(mitigation, learner, prompt):
    """20 sets of 4000 pairs: within six standard errors (Student's t exceeds them once in 1e5),
    which are below .03.
    """
    found = drawn(learner, mitigation, 4000, 20, prompt=prompt)
    law = predict(WORLD, named(learner, prompt=prompt), mitigation)
    assert law["drop"] == pytest.approx(0, abs=1e-9)
    assert predict(WORLD, named(learner, prompt=prompt))["drop"] > 0.2
    for group in ("common", "counter"):
        errors = np.array([replicate[group] for replicate in found["replicates"]])
        bound = 6 * errors.std(ddof=1) / np.sqrt(20)
        assert abs(found[group] - law[group]) < bound < 0.03
    assert found["predicted"] == {g: law[g] for g in found["predicted"]}
    assert found["mitigation"] == law["mitigation"] == mitigation


TABLED = World(
    table=[[0.2, 0.05, 0.05], [0.05, 0.3, 0.1], [0.05, 0.05, 0.15]],
    mu_spu=1.6,
    dim_image=6,
    dim_text=6,
)


@pytest.mark.parametrize(
    "world", [TABLED, WORLD.replace(classes=3, dim_image=6, dim_text=6)], ids=["table", "world"]
)
@pytest.mark.parametrize("mitigation", ["balance", "contradict"])
def test_three_classes_have_the_law_of_pairs_mended_by_hand(mitigation, world):
    """8 sets of 20,000 pairs, prompted by mean captions and tried on drawn images; within 7
    standard errors.
    """
    rng = np.random.default_rng(0)
    mixture = world.mixture()
    background = world.block_latents[1]
    found = []
    for seed in range(8):
        pairs = world.draw(20_000, seed=seed)
        views = zip((pairs.images, pairs.texts), pairs.frames, strict=True)
        x, t = (view.double().numpy() @ D for view, D in views)
        shown = pairs.backgrounds.numpy().reshape(-1)
        weights = np.ones(len(x))
        if mitigation == "balance":
            cell = 3 * pairs.labels.numpy() + shown
            weights = 1 / np.bincount(cell)[cell]
        else:  # captions name a background drawn at random
            t[:, background] += world.mu_spu * (
                np.eye(3)[rng.integers(3, size=len(x))] - np.eye(3)[shown]
            )
        weights /= weights.sum()
        S = (weights[:, None] * (x - weights @ x)).T @ (t - weights @ t)
        noise = rng.standard_normal((len(mixture.labels), 8000, 6)) * np.sqrt(
            mixture.variances + world.nu_image
        )
        own = weights * (pairs.labels.numpy() == np.arange(3)[:, None])
        scores = (mixture.means[:, None] + noise) @ S @ (own @ t / own.sum(axis=1, keepdims=True)).T
        found.append(
            mixture.group_average((scores.argmax(-1) == mixture.labels[:, None]).mean(axis=1))
        )
    # of images, .0015 at most
    near = 7 * np.hypot(np.std(found, axis=0, ddof=1) / np.sqrt(8), 0.0015)
    off = []
    for name in (mitigation, NONE):
        own, learner = mitigated(name, world, named("linear", prompt="mean"))
        off.append(np.abs(np.mean(found, axis=0) - np.stack([*learner.accuracy(own)])))
    assert (off[0] < near).all()
    assert (off[1] > near).any()


@pytest.mark.deep
@pytest.mark.parametrize(
    ("mitigation", "fields"),
    [
        ("subsample", {"loss": "linear", "n": 20_000}),
        ("contradict", {"loss": "linear"}),
        ("narrow", {"loss": "linear"}),
        ("dfr", {"loss": "linear"}),
        ("balance", {"loss": "supervised"}),
        ("reweight", {"loss": "supervised"}),
        ("group-dro", {"loss": "supervised", "steps": 1500}),
    ],
    ids=lambda x: x if isinstance(x, str) else x["loss"],
)
def test_the_law_is_the_limit_of_linear_towers(mitigation, fields):
    """4 models: the deviation of a model is below .01, so .03 is six standard errors of the
    mean.
    """
    quick = Recipe(**{**QUICK, **fields})
    prompt = "name" if quick.objective.captions else None
    world, recipe, prompt = apply_to_towers(mitigation, WORLD, quick, prompt)
    own, learner = law_of_towers(mitigation, world, recipe, prompt)
    towers = train(world, recipe, models=4)
    for found, expected in zip(towers.accuracy(prompt), learner.accuracy(own), strict=True):
        assert found == pytest.approx(expected, abs=0.03)


def known_law(name, world, learner):
    """The law of a learner of a world before a mitigation."""
    return law_of_learner(name, *apply_to_learner(name, world, learner))


def test_contradicting_captions():
    """For InfoNCE the mean prompt decides like the name prompt; for linear CLIP captions omit the
    background.
    """
    world = World(p_spu=0.9, mu_spu=2.0, sigma_xi=2.0)
    for prompt in ("name", "mean"):
        assert mitigated("contradict", world, named("infonce", prompt=prompt)) == (
            world,
            named("infonce"),
        )
        linear = named("linear", prompt=prompt, embed_dim=1)
        silent = world.model_copy(update={"mention_spu": 0.0})
        assert mitigated("contradict", world, linear) == (silent, linear)
    three = world.replace(classes=3)
    for linear in (
        named("linear", prompt="background"),
        named("linear", embed_dim=2),
        named("linear", time=1.0),
    ):
        assert known_law("contradict", world, linear)
        assert known_law("contradict", three, linear) is None
        assert known_law("contradict", TABLED, linear) is None
    with pytest.raises(
        RequestError, match="'contradict' has no known law for learner 'infonce'; to measure it"
    ):
        mitigated("contradict", world, named("infonce", prompt="background"))
    for other in ({"classes": 3}, {"p_inv": 0.9}, {"mention_inv": 0.5}):
        assert (
            known_law("contradict", world.model_copy(update=other), named("infonce", prompt="mean"))
            is None
        )
    with pytest.raises(
        RequestError, match=r"'contradict': captions of three or more classes .* mismatch = 0"
    ):
        apply_to_learner("contradict", World(classes=3, mismatch=0.3), LINEAR)
    for name in ("early-stopping", "narrow"):
        assert law_of_towers(name, *apply_to_towers(name, WORLD, Recipe(), "name")) is None
    decaying = Recipe(steps=320, schedule="cosine")
    _, stopped, _ = apply_to_towers("early-stopping", WORLD, decaying, None)
    assert stopped == decaying.model_copy(update={"steps": 80, "schedule": "constant"}), (
        "stopped, not cooled down"
    )


STRAYS = WORLD.replace(mismatch=0.3)  # captions of other pairs, which are not sampled with theirs


@pytest.mark.parametrize(
    ("name", "world", "unknown"),
    [
        ("reweight", WORLD, ["captions"]),  # a log-mean-exp
        ("balance", WORLD, []),
        *((name, STRAYS, ["captions", "scores"]) for name in ("balance", "subsample", "reweight")),
    ],
)
def test_pools_of_scores_that_have_no_law(name, world, unknown):
    assert [
        p for p in PROMPTS if known_law(name, world, named("infonce", prompt=p)) is None
    ] == unknown
    assert known_law(name, world, LINEAR) is not None
    assert known_law("group-dro", world, named("logistic")) == known_law(
        "reweight", world, named("logistic")
    )


def test_projecting_the_background():
    """Known for linear CLIP alone."""
    world, learner = mitigated("project-background", WORLD, LINEAR)
    assert learner.accuracy(world).drop == pytest.approx(0, abs=1e-12)
    with pytest.raises(RequestError, match="no law is known for learner 'infonce'; linear has one"):
        apply_to_learner("project-background", WORLD, named("infonce"))
    with pytest.raises(RequestError, match="no training of towers projects their embeddings"):
        apply_to_towers("project-background", WORLD, Recipe(loss="linear", towers="linear"), "name")


@pytest.mark.parametrize("name", ["omit-background", "mention", "contradict", "prompt-mean"])
def test_captions_are_changed_only_for_what_reads_them(name):
    with pytest.raises(
        RequestError, match=rf"^mitigation '{name}': learner 'bayes' reads no captions"
    ):
        apply_to_learner(name, WORLD, named("bayes"))
    with pytest.raises(
        RequestError, match=rf"^mitigation '{name}': loss = 'supervised' reads no captions"
    ):
        apply_to_towers(name, WORLD, Recipe(loss="supervised"), None)


def test_a_filter_has_the_law_of_plain_linear_clip_alone():
    """`theory.learners.filtered` has the law, which its test compares with drawn pairs."""
    for prompt in ("name", "mean"):
        filtered = Filtered(prompt, kept=0.5)
        assert mitigated("filter", WORLD, named("linear", prompt=prompt)) == (WORLD, filtered)
        assert inflation("filter", WORLD, filtered) == 2
    for learner in (
        named("infonce"),
        named("linear", embed_dim=1),
        replace(LINEAR, projected=True),
    ):
        with pytest.raises(
            RequestError, match=r"no law is known for learner .*; linear has one, at full width"
        ):
            apply_to_learner("filter", WORLD, learner)
    with pytest.raises(RequestError, match="no law is known for loss = 'linear'"):
        apply_to_towers("filter", WORLD, Recipe(loss="linear", towers="linear"), "name")
    with pytest.raises(RequestError, match="'filter' cannot be simulated"):
        simulate(WORLD, LINEAR, 100, 1, None, 0, "filter")


@pytest.mark.parametrize(
    ("name", "learner", "options"),
    [
        ("group-dro", "infonce", "--loss infonce"),
        ("group-dro", "linear", None),  # towers refuse it, too
        ("dfr", "bayes", "--loss supervised"),
        ("narrow", "logistic", "--loss supervised --towers linear"),
        ("early-stopping", "least-squares", None),
    ],
)
def test_a_refusal_names_the_training_that_measures_it(name, learner, options):
    with pytest.raises(RequestError) as refusal:
        mitigated(name, WORLD, named(learner))
    _, found, command = str(refusal.value).partition("; to measure it: soberclip train ")
    assert (command if found else None) == (options and f"{options} --mitigate {name}")


def test_laws_of_towers_and_of_learners_agree():
    for name in MITIGATIONS:
        for loss in ("linear", "supervised"):
            recipe = Recipe(**{**QUICK, "embed_dim": 32}, loss=loss)
            prompt = "name" if recipe.prompted else None
            learner = named(recipe.objective.learner(recipe), prompt=prompt)
            with suppress(RequestError):
                known = known_law(name, WORLD, learner)
                towers = law_of_towers(name, *apply_to_towers(name, WORLD, recipe, prompt))
                if None not in (known, towers):
                    answers = [float(own.accuracy(world).counter) for world, own in (known, towers)]
                    assert answers[0] == pytest.approx(answers[1], abs=1e-9), (name, loss)


def test_pairs_needed():
    p = WORLD.p_spu
    weighted = 1 / (4 * p * (1 - p))
    cut = 1 / (2 * (1 - p))
    expected = {
        "reweight": weighted,
        "balance": weighted + 1,
        "subsample": cut,
        NONE: 1.0,
        "contradict": 1.0,
    }
    for name, pairs in expected.items():
        assert inflation(name, *apply_to_learner(name, WORLD, LINEAR)) == pytest.approx(pairs)
    for recipe, pairs in (
        (Recipe(steps=100, batch_size=10, n=500), weighted + 0.5),
        (Recipe(), cut),
    ):
        world, balanced, _ = apply_to_towers("balance", WORLD, recipe, "name")
        assert inflation("balance", world, balanced) == pytest.approx(pairs)
    _, refitted, prompt = apply_to_towers(
        "dfr", WORLD, Recipe(loss="linear", towers="linear"), "name"
    )
    assert prompt is None
    for what in (apply_to_learner("dfr", WORLD, LINEAR)[1], refitted):
        assert inflation("dfr", WORLD, what) == 1, "the pairs of its head are extra"
    _, robust, _ = apply_to_towers("group-dro", WORLD, Recipe(loss="supervised"), None)
    assert inflation("group-dro", WORLD, robust) == pytest.approx(weighted)


def test_a_prediction_reports_prompt_width_and_captions_after_the_mitigation():
    document = predict(WORLD, named("infonce"), "prompt-scores")
    assert (document["learner"], document["prompt"], document["mitigation"]) == (
        "infonce",
        "scores",
        "prompt-scores",
    )
    assert predict(WORLD, LINEAR, "narrow")["embed_dim"] == 1
    refitted = predict(WORLD, named("linear", prompt="mean"), "dfr")
    assert refitted["prompt"] is None
    assert refitted["world"] == predict(WORLD, LINEAR, "balance")["world"] == WORLD, "drawn pairs"
    assert predict(WORLD, LINEAR, "omit-background")["world"] == WORLD.replace(mention_spu=0.0)
    assert drawn("linear", "mention", 100, 1)["world"].mention_spu == 1.0
    half = WORLD.replace(mention_spu=0.5)
    for name, rate in (("omit-background", 0.0), ("mention", 1.0)):
        assert apply_to_learner(name, half, LINEAR) == (half.replace(mention_spu=rate), LINEAR)
    full = named("linear", embed_dim=WORLD.latents)
    assert mitigated("dfr", WORLD, full) == mitigated("dfr", WORLD, LINEAR)


def test_narrow_is_the_smallest_width_that_separates_classes():
    three = WORLD.replace(classes=3, dim_image=8, dim_text=8)
    # One coordinate of unit vectors is only a sign, so InfoNCE needs two.
    for world, loss, dim in ((WORLD, "linear", 1), (three, "linear", 2), (WORLD, "infonce", 2)):
        towers = {"loss": loss, "towers": "linear"}
        assert apply_to_towers("narrow", world, Recipe(**towers), "name")[1] == Recipe(
            **towers, embed_dim=dim
        )
    assert apply_to_learner("narrow", three, LINEAR)[1] == named("linear", embed_dim=2)


def test_a_set_that_cannot_be_balanced_is_refused_before_a_folder_is_created(tmp_path):
    recipe = Recipe(**{**QUICK, "batch_size": 16}, loss="linear", n=40)
    large = recipe.model_copy(update={"n": 600, "batch_size": 200})
    for name, asked, p, words in (
        (
            "balance",
            recipe,
            0.999,
            r"n = 40: no pair has label \d and background \d; n = \d+ has all",
        ),
        (
            "subsample",
            large,
            0.85,
            r"leaves \d+ of n = 600 pairs, fewer than batch_size = 200; about n = 667",
        ),
    ):
        with pytest.raises(RequestError, match=words):
            run(
                asked, WORLD.replace(p_spu=p), mitigate=name, compile=False, output=tmp_path / "run"
            )
    assert not (tmp_path / "run").exists()


def test_a_mitigation_of_ones_own_returns_what_it_should(monkeypatch):
    """README.md has one that does."""
    mine = Mitigation("mine", "nothing", lambda world: world)
    for wrong, value in (
        ({"world": lambda world: None}, "None; expected a World"),
        ({"world": lambda world: world.replace(p_spu=2.0)}, "p_spu = 2.0"),
        ({"change": lambda world, learner: None}, "None; expected a Learner"),
    ):
        monkeypatch.setitem(MITIGATIONS, "mine", replace(mine, **wrong))
        with pytest.raises(RequestError, match=f"^mitigation 'mine': .*{value}.*$"):
            apply_to_learner("mine", WORLD, LINEAR)
    with pytest.raises(RequestError, match="None; expected a Recipe"):
        apply_to_towers("mine", WORLD, Recipe(), "name")
    with pytest.raises(ValueError, match="'mine'"):
        register(mine)
