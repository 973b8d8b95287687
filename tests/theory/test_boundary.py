"""Where the printed inequalities turn: fact (vi) of theory.md section 4."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import worlds_with
from scipy.special import ndtr

from theory.learners import LinearCLIP
from theory.published import corrected_kappas, inequality_margins, smallest_mu_spu, theorem_62_kappas, turning_points


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
def test_corrected_kappas_are_the_population_accuracies(p, mu, si, ss):
    k1, k2 = corrected_kappas(p, mu, si, ss)
    got = LinearCLIP("name").accuracy(worlds_with(p_spu=p, mu_spu=mu, sigma_inv=si, sigma_spu=ss))
    assert (float(ndtr(-k2)), float(ndtr(k1))) == pytest.approx((float(got.common), float(got.counter)), abs=1e-11)


@given(st.floats(0.5, 1), st.floats(1, 10), st.floats(0.1, 3), st.floats(0, 3))
def test_fact_vi_the_difference_of_the_numerators(p, mu, si, ss):
    m0 = 2 * p - 1
    R = np.sqrt((1 + si**2) ** 2 * si**2 + mu**2 * m0**2 * ss**2)
    R_printed = np.sqrt((1 + si**2) ** 2 * si**2 + (2 * mu * p - 1) ** 2 * ss**2)
    true, printed = corrected_kappas(p, mu, si, ss), theorem_62_kappas(p, mu, si, ss)
    expected = -(mu - 1) * (mu * m0 - 1)
    assert true[0] * R - printed[0] * R_printed == pytest.approx(expected, abs=1e-9)
    assert -true[1] * R + printed[1] * R_printed == pytest.approx(-expected, abs=1e-9)
    assert R_printed - R >= -1e-12


@given(under_the_theorem())
def test_fact_vi_each_margin_turns_once_on_its_side_of_p_star(world):
    mu, si, _ = world
    error, accuracy = (float(x) for x in turning_points(*world))
    p = np.linspace(0.5, 1, 4001)
    for turn, margin in zip((error, accuracy), inequality_margins(p, *world), strict=True):
        # Dense scan: negative up to the root, not negative after it (a cell beside the root and rounding excused).
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


def test_turning_points_are_roots_of_the_margins():
    mu, si, ss = np.array([1.6, 2.0, 4.0, 10.0]), 1.0, np.array([0.2, 0.5, 0.9, 0.3])
    for which, root in enumerate(turning_points(mu, si, ss)):
        assert inequality_margins(root, mu, si, ss)[which] == pytest.approx(0, abs=1e-9)


def test_no_change_of_sign_is_nan():
    """mu_spu = 1: printed and corrected agree everywhere, so nothing turns."""
    assert np.isnan(turning_points(1.0, 1.0, 0.5)).all()
