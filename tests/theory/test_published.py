"""Printed formulas give the printed numbers, right or wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import worlds_with

from theory.learners import LinearCLIP
from theory.population import block_covariance
from theory.published import (
    data_model_1_accuracies,
    lemma_d3_limit,
    smallest_mu_spu,
    theorem_62_bounds,
    theorem_62_kappas,
)


# theory.md section 4: p, mu_spu, sigma_inv, sigma_spu; printed Err >=, Acc >=.
@pytest.mark.parametrize(
    ("world", "expected"),
    [((0.99, 1.5, 1, 0.5), (0.495, 0.963)), ((0.99, 2, 1, 0.5), (0.650, 0.977)), ((0.60, 2, 1, 0.5), (0.389, 0.946))],
)
def test_theorem_62_as_tabulated(world, expected):
    bounds = theorem_62_bounds(*world)
    assert (float(bounds.error_counter), float(bounds.accuracy_common)) == pytest.approx(expected, abs=5.001e-4)


@pytest.mark.parametrize(
    ("world", "R", "numerators"),
    [
        ((1.0, 2.0, 1.0, 1.0), np.sqrt(4 + 9), (3 - 4, -4 - 1)),
        ((0.75, 3.0, 2.0, 0.5), np.sqrt(25 * 4 + 3.5**2 / 4), (4 + 2 - 4.5, -4.5 - 4)),
    ],
)
def test_theorem_62_by_hand(world, R, numerators):
    """kappa_1 = (sigma_inv^2 + 2 - 2 mu_spu p)/R, kappa_2 = (-2 mu_spu p - sigma_inv^2)/R."""
    assert [float(k) for k in theorem_62_kappas(*world)] == pytest.approx([x / R for x in numerators], rel=1e-14)


def test_theorem_62_without_noise_is_certain():
    assert np.isinf(theorem_62_kappas(1.0, 2.0, 0.0, 0.0)).all()


def test_lemma_d3_as_printed():
    """[[1 + sigma_inv^2, 2 mu p - 1], [2 mu p - 1, 1 + sigma_spu^2]]."""
    assert lemma_d3_limit(0.75, 2.0, 1.0, 0.5).tolist() == [[2.0, 2.0], [2.0, 1.25]]
    assert lemma_d3_limit(np.full(3, 0.75), 2.0, 1.0, 0.5).shape == (3, 2, 2)


@given(st.floats(0, 1), st.floats(0, 10), st.floats(0, 10))
def test_lemma_d3_is_right_where_mu_spu_is_one(p, si, ss):
    C = block_covariance(worlds_with(p_spu=p, sigma_inv=si, sigma_spu=ss))
    assert lemma_d3_limit(p, 1.0, si, ss) == pytest.approx(C, abs=1e-12)


@given(st.floats(0, 1), st.floats(0.01, 10), st.floats(0, 10))
def test_data_model_1_is_the_corrected_law_at_mu_spu_one(p, si, ss):
    """[X] needs no correction there, for the name prompt without view noise."""
    common, counter = data_model_1_accuracies(p, si, ss)
    got = LinearCLIP("name").accuracy(worlds_with(p_spu=p, sigma_inv=si, sigma_spu=ss))
    assert (float(common), float(counter)) == pytest.approx((float(got.common), float(got.counter)), abs=1e-12)


def test_the_condition_on_mu_spu():
    assert smallest_mu_spu([0.0, 1.0, 2.0]).tolist() == [1.0, 1.5, 3.0]
