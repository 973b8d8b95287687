"""Theorems T1 to T8 over their whole domains, and known numbers."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from reference import worlds_with
from scipy.special import ndtr

from theory import theorems as T
from theory.accuracy import linear_accuracy, reliance
from theory.learners import LeastSquares, LinearCLIP

positive = st.floats(0.05, 20)
ratio = st.floats(0, 50)
correlation = st.floats(0.01, 1)
noise = st.floats(0, 10)


def world(alpha, beta, si, ss, p, nu=0.0, kappa=1.0, K=2):
    """Worlds with (pi_spu/pi_inv)^2 = kappa."""
    pi_i, pi_s = (1.0, np.sqrt(kappa)) if kappa <= 1 else (1 / np.sqrt(kappa), 1.0)
    fields = {
        "p_spu": p,
        "mu_inv": alpha,
        "mu_spu": beta,
        "sigma_inv": si,
        "sigma_spu": ss,
        "nu": nu,
        "classes": K,
    }
    return worlds_with(**fields, mention_inv=pi_i, mention_spu=pi_s)


@given(positive, positive, positive, positive, ratio, ratio)
def test_t1_more_reliance_is_less_robust(alpha, beta, S_i, S_s, t, step):
    score = T.counter_score(np.array([t, t + step]), alpha, beta, S_i, S_s)
    assert score[1] <= score[0] + 1e-12 * np.abs(score).max()
    u = np.array([1.0, t])
    blocks = world(alpha, beta, np.sqrt(S_i), np.sqrt(S_s), 0.5)
    got = linear_accuracy(u, blocks)
    assert float(got.counter) == pytest.approx(float(ndtr(score[0])), abs=1e-10)
    assert float(got.common) == pytest.approx(
        float(ndtr(T.counter_score(t, alpha, -beta, S_i, S_s))), abs=1e-10
    )


@given(positive, positive, positive, positive, ratio)
def test_t1_common_peaks_at_lda_and_balanced_at_zero(alpha, beta, si, ss, t):
    def common(t):
        return T.counter_score(t, alpha, -beta, si**2, ss**2)

    def balanced(t):
        return ndtr(common(t)) + ndtr(T.counter_score(t, alpha, beta, si**2, ss**2))

    best = T.best_common_score(alpha, beta, si**2, ss**2)
    assert common(beta * si**2 / (alpha * ss**2)) == pytest.approx(best, rel=1e-9)
    assert common(t) <= best * (1 + 1e-12)
    assert balanced(0.0) >= balanced(t) - 1e-14


@given(positive, positive, positive, positive, correlation, st.floats(1e-3, 1e3), correlation)
@example(1.0, 2.0, 1.0, 0.5, 0.8, 1.0, 1.0)
@example(1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 1.0)
def test_t2_reliance_of_both_prompts(alpha, beta, si, ss, m0, kappa, D_inv):
    blocks = world(alpha, beta, si, ss, (1 + m0) / 2, kappa=kappa)
    blocks = blocks.replace(p_inv=(1 + D_inv) / 2)
    name = T.reliance_name(alpha, beta, si, m0, D_inv)
    mean = T.reliance_mean(alpha, beta, si, ss, m0, kappa, D_inv)
    assert reliance(LinearCLIP("name").direction(blocks)) == pytest.approx(name, rel=1e-9)
    assert reliance(LinearCLIP("mean").direction(blocks)) == pytest.approx(mean, rel=1e-9)
    assert mean >= name * (1 - 1e-12)  # m0 > 0: the mean prompt is never more robust
    assert T.reliance_mean(alpha, beta, si, ss, m0, 2 * kappa, D_inv) >= mean * (1 - 1e-12)
    assert T.reliance_mean(alpha, beta, si, ss, m0, 0.0, D_inv) == pytest.approx(name, rel=1e-12)
    ceiling = (beta**2 + ss**2) / (alpha * beta * m0 * D_inv)
    assert mean <= ceiling * (1 + 1e-12)
    assert T.reliance_mean(alpha, beta, si, ss, m0, 1e14, D_inv) == pytest.approx(ceiling, rel=1e-3)
    if alpha**2 < kappa * (
        beta**2 + ss**2
    ):  # as objects disagree more: the mean prompt relies more, the name prompt less
        assert T.reliance_mean(alpha, beta, si, ss, m0, kappa) <= mean * (1 + 1e-12)
    assert T.reliance_name(alpha, beta, si, m0) >= name


@given(positive, positive, positive, positive, correlation, st.floats(1e-2, 1e2))
def test_t3_the_mean_prompt_relies_most_at_one_correlation(alpha, beta, si, ss, m0, kappa):
    most = T.largest_reliance_mean(alpha, beta, si, ss, kappa)
    assert T.reliance_mean(alpha, beta, si, ss, m0, kappa) <= most * (1 + 1e-12)
    peak = np.hypot(alpha, si) / (beta * np.sqrt(kappa))
    assert T.reliance_mean(alpha, beta, si, ss, peak, kappa) == pytest.approx(most, rel=1e-9)


@given(positive, positive, positive, positive, noise, st.floats(0.51, 1.0))
@example(1.0, 1.0, 1.0, 0.5, 0.0, 1.0)
@example(1.0, 1.0, 0.5, 0.4, 0.0, 0.94)  # p_c is .96
def test_t4_and_t5_clip_against_least_squares_at_any_correlation(alpha, beta, si, ss, nu, p):
    blocks = world(alpha, beta, si, ss, p, nu)
    clip, least = (
        float(reliance(u))
        for u in (LinearCLIP("name").direction(blocks), LeastSquares().direction(blocks))
    )
    assume(abs(clip - least) > 1e-9 * clip)
    assert (clip < least) == (T.least_squares_margin(alpha, beta, si, ss, p, nu) > 0)


@given(
    *[positive] * 4,
    st.floats(0.01, 1),
    st.floats(0.01, 1),
    st.floats(1e-2, 1e2),
    st.integers(3, 10_000),
)
@example(1.0, 2.0, 1.0, 0.5, 0.9, 1.0, 1.0, 10)
def test_t8_many_classes(alpha, beta, si, ss, D, D_inv, kappa, K):
    # D = p - (1 - p)/(K - 1)
    p = (D * (K - 1) + 1) / K
    p_inv = (D_inv * (K - 1) + 1) / K
    blocks = world(alpha, beta, si, ss, p, kappa=kappa, K=K).replace(p_inv=p_inv)
    name = T.many_class_reliance_name(alpha, beta, si, p, K, p_inv)
    mean = T.many_class_reliance_mean(alpha, beta, si, ss, p, K, kappa, p_inv)
    assert float(reliance(LinearCLIP("name").direction(blocks))) == pytest.approx(name, rel=1e-9)
    assert float(reliance(LinearCLIP("mean").direction(blocks))) == pytest.approx(mean, rel=1e-9)
    far = T.many_class_reliance_name(alpha, beta, si, p, 10**9, p_inv) * 10**9
    assert far == pytest.approx(alpha * beta * p * p_inv / si**2, rel=1e-3)
    limit = T.many_class_reliance_mean_limit(alpha, beta, si, ss, p, kappa, p_inv)
    assert T.many_class_reliance_mean(
        alpha, beta, si, ss, p, 10**12, kappa, p_inv
    ) == pytest.approx(limit, rel=1e-3)
