"""The words `typical` and `average` at every door: the answers are those by `name` and `mean`, which results say."""

import json

import numpy as np
import pytest

from experiments import Mitigation, mitigated, study
from experiments.errors import RequestError
from experiments.lab import mitigations
from experiments.page.plot.series import select, series_of
from simulator import Recipe, World, fit, train
from theory import Axis, Claim, learners
from theory.claims.trained import Case

WORDS = pytest.mark.parametrize(("word", "name"), [("typical", "name"), ("average", "mean")])
WORLD = World(p_spu=0.9, mu_spu=1.5, mention_spu=0.5, dim_image=8, dim_text=8)


@WORDS
def test_a_world_and_learners_accept_both_words(word, name):
    assert np.array_equal(WORLD.prompt(word), WORLD.prompt(name))
    assert np.array_equal(WORLD.prompts(word), WORLD.prompts(name))
    for kind in (learners.InfoNCE, learners.LinearCLIP, learners.GaussianPMI):
        assert kind(word) == kind(prompt=name) == learners.named(kind.name, prompt=word)
        assert kind(word).prompt == name
        assert np.array_equal(kind(word).accuracy(WORLD), kind(name).accuracy(WORLD))
    fitted = fit("linear", WORLD.draw(100))
    assert fitted.accuracy(word) == fitted.accuracy(name)


@WORDS
def test_towers_accept_both_words(word, name):
    towers = train(WORLD, Recipe(loss="infonce", towers="linear", steps=2, batch_size=16))
    assert np.array_equal(towers.each(word).counter, towers.each(name).counter)
    assert towers.accuracy(word).common == towers.accuracy(name).common


@WORDS
def test_claims_and_mitigations_accept_both_words(word, name, monkeypatch):
    first, second = (
        Claim(
            id="mine",
            source="me",
            statement="One.",
            quantity="counter",
            relation="<=",
            domain={"p_spu": Axis(0.8, 0.9)},
            prediction=lambda w: 1.0,
            subject=learners.LinearCLIP(each),
        )
        for each in (word, name)
    )
    assert first.subject == second.subject
    assert first.subject.prompt == name
    assert Case(WORLD, {}, prompts=(word, None)).row_prompts == (name, None)
    monkeypatch.setattr(mitigations, "MITIGATIONS", dict(mitigations.MITIGATIONS))
    mitigations.register(Mitigation("mine", "by another prompt", prompt=word))
    assert mitigated("mine", WORLD, learners.named("infonce", prompt="background"))[1].prompt == name
    assert mitigations.apply_to_towers("mine", WORLD, Recipe(), None)[2] == name


@WORDS
def test_studies_and_plots_accept_both_words(word, name):
    first, second = (
        study(WORLD, axes={"p_spu": [0.6, 0.9]}, learners=["linear", "bayes"], prompts=[each, "background"])
        for each in (word, name)
    )
    assert first == second
    assert first.prompts == (name, "background")
    found = first.run()
    assert list(found.prompt.values) == [name, "background"]
    assert select(found, {"prompt": word}).identical(select(found, {"prompt": name}))
    one, two = (series_of(found, f"linear:{each} minus bayes") for each in (word, name))
    assert [series.data.identical(other.data) for series, other in zip(one, two, strict=True)] == [True]


def test_one_prompt_is_not_asked_for_twice():
    with pytest.raises(RequestError, match="more than once"):
        study(prompts=["mean", "average"])


@WORDS
def test_the_command_line_accepts_both_words_and_writes_the_names(word, name, soberclip, tmp_path):
    requests = (
        ["predict", "--learner", "infonce"],
        ["simulate", "--n", "50", "--replicates", "2", "--seed", "1"],
        ["train", "--steps", "2", "--batch-size", "16", "--towers", "linear", "--no-compile"],
    )
    for request in requests:
        documents = [json.loads(soberclip(*request, "--prompt", each, "--json").out) for each in (word, name)]
        assert [document["prompt"] for document in documents] == [name, name]
        assert documents[0]["common"] == documents[1]["common"]
    for each in (word, name):
        assert soberclip("sweep", "--axis", "p_spu=.6,.9", "--prompt", each, "--csv", tmp_path / each).status == 0
    rows = (tmp_path / word).read_text()
    assert f",{name}," in rows
    assert word not in rows
    assert [row.rsplit(",", 1)[0] for row in rows.split()] == [
        row.rsplit(",", 1)[0] for row in (tmp_path / name).read_text().split()
    ]


def test_an_unknown_word_is_refused_with_the_nearest(soberclip):
    refusals = (
        lambda: WORLD.prompts("typcal"),
        lambda: study(prompts=["typcal"]),
    )
    for refused in refusals:
        with pytest.raises((ValueError, RequestError), match=r"'typcal' is not one of .*; the nearest is typical"):
            refused()
    run = soberclip("predict", "--prompt", "typcal")
    assert run.status == 2
    assert "typical" in run.err
