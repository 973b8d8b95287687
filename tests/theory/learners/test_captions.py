"""All captions of a class as a prompt, against drawn captions, Bayes' rule and the nearest mean
caption.
"""

from functools import reduce

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import worlds_with
from scipy.special import ndtr
from scipy.stats import binom
from stattest import POWER, SHARE, spend

from simulator.world import Attribute, World
from theory.accuracy import linear_accuracy
from theory.learners import Bayes, InfoNCE, captions
from theory.learners.captions import (
    _splined_accuracy,
    drawn_accuracy,
    drawn_scores,
    gridded_accuracy,
    preferences,
)

POOLED = ("captions", "scores")


def examples(*values):
    """Make every value an @example."""
    return lambda test: reduce(lambda made, value: example(value)(made), values, test)


def both(accuracy) -> np.ndarray:
    return np.array([np.ravel(accuracy.common)[0], np.ravel(accuracy.counter)[0]])


latent_captions = st.builds(
    lambda nu, **fields: worlds_with(nu=nu, sigma_xi_text=0.0, **fields).reshape(1),
    nu=st.floats(0.01, 3),
    p_spu=st.floats(0.05, 1),
    p_inv=st.floats(0.55, 1),
    mu_inv=st.floats(-2, 2),
    mu_spu=st.floats(-3, 3),
    sigma_inv=st.floats(0.2, 2),
    sigma_spu=st.floats(0.2, 2),
)


# Hard cases for quadrature: noise near 0 or large, p at 1, below 1/2 and at 0, distant means, no
# spread.
EDGES = (
    {"nu": 1e-6},
    {"nu": 1e4},
    {"p_spu": 1 - 1e-9, "nu": 0.3},
    {"p_spu": 1.0, "mu_spu": 8.0, "mu_inv": 8.0, "nu": 0.1},
    {"p_spu": 0.2, "nu": 0.05},
    {"p_spu": 0.0, "nu": 0.05},
    {"mu_spu": 300.0, "nu": 0.01},
    {"mu_spu": 0.0, "nu": 0.1},
    {"sigma_inv": 0.01, "sigma_spu": 0.01, "nu": 0.5},
    {"p_inv": 0.5, "nu": 0.1},
    {"mu_inv": 1e-308, "nu": 1.0},
    {"p_spu": 1.0, "mu_inv": 1e-38, "mu_spu": 0.0, "sigma_spu": 1.0, "nu": 1.0},
    # log odds of both blocks above 300
    {"p_spu": 1.0, "mu_inv": 40.0, "mu_spu": 30.0, "sigma_inv": 1.0, "nu": 0.1},
)


def latents(**edge):
    return worlds_with(
        **{"p_spu": 0.85, "mu_spu": 1.4, "sigma_inv": 0.8, "sigma_xi_text": 0.0, **edge}
    ).reshape(1)


@examples(*(latents(**edge) for edge in EDGES))
@settings(max_examples=3)
@given(latent_captions)
def test_captions_that_are_latents_make_bayes_rule_and_their_mean_a_linear_rule(world):
    """T9 by grids of captions, which do not use the theorem."""
    for prompt, exact in (
        ("captions", Bayes().accuracy(world)),
        ("scores", linear_accuracy(world.prompt("mean"), world)),
    ):
        found = gridded_accuracy(world[0], prompt)
        assert both(found) == pytest.approx(both(exact), abs=2e-6)
        for value, (low, high) in zip(both(exact), found.interval, strict=True):
            assert low <= value <= high


def test_beside_bare_captions_scores_of_latents_are_no_linear_rule():
    """The mean log p(x | t) is linear in x, a bare caption's log p(x | y) is not; full captions'
    rule is off by .08.
    """
    world = worlds_with(p_spu=0.6, mu_spu=3.0, nu=0.3, sigma_xi_text=0.0, bare=0.5)
    assert both(InfoNCE("scores").accuracy(world)) == pytest.approx(
        both(gridded_accuracy(world, "scores")), abs=1e-9
    )


