"""All captions of a class as a prompt, against drawn captions, Bayes' rule and the nearest mean caption."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import worlds_with
from scipy.special import ndtri

from simulator.gaussian.critic import gaussian_points
from simulator.world import Attribute, World
from theory.accuracy import linear_accuracy
from theory.density import log_density
from theory.learners import Bayes, InfoNCE, LinearCLIP
from theory.learners.captions import PREFERENCES, _along_curves, _by_curve, _law
from theory.learners.drawn_captions import drawn_captions_accuracy

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


# Hard cases for quadrature: noise near 0 or large, p at 1, below 1/2 and at 0, distant means, no spread.
EDGES = (
    {"nu": 1e-6}, {"nu": 1e4}, {"p_spu": 1 - 1e-9, "nu": 0.3}, {"p_spu": 1.0, "mu_spu": 8.0, "mu_inv": 8.0, "nu": 0.1},
    {"p_spu": 0.2, "nu": 0.05}, {"p_spu": 0.0, "nu": 0.05}, {"mu_spu": 300.0, "nu": 0.01}, {"mu_spu": 0.0, "nu": 0.1},
    {"sigma_inv": 0.01, "sigma_spu": 0.01, "nu": 0.5}, {"p_inv": 0.5, "nu": 0.1},
)  # fmt: skip


def latents(**edge):
    return worlds_with(**{"p_spu": 0.85, "mu_spu": 1.4, "sigma_inv": 0.8, "sigma_xi_text": 0.0, **edge}).reshape(1)


@examples(*(latents(**edge) for edge in EDGES))
@settings(max_examples=6)
@given(latent_captions)
def test_captions_that_are_latents_make_bayes_rule_and_their_mean_a_linear_rule(world):
    """T9 by quadrature over captions, which does not use the theorem."""
    assert both(_along_curves(world, "captions", 1e-6)) == pytest.approx(both(Bayes().accuracy(world)), abs=2e-6)
    nearest = linear_accuracy(world.prompt("mean"), world)
    assert both(_along_curves(world, "scores", 1e-6)) == pytest.approx(both(nearest), abs=2e-6)


THREE_CLASSES = {"sigma_xi_text": 0.0, "classes": 3}
ATTRIBUTE = {"sigma_xi_text": 0.0, "attribute": (Attribute(p=0.7),)}


@pytest.mark.parametrize("prompt", ["captions", pytest.param("scores", marks=pytest.mark.deep)])
@pytest.mark.parametrize(
    "fields",
    [
        {"nu": 0.5},
        pytest.param(
            {"nu": 0.5, "sigma_xi_text": 0.0, "mention_spu": 0.5, "mention_inv": 0.7, "p_inv": 0.9},
            marks=pytest.mark.deep,
        ),
        pytest.param({"nu": 0.02, "sigma_xi_text": 4.0, "sigma_spu": 1.5}, marks=pytest.mark.deep),
        pytest.param({"nu": 0.5, "p_spu": 0.8, **THREE_CLASSES}, marks=pytest.mark.deep),
        pytest.param({"nu": 0.5, "p_spu": 0.8, **ATTRIBUTE}, marks=pytest.mark.deep),
    ],
)
def test_quadrature_and_drawn_captions_agree(fields, prompt):
    """Sixteen randomisations exceed |t| = 7.3 once in 4e5 (95% is 2.13); .003 for the bias of few captions."""
    world = worlds_with(**{"p_spu": 0.85, "mu_spu": 1.5, **fields})
    exact, got = InfoNCE(prompt).accuracy(world), drawn_captions_accuracy(world, prompt, seed=1)
    for a, b, (low, high) in zip(both(exact), both(got), got.interval[:2], strict=True):
        assert abs(a - b) < 7.3 / 2.13 * (high - low) / 2 + 0.003


@pytest.mark.deep
@pytest.mark.parametrize("prompt", POOLED)
def test_masked_captions_with_noise_by_definition(prompt):
    """PMI of every image with every drawn caption, with masked captions.

    1000 captions move the boundary: over 10 seeds the slow route scattered by .007 (common) and .018 (counter). The
    tolerance is 5 standard deviations.
    """
    world = worlds_with(nu=0.5, p_spu=0.85, mu_spu=1.5, mention_spu=0.5)
    rng, S_T = np.random.default_rng(0), world.scale**2 + world.nu_text
    texts = []
    for y in (1, -1):
        shown = y * np.where(rng.random((1000, 2)) < world.agreement, 1, -1)
        z = shown * world.mean + world.scale * rng.standard_normal((1000, 2))
        texts.append(z * (rng.random((1000, 2)) < world.mention) + world.nu_text**0.5 * rng.standard_normal((1000, 2)))
    texts = np.stack(texts)
    density = 0.0
    for o, a in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        term = world.p_spu if o == a else 1 - world.p_spu
        for b, shown in enumerate((o, a)):
            said = np.exp(-((texts[..., b] - shown * world.mean[b]) ** 2) / (2 * S_T[b])) / S_T[b] ** 0.5
            hidden = np.exp(-(texts[..., b] ** 2) / (2 * world.nu_text)) / world.nu_text**0.5
            term = term * (world.mention[b] * said + (1 - world.mention[b]) * hidden)
        density = density + term
    noise = np.sqrt(world.scale**2 + world.nu_image) * gaussian_points(2, 11, 0)
    for sign, accuracy, within in zip((1, -1), both(InfoNCE(prompt).accuracy(world)), (0.035, 0.09), strict=True):
        right = 0
        for part in np.array_split(noise + world.mean * [1, sign], 16):
            pmi = log_density(part[:, None, None, :, None], texts[..., None], world) - np.log(density)
            score = pmi.mean(-1) if prompt == "scores" else np.logaddexp.reduce(pmi, axis=-1)
            right += (score[:, 0] > score[:, 1]).sum()
        assert right / len(noise) == pytest.approx(accuracy, abs=within)


@pytest.mark.parametrize("prompt", POOLED)
def test_preferences_rise_along_both_blocks_and_are_odd(prompt):
    """Assumed by the curve: after a flip by the signs of mu D, preferences rise in every coordinate."""
    rng = np.random.default_rng(0)
    u = lambda low, high: rng.uniform(low, high, 15)  # noqa: E731
    masked = np.arange(15) % 3 == 0
    grid = worlds_with(
        nu=10 ** u(-2, 0.5), p_spu=u(0, 1), p_inv=u(0.5, 1), mu_inv=u(0.2, 2), mu_spu=u(-3, 3), sigma_inv=u(0.2, 2),
        sigma_spu=u(0.2, 2), mention_spu=np.where(masked, u(0.2, 1), 1), mention_inv=np.where(masked, u(0.2, 1), 1),
        sigma_xi_text=np.where(masked, 0.0, 8 * 10 ** u(-1, 0.2)),
    )  # fmt: skip
    assert _by_curve(grid).all()
    line = ndtri((np.arange(9) + 0.5) / 9) * 1.5
    x = np.stack(np.meshgrid(line, line, indexing="ij"), -1)
    for w in range(grid.size):
        world = grid[w]
        turn = np.sign(world.correlation)
        image = x * turn * (np.abs(world.mean) + np.sqrt(world.scale**2 + world.nu_image))
        g = PREFERENCES[prompt](_law(world))(*np.moveaxis(image, -1, 0))
        slack = 1e-9 * np.abs(g).max()
        assert np.diff(g, axis=0).min() > -slack
        assert np.diff(g, axis=1).min() > -slack
        np.testing.assert_allclose(g, -g[::-1, ::-1], rtol=0, atol=slack)


@pytest.mark.parametrize("prompt", POOLED)
def test_scores_have_the_accuracy(prompt):
    """On 300 x 300 quantiles per group; the error is about one cell's mass along the boundary."""
    world = worlds_with(nu=0.4, p_spu=0.8, mu_spu=1.5)
    t = ndtri((np.arange(300) + 0.5) / 300)
    noise = np.stack(np.meshgrid(t, t, indexing="ij"), -1).reshape(-1, 2) * np.sqrt(world.scale**2 + world.nu_image)
    for sign, accuracy in zip((1, -1), both(InfoNCE(prompt).accuracy(world)), strict=True):
        score = InfoNCE(prompt).scores(world, noise + world.mean * [1, sign])
        assert (score[:, 0] > score[:, 1]).mean() == pytest.approx(accuracy, abs=2e-3)


