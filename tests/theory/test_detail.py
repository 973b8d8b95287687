"""What captions tell: detail and bare captions, in every learner's law."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr

from simulator.world import World
from theory import equivalent, learners
from theory.learners.infonce import equal_classes

HEADLINE = {"p_spu": 0.9, "mu_spu": 1.5, "sigma_xi": 6.0}
VAGUE = {"detail_inv": 0.0, "detail_spu": 0.0}

# g: (common, counter, p', r in points) of InfoNCE and linear CLIP by typical appearance, then by average caption.
PRINTED = {
    1.0: [(0.8548, 0.7030, 0.621, 0.00), (0.9185, 0.5293, 0.789, 0.57), (0.9645, 0.2081, 0.967, 0.16),
          (0.9554, 0.3088, 0.924, 0.47)],
    0.5: [(0.9235, 0.5373, 0.787, 0.01), (0.9363, 0.4449, 0.849, 0.64), (0.9676, 0.1261, 0.999, 0.00),
          (0.9591, 0.2725, 0.940, 0.37)],
    0.1: [(0.9524, 0.3877, 0.886, 0.00), (0.9513, 0.3445, 0.906, 0.54), (0.9674, 0.1081, 1.000, 0.02),
          (0.9619, 0.2403, 0.954, 0.28)],
    0.0: [(0.9554, 0.3623, 0.900, 0.00), (0.9549, 0.3142, 0.921, 0.48), (0.9674, 0.1056, 1.000, 0.02),
          (0.9626, 0.2319, 0.957, 0.25)],
}  # fmt: skip


@pytest.mark.parametrize("g", PRINTED)
def test_the_table_of_details(g):
    world = World(**HEADLINE, detail_inv=g, detail_spu=g)
    asked = [(name, prompt) for prompt in ("name", "mean") for name in ("infonce", "linear")]
    for (name, prompt), row in zip(asked, PRINTED[g], strict=True):
        accuracy = learners.named(name, prompt=prompt).accuracy(world)
        place = equivalent(world, accuracy)
        found = (accuracy.common, accuracy.counter, place.correlation, 100 * place.shortfall)
        assert (np.abs(np.array(found, float) - row) < [1e-3, 1e-3, 1e-3, 0.01]).all()


def by_quadrature(world: World, prompt: str) -> tuple[float, float]:
    """(common, counter) of InfoNCE's optimum of two classes with full captions, from the densities as they are written.

    Along the object's coordinate x the log ratio of both prompts rises, so that its root is the threshold.
    """
    g, sigma = np.array([world.detail_inv, world.detail_spu]), np.array([world.sigma_inv, world.sigma_spu])
    mu, S = np.array([world.mu_inv, world.mu_spu]), sigma**2 + world.nu_image
    q = mu * np.array([1.0, 2 * world.p_spu - 1]) if prompt == "mean" else mu * np.array([1.0, 0.0])
    slope = g * sigma**2 / (sigma**2 + world.nu_text)
    spread = S - slope * g * sigma**2

    def log_joint(x, t):
        """log p(x, t) up to a constant, t = +-q."""
        parts = []
        for y in (1, -1):
            for a in (1, -1):
                mean = mu * np.array([y, a])
                weight = world.p_spu if y == a else 1 - world.p_spu
                off, text = x - mean - slope * (t - mean), t - mean
                parts.append(np.log(weight) - (off**2 / spread + text**2 / (sigma**2 + world.nu_text)).sum() / 2)
        return np.logaddexp.reduce(parts)

    def threshold(s):
        gap = lambda x: log_joint(np.array([x, s]), q) - log_joint(np.array([x, s]), -q)  # noqa: E731
        ends = gap(-1e4), gap(1e4)
        return brentq(gap, -1e4, 1e4, xtol=1e-10) if ends[0] < 0 < ends[1] else -np.inf * ends[0]

    def accuracy(a):
        def right(z):
            return ndtr((mu[0] - threshold(a * mu[1] + np.sqrt(S[1]) * z)) / np.sqrt(S[0])) * np.exp(-(z**2) / 2)

        return quad(right, -7, 7, epsabs=1e-9, limit=200)[0] / np.sqrt(2 * np.pi)

    return accuracy(1), accuracy(-1)


@pytest.mark.parametrize("prompt", ["name", "mean"])
@pytest.mark.parametrize("seed", range(3))
def test_two_classes_against_plain_quadrature(prompt, seed):
    """The independent route integrates to 1e-7; ours promises 1e-6."""
    rng = np.random.default_rng(seed)
    world = World(
        p_spu=rng.uniform(0.6, 0.98), mu_spu=rng.uniform(0.5, 2), sigma_inv=rng.uniform(0.4, 1.5),
        sigma_spu=rng.uniform(0.3, 1), sigma_xi=rng.uniform(2, 8), sigma_xi_text=rng.uniform(2, 8),
        detail_inv=rng.choice([0.0, rng.uniform()]), detail_spu=rng.uniform(),
    )  # fmt: skip
    found = learners.InfoNCE(prompt).accuracy(world)
    np.testing.assert_allclose([*found], by_quadrature(world, prompt), atol=2e-6, err_msg=repr(world))


correlated = {"p_spu": st.floats(0.05, 0.999), "mu_spu": st.floats(0.1, 4), "sigma_inv": st.floats(0.1, 2)}
noisy = {"sigma_spu": st.floats(0.1, 2), "sigma_xi": st.floats(0.5, 12), "sigma_xi_text": st.floats(0.5, 12)}
masked = {"mention_inv": st.floats(0.1, 1), "mention_spu": st.floats(0, 1), "mismatch": st.floats(0, 0.9)}


@given(st.builds(World, **correlated, **noisy, **masked, **{name: st.just(0.0) for name in VAGUE}))
def test_captions_without_detail_make_the_typical_look_the_bayes_rule(world):
    """Both integrate to 1e-6."""
    found, bayes = learners.InfoNCE("name").accuracy(world), learners.Bayes().accuracy(world)
    np.testing.assert_allclose([*found], [*bayes], atol=2e-6)


@given(
    st.builds(
        World, **correlated, **noisy, **masked,
        detail_inv=st.floats(0, 1), detail_spu=st.floats(0, 1), bare=st.floats(0.01, 1), p_inv=st.floats(0.6, 1),
    )
)  # fmt: skip
def test_the_bare_name_is_the_bayes_rule(world):
    assert [*learners.InfoNCE("bare").accuracy(world)] == [*learners.Bayes().accuracy(world)]
    images = np.random.default_rng(0).normal(0, 2, (8, 2))
    np.testing.assert_array_equal(
        learners.InfoNCE("bare").scores(world, images), learners.Bayes().scores(world, images)
    )


@given(st.builds(World, **correlated, **noisy, **masked), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.99))
@example(World(), 0.0, 1.0, 0.5)
def test_labels_alone_do_not_see_captions(world, g, h, bare):
    """Supervised learners, Bayes and the ideal curve depend on neither detail nor bare captions."""
    told = world.replace(detail_inv=g, detail_spu=h, bare=bare)
    for learner in (learners.Bayes(), learners.LeastSquares(), learners.Logistic()):
        assert [*learner.accuracy(told)] == [*learner.accuracy(world)]
    accuracy = learners.LeastSquares().accuracy(world)
    places = [equivalent(w, accuracy) for w in (told, world)]
    np.testing.assert_array_equal(*[(place.correlation, place.shortfall) for place in places])


@given(st.builds(World, **correlated, **noisy), st.floats(0, 0.99))
def test_other_prompts_do_not_see_bare_captions(world, bare):
    """The law of the captions that are not bare stays as it is, and so do InfoNCE's decisions by them."""
    for prompt in ("name", "mean"):
        learner = learners.InfoNCE(prompt)
        assert [*learner.accuracy(world.replace(bare=bare))] == [*learner.accuracy(world)]


