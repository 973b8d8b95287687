"""Captions of other pairs change the mean of the optimum's scores, and no other prompt."""

import numpy as np
import pytest
from reference import worlds_with
from scipy.special import ndtri

from simulator.prompts import PROMPTS
from simulator.world import World
from theory.learners import InfoNCE
from theory.learners.mismatched_scores import mismatched_preference

PLAIN = {"p_spu": 0.9, "mu_spu": 1.5, "nu": 0.5625}
WORLDS = (
    {**PLAIN, "mismatch": 0.2},
    {**PLAIN, "mismatch": 0.001, "sigma_xi_text": 0.01, "p_inv": 0.9},
    {"p_spu": 0.97, "mu_spu": 2.0, "nu": 0.02, "sigma_spu": 0.3, "mismatch": 0.5},
    {"p_spu": 0.9, "mu_spu": -2.0, "nu": 1.0, "sigma_xi_text": 4.0, "mention_spu": 0.4, "mismatch": 0.1},
    {"p_spu": 0.3, "mu_spu": 2.0, "nu": 0.25, "sigma_xi_text": 1.0, "mention_inv": 0.7, "mismatch": 0.9},
)


def normal(t, mean, variance):
    return np.exp(-((t - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def by_definition(world: World, image: tuple[float, float], n: int = 3001) -> float:
    """(E_{t|+} - E_{t|-}) log((1 - eps) p(x, t)/(p(x) p(t)) + eps), densities written out on a lattice of captions."""
    mu, p, pi = (world.mu_inv, world.mu_spu), (world.p_inv, world.p_spu), (world.mention_inv, world.mention_spu)
    variance, nu_I, nu_T = (world.sigma_inv**2, world.sigma_spu**2), world.nu_image, world.nu_text
    steps, alone, seen, caption = [], [], [], []
    for b, x in enumerate(image):
        end, S, h = abs(mu[b]) + 8 * np.sqrt(variance[b] + nu_T), variance[b] + nu_I, variance[b] / (variance[b] + nu_I)
        t = np.linspace(-end, end, n)
        steps.append(t[1] - t[0])
        silent = (1 - pi[b]) * normal(t, 0, nu_T) if pi[b] < 1 else 0.0
        laws: tuple[dict, ...] = ({}, {}, {})
        for c in (1, -1):
            laws[0][c] = normal(x, c * mu[b], S)
            laws[1][c] = laws[0][c] * (pi[b] * normal(t, c * mu[b] + h * (x - c * mu[b]), h * nu_I + nu_T) + silent)
            laws[2][c] = pi[b] * normal(t, c * mu[b], variance[b] + nu_T) + silent
        for every, law in zip((alone, seen, caption), laws, strict=True):
            every.append({y: p[b] * law[y] + (1 - p[b]) * law[-y] for y in (1, -1)})
    label = {y: np.outer(caption[0][y], caption[1][y]) for y in (1, -1)}
    joint = sum(np.outer(seen[0][y], seen[1][y]) for y in (1, -1))
    apart = sum(alone[0][y] * alone[1][y] for y in (1, -1)) * (label[1] + label[-1]) / 2
    score = np.log((1 - world.mismatch) * joint / (apart + 1e-300) + world.mismatch)
    return float(((label[1] - label[-1]) * score).sum() * steps[0] * steps[1])


@pytest.mark.parametrize("fields", WORLDS)
def test_preferences_and_slopes_are_those_of_the_definition(fields):
    world = worlds_with(**fields)
    preference, _ = mismatched_preference(world)
    x, y = np.array([[0.4, -1.3, 2.0], [-0.9, 0.2, 1.1]])
    got, *slopes = preference(x, y)
    sign = np.sign(world.mean)  # the preference takes blocks with positive means
    images = (np.array(preference.unit) * sign * np.stack([x, y], axis=-1)).tolist()
    expected = [by_definition(world.world(()), image) for image in images]
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-7)
    for slope, (dx, dy) in zip(slopes, ((1e-4, 0), (0, 1e-4)), strict=True):
        rise = preference(x + dx, y + dy)[0] - preference(x - dx, y - dy)[0]
        np.testing.assert_allclose(slope, rise / 2e-4, rtol=1e-4, atol=1e-5)


def test_scores_have_the_accuracy():
    """On n x n quantiles per group; the error is about one cell's mass along the boundary."""
    world, learner, n = worlds_with(**WORLDS[0]), InfoNCE("scores"), 16
    t = ndtri((np.arange(n) + 0.5) / n)
    noise = np.stack(np.meshgrid(t, t, indexing="ij"), -1).reshape(-1, 2) * np.sqrt(world.scale**2 + world.nu_image)
    for sign, accuracy in zip((1, -1), learner.accuracy(world), strict=True):
        score = learner.scores(world, noise + world.mean * [1, sign])
        assert (score[:, 0] > score[:, 1]).mean() == pytest.approx(float(accuracy), abs=0.02)


@pytest.mark.parametrize(("mismatch", "prompt"), [(1e-12, "scores"), (0.999, "captions")])
def test_limits_are_matched_scores_and_the_log_mean_exp(mismatch, prompt):
    """T11. For captions that are the latents the latter is the Bayes rule (T9)."""
    latents = worlds_with(**PLAIN, sigma_xi_text=0.0)
    images = np.random.default_rng(0).normal(size=(60, 2)) * [1.2, 1.8]
    decided = InfoNCE(prompt).scores(latents, images)
    found = InfoNCE("scores").scores(latents.replace(mismatch=mismatch), images)
    clear = np.abs(decided[:, 0]) > 0.02 * np.abs(decided).max()
    assert clear.sum() > 50
    assert (np.sign(found[clear, 0]) == np.sign(decided[clear, 0])).all()


def test_no_other_prompt_depends_on_it():
    matched = worlds_with(**PLAIN)
    for prompt in (prompt for prompt in PROMPTS if prompt != "scores"):
        learner = InfoNCE(prompt)
        for own, other in zip(learner.accuracy(matched), learner.accuracy(matched.replace(mismatch=0.6)), strict=True):
            assert own == other


def test_worlds_without_an_answer_get_a_reason():
    assert "two classes with one background" in InfoNCE("scores").refuses(World(classes=3, mismatch=0.1))
    assert "pairs of captions per image" in InfoNCE("scores").refuses(World(sigma_xi=0.01, mismatch=0.1))
