"""Trained towers asked by all captions of a class, against the definition written out."""

import numpy as np
import pytest
import torch

from simulator.gaussian.pairs import dictionaries, draw_pairs
from simulator.prompts import PROMPTS
from simulator.towers import evaluation
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import class_captions, class_vectors, ensemble_accuracy, prompts_of, scores
from simulator.towers.layers import embed, logit_scale, scored
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=6, dim_text=5, mention_spu=0.7)
SMALL = {"width": 8, "depth": 1, "embed_dim": 4, "batch_size": 64, "steps": 40, "warmup": 2, "precision": "float64"}


def trained(**fields):
    other = WORLD.model_copy(update={"mu_spu": 0.5})
    ensemble = Ensemble(Recipe(**{**SMALL, **fields}), (WORLD, other), (0, 1), 2)
    return ensemble, list(run(ensemble, start(ensemble), []))[-1].parameters


def test_captions_of_a_class_are_the_first_of_a_stream_of_their_own():
    ensemble, _ = trained(steps=2)
    found = class_captions(ensemble)
    assert found.shape == (2, 2, evaluation.CAPTIONS, 5)
    for k, world in enumerate(ensemble.worlds):
        (pairs,) = draw_pairs(world, dictionaries(WORLD, 2), 4096, 2, stream=f"class-captions/{k}")
        for y in (0, 1):
            assert torch.equal(found[k, y], pairs.texts[pairs.labels == y][: evaluation.CAPTIONS])


@pytest.mark.parametrize("loss", ["infonce", "siglip"])
def test_pooled_scores_are_those_of_the_definition(loss, monkeypatch):
    """Every caption's score on its own: s cos, its mean, its log-mean-exp; in pieces as small as one image."""
    monkeypatch.setattr(evaluation, "CAPTIONS", 7)
    monkeypatch.setattr(evaluation, "LOGITS", 40)
    ensemble, parameters = trained(loss=loss)
    x = torch.randn(2, 11, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    I = scored(ensemble.recipe, embed(ensemble.recipe, parameters, "image", x))
    texts, s = class_captions(ensemble), logit_scale(ensemble.recipe, parameters)
    for prompt in ("captions", "scores"):
        got = scores(ensemble, parameters, class_vectors(ensemble, parameters, prompt), x)
        for y in (0, 1):
            T = scored(ensemble.recipe, embed(ensemble.recipe, parameters, "text", texts[:, y]))
            cosine = (I[:, :, None] * T[:, None]).sum(-1)  # (E, N, captions)
            slow = cosine.mean(-1) if prompt == "scores" else torch.logsumexp(s[:, None, None] * cosine, dim=-1)
            assert torch.allclose(got[..., y], slow, rtol=0, atol=1e-12)


def test_linear_towers_asked_so(monkeypatch):
    """The mean of inner products is that with the mean caption; a log-mean-exp needs a scale."""
    ensemble, parameters = trained(loss="linear", towers="linear")
    assert prompts_of(ensemble.recipe) == tuple(p for p in PROMPTS if p != "captions")
    by_hand = class_captions(ensemble).mean(2)
    T = embed(ensemble.recipe, parameters, "text", by_hand)
    assert torch.allclose(class_vectors(ensemble, parameters, "scores"), T, rtol=0, atol=1e-12)
    monkeypatch.setattr(evaluation, "CAPTIONS", 8)
    cosine, parameters = trained(loss="infonce", towers="linear")
    assert ensemble_accuracy(cosine, parameters, "scores").shape[0] == 1  # exact
    assert ensemble_accuracy(cosine, parameters, "captions").shape[0] == 8


def test_one_caption_a_class_asks_as_itself(monkeypatch):
    """With a single caption both ways of pooling decide as it does."""
    monkeypatch.setattr(evaluation, "CAPTIONS", 1)
    ensemble, parameters = trained()
    accuracy = [ensemble_accuracy(ensemble, parameters, prompt) for prompt in ("captions", "scores")]
    assert np.array_equal(*accuracy)
