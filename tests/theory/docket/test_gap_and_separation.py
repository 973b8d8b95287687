"""Embeddings that are moved over their gap, the most separating prompt, and filtered pairs."""

import numpy as np
import pytest
from stattest import SHARE, spend

from simulator import tables
from simulator.gaussian.pairs import dictionaries
from simulator.world import World
from theory.docket.gap import GapClosed
from theory.docket.separating import Separating
from theory.learners import LinearCLIP
from theory.learners.filtered import Filtered
from theory.population import latent_cross_covariance

UNEVEN = World(
    table=tables.named("mixture([diagonal(0.9), long-tail(2, 2, 2)], [1, 1])"),
    mu_spu=1.5,
    mention_inv=0.6,
)


def cosines(moved: str, images: np.ndarray, apart: float) -> np.ndarray:
    """Cosines of embeddings, one of them moved by the difference of the means over the training
    law.
    """
    A = UNEVEN.mixture().cross_covariance
    left, values, right = np.linalg.svd(A)
    groups = UNEVEN.mixture().seen
    mean = groups.weights @ groups.means
    f = np.column_stack([images @ left * np.sqrt(values), np.full(len(images), -apart / 2)])
    g = np.column_stack([UNEVEN.prompts("mean") @ right.T * np.sqrt(values), np.full(2, apart / 2)])
    centre_f = np.append(mean @ left * np.sqrt(values), -apart / 2)
    centre_g = np.append((mean * [0.6, 1.0]) @ right.T * np.sqrt(values), apart / 2)
    if moved == "images":
        f = f + centre_g - centre_f
    else:
        g = g + centre_f - centre_g
    return f @ (g / np.linalg.norm(g, axis=1, keepdims=True)).T


@pytest.mark.parametrize("apart", [0.0, 1.5])
@pytest.mark.parametrize("moved", ["images", "captions"])
def test_a_closed_gap_decides_as_moved_embeddings_do(moved, apart):
    images = np.random.default_rng(0).normal(size=(50, 2)) * 2
    scores = GapClosed("mean", moved, apart).scores(UNEVEN, images)
    explicit = cosines(moved, images, apart)
    assert np.ptp(explicit[:, 0] - explicit[:, 1]) > 1
    assert (scores[:, 0] - scores[:, 1]) / 2 == pytest.approx(
        explicit[:, 0] - explicit[:, 1], abs=1e-12
    )


def test_an_orthogonal_gap_changes_no_accuracy_where_classes_are_even():
    even = World(table=tables.named("diagonal(0.9)"), mu_spu=1.5, mention_inv=0.6)
    for moved in ("images", "captions"):
        assert [*GapClosed("name", moved, 3.0).accuracy(even)] == pytest.approx(
            [*LinearCLIP().accuracy(even)]
        )
        assert (
            abs(
                GapClosed("name", moved).accuracy(UNEVEN).common
                - LinearCLIP().accuracy(UNEVEN).common
            )
            > 5e-4
        )


def test_the_chosen_prompt_separates_test_images_most():
    worlds = World(
        p_spu=[0.6, 0.9, 0.9],
        mu_spu=[0.3, 0.6, 2.0],
        sigma_inv=[2.0, 0.7, 0.5],
        detail_inv=[1.0, 0.2, 0.5],
    )
    family = Separating(((2.0, 0.1), (1.0, 0.5), (1.0, 1.0), (1.0, -1.0)))
    rng = np.random.default_rng(1)
    best = []
    for i, u in enumerate(family.direction(worlds)):
        world = worlds[i]
        left, values, right = np.linalg.svd(latent_cross_covariance(world))
        q = np.array(family.prompts) * world.mean
        g = q @ right.T * np.sqrt(values)
        # test images: backgrounds say nothing of the class
        signs = rng.choice([-1, 1], (200_000, 2))
        x = signs * world.mean + rng.normal(size=signs.shape) * np.sqrt(
            world.scale**2 + world.nu_image
        )
        spread = (
            ((x @ left * np.sqrt(values)) @ (g / np.linalg.norm(g, axis=1, keepdims=True)).T) ** 2
        ).mean(0)
        best.append(np.abs(q @ latent_cross_covariance(world).T - u).max(axis=1).argmin())
        assert spread[best[-1]] >= 0.98 * spread.max()  # six standard errors
        assert u == pytest.approx(latent_cross_covariance(world) @ q[best[-1]])
    assert len(set(best)) > 1


def test_filtered_pairs_are_the_half_of_drawn_ones_that_agree_most():
    spend(SHARE)
    world = World(mu_spu=1.5, mention_inv=0.6)
    pairs = world.draw(200_000)
    frames = dictionaries(world, 0)
    x, t = (
        part.double().numpy() @ frame
        for part, frame in zip((pairs.images, pairs.texts), frames, strict=True)
    )
    cross = (x - x.mean(axis=0)).T @ t / len(x)
    score = ((x @ cross) * t).sum(axis=1)
    kept = score >= np.median(score)
    drawn = (x[kept] - x[kept].mean(axis=0)).T @ t[kept] @ world.prompts("name")[0]
    own = Filtered().critic(world).inside.ravel()
    assert own[1] / own[0] == pytest.approx(drawn[1] / drawn[0], abs=0.009)  # five standard errors


def test_filtered_pairs_of_an_object_without_any_noise_are_the_limit_of_little_noise():
    """Its critic was nan."""
    none = World(mu_spu=2.0, sigma_inv=0.0, sigma_xi=0.0)
    little = World(mu_spu=2.0, sigma_inv=1e-5, sigma_xi=0.0)
    assert [*Filtered().accuracy(none)] == pytest.approx([*Filtered().accuracy(little)], abs=1e-4)
