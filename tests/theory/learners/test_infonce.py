"""The PMI optimum against a quantile grid, drawn images, its own two limits, and known answers."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import worlds_with
from scipy.special import ndtri

from simulator.world import Attribute, World, Worlds, latent_prompts
from theory.accuracy import linear_accuracy
from theory.density import log_density
from theory.learners.infonce import infonce_accuracy, nearest_prompt_weights
from theory.population import linear_weights

PROMPTS = ("name", "mean")


def pair(got) -> tuple[float, float]:
    return float(np.ravel(got.common)[0]), float(np.ravel(got.counter)[0])


def linear_pair(u, blocks):
    return pair(linear_accuracy(u[None], blocks[None]))


def quantile_grid(blocks, prompt, n=1200):
    """Counts decisions on n x n quantiles of each group: off by about one cell's mass along the boundary."""
    t = ndtri((np.arange(n) + 0.5) / n)
    deviation, texts, result = np.sqrt(blocks.scale**2 + blocks.nu_image), latent_prompts(blocks, prompt), []
    for sign in (1, -1):
        right = 0.0
        for part in np.array_split(t, 24):
            x = np.stack(
                np.broadcast_arrays(
                    blocks.mean[0] + deviation[0] * part[:, None], sign * blocks.mean[1] + deviation[1] * t
                ),
                -1,
            )
            score = log_density(x[..., None, :, None], texts, blocks)
            right += (score[..., 0] > score[..., 1]).sum() + 0.5 * (score[..., 0] == score[..., 1]).sum()
        result.append(right / n**2)
    return tuple(result)


# theory.md section 6, nu = .49, sigma_inv = 1, sigma_spu = .5; four printed digits.
@pytest.mark.parametrize(
    ("p", "mu", "name", "mean"),
    [
        (0.5, 1, (0.7937, 0.7937), (0.7937, 0.7937)),
        (0.75, 1, (0.8198, 0.7641), (0.8939, 0.5982)),
        (0.75, 2, (0.8364, 0.7448), (0.9917, 0.0797)),
        (0.9, 2, (0.8635, 0.7054), (0.9923, 0.0546)),
        (0.99, 2, (0.8824, 0.6727), (0.9924, 0.0530)),
    ],
)
def test_known_answers(p, mu, name, mean):
    blocks = worlds_with(p_spu=p, mu_spu=mu, nu=0.49)
    assert pair(infonce_accuracy(blocks, "name")) == pytest.approx(name, abs=5.001e-5)
    assert pair(infonce_accuracy(blocks, "mean")) == pytest.approx(mean, abs=5.001e-5)
    assert infonce_accuracy(blocks, "name").interval is None


@pytest.mark.parametrize(
    ("nu", "expected"), [(1e-4, (0.841, 0.841)), (0.49, (0.864, 0.705)), (10, (0.728, 0.455)), (100, (0.580, 0.482))]
)
def test_known_answers_between_the_two_limits(nu, expected):
    assert pair(infonce_accuracy(worlds_with(p_spu=0.9, mu_spu=2, nu=nu), "name")) == pytest.approx(
        expected, abs=5.001e-4
    )