def test_the_mean_of_linear_scores_is_the_mean_prompt():
    grid = worlds_with(p_spu=[0.6, 0.9], mu_spu=[[1.0], [2.0]], nu=0.3, mention_spu=0.5)
    for dim in (None, 1):
        scores, mean = (LinearCLIP(prompt, dim).direction(grid) for prompt in ("scores", "mean"))
        assert np.array_equal(scores, mean)
    for one, other in zip(LinearCLIP("scores").accuracy(grid), LinearCLIP("mean").accuracy(grid), strict=True):
        assert np.array_equal(one, other)


def test_captions_without_information_tie():
    silent = worlds_with(nu=0.5, mention_inv=0.0, mention_spu=0.0, sigma_xi_text=0.0)
    for prompt in POOLED:
        assert both(InfoNCE(prompt).accuracy(silent)) == pytest.approx((0.5, 0.5), abs=1e-12)


def test_a_grid_of_several_routes_equals_its_worlds():
    """Closed forms, curves and drawn captions in one grid."""
    noise, mention = np.array([0.0, 4.0, 0.0]), np.array([1.0, 1.0, 0.6])
    grid = worlds_with(nu=0.3, sigma_xi_text=noise, mention_spu=mention, p_spu=0.8)
    whole = InfoNCE("captions").accuracy(grid)
    for w in range(3):
        assert (whole.common[w], whole.counter[w]) == tuple(both(InfoNCE("captions").accuracy(grid[w])))


def test_a_world_without_an_answer_gets_a_reason():
    assert "sigma_xi = 0" in InfoNCE("scores").refuses(World(sigma_xi=0.0))
    assert "classes = 11" in InfoNCE("captions").refuses(World(classes=11))
    assert InfoNCE("captions").refuses(World(classes=11, sigma_xi_text=0.0)) is None
    assert "linear scores" in LinearCLIP("captions").refuses(World())
    unheard = World(sigma_xi_text=0.0, mention_spu=0.0)
    assert "never mention" in InfoNCE("background").refuses(unheard)
    assert InfoNCE("name").refuses(unheard) is None
