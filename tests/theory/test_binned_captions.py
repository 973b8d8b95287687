"""The optimum for captions in words: integrals over bins as an oracle, and its limits."""

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy.stats import multivariate_normal

from simulator.accuracy import won
from simulator.world import World
from theory import binned_captions
from theory.binned_captions import NONE, BinnedCaptions

HEADLINE = {"mu_spu": 1.5, "sigma_xi": 6.0}
WORLDS = [
    World(detail_inv=0.7, detail_spu=0.3, p_inv=0.9, bare=0.2, sigma_xi_text=3.0, **HEADLINE),
    World(table=[[0.3, 0.1, 0.0], [0.2, 0.2, 0.2]], **HEADLINE),
    World(classes=3, mu_inv=-1.0, p_spu=0.8, **HEADLINE),
]


def by_integrals(words: BinnedCaptions, x: np.ndarray, caption: np.ndarray) -> float:
    """log p(x, caption) - log p(caption), with the joint density of both views integrated over
    every bin.
    """
    world, mixture = words.world, words.mixture
    label, *bins = caption
    nodes, node_weights = leggauss(60)

    def both(with_image: bool) -> float:
        total = 0.0
        for g, weight in enumerate(mixture.weights):
            if label not in (NONE, mixture.labels[g]):
                continue
            for c, b in enumerate(bins):
                m = mixture.means[g, c]
                shared = mixture.detail[mixture.block[c]] * mixture.variances[c]
                S_I = mixture.variances[c] + world.nu_image
                S_T = mixture.variances[c] + world.nu_text
                if b == NONE:
                    weight *= (
                        np.exp(-((x[c] - m) ** 2) / (2 * S_I)) / np.sqrt(2 * np.pi * S_I)
                        if with_image
                        else 1.0
                    )
                    continue
                reach = m - 12 * np.sqrt(S_T), m + 12 * np.sqrt(S_T)
                low, high = np.clip(
                    np.concatenate([[-np.inf], words.edges[c], [np.inf]])[b : b + 2], *reach
                )
                t = (low + high) / 2 + (high - low) / 2 * nodes
                if with_image:
                    law = multivariate_normal([m, m], [[S_I, shared], [shared, S_T]])
                    density = law.pdf(np.stack([np.full_like(t, x[c]), t], axis=-1))
                else:
                    density = np.exp(-((t - m) ** 2) / (2 * S_T)) / np.sqrt(2 * np.pi * S_T)
                weight *= (high - low) / 2 * node_weights @ density
            total += weight
        return np.log(total)

    return both(True) - both(False)


@pytest.mark.parametrize("world", WORLDS, ids=["details", "table", "three-classes"])
def test_the_density_given_words_is_that_of_integrals_over_bins(world):
    words = BinnedCaptions(world)
    rng = np.random.default_rng(0)
    captions = words.binned(rng.normal(size=(3, world.latents)) * 1.5)
    captions[1, 1:][words.mixture.block == 1] = NONE
    if world.bare:
        captions = np.concatenate([captions, words.bare(np.array([1]))])
    images = 1.5 * rng.normal(size=(2, world.latents))
    expected = np.array([[by_integrals(words, x, caption) for caption in captions] for x in images])
    found = words.log_density(images, captions)
    # log_density leaves out the factor (2 pi)^(-l/2) |S_I|^(-1/2), the same everywhere
    assert found - found[:1, :1] == pytest.approx(expected - expected[:1, :1], abs=1e-6)


def test_edges_are_quantiles_and_symmetric_for_two_classes_and_bare_names_have_no_bins():
    edges = BinnedCaptions(World(p_spu=0.7, mu_inv=-2.0, **HEADLINE)).edges
    assert edges + edges[:, ::-1] == pytest.approx(np.zeros_like(edges), abs=1e-12)
    assert BinnedCaptions(WORLDS[0]).prompts("bare").tolist() == [[0, NONE, NONE], [1, NONE, NONE]]
    flat = BinnedCaptions(WORLDS[2].replace(p_spu=1 / 3))
    # each caption tells that one latent lies in the middle bin
    middle = np.where(np.eye(6), 2, NONE)
    shares = np.exp(flat.log_shares(np.insert(middle, 0, NONE, axis=1)))
    assert shares.mean(axis=1) == pytest.approx(np.full(6, 0.2), abs=1e-12)


@pytest.mark.parametrize(
    "world",
    [WORLDS[0], World(table=[[0.45, 0.05], [0.2, 0.3]], **HEADLINE), WORLDS[2]],
    ids=["two-classes", "table", "three-classes"],
)
def test_accuracies_are_those_of_all_groups(world, monkeypatch):
    """Every group's share of right answers, drawn; the standard error of a share of n is .5/sqrt n
    at most.
    """
    words = BinnedCaptions(world)
    rng = np.random.default_rng(0)
    n = 4000
    prompts = np.array([words.prompts("name"), words.prompts("mean")])
    mixture = words.mixture
    deviation = np.sqrt(words.mixture.image_variances)
    shares = np.zeros((2, len(mixture.labels)))
    for g in np.flatnonzero(mixture.test_weights):
        x = mixture.means[g] + deviation * rng.normal(size=(n, len(deviation)))
        shares[:, g] = [won(words.log_density(x, own), mixture.labels[g]).mean() for own in prompts]
    monkeypatch.setattr(binned_captions, "POWER", 10)
    for found, drawn in zip(words.accuracies(prompts), mixture.group_average(shares), strict=True):
        assert [*found] == pytest.approx(drawn, abs=4 * 0.5 / np.sqrt(n))


def test_mismatched_captions_raise_the_critic_to_a_floor():
    plain = BinnedCaptions(World(mismatch=0.0, **HEADLINE))
    mixed = BinnedCaptions(World(mismatch=0.25, **HEADLINE))
    images = np.array([[3.0, 1.0], [-9.0, 2.0]])
    captions = plain.binned(np.array([[2.0, 1.0], [0.0, -1.0]]))
    expected = np.log(0.75 * np.exp(plain.critic(images, captions)) + 0.25)
    assert mixed.critic(images, captions) == pytest.approx(expected, abs=1e-12)
