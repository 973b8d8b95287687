"""Evaluation against closed forms, and against brute force on drawn images."""

import numpy as np
import pytest
import torch

from simulator.gaussian.critic import group_accuracy
from simulator.gaussian.pairs import dictionaries, draw_pairs
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import (
    class_vectors,
    default_prompts,
    ensemble_accuracy,
    linear_critics,
    scores,
    standard_points,
)
from simulator.towers.group_batches import pair_block
from simulator.towers.layers import embed, scored
from simulator.towers.probes import RIDGES, images_of_the_test_law, latent_recovery, ridge_weights, score_reliance
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import Attribute, World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=6, dim_text=5)
SMALL = {"width": 8, "depth": 1, "embed_dim": 4, "batch_size": 64, "steps": 40, "warmup": 2, "precision": "float64"}


def trained(world: World = WORLD, **fields):
    ensemble = Ensemble(Recipe(**{**SMALL, **fields}), (world, world.model_copy(update={"mu_spu": 0.5})), (0, 1), 2)
    return ensemble, list(run(ensemble, start(ensemble), []))[-1].parameters


def linear_as_sobol(ensemble: Ensemble, parameters, prompt):
    """The accuracy of linear towers by points: the same vectors, evaluated as if the towers were not linear."""
    towers = ensemble._replace(recipe=ensemble.recipe.model_copy(update={"towers": "mlp", "depth": 0, "skip": "none"}))
    return ensemble_accuracy(towers, parameters, prompt, standard_points(ensemble, power=12))


@pytest.mark.parametrize("loss", ["linear", "infonce", "siglip", "supervised", "supcon"])
@pytest.mark.parametrize("classes", [2, 3])
def test_points_agree_with_the_exact_accuracy_of_linear_towers(loss, classes):
    world = World(p_spu=0.8, mu_spu=2.0, dim_image=8, dim_text=7, classes=classes)
    ensemble, parameters = trained(world, loss=loss, towers="linear")
    for prompt in default_prompts(ensemble.recipe):
        exact = ensemble_accuracy(ensemble, parameters, prompt)
        points = linear_as_sobol(ensemble, parameters, prompt)
        # 8 scramblings of 4096 points in 8 dimensions, seen spread 5e-4 each; the exact value for 3 classes uses 1e-4.
        assert np.abs(points.mean(0) - exact[0]).max() < 2e-3


def test_linear_towers_are_the_critic_of_their_matrix():
    """Binary, linear loss: w = W_I W_T' (p_+ - p_-), straight from theory.md section 3."""
    ensemble, parameters = trained(loss="linear", towers="linear")
    D_I, D_T = dictionaries(WORLD, 2)
    for prompt in ("name", "mean"):
        critic = linear_critics(ensemble, parameters, prompt)
        for k, world in enumerate(ensemble.worlds):
            q = world.prompts(prompt)
            M = (parameters["image.0.weight"][k] @ parameters["text.0.weight"][k].T).numpy()
            w = M @ D_T @ (q[0] - q[1])
            assert np.allclose(critic.inside[k, 0], D_I.T @ w)
            assert np.allclose(critic.outside[k, 0, 0], w @ w - (D_I.T @ w) @ (D_I.T @ w))
            single = type(critic)(critic.inside[k : k + 1], critic.outside[k : k + 1])
            assert np.allclose(
                group_accuracy(single, world.mixture(), world.nu_image)[0],
                ensemble_accuracy(ensemble, parameters, prompt)[0, k],
            )


@pytest.mark.parametrize("world", [WORLD, WORLD.model_copy(update={"attribute": (Attribute(p=0.8),)})])
def test_mlp_accuracy_agrees_with_drawn_images(world):
    """Brute force: 40,960 pairs of each group; |difference| < 4.5 sqrt(.25/40960 + spread^2), false alarm 1e-5 each."""
    ensemble, parameters = trained(world)
    frames = dictionaries(world, 2)
    for prompt in default_prompts(ensemble.recipe):
        measured = ensemble_accuracy(ensemble, parameters, prompt)
        vectors = class_vectors(ensemble, parameters, prompt)
        for g, p in enumerate((1.0, 0.0)):
            extra = tuple(a.model_copy(update={"p": 0.5}) for a in world.attribute)
            for k, own in enumerate(ensemble.worlds):
                test = own.model_copy(update={"p_spu": p, "attribute": extra})
                right, total = 0.0, 0
                for pairs in draw_pairs(test, frames, 40_960, 9, stream="brute"):
                    x = pairs.images.expand(2, -1, -1)
                    chosen = scores(ensemble, parameters, vectors, x)[k].argmax(-1)
                    right += float((chosen == pairs.labels).sum())
                    total += len(pairs.labels)
                spread = measured[:, k, g].std(ddof=1) / np.sqrt(len(measured))
                assert abs(right / total - measured[:, k, g].mean()) < 4.5 * np.sqrt(0.25 / total + spread**2)


def test_an_untrained_score_of_zero_counts_one_half():
    ensemble, parameters = trained()
    still = {name: torch.zeros_like(value) for name, value in parameters.items()}
    assert np.all(ensemble_accuracy(ensemble, still, "name") == 0.5)


