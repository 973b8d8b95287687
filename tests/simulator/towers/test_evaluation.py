"""Evaluation against closed forms, and against brute force on drawn images."""

import numpy as np
import pytest
import torch
from reference import latent_cross_covariance

from simulator.gaussian.pairs import dictionaries, draw_pairs
from simulator.prompts import PROMPTS
from simulator.towers import evaluation
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import (
    class_captions,
    class_vectors,
    default_prompts,
    ensemble_accuracy,
    prompts_of,
    scores,
    standard_points,
)
from simulator.towers.layers import embed, logit_scale, scored
from simulator.towers.probes import score_reliance
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import Attribute, World
from theory.learners import LinearCLIP

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=6, dim_text=5)
SMALL = {
    "width": 8,
    "depth": 1,
    "embed_dim": 4,
    "batch_size": 64,
    "steps": 40,
    "warmup": 2,
    "precision": "float64",
}


def trained(world: World = WORLD, **fields):
    ensemble = Ensemble(
        Recipe(**{**SMALL, **fields}), (world, world.model_copy(update={"mu_spu": 0.5})), (0, 1), 2
    )
    return ensemble, list(run(ensemble, start(ensemble), []))[-1].parameters


def not_known_as_linear(ensemble: Ensemble) -> Ensemble:
    """Linear towers, evaluated by the nonlinear route."""
    return ensemble._replace(
        recipe=ensemble.recipe.model_copy(update={"towers": "mlp", "depth": 0, "skip": "none"})
    )


def test_only_the_bare_name_has_the_mark_of_bare_captions():
    world = WORLD.replace(bare=0.3)
    ensemble = Ensemble(Recipe(**SMALL), (world,), (0,), 2)
    texts = {
        prompt: ensemble.views.prompts(ensemble, (world,), prompt)
        for prompt in ("bare", "name", "mean")
    }
    assert [text[..., -1].unique().tolist() for text in texts.values()] == [[1.0], [0.0], [0.0]]
    assert torch.equal(texts["bare"][..., :-1], texts["name"][..., :-1])


@pytest.mark.parametrize("loss", ["linear", "infonce", "supervised"])
@pytest.mark.parametrize(
    "kind", [{"attribute": (Attribute(p=0.8),)}, {"classes": 3}], ids=["attribute", "classes"]
)
def test_points_agree_with_the_exact_accuracy_of_linear_towers(loss, kind):
    world = World(p_spu=0.8, mu_spu=2.0, dim_image=8, dim_text=7, **kind)
    ensemble, parameters = trained(world, loss=loss, towers="linear")
    for prompt in default_prompts(ensemble.recipe):
        exact = ensemble_accuracy(ensemble, parameters, prompt)
        even = standard_points(ensemble, power=12)
        points = ensemble_accuracy(not_known_as_linear(ensemble), parameters, prompt, even)
        # 8 scramblings of 4096 points in 8 dimensions, spread 5e-4 each; for 3 classes the exact
        # value has error 1e-4.
        assert np.abs(points.mean(0) - exact[0]).max() < 2e-3


BARE = World(p_spu=0.9, mu_spu=1.5, sigma_xi=1.06, dim_image=2, dim_text=2, bare=0.9)


@pytest.mark.parametrize(
    ("world", "prompts"),
    [
        (WORLD.replace(mention_spu=0.5), ("name", "mean")),
        (
            World(classes=3, p_spu=0.8, mu_spu=2.0, mention_inv=0.7, dim_image=7, dim_text=8),
            ("name", "mean"),
        ),
        (WORLD.replace(attribute=(Attribute(p=0.8, mention=0.4),)), ("name", "mean")),
        (BARE, ("scores",)),
    ],
)
def test_balanced_towers_have_their_law(world, prompts):
    """The minimiser's balanced factors as weights; 3 classes are sampled with an error of 1e-3,
    captions of .0005.
    """
    ensemble, parameters = trained(
        world, loss="linear", towers="linear", embed_dim=world.latents, steps=1
    )
    ensemble = ensemble._replace(worlds=(world,) * 2)
    D_I, D_T = dictionaries(world, ensemble.seed)
    left, values, right = np.linalg.svd(latent_cross_covariance(world))
    for side, weight in (
        ("image", D_I @ left * np.sqrt(values)),
        ("text", D_T @ right.T * np.sqrt(values)),
    ):
        like = parameters[f"{side}.0.weight"]
        parameters[f"{side}.0.weight"] = torch.as_tensor(weight).expand(like.shape).to(like)
    assert prompts_of(ensemble.recipe) == tuple(p for p in PROMPTS if p != "captions"), (
        "a log-mean-exp needs a scale"
    )
    for prompt in prompts:
        found = ensemble_accuracy(ensemble, parameters, prompt)[0, 0]
        expected = [*LinearCLIP(prompt).accuracy(world)]
        assert found == pytest.approx(expected, abs=2e-3)


