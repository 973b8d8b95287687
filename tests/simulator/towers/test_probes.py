"""What embeddings keep of the latents and what scores rely on, against closed forms and brute force."""

import numpy as np
import torch

from simulator.gaussian.pairs import dictionaries
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import pair_block
from simulator.towers.probes import RIDGES, images_of_the_test_law, latent_recovery, ridge_weights, score_reliance
from simulator.towers.recipe import Recipe
from simulator.towers.training import run, start
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=6, dim_text=5)
SMALL = {"width": 8, "depth": 1, "embed_dim": 4, "batch_size": 64, "steps": 40, "warmup": 2, "precision": "float64"}


def trained(world: World = WORLD, **fields):
    ensemble = Ensemble(Recipe(**{**SMALL, **fields}), (world, world.model_copy(update={"mu_spu": 0.5})), (0, 1), 2)
    return ensemble, list(run(ensemble, start(ensemble), []))[-1].parameters


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