def test_islands_narrower_than_a_standard_deviation_are_seen():
    """Fine grids and 4e6 drawn images give .63635, .38201; nodes .35 standard deviations apart gave .6211, .3564."""
    blocks = worlds_with(
        p_spu=0.6, mu_spu=0.5, sigma_inv=3.0, sigma_spu=1.0, nu=0.0017, mention_inv=0.1, mention_spu=0.1
    )
    assert pair(infonce_accuracy(blocks, "mean")) == pytest.approx((0.636354, 0.382012), abs=1e-6)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_without_noise_it_is_the_nearest_prompt(prompt):
    """The gap closes like nu: log-log slope between nu = 1e-4 and 1e-5 is 1 to within a tenth."""
    gaps = []
    for nu in (1e-4, 1e-5):
        blocks = worlds_with(p_spu=0.9, mu_spu=2.0, nu=nu)
        limit = linear_pair(nearest_prompt_weights(blocks, prompt), blocks)
        gaps.append(np.abs(np.subtract(pair(infonce_accuracy(blocks, prompt, tolerance=1e-9)), limit)).max())
    assert gaps[0] < 1e-3
    assert np.log10(gaps[0] / gaps[1]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("nu", [1e-2, 1e-3, 1e-4])
def test_silence_about_the_object_costs_nothing_without_noise(nu):
    """Far from both prompts silence explains an image better by e^(1/nu), far below rounding: no tie may come of it.

    The name prompt's limit stays Phi(alpha/sqrt S_i); the gap is the width nu of the boundary, times the log odds of p.
    """
    blocks = worlds_with(p_spu=0.9, nu=nu, mention_inv=0.5)
    limit = linear_pair(np.array([1.0, 0.0]), blocks)
    assert pair(infonce_accuracy(blocks, "name")) == pytest.approx(limit, abs=2 * nu * np.log(9))


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("mentions", [{}, {"mention_inv": 0.6, "mention_spu": 0.3}])
def test_in_noise_it_is_linear_clip(prompt, mentions):
    gaps = []
    for nu in (1e2, 1e3):
        blocks = worlds_with(p_spu=0.9, mu_spu=2.0, nu=nu, **mentions)
        limit = linear_pair(linear_weights(blocks, prompt), blocks)
        gaps.append(np.abs(np.subtract(pair(infonce_accuracy(blocks, prompt, tolerance=1e-9)), limit)).max())
    assert gaps[1] < 1e-3
    assert gaps[1] < gaps[0] / 5  # the next order is 1/nu smaller, times signals that fall like nu^-1/2


# Masks bend the decision region into islands with several thresholds; mu_inv = 0 makes x_spu the inner variable.
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(
    "world",
    [
        {"p_spu": 0.9, "mu_spu": 2.0, "nu": 0.49},
        {"p_spu": 0.8, "mu_spu": 2.0, "nu": 0.49, "mention_inv": 0.7, "mention_spu": 0.6},
        pytest.param(
            {"p_spu": 0.75, "mu_spu": 2.0, "nu": 0.1, "mention_inv": 0.3, "mention_spu": 0.9}, marks=pytest.mark.deep
        ),
        {"p_spu": 0.2, "mu_inv": -1.0, "mu_spu": 1.5, "nu": 0.3, "mention_spu": 0.0},
        {"p_spu": 0.9, "mu_inv": 0.0, "mu_spu": 1.0, "nu": 0.2},
        {"p_spu": 1.0, "mu_inv": 0.5, "mu_spu": 3.0, "sigma_spu": 2.0, "nu": 1.0},
    ],
)
def test_matches_a_quantile_grid(world, prompt):
    blocks = worlds_with(**world)
    assert pair(infonce_accuracy(blocks, prompt)) == pytest.approx(quantile_grid(blocks, prompt), abs=1e-3)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("mentions", [{}, {"mention_inv": 0.7, "mention_spu": 0.6}])
def test_stated_error_is_kept(prompt, mentions):
    blocks = worlds_with(p_spu=np.array([0.5, 0.6, 0.8, 0.95, 1.0]), mu_spu=2.0, nu=0.49, **mentions)
    coarse, fine = infonce_accuracy(blocks, prompt), infonce_accuracy(blocks, prompt, tolerance=1e-9)
    assert max(np.abs(coarse.common - fine.common).max(), np.abs(coarse.counter - fine.counter).max()) < 1e-6


worlds = st.builds(
    lambda **kw: worlds_with(**kw),
    p_spu=st.floats(0, 1),
    mu_inv=st.floats(0.1, 4),
    mu_spu=st.floats(-4, 4),
    sigma_inv=st.floats(0.1, 3),
    sigma_spu=st.floats(0.1, 3),
    nu=st.floats(0.05, 3),
    mention_inv=st.sampled_from([1.0, 0.5]),
    mention_spu=st.sampled_from([1.0, 0.3, 0.0]),
)


@settings(max_examples=10)
@given(worlds, st.sampled_from(PROMPTS))
@example(worlds_with(p_spu=1.0, mu_spu=2.0, nu=0.5), "mean")
def test_relabelling_the_background_swaps_the_groups(blocks, prompt):
    other = blocks.replace(mu_spu=-blocks.mu_spu, p_spu=1 - blocks.p_spu)
    assert pair(infonce_accuracy(blocks, prompt)) == pytest.approx(
        pair(infonce_accuracy(other, prompt))[::-1], abs=2e-6
    )


@settings(max_examples=10)
@given(worlds)
def test_an_uninformative_background_is_ignored(blocks):
    """At p = 1/2 with full captions of the object the rule reads x_inv alone, monotonely: Phi(alpha/sqrt S_i)."""
    blocks = blocks.replace(p_spu=0.5, mention_inv=1.0)
    alone = linear_pair(np.array([1.0, 0.0]), blocks)
    for prompt in PROMPTS:
        assert pair(infonce_accuracy(blocks, prompt)) == pytest.approx(alone, abs=2e-6)


@settings(max_examples=10)
@given(worlds, st.floats(0.2, 5), st.sampled_from(PROMPTS))
def test_units_do_not_matter(blocks, c, prompt):
    lengths = ("mu_inv", "mu_spu", "sigma_inv", "sigma_spu", "sigma_xi")
    scaled = blocks.replace(**{name: c * getattr(blocks, name) for name in lengths})
    assert pair(infonce_accuracy(blocks, prompt)) == pytest.approx(pair(infonce_accuracy(scaled, prompt)), abs=2e-6)


def test_ties_count_one_half():
    for world in (
        {"mu_inv": 0.0, "nu": 0.5},
        {"mention_inv": 0.0, "nu": 0.5},
        {"mu_inv": 0.0, "mu_spu": 0.0, "nu": 0.1},
    ):
        # The quadrature weights sum to one to rounding.
        assert pair(infonce_accuracy(worlds_with(**world), "name")) == pytest.approx((0.5, 0.5), abs=1e-12)


def test_a_grid_is_its_worlds():
    p, mu = np.meshgrid([0.5, 0.8, 1.0], [0.3, 2.0])
    grid = worlds_with(p_spu=p, mu_spu=mu, nu=0.3, mention_spu=0.7)
    whole = infonce_accuracy(grid, "mean")
    assert whole.common.shape == (2, 3)
    for w in np.ndindex(2, 3):
        one = pair(infonce_accuracy(grid[w], "mean"))
        assert (whole.common[w], whole.counter[w]) == pytest.approx(one, abs=1e-12)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_sampled_attributes_agree_with_quadrature(prompt):
    """A further attribute at p = 1/2 that no caption mentions drops out, so the sampled route must return the exact
    number; sixteen randomisations exceed |t| = 7.3 once in 4e5 (95% is 2.13)."""
    world = {"p_spu": 0.8, "mu_spu": 1.4, "sigma_xi": 4.0, "mention_spu": 0.8}
    exact = pair(infonce_accuracy(Worlds.of(World(**world)), prompt))
    got = infonce_accuracy(Worlds.of(World(**world, attribute=(Attribute(p=0.5, mention=0.0),))), prompt)
    for a, b, (low, high) in zip(exact, pair(got), got.interval[:2], strict=True):
        assert abs(a - b) < 7.3 / 2.13 * (high - low) / 2 + 1e-6


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(
    "world",
    [
        World(classes=3, p_spu=0.8, mu_spu=1.5, sigma_xi=4.0, mention_spu=0.6),
        World(classes=3, p_spu=0.7, sigma_xi=3.0, attribute=(Attribute(p=0.8),)),
        World(p_spu=0.7, mu_spu=1.5, sigma_xi=4.0, attribute=(Attribute(p=0.8, mention=0.5, mu=1.2),)),
    ],
)
def test_sampled_worlds_match_drawn_images(world, prompt):
    """5e4 drawn images a group against Sobol points: 5 standard deviations, false alarm 6e-7 a number."""
    blocks, n = Worlds.of(world), 50_000
    K, B = blocks.classes, len(blocks.mean)
    got = infonce_accuracy(blocks, prompt, seed=7)
    rng = np.random.default_rng(1)
    pattern = np.array([[1.0], [-1.0]]) if K == 2 else np.eye(K)
    for group, (low, high) in enumerate(got.interval[:2]):
        first = np.zeros(n, int) if group == 0 else 1 + rng.integers(K - 1, size=n)
        codes = np.column_stack([np.zeros(n, int), first, rng.integers(K, size=(n, B - 2))])
        x = blocks.mean[:, None] * pattern[codes]
        x = x + np.sqrt(blocks.scale**2 + blocks.nu_image)[:, None] * rng.standard_normal(x.shape)
        right = log_density(x[:, None], latent_prompts(blocks, prompt), blocks).argmax(-1) == 0
        accuracy = pair(got)[group]
        spread = np.hypot(np.sqrt(accuracy * (1 - accuracy) / n), (high - low) / 4.26)
        assert abs(right.mean() - accuracy) < 5 * spread


def test_every_class_has_the_same_text_density():
    """What lets argmax PMI become argmax of the joint density."""
    for world in (World(mention_spu=0.4, p_spu=0.7), World(classes=4, mention_spu=0.4, p_spu=0.7)):
        blocks = Worlds.of(world)
        # The law of x_T alone: far away in noise, an image tells nothing, so the joint density factorises.
        blind = blocks.replace(dim_image=64, sigma_xi=1e3, sigma_xi_text=1.0)
        texts = latent_prompts(blocks, "mean")
        joint = log_density(np.zeros_like(texts), texts, blind)
        np.testing.assert_allclose(joint, joint[0], rtol=0, atol=1e-9)


def test_out_of_domain_is_refused():
    with pytest.raises(ValueError, match="singular"):
        infonce_accuracy(worlds_with(nu=0.0), "name")
    with pytest.raises(ValueError, match="classes = 51"):
        infonce_accuracy(Worlds.of(World(classes=51, dim_image=200, dim_text=200)), "name")
    with pytest.raises(ValueError, match="one world at a time"):
        infonce_accuracy(worlds_with(p_spu=np.array([0.6, 0.7]), nu=0.5, classes=3), "name")
    with pytest.raises(ValueError, match="not linear"):
        nearest_prompt_weights(worlds_with(mention_spu=0.5), "mean")
