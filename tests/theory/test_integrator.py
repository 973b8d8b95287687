"""Accuracies of score gaps against regions whose mass is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import worlds_with
from scipy.special import ndtr
from scipy.stats import ncx2

from simulator.world import World
from theory.integrator import gap_accuracy, line_shares, plane_shares
from theory.learners import Bayes, Learner

offset = st.floats(-3, 3)
size = st.floats(0.05, 4)


@settings(max_examples=3)
@given(offset, offset, st.floats(0.3, 4))
def test_a_disc_is_an_island(x, y, radius):
    """Its mass is that of a noncentral chi-square of two degrees. Lines touch its edge."""
    found = plane_shares(lambda u, v: radius**2 - u**2 - v**2, np.array([[x], [y]]))
    assert found[0] == pytest.approx(ncx2.cdf(radius**2, 2, x**2 + y**2 + 1e-300), abs=1e-6)


@settings(max_examples=10)
@given(offset, offset, offset, offset)
def test_a_quadrant_and_its_ties(a, b, x, y):
    """Steps of a sum of signs: 1 in a quadrant, -1 in the opposite one, a tie in the others."""
    found = plane_shares(lambda u, v: (np.sign(u - a) + np.sign(v - b)) / 2, np.array([[x], [y]]))
    p = ndtr(x - a)
    q = ndtr(y - b)
    assert found[0] == pytest.approx(p * q + (p * (1 - q) + (1 - p) * q) / 2, abs=1e-6)


@settings(max_examples=10)
@given(offset, offset, size, size)
def test_a_rule_need_not_be_odd(shift, slope, x, y):
    """+ where x + slope y > shift, in all four groups by Phi."""
    world = World(mu_inv=x, mu_spu=y, sigma_inv=1.0, sigma_spu=1.0, sigma_xi=0.0)
    found = gap_accuracy(lambda u, v: u + slope * v - shift, world)
    s = np.hypot(1, slope)
    for group, sign in enumerate((1, -1)):
        gain = x + sign * slope * y
        assert found[group] == pytest.approx(
            (ndtr((gain - shift) / s) + ndtr((gain + shift) / s)) / 2, abs=1e-7
        )


def test_a_pair_of_sign_changes_between_nodes():
    """A strip of a twentieth of a deviation on every line, and a parabola that does not reach 0."""
    for depth, mass in ((1.0, 2 * ndtr(0.025) - 1), (-1.0, 0.0)):
        f = lambda k, u, d=depth: d * 0.025**2 - (u - 0.26 + 0.26) ** 2  # noqa: E731
        nodes = np.broadcast_to(np.linspace(-6.45, 6.55, 27), (3, 27))
        assert line_shares(f, nodes) == pytest.approx(np.full(3, mass), abs=1e-9)


class OwnBayes(Learner):
    name, words = "own", "a rule by its scores"

    def scores(self, world, images):
        return Bayes().scores(world, images)


class Stripes(Learner):
    name, words = "stripes", "a rule whose regions are narrower than the nodes"

    def scores(self, world, images):
        score = np.sin(40 * images[:, 0]) + 0.3 * images[:, 1]
        return np.stack([score, -score], axis=-1)


@pytest.mark.parametrize(
    "fields",
    [
        {"p_inv": 0.8, "nu": 0.5625},
        {"mu_spu": 0.0},
        {"mu_inv": 0.0},
        {"mu_spu": 2.0, "nu": 0.49},
        {"mu_spu": 1.0, "mu_inv": 0.02},  # an object that is almost useless
        {"p_spu": 0.2, "mu_spu": -3.0, "sigma_spu": 2.0},
        {"p_inv": 0.8, "p_spu": 0.95},  # the background is more reliable
        {"p_inv": 0.9, "mu_spu": 2.0, "nu": 0.3},  # equally reliable: a linear rule
        # an object that mostly disagrees with its label
        {"p_inv": 0.2, "mu_inv": 3.0, "sigma_spu": 1.0},
        {"p_inv": 0.6, "p_spu": 0.999, "mu_inv": 2.0, "mu_spu": -0.5, "sigma_spu": 2.0},
        {"p_inv": 0.999, "p_spu": 0.6, "mu_inv": 2.5, "sigma_inv": 0.5, "mu_spu": 1.0},
    ],
)
def test_rules_by_scores_have_exact_accuracies_on_two_latents(fields):
    world = worlds_with(**{"p_spu": 0.9, "mu_spu": 1.5, "sigma_spu": 0.5, **fields})
    found = OwnBayes().accuracy(world)
    assert found.interval is None
    assert [*found] == pytest.approx([*map(float, Bayes().accuracy(world))], abs=2e-6)


@pytest.mark.deep
def test_a_sample_tells_what_the_integral_misses():
    """The integral of these stripes is off by .02 and more; the sample's interval is kept."""
    world = worlds_with(p_spu=0.9, mu_spu=1.5, nu=0.5625)
    found = Stripes().accuracy(world)
    assert found.interval is not None
    rng = np.random.default_rng(0)
    for group, sign in enumerate((1, -1)):
        right = Stripes().scores(
            world,
            world.mean * [1, sign]
            + np.sqrt(world.image_variance) * rng.standard_normal((4_000_000, 2)),
        )
        assert [*found][group] == pytest.approx((right[:, 0] > 0).mean(), abs=2e-3)