# Prompts that pool over all captions of a class, against the definition written out.

CAPTIONED = WORLD.replace(mention_spu=0.7)


def test_captions_of_a_class_are_the_first_of_a_stream_of_their_own():
    """Also where training mixes captions."""
    ensemble, _ = trained(CAPTIONED, steps=2)
    found = class_captions(ensemble)
    strays = ensemble._replace(
        worlds=tuple(world.replace(mismatch=0.5) for world in ensemble.worlds)
    )
    assert torch.equal(class_captions(strays), found)
    assert found.shape == (2, 2, evaluation.CAPTIONS, 5)
    for k, world in enumerate(ensemble.worlds):
        (pairs,) = draw_pairs(
            world, dictionaries(CAPTIONED, 2), 4096, 2, stream=f"class-captions/{k}"
        )
        for y in (0, 1):
            assert torch.equal(found[k, y], pairs.texts[pairs.labels == y][: evaluation.CAPTIONS])


@pytest.mark.parametrize("loss", ["infonce", "siglip"])
def test_pooled_scores_are_those_of_the_definition(loss, monkeypatch):
    """Single scores s cos, their mean and log-mean-exp; computed in chunks down to one image."""
    monkeypatch.setattr(evaluation, "CAPTIONS", 7)
    monkeypatch.setattr(evaluation, "LOGITS", 40)
    ensemble, parameters = trained(CAPTIONED, loss=loss)
    x = torch.randn(2, 11, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    I = scored(ensemble.recipe, embed(ensemble.recipe, parameters, "image", x))
    texts = class_captions(ensemble)
    s = logit_scale(ensemble.recipe, parameters)
    prompts = ("captions", "scores")
    found = scores(
        ensemble, parameters, [class_vectors(ensemble, parameters, prompt) for prompt in prompts], x
    )
    for prompt, got in zip(prompts, found, strict=True):
        for y in (0, 1):
            T = scored(ensemble.recipe, embed(ensemble.recipe, parameters, "text", texts[:, y]))
            cosine = (I[:, :, None] * T[:, None]).sum(-1)  # (E, N, captions)
            slow = (
                cosine.mean(-1)
                if prompt == "scores"
                else torch.logsumexp(s[:, None, None] * cosine, dim=-1)
            )
            assert torch.allclose(got[..., y], slow, rtol=0, atol=1e-12)


def test_reliance_of_a_tower_without_hidden_layers_is_its_weight_ratio():
    """The best linear approximation of a linear score is the score itself."""
    ensemble, parameters = trained(loss="linear", towers="linear")
    exact = score_reliance(ensemble, parameters, "name")
    # View noise adds independent errors to 4096 scores, so coefficients have a standard deviation
    # of about 1e-2.
    assert np.allclose(
        score_reliance(not_known_as_linear(ensemble), parameters, "name"),
        exact,
        rtol=0.05,
        atol=0.02,
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_reliance_is_zero_in_a_world_without_a_background(classes):
    """The background's latents never vary, so no score can follow them; the normal equations are
    singular.
    """
    world = World(classes=classes, mu_spu=0.0, sigma_spu=0.0, dim_image=8, dim_text=8)
    ensemble = Ensemble(Recipe(**SMALL), (world,), (0,), 2)
    assert score_reliance(ensemble, start(ensemble).parameters, "name") == pytest.approx(
        [0], abs=1e-12
    )