class TestRecovery:
    def test_identity_towers_recover_latents_up_to_view_noise(self):
        """Embedding = image: R^2 of a latent is var/(var + nu), var its variance under the test law."""
        ensemble, parameters = trained(loss="linear", towers="linear", embed_dim=6)
        eye = {**parameters, "image.0.weight": torch.eye(6, dtype=torch.float64).expand(2, 6, 6).contiguous()}
        recovery = latent_recovery(ensemble, eye)
        for k, world in enumerate(ensemble.worlds):
            variances = np.array([world.mu_inv**2 + world.sigma_inv**2, world.mu_spu**2 + world.sigma_spu**2])
            expected = variances / (variances + world.nu_image)
            assert np.abs(recovery.linear[k] - expected).max() < 0.02
            assert np.all(recovery.kernel[k] > expected - 0.1)

    def test_an_embedding_of_nothing_recovers_nothing(self):
        ensemble, parameters = trained(loss="linear", towers="linear")
        blind = {**parameters, "image.0.weight": torch.zeros_like(parameters["image.0.weight"])}
        recovery = latent_recovery(ensemble, blind)
        assert np.abs(recovery.linear).max() < 0.01
        # Only the mean of 512 latents is left: R^2 = -(its error)^2/var, 16/512 at four standard deviations.
        assert np.abs(recovery.kernel).max() < 16 / 512


def test_each_model_takes_the_ridge_of_least_leave_one_out_error():
    """Brute force: every point left out in turn, at every ridge. Smooth targets want a small one, noise a large one."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 14))
    K = np.exp(-((x[:, :, None] - x[:, None]) ** 2))
    z = np.stack([np.sin(x[0])[:, None], rng.standard_normal((14, 1))])
    chosen = []
    for k in range(2):
        errors = []
        for ridge in RIDGES:
            error = 0.0
            for i in range(14):
                rest = np.delete(np.arange(14), i)
                fit = np.linalg.solve(K[k][np.ix_(rest, rest)] + ridge * np.eye(13), z[k, rest, 0])
                error += (z[k, i, 0] - K[k, i, rest] @ fit) ** 2
            errors.append(error)
        chosen.append(RIDGES[int(np.argmin(errors))])
        expected = np.linalg.solve(K[k] + chosen[k] * np.eye(14), z[k])
        assert np.allclose(ridge_weights(torch.tensor(K), torch.tensor(z))[k], expected, rtol=1e-8)
    assert chosen[0] < chosen[1]


def test_class_means_come_from_pairs_of_their_own():
    """Not from the training pairs, whose embeddings training has moved."""
    ensemble, parameters = trained(loss="supcon", steps=2)
    for stream, same in (("class-means/0", True), ("train/0", False)):
        (pairs,) = draw_pairs(WORLD, dictionaries(WORLD, 2), 4096, 2, stream=stream)
        own = {name: value[:1] for name, value in parameters.items()}
        I = scored(ensemble.recipe, embed(ensemble.recipe, own, "image", pairs.images[None]))[0]
        means = torch.stack([I[pairs.labels == y].mean(0) for y in (0, 1)])
        assert torch.allclose(class_vectors(ensemble, parameters, None)[0], means, rtol=1e-10) == same


def test_evaluation_images_are_no_training_images():
    """The noise of a view comes from a stream of the evaluation, whatever the law of the latents."""
    ensemble, _ = trained(steps=2)
    images, latents = images_of_the_test_law(ensemble)
    training = pair_block(ensemble, 0)
    frame = torch.as_tensor(dictionaries(WORLD, 2)[0])
    noise = images - latents @ frame.T
    training_noise = training.images - training.images @ frame @ frame.T  # what lies outside of the latents' span
    noise = noise - noise @ frame @ frame.T
    assert noise.abs().max() > 0.1
    assert not torch.isclose(noise[0], training_noise[0]).all(-1).any()
    signs = (latents[0, :, 0] > 0, training.images[0] @ frame[:, 0] > 0)
    assert not torch.equal(*signs)


def test_reliance_of_a_tower_without_hidden_layers_is_its_weight_ratio():
    """The best linear approximation of a linear score is the score itself."""
    ensemble, parameters = trained(loss="linear", towers="linear")
    exact = score_reliance(ensemble, parameters, "name")
    approximate = ensemble._replace(
        recipe=ensemble.recipe.model_copy(update={"towers": "mlp", "depth": 0, "skip": "none"})
    )
    # View noise adds an independent error to 4096 scores: a standard deviation of about 1e-2 of the coefficients.
    assert np.allclose(score_reliance(approximate, parameters, "name"), exact, rtol=0.05, atol=0.02)


def test_weights_of_several_large_kernels_do_not_notice_threads():
    """torch's LU of more than one matrix of 151 rows or more fails on two threads."""
    x = torch.linspace(-2, 2, 2 * 256, dtype=torch.float64).reshape(2, 256, 1)
    K, z = (-torch.cdist(x, x).square()).exp(), x.sin()
    one = ridge_weights(K, z)
    torch.set_num_threads(2)
    assert torch.allclose(ridge_weights(K, z), one, rtol=1e-9, atol=1e-9)
    assert torch.allclose(K @ one, z, atol=0.01)


def test_a_model_whose_kernel_is_not_finite_leaves_the_others_theirs():
    x = torch.linspace(-2, 2, 20, dtype=torch.float64).reshape(1, 20, 1)
    K, z = (-torch.cdist(x, x).square()).exp(), x.sin()
    both = ridge_weights(torch.cat([torch.full_like(K, torch.nan), K]), torch.cat([z, z]))
    assert both[0].isnan().all()
    assert torch.equal(both[1:], ridge_weights(K, z))
