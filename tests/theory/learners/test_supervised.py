"""Linear supervised optima against drawn samples, Fisher's discriminant, the Bayes rule and identities."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import worlds_with

from simulator.world import World
from theory.accuracy import linear_accuracy
from theory.learners.bayes import bayes_accuracy
from theory.learners.least_squares import LeastSquares
from theory.learners.logistic import Logistic

means = st.floats(-5, 5).filter(lambda x: abs(x) > 0.05)
scales = st.floats(0.1, 5)
probabilities = st.floats(0, 1)


def binary_worlds(p=probabilities):
    return st.builds(
        worlds_with, p_spu=p, mu_inv=means, mu_spu=means, sigma_inv=scales, sigma_spu=scales, nu=st.floats(0, 2)
    )


def accuracy_of(u, blocks) -> tuple[float, float]:
    """(common, counter) of one linear rule in one world."""
    got = linear_accuracy(u[None], blocks[None])
    return float(got.common[0]), float(got.counter[0])


def relabelled(blocks: World) -> World:
    """The same law with swapped names of the backgrounds: mu_spu -> -mu_spu, p -> 1 - p."""
    return blocks.replace(mu_spu=-blocks.mu_spu, p_spu=1 - blocks.p_spu)


@given(binary_worlds(p=st.sampled_from([0.0, 1.0])))
def test_at_full_correlation_logistic_is_twice_lda(blocks):
    u = Logistic().direction(relabelled(blocks) if blocks.agreement[1] == 0 else blocks)
    blocks = relabelled(blocks) if blocks.agreement[1] == 0 else blocks
    margin = 2 * blocks.mean**2 / blocks.image_variance
    np.testing.assert_allclose(u * blocks.mean, margin, rtol=0, atol=1e-9 * margin.max())


@given(binary_worlds(p=st.just(0.5)))
def test_an_uninformative_background_is_ignored(blocks):
    got = bayes_accuracy(blocks)
    name = accuracy_of(np.array([1.0, 0.0]) * blocks.mean, blocks)
    assert (got.common, got.counter) == pytest.approx(name, abs=1e-6)
    for direction in (Logistic().direction, LeastSquares().direction):
        u = direction(blocks)
        assert abs(u[1] * blocks.mean[1]) <= 1e-12 * abs(u[0] * blocks.mean[0])


@given(binary_worlds(), probabilities)
@example(worlds_with(p_spu=0.9, mu_spu=2.0), 1.0)
def test_nothing_beats_bayes_under_the_training_law(blocks, p_inv):
    blocks = blocks.replace(p_inv=p_inv)
    p, bayes = float(blocks.p_spu), bayes_accuracy(blocks)
    best = p * bayes.common + (1 - p) * bayes.counter
    for direction in (Logistic().direction, LeastSquares().direction):
        rival = accuracy_of(direction(blocks), blocks)
        assert p * rival[0] + (1 - p) * rival[1] <= best + 1e-6
