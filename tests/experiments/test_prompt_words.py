"""The words `typical` and `average` at every door: the answers are those by `name` and `mean`,
which results say.
"""

from functools import cache

import numpy as np
import pytest
from closed_form import claim
from shapecheck import unchecked

from experiments import Mitigation, mitigated, study
from experiments.errors import RequestError
from experiments.lab import mitigations
from experiments.page.plot.series import select, series_of
from simulator import Recipe, World, fit, train
from theory import learners
from theory.claims.trained import Case

WORDS = pytest.mark.parametrize(("word", "name"), [("typical", "name"), ("average", "mean")])
WORLD = World(p_spu=0.9, mu_spu=1.5, mention_spu=0.5, dim_image=8, dim_text=8)
TOWERS = Recipe(loss="infonce", towers="linear", steps=2, batch_size=16)
CELLS = cache(
    study(
        WORLD, axes={"p_spu": [0.6, 0.9]}, learners=["linear", "bayes"], prompts=["name", "mean"]
    ).run
)
DOORS = {
    "a world's prompt": WORLD.prompt,
    "a world's prompts": WORLD.prompts,
    "fitted learners": lambda prompt: [*fit("linear", WORLD.draw(100)).accuracy(prompt)],
    "towers": lambda prompt: train(WORLD, TOWERS).each(prompt).counter,
    "means of towers": lambda prompt: [*train(WORLD, TOWERS).accuracy(prompt)],
    "cases of towers": lambda prompt: Case(WORLD, {}, prompts=(prompt, None)).row_prompts,
    "studies": lambda prompt: study(prompts=[prompt, "background"]).toml(),
    "cells of a plot": lambda prompt: select(CELLS(), {"prompt": prompt}).common.fillna(-1),
    "pairs of a plot": (
        lambda prompt: series_of(CELLS(), f"linear:{prompt} minus bayes")[0].data.value
    ),
    "claims": lambda prompt: claim(subject=learners.LinearCLIP(prompt)).subject.prompt,
    **{
        f"learner {name}": lambda prompt, name=name: learners.named(name, prompt=prompt).prompt
        for name in ("infonce", "linear", "gaussian")
    },
}


@WORDS
@pytest.mark.parametrize("door", DOORS)
def test_a_door_accepts_both_words(door, word, name):
    assert np.array_equal(DOORS[door](word), DOORS[door](name))


@WORDS
def test_mitigations_accept_both_words(word, name, monkeypatch):
    monkeypatch.setattr(mitigations, "MITIGATIONS", dict(mitigations.MITIGATIONS))
    mitigations.register(Mitigation("mine", "by another prompt", prompt=word))
    assert (
        mitigated("mine", WORLD, learners.named("infonce", prompt="background"))[1].prompt == name
    )
    assert mitigations.apply_to_towers("mine", WORLD, Recipe(), None)[2] == name


def test_an_unknown_word_is_refused_with_the_nearest():
    with pytest.raises(RequestError, match="more than once"):
        study(prompts=["typical", "name"])
    words = r"'typcal' is not one of .*; the nearest is typical"
    for refused in (lambda: WORLD.prompts("typcal"), lambda: study(prompts=["typcal"])):
        with unchecked(), pytest.raises((ValueError, RequestError), match=words):
            refused()
