"""Formulas as printed give the printed numbers, even if they are wrong."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import worlds_with
from scipy.special import ndtr

from theory.learners import LinearCLIP, Printed
from theory.population import block_covariance
from theory.published import (
    corrected_kappas,
    data_model_1_accuracies,
    inequality_margins,
    lemma_d3_limit,
    smallest_mu_spu,
    theorem_62_kappas,
    turning_points,
)


# theory.md section 4: p, mu_spu, sigma_inv, sigma_spu; printed Err >=, Acc >=.
@pytest.mark.parametrize(
    ("world", "expected"),
    [
        ((0.99, 1.5, 1, 0.5), (0.495, 0.963)),
        ((0.99, 2, 1, 0.5), (0.650, 0.977)),
        ((0.60, 2, 1, 0.5), (0.389, 0.946)),
    ],
)
def test_theorem_62_as_tabulated(world, expected):
    assert ndtr(-np.array(theorem_62_kappas(*world))) == pytest.approx(expected, abs=5.001e-4)


def test_the_learner_of_the_printed_law_has_the_printed_bounds():
    """View noise is no field of the formulas."""
    grid = worlds_with(
        p_spu=np.linspace(0.5, 1, 6)[:, None], mu_spu=[1.5, 3.0], sigma_inv=1.0, sigma_spu=0.5
    )
    error_counter, common = ndtr(-np.array(theorem_62_kappas(grid.p_spu, grid.mu_spu, 1.0, 0.5)))
    for noise in (0.0, 4.0):
        accuracy = Printed().accuracy(grid.replace(sigma_xi=noise))
        np.testing.assert_allclose(accuracy.error_counter, error_counter, atol=1e-15)
        np.testing.assert_allclose(accuracy.common, common, atol=1e-15)


@given(st.floats(0, 1), st.floats(0, 10), st.floats(0, 10))
def test_lemma_d3_is_right_where_mu_spu_is_one(p, si, ss):
    """Elsewhere its entry is 2 mu p - 1."""
    assert (
        lemma_d3_limit(np.full(3, 0.75), 2.0, 1.0, 0.5).tolist() == [[[2.0, 2.0], [2.0, 1.25]]] * 3
    )
    C = block_covariance(worlds_with(p_spu=p, sigma_inv=si, sigma_spu=ss))
    assert lemma_d3_limit(p, 1.0, si, ss) == pytest.approx(C, abs=1e-12)


@given(st.floats(0, 1), st.floats(0.01, 10), st.floats(0, 10))
def test_data_model_1_is_the_corrected_law_at_mu_spu_one(p, si, ss):
    """The formulas of [X] need no correction there, for the name prompt without view noise."""
    common, counter = data_model_1_accuracies(p, si, ss)
    got = LinearCLIP("name").accuracy(worlds_with(p_spu=p, sigma_inv=si, sigma_spu=ss))
    assert (float(common), float(counter)) == pytest.approx(
        (float(got.common), float(got.counter)), abs=1e-12
    )


# Where the printed inequalities change sign: fact (vi) of theory.md section 4


def neutral_correlation(mu_spu):
    """p*, where printed and corrected numerators agree: (mu_spu - 1)(mu_spu m0 - 1) = 0."""
    return (1 + 1 / mu_spu) / 2


@st.composite
def under_the_theorem(draw):
    """(mu_spu, sigma_inv, sigma_spu) under the conditions of Theorem 6.2, mu_spu > 1 strictly."""
    si = draw(st.floats(0.1, 3))
    ss = draw(st.floats(0, 1)) * si
    return float(smallest_mu_spu(si)) * draw(st.floats(1.001, 3)), si, ss


@given(st.floats(0, 1), st.floats(0.1, 5), st.floats(0.1, 3), st.floats(0, 3))
@example(0.9, 2.0, 0.0, 0.0)  # infinite without noise
def test_corrected_kappas_are_the_population_accuracies(p, mu, si, ss):
    k1, k2 = corrected_kappas(p, mu, si, ss)
    got = LinearCLIP("name").accuracy(worlds_with(p_spu=p, mu_spu=mu, sigma_inv=si, sigma_spu=ss))
    assert (float(ndtr(-k2)), float(ndtr(k1))) == pytest.approx(
        (float(got.common), float(got.counter)), abs=1e-11
    )


@given(under_the_theorem())
def test_fact_vi_each_margin_turns_once_on_its_side_of_p_star(world):
    mu, si, _ = world
    error, accuracy = (float(x) for x in turning_points(*world))
    p = np.linspace(0.5, 1, 4001)
    for turn, margin in zip((error, accuracy), inequality_margins(p, *world), strict=True):
        # Dense scan: negative up to the root, not negative after it (except beside the root, and
        # for rounding).
        assert np.isfinite(turn)
        assert np.all(margin[p < turn - 2e-4] < 1e-13)
        assert np.all(margin[p > turn + 2e-4] > -1e-13)
    p_star = float(neutral_correlation(mu))
    assert accuracy <= p_star + 1e-11
    assert accuracy >= p_star - 0.28
    if mu > 1 + si**2:
        assert error <= p_star + 1e-11
    else:
        assert p_star - 1e-11 <= error <= p_star + 0.08


def test_fact_vi_the_error_turns_at_p_star_where_mu_spu_is_1_plus_sigma_squared():
    si = np.array([0.5, 1.0, 2.0])
    mu = 1 + si**2
    assert turning_points(mu, si, si / 2)[0] == pytest.approx(neutral_correlation(mu), abs=1e-11)
    assert np.isnan(turning_points(1.0, 1.0, 0.5)).all(), (
        "there printed and corrected formulas agree everywhere"
    )