THREE_CLASSES = {"sigma_xi_text": 0.0, "classes": 3}


def normal(t, mean, variance):
    return np.exp(-((t - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def by_definition(world: World, prompt: str, x: float, y: float, n: int = 1201) -> float:
    """The preference for + at one image, from every density written out on a lattice of
    captions.
    """
    mu = (world.mu_inv, world.mu_spu)
    p = (world.p_inv, world.p_spu)
    pi = (world.mention_inv, world.mention_spu)
    variance = (world.sigma_inv**2, world.sigma_spu**2)
    nu_I = world.nu_image
    nu_T = world.nu_text
    nodes = []
    steps = []
    said = []
    seen = []
    alone = []
    for b, image in enumerate((x, y)):
        scale = np.sqrt(nu_T) / 3  # dense near 0, where silent captions lie
        end = np.arcsinh((abs(mu[b]) + 8 * np.sqrt(variance[b] + nu_T)) / scale)
        u = np.linspace(-end, end, n)
        t = scale * np.sinh(u)
        S = variance[b] + nu_I
        h = variance[b] / (variance[b] + nu_I)
        silent = (1 - pi[b]) * normal(t, 0, nu_T)
        caption = {}
        pair = {}
        shown = {}
        for c in (1, -1):
            shown[c] = normal(image, c * mu[b], S)
            caption[c] = pi[b] * normal(t, c * mu[b], variance[b] + nu_T) + silent
            given = pi[b] * normal(t, c * mu[b] + h * (image - c * mu[b]), h * nu_I + nu_T) + silent
            pair[c] = shown[c] * given
        nodes.append(t)
        steps.append(scale * np.cosh(u) * (u[1] - u[0]))
        for law, of in ((said, caption), (seen, pair), (alone, shown)):
            law.append({label: p[b] * of[label] + (1 - p[b]) * of[-label] for label in (1, -1)})
    label = {k: np.outer(said[0][k], said[1][k]) for k in (1, -1)}
    joint = sum(np.outer(seen[0][k], seen[1][k]) for k in (1, -1))
    image = {
        k: alone[0][k] * alone[1][k] for k in (1, -1)
    }  # p(x | y); the bare caption of y has the PMI log p(x | y)/p(x)
    named = {k: 2 * image[k] / (image[1] + image[-1]) for k in (1, -1)}
    if world.mismatch:
        apart = (image[1] + image[-1]) * (label[1] + label[-1]) / 2
        joint = (1 - world.mismatch) * joint / (apart + 1e-300) + world.mismatch
        named = {k: (1 - world.mismatch) * named[k] + world.mismatch for k in (1, -1)}
    with np.errstate(divide="ignore", invalid="ignore"):
        if prompt == "captions":
            guess = np.nan_to_num((label[1] - label[-1]) / (label[1] + label[-1]))
            told = (steps[0] @ (joint * guess) @ steps[1]) / (steps[0] @ joint @ steps[1])
            return (1 - world.bare) * told + world.bare * (named[1] - named[-1]) / (
                named[1] + named[-1]
            )
        weighed = np.nan_to_num((label[1] - label[-1]) * np.log(joint))
    return (1 - world.bare) * (steps[0] @ weighed @ steps[1]) + world.bare * np.log(
        named[1] / named[-1]
    )


EVEN = {"p_spu": 0.9, "mu_spu": 2.0, "nu": 1.0}
MASKED = (
    {**EVEN, "sigma_xi_text": 4.0, "mention_spu": 0.2, "mention_inv": 0.2, "p_inv": 0.9},
    {**EVEN, "sigma_xi_text": 0.8, "mention_spu": 0.5, "mention_inv": 0.7, "p_inv": 0.95},
    {"p_spu": 0.97, "mu_spu": 2.0, "nu": 0.06, "sigma_xi_text": 2.0, "mention_spu": 0.5},
    {
        "p_spu": 0.9,
        "mu_spu": 3.0,
        "sigma_spu": 0.3,
        "nu": 0.25,
        "sigma_xi_text": 1.0,
        "mention_spu": 0.3,
        "bare": 0.3,
    },
    {"p_spu": 0.99, "mu_spu": 2.0, "nu": 0.02, "sigma_xi_text": 80.0, "mention_spu": 0.9999},
)


@pytest.mark.parametrize("prompt", POOLED)
@pytest.mark.parametrize("fields", MASKED)
def test_preferences_for_masked_noisy_captions_by_definition(fields, prompt):
    """Captions lie up to a sixth of an image's deviation apart, in the last world a thousand times
    their own noise.
    """
    world = worlds_with(**fields)
    x, y = (
        np.array([[0.4, -1.3, 2.0], [-0.9, 0.2, 1.1]])
        * np.sqrt(world.scale**2 + world.nu_image)[:, None]
    )
    got = np.diag(preferences(world, prompt, x, y))
    expected = [by_definition(world, prompt, *at) for at in zip(x, y, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
    assert np.diag(preferences(world, prompt, -x, -y)) == pytest.approx(-got, rel=1e-9, abs=1e-12)


MISMATCHED = (
    {**EVEN, "mismatch": 0.2},
    {
        "p_spu": 0.9,
        "mu_spu": -2.0,
        "nu": 1.0,
        "sigma_xi_text": 4.0,
        "mention_spu": 0.4,
        "mismatch": 0.1,
    },
    {"p_spu": 0.3, "mu_spu": 2.0, "nu": 0.25, "sigma_xi_text": 1.0, "p_inv": 0.9, "mismatch": 0.9},
    {**EVEN, "mismatch": 0.3, "bare": 0.4},
)


DETAILED = {**EVEN, "detail_spu": 0.2, "detail_inv": 0.7, "sigma_xi_text": 4.0, "mention_spu": 0.6}


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        *(("scores", fields) for fields in (*MISMATCHED, MASKED[3], DETAILED)),
        *(("captions", fields) for fields in (MASKED[0], MASKED[3], DETAILED)),
    ],
)
def test_drawn_captions_have_the_scores_by_definition(prompt, fields):
    """With mismatched captions, T11; by grids for left-out detail. Sixteen runs exceed |t| = 7.3
    once in 4e5.
    """
    world = worlds_with(**fields)
    images = np.array([[0.4, -0.9], [-1.3, 0.2], [2.0, 1.1]])
    scores = [drawn_scores(world, prompt, images, seed).mean(axis=0) for seed in range(16)]
    gaps = np.array([score[:, 0] - score[:, 1] for score in scores])
    expected = np.array([by_definition(world, prompt, *image) for image in images])
    if fields is DETAILED:
        expected = np.diag(preferences(world, prompt, *images.T))
    assert (np.abs(gaps.mean(axis=0) - expected) < 7.3 * gaps.std(axis=0, ddof=1) / 4).all()
    assert (gaps.std(axis=0) < 0.2 * np.abs(expected).max()).all()


@pytest.mark.deep
@pytest.mark.parametrize("fields", [MASKED[0], THREE_CLASSES])
def test_intervals_of_drawn_captions_cover_their_bias(fields, monkeypatch):
    """24 seeds, false-alarm rate SHARE: an interval that covers at most .4 is found. Few captions,
    large bias.
    """
    monkeypatch.setattr(captions, "IMAGES", captions.IMAGES // 4)
    monkeypatch.setattr(captions, "CAPTIONS", captions.CAPTIONS // 4)
    share = SHARE / 2
    spend(share)
    world = worlds_with(**{"nu": 0.3, **fields})
    seeds = 24
    most = binom.isf(share, seeds, 0.05)
    assert binom.sf(most, seeds, 0.6) > POWER
    truth = InfoNCE("scores").accuracy(world).counter
    ends = [drawn_accuracy(world, "scores", seed).interval.ends["counter"] for seed in range(seeds)]
    assert sum(not low <= truth <= high for low, high in ends) <= most


@pytest.mark.parametrize("prompt", POOLED)
@pytest.mark.parametrize(
    "fields", [*MASKED[:4], {"mu_spu": 3.0, "detail_spu": 0.2, "detail_inv": 0.0}]
)
def test_intervals_of_grids_cover_grids_of_twice_as_many_nodes(fields, prompt):
    """Nothing else sees an interval that is too narrow: an oracle of this precision takes
    minutes.
    """
    world = worlds_with(**fields)
    found = gridded_accuracy(world, prompt)
    for value, (low, high) in zip(
        _splined_accuracy(world, prompt, 0.5), found.interval, strict=True
    ):
        assert low < value < high < low + 1e-3


def test_captions_without_information_tie():
    silent = worlds_with(nu=0.5, mention_inv=0.0, mention_spu=0.0, sigma_xi_text=0.0)
    for prompt in POOLED:
        assert both(InfoNCE(prompt).accuracy(silent)) == pytest.approx((0.5, 0.5), abs=1e-12)


# mentioned once in 1e9 captions, whose noise hides the object; means of a millionth of the noise
FAINT = (
    {
        "mu_inv": 8.2,
        "sigma_inv": 1.9,
        "sigma_spu": 0.14,
        "nu": 0.096,
        "mention_inv": 1e-9,
        "mention_spu": 0.0,
    },
    {
        "mu_inv": 1.5e-8,
        "sigma_inv": 1.2e-4,
        "mu_spu": 3.4e-8,
        "sigma_spu": 0.0,
        "nu": 4.7e-4,
        "mention_inv": 0.6,
    },
)


@pytest.mark.parametrize("prompt", POOLED)
@pytest.mark.parametrize("fields", FAINT)
def test_captions_of_almost_no_information_keep_it(fields, prompt):
    """Differences of logarithms lost their evidence, and samples of captions erred by .5."""
    world = worlds_with(**{"p_spu": 0.93, "mu_spu": 1.0, "mention_spu": 0.5, **fields})
    accuracy = InfoNCE(prompt).accuracy(world)
    assert [high - low < 1e-3 for low, high in accuracy.interval] == [True, True]
    if "mention_spu" in fields:  # only the object is ever mentioned
        exact = ndtr(world.mean[0] / np.sqrt(world.scale[0] ** 2 + world.nu_image))
        assert both(accuracy) == pytest.approx(exact, abs=2e-5)


FIRST_PAGE = {"p_spu": 0.9, "mu_spu": 1.5, "nu": 0.5625}


ONLY_BARE = (
    {},
    {"classes": 3},
    {"attribute": (Attribute(p=0.7),)},
    {"mu_inv": 0.0},
    {"p_inv": 0.8, "mismatch": 0.3},
    {"table": ((0.4, 0.1, 0.1), (0.05, 0.15, 0.2))},
)


@pytest.mark.parametrize("prompt", POOLED)
@pytest.mark.parametrize("fields", ONLY_BARE)
def test_where_all_captions_are_bare_a_pool_is_the_bare_name(fields, prompt):
    common = {"p_spu": None} if "table" in fields else {}
    world = worlds_with(**{**FIRST_PAGE, **common, **fields}, bare=1.0)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((5, world.latents))
    assert np.array_equal([*InfoNCE(prompt).accuracy(world)], [*InfoNCE("bare").accuracy(world)])
    assert np.array_equal(
        InfoNCE(prompt).scores(world, images), InfoNCE("bare").scores(world, images)
    )


def test_a_bare_name_without_an_object_is_chance_without_an_error():
    """Three classes are sampled; where bare captions tell nothing, the number and both ends of its
    interval are 1/3.
    """
    grid = worlds_with(mu_spu=2.0, nu=0.5, classes=3, bare=0.3, mu_inv=np.array([0.0, 1.0]))
    found = InfoNCE("bare").accuracy(grid)
    alone = InfoNCE("bare").accuracy(grid[1])
    for value, (low, high), own in zip(found, found.interval, alone.interval, strict=True):
        assert [value[0], low[0], high[0]] == pytest.approx([1 / 3] * 3, abs=1e-15)
        assert (low[1], high[1]) == pytest.approx(own)
        assert low[1] < value[1] < high[1]