def test_images_without_noise_have_a_law_where_captions_leave_detail_out():
    """The limit sigma_xi -> 0 is reached smoothly."""
    world = World(mu_spu=1.5, sigma_xi=0.0, sigma_xi_text=6.0, detail_inv=0.5, detail_spu=0.7)
    exact, near = (learners.InfoNCE("name").accuracy(w) for w in (world, world.replace(sigma_xi=1e-3)))
    np.testing.assert_allclose([*exact], [*near], atol=1e-5)
    np.testing.assert_allclose([*exact], by_quadrature(world, "name"), atol=2e-6)


def test_a_bare_caption_that_shows_no_object_ties():
    learner, world = learners.InfoNCE("bare"), World(mu_inv=0.0, bare=0.5)
    assert [*learner.accuracy(world)] == [0.5, 0.5]
    assert not learner.scores(world, np.ones((3, 2))).any()
    with pytest.raises(ValueError, match="no training caption is bare"):
        learner.scores(world.replace(bare=0.0), np.ones((3, 2)))


def test_classes_made_equally_frequent_keep_their_common_backgrounds():
    table = np.array([[0.3, 0.1], [0.1, 0.5]])
    world = World(table=table, common=[[1], [0]], bare=0.3)
    even = equal_classes(world)
    assert even.usual_backgrounds() == world.usual_backgrounds() == ((1,), (0,))
    np.testing.assert_allclose(np.sum(even.table, axis=1), 0.5)


def test_a_bare_name_on_a_table_is_the_bayes_rule_of_equally_frequent_classes():
    """Both sample; intervals of 16 randomisations that miss one another by twice their width show two laws."""
    table = np.array([[0.3, 0.1, 0.0], [0.05, 0.05, 0.5]])
    world = World(table=table, mu_spu=1.5, sigma_xi=4.0, bare=0.3)
    even = World(table=table / table.sum(axis=1, keepdims=True) / 2, mu_spu=1.5, sigma_xi=4.0)
    found, expected = learners.InfoNCE("bare").accuracy(world), learners.Bayes().accuracy(even)
    for a, b, (low, high) in zip(found, expected, expected.interval, strict=True):
        assert abs(a - b) <= 2 * (high - low)
    assert abs(learners.Bayes().accuracy(world).counter - expected.counter) > 0.01, "priors decide"
    images = np.random.default_rng(0).standard_normal((20, world.latents))
    scores = [rule.scores(*at, images) for rule, *at in ((learners.InfoNCE("bare"), world), (learners.Bayes(), even))]
    np.testing.assert_allclose(*(np.diff(each) for each in scores), atol=1e-12)
