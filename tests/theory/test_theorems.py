"""Theorems T1 to T8 over their whole domains, their known numbers, and the 1/n law against the exact law."""

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from reference import worlds_with
from scipy.special import ndtr
from stattest import assert_mean

from simulator.gaussian.critic import group_accuracy
from simulator.gaussian.statistics import projected_critics
from simulator.world import World, Worlds
from theory import theorems as T
from theory.accuracy import linear_accuracy, reliance
from theory.learners.least_squares import least_squares_direction
from theory.learners.logistic import logistic_direction
from theory.population import leading_direction, linear_weights

positive = st.floats(0.05, 20)
ratio = st.floats(0, 50)
correlation = st.floats(0.01, 1)
noise = st.floats(0, 10)


def world(alpha, beta, si, ss, p, nu=0.0, kappa=1.0, K=2):
    """Worlds with (pi_spu/pi_inv)^2 = kappa."""
    pi_i, pi_s = (1.0, np.sqrt(kappa)) if kappa <= 1 else (1 / np.sqrt(kappa), 1.0)
    return worlds_with(
        p_spu=p,
        mu_inv=alpha,
        mu_spu=beta,
        sigma_inv=si,
        sigma_spu=ss,
        nu=nu,
        mention_inv=pi_i,
        mention_spu=pi_s,
        classes=K,
    )


@given(positive, positive, positive, positive, ratio, ratio)
def test_t1_more_reliance_is_less_robust(alpha, beta, S_i, S_s, t, step):
    score = T.counter_score(np.array([t, t + step]), alpha, beta, S_i, S_s)
    assert score[1] <= score[0] + 1e-12 * np.abs(score).max()
    u = np.array([1.0, t])
    blocks = world(alpha, beta, np.sqrt(S_i), np.sqrt(S_s), 0.5)
    got = linear_accuracy(u, blocks)
    assert float(got.counter) == pytest.approx(float(ndtr(score[0])), abs=1e-10)
    assert float(got.common) == pytest.approx(float(ndtr(T.counter_score(t, alpha, -beta, S_i, S_s))), abs=1e-10)


@given(positive, positive, positive, positive, ratio)
def test_t1_common_peaks_at_lda_and_balanced_at_zero(alpha, beta, si, ss, t):
    def common(t):
        return T.counter_score(t, alpha, -beta, si**2, ss**2)

    def balanced(t):
        return ndtr(common(t)) + ndtr(T.counter_score(t, alpha, beta, si**2, ss**2))

    peak = float(T.reliance_lda(alpha, beta, si, ss))
    assert common(peak) >= common(t) - 1e-12 * abs(common(peak))
    assert common(peak) == pytest.approx(np.sqrt(alpha**2 / si**2 + beta**2 / ss**2), rel=1e-9)
    assert balanced(0.0) >= balanced(t) - 1e-14


@given(positive, positive, positive, positive, correlation, st.floats(1e-3, 1e3))
@example(1.0, 2.0, 1.0, 0.5, 1.0, 1.0)
def test_t2_reliance_of_both_prompts(alpha, beta, si, ss, m0, kappa):
    blocks = world(alpha, beta, si, ss, (1 + m0) / 2, kappa=kappa)
    name = T.reliance_name(alpha, beta, si, m0)
    mean = T.reliance_mean(alpha, beta, si, ss, m0, kappa)
    assert reliance(linear_weights(blocks, "name")) == pytest.approx(name, rel=1e-9)
    assert reliance(linear_weights(blocks, "mean")) == pytest.approx(mean, rel=1e-9)
    assert mean >= name * (1 - 1e-12)  # m0 > 0: the mean prompt is never more robust
    assert T.reliance_mean(alpha, beta, si, ss, m0, 2 * kappa) >= mean * (1 - 1e-12)
    assert T.reliance_mean(alpha, beta, si, ss, m0, 0.0) == pytest.approx(name, rel=1e-12)
    ceiling = (beta**2 + ss**2) / (alpha * beta * m0)
    assert mean <= ceiling * (1 + 1e-12)
    assert T.reliance_mean(alpha, beta, si, ss, m0, 1e14) == pytest.approx(ceiling, rel=1e-3)


@given(positive, positive, positive, positive, correlation, st.floats(1e-3, 1e3), correlation)
@example(1.0, 2.0, 1.0, 0.5, 0.8, 1.0, 1.0)
def test_t2_where_objects_may_disagree_with_labels(alpha, beta, si, ss, m0, kappa, D_inv):
    blocks = world(alpha, beta, si, ss, (1 + m0) / 2, kappa=kappa)
    blocks = blocks.replace(p_inv=(1 + D_inv) / 2)
    name = T.reliance_name(alpha, beta, si, m0, D_inv)
    mean = T.reliance_mean(alpha, beta, si, ss, m0, kappa, D_inv)
    assert reliance(linear_weights(blocks, "name")) == pytest.approx(name, rel=1e-9)
    assert reliance(linear_weights(blocks, "mean")) == pytest.approx(mean, rel=1e-9)
    assert name <= mean * (1 + 1e-12)
    assert mean <= (beta**2 + ss**2) / (alpha * beta * m0 * D_inv) * (1 + 1e-12)
    if alpha**2 < kappa * (beta**2 + ss**2):  # the mean prompt relies more where objects disagree more, name less
        assert T.reliance_mean(alpha, beta, si, ss, m0, kappa) <= mean * (1 + 1e-12)
    assert T.reliance_name(alpha, beta, si, m0) >= name


@given(positive, positive, noise, noise, correlation, st.floats(1e-3, 1e3), correlation)
@example(1.0, 2.0, 1e-8, 1e-9, 1.0, 1.0, 1.0)  # what is left of A B - c^2 is far below rounding of either
@example(1.0, 2.0, 1e-8, 0.0, 1.0, 1.0, 1.0)
def test_t2_richer_captions_lower_the_mean_prompts_reliance(alpha, beta, si, ss, m0, kappa, D_inv):
    slope = T.reliance_mean_slope(alpha, beta, si, ss, m0, kappa, D_inv)
    with mpmath.workdps(60):
        a, b, s, e, m, D = map(mpmath.mpf, (alpha, beta, si, ss, m0, D_inv))

        def t(log_kappa):
            k = mpmath.exp(log_kappa)
            return b * m * (a**2 * D**2 + k * (b**2 + e**2)) / (a * D * (a**2 + s**2 + k * b**2 * m**2))

        expected = float(mpmath.diff(t, mpmath.log(kappa)))
    assert slope == pytest.approx(expected, rel=1e-10, abs=1e-25)
    assert slope >= 0


@given(positive, positive, positive, positive, ratio, ratio, st.floats(0.5, 1))
def test_t1_where_objects_may_disagree_with_labels(alpha, beta, si, ss, t, step, p_inv):
    """Averaged over the object shown, by listing it: a rule's drop is that at p_inv = 1, and counter falls in t."""
    counters = []
    for u in (t, t + step):
        s = np.hypot(si, u * ss)
        chance = {(o, a): ndtr((o * alpha + u * a * beta) / s) for o in (1, -1) for a in (1, -1)}
        common, counter = (p_inv * chance[1, a] + (1 - p_inv) * chance[-1, a] for a in (1, -1))
        got = T.disagreement(chance[1, 1], chance[1, -1], p_inv)
        assert got == pytest.approx((common, counter), abs=1e-14)
        assert common - counter == pytest.approx(chance[1, 1] - chance[1, -1], abs=1e-14)
        balanced, at_one = (common + counter) / 2, (chance[1, 1] + chance[1, -1]) / 2
        assert balanced - 0.5 == pytest.approx((2 * p_inv - 1) * (at_one - 0.5), abs=1e-14)
        counters.append(counter)
    assert counters[1] <= counters[0] + 1e-14


def test_t3_captions_silent_on_the_background():
    assert T.most_harmful_correlation(1.0, 2.0, 1.0, 0.0) == 1.0
    np.testing.assert_allclose(T.most_harmful_correlation(1.0, np.array([1.0, 4.0]), 0.0), [1.0, 0.25])


@given(positive, positive, positive, positive, correlation, st.floats(1e-2, 1e2))
def test_t3_the_mean_prompt_relies_most_at_one_correlation(alpha, beta, si, ss, m0, kappa):
    peak = float(T.most_harmful_correlation(alpha, beta, si, kappa))
    assert 0 < peak <= 1
    most = T.reliance_mean(alpha, beta, si, ss, peak, kappa)
    assert T.reliance_mean(alpha, beta, si, ss, m0, kappa) <= most * (1 + 1e-12)
    if peak < 1:
        assert peak == pytest.approx(np.sqrt(alpha**2 + si**2) / (beta * np.sqrt(kappa)), rel=1e-12)


@given(positive, positive, positive, positive, noise, st.sampled_from(["name", "mean"]))
@example(1.0, 1.0, 1.0, 0.5, 0.0, "name")
@example(1.0, 1.0, 0.5, 2.0, 0.0, "mean")
def test_t4_clip_against_lda_at_full_correlation(alpha, beta, si, ss, nu, prompt):
    margin = float(T.full_correlation_margin(alpha, beta, si, ss, prompt, nu))
    clip = float(reliance(linear_weights(world(alpha, beta, si, ss, 1.0, nu), prompt)))
    lda = float(T.reliance_lda(alpha, beta, si, ss, nu))
    if abs(clip - lda) > 1e-9 * lda:
        assert (clip < lda) == (margin > 0)
    if si > ss:
        assert margin > 0  # under [W]'s own condition linear CLIP is the more robust, for either prompt
    other = float(T.full_correlation_margin(alpha, 3 * beta, si, ss, prompt, nu))
    assert np.sign(other) == np.sign(margin)


@given(positive, *[st.floats(1e-6, 20)] * 2, st.floats(0, 1e6))
@example(1.0, 1e-6, 2e-6, 1e3)
def test_t4_small_spreads_survive_large_view_noise(alpha, si, ss, nu):
    """The terms alpha^2 nu cancel exactly; what is left is exact relative to its two own terms."""
    got = float(T.full_correlation_margin(alpha, 1.0, si, ss, "name", nu))
    with mpmath.workdps(50):
        a, s, e, v = map(mpmath.mpf, (alpha, si, ss, nu))
        exact = (s**2 + v) * (a**2 + s**2) - a**2 * (e**2 + v)
        scale = a**2 * abs(s**2 - e**2) + s**2 * (s**2 + v)
        assert abs(got - exact) <= 1e-14 * scale
        inside = 1 - exact / a**2
        p_c = float((1 + mpmath.sqrt(inside)) / 2) if inside > 1e-9 else None
    if p_c is not None:
        # d sqrt(x) = dx/(2 sqrt x), x exact to 1e-14 of its largest term.
        error = 1e-14 * float(1 + scale / a**2) / np.sqrt(float(inside))
        assert float(T.least_squares_crossover(alpha, 1.0, si, ss, nu)) == pytest.approx(p_c, rel=1e-14, abs=error)


@given(positive, positive, positive, positive, noise, st.floats(0.51, 1.0))
def test_t5_clip_against_least_squares_at_any_correlation(alpha, beta, si, ss, nu, p):
    p_c = float(T.least_squares_crossover(alpha, beta, si, ss, nu))
    blocks = world(alpha, beta, si, ss, p, nu)
    clip, least = (float(reliance(u)) for u in (linear_weights(blocks, "name"), least_squares_direction(blocks)))
    assume(abs(clip - least) > 1e-9 * clip)
    assert (clip < least) == (np.isnan(p_c) or p > p_c)


@pytest.mark.parametrize(
    ("world_", "logistic", "squares"),
    [
        ((2, 1, 0.5), (0.976, 0.997), (0.875, 0.951)),
        ((1.5, 1, 0.5), (0.841, 0.974), (0.736, 0.908)),
        ((3, 1, 0.5), (0.9996, 0.99999), (0.949, 0.979)),
        ((2, 1, 0.9), (0.978, 0.998), (0.919, 0.988)),
    ],
)
def test_t6_crossovers_as_tabulated(world_, logistic, squares):
    beta, si, ss = world_
    for prompt, expected in zip(("name", "mean"), logistic, strict=True):
        digits = len(str(expected)) - 2
        got = T.logistic_crossover(1.0, beta, si, ss, prompt)
        assert got == pytest.approx(expected, abs=0.5001 * 10.0**-digits)
        blocks = world(1.0, beta, si, ss, got)
        assert float(reliance(logistic_direction(blocks))) == pytest.approx(
            float(reliance(linear_weights(blocks, prompt))), rel=1e-5
        )
    assert float(T.least_squares_crossover(1.0, beta, si, ss)) == pytest.approx(squares[0], abs=5.001e-4)
    p = np.linspace(0.501, 0.9999, 100_000)
    blocks = world(1.0, beta, si, ss, p)
    clip, least = reliance(linear_weights(blocks, "mean")), reliance(least_squares_direction(blocks))
    assert p[np.argmax(clip < least)] == pytest.approx(squares[1], abs=5.1e-4)


@pytest.mark.parametrize("ss", [2.0, 0.05])
def test_t6_without_a_crossing_there_is_no_number(ss):
    """sigma_spu = 2: supervised is better even at p = 1; a tiny mu_spu: CLIP is better at every p."""
    beta = 1.0 if ss == 2.0 else 0.05
    assert np.isnan(T.logistic_crossover(1.0, beta, 0.5 if ss == 2.0 else 1.0, ss, "name"))


@given(positive, positive, positive, positive, correlation)
def test_t7_width_one(alpha, beta, si, ss, m0):
    A, B = alpha**2 + si**2, beta**2 + ss**2
    assume(4 * (alpha * beta * m0) ** 2 > 1e-6 * (A - B) ** 2)  # else B - A + sqrt(...) cancels
    t = T.reliance_bottleneck(alpha, beta, si, ss, m0)
    u = leading_direction(world(alpha, beta, si, ss, (1 + m0) / 2))
    assert float(reliance(u)) == pytest.approx(t, rel=1e-6)
    p = (1 + m0) / 2
    left, right = 2 * p * (beta**2 - alpha**2), si**2 - ss**2
    if abs(left - right) > 1e-9 * (abs(left) + abs(right)):
        assert (t * beta > alpha) == (left > right)


@given(*[st.floats(1e-3, 1e3)] * 2, *[st.floats(0, 1e3)] * 2, st.floats(1e-12, 1))
@example(20.0, 0.05, 1.0, 0.5, 1e-6)  # B - A + sqrt((A - B)^2 + 4c^2) rounds to 0; 2.5e-9 is right
@example(1.0, 1.0, 0.5, 0.5 + 1e-12, 1e-12)  # A - B itself cancels
@example(0.05, 20.0, 1.0, 0.5, 1e-6)
def test_t7_keeps_its_digits(alpha, beta, si, ss, m0):
    with mpmath.workdps(60):
        a, b, s, e, m = map(mpmath.mpf, (alpha, beta, si, ss, m0))
        gap, c = b**2 + e**2 - a**2 - s**2, a * b * m
        exact = float((gap + mpmath.sqrt(gap**2 + 4 * c**2)) / (2 * c))
    # A - B is exact relative to its own two differences; where they cancel in turn, t moves by as much as they do.
    own = abs((alpha - beta) * (alpha + beta)) + abs((si - ss) * (si + ss))
    error = 1e-14 + 4e-16 * own / float(mpmath.hypot(gap, 2 * c))
    assert float(T.reliance_bottleneck(alpha, beta, si, ss, m0)) == pytest.approx(exact, rel=error, abs=0)


def test_t7_at_no_correlation_one_axis_is_left():
    assert T.reliance_bottleneck(2.0, 1.0, 1.0, 0.5, 0.0) == 0.0
    assert T.reliance_bottleneck(1.0, 2.0, 1.0, 0.5, 0.0) == np.inf
    assert np.isnan(T.reliance_bottleneck(1.0, 1.0, 0.5, 0.5, 0.0))
    t = T.reliance_bottleneck(20.0, 0.05, 1.0, 0.5, 1e-6)
    assert t == pytest.approx(2.5e-9, rel=0.01)


def test_t7_the_value_at_no_correlation_is_not_the_limit():
    """B > A: the width-1 reliance diverges as m0 -> 0, and at m0 = 0 nothing of the object is left."""
    assert T.reliance_bottleneck(1.0, 2.0, 1.0, 0.5, 1e-6) > 1e5
    u = leading_direction(world(1.0, 2.0, 1.0, 0.5, 0.5))
    assert np.abs(u).tolist() == [0.0, 1.0]


@given(positive, positive, positive, positive, st.floats(0.5, 1), st.integers(3, 10_000))
def test_t8_many_classes(alpha, beta, si, ss, p, K):
    blocks = world(alpha, beta, si, ss, p, K=K)
    expected = T.many_class_reliance_name(alpha, beta, si, p, K)
    assert float(reliance(linear_weights(blocks, "name"))) == pytest.approx(expected, rel=1e-9)
    assert T.many_class_reliance_name(alpha, beta, si, p, 10**9) * 10**9 == pytest.approx(
        alpha * beta * p / si**2, rel=1e-3
    )


@given(*[positive] * 4, st.floats(0.01, 1), st.floats(0.01, 1), st.floats(1e-2, 1e2), st.integers(3, 10_000))
def test_t8_many_classes_where_objects_may_disagree(alpha, beta, si, ss, D, D_inv, kappa, K):
    p, p_inv = ((x * (K - 1) + 1) / K for x in (D, D_inv))  # D = p - (1 - p)/(K - 1)
    blocks = world(alpha, beta, si, ss, p, kappa=kappa, K=K).replace(p_inv=p_inv)
    name = T.many_class_reliance_name(alpha, beta, si, p, K, p_inv)
    mean = T.many_class_reliance_mean(alpha, beta, si, ss, p, K, kappa, p_inv)
    assert float(reliance(linear_weights(blocks, "name"))) == pytest.approx(name, rel=1e-9)
    assert float(reliance(linear_weights(blocks, "mean"))) == pytest.approx(mean, rel=1e-9)
    limit = T.many_class_reliance_mean_limit(alpha, beta, si, ss, p, kappa, p_inv)
    assert T.many_class_reliance_mean(alpha, beta, si, ss, p, 10**12, kappa, p_inv) == pytest.approx(limit, rel=1e-3)


@given(*[positive] * 4, correlation, st.floats(0.01, 10), st.sampled_from(["name", "mean"]), ratio, correlation)
def test_t10_reliance_falls_with_the_spread_of_the_object(alpha, beta, si, ss, m0, kappa, prompt, step, D_inv):
    def t(sigma_inv):
        if prompt == "name":
            return T.reliance_name(alpha, beta, sigma_inv, m0, D_inv)
        return T.reliance_mean(alpha, beta, sigma_inv, ss, m0, kappa, D_inv)

    assert t(si + step) <= t(si)
    # At the crossing half of the counter group is right; below it, less.
    if D_inv == 1 and (crossing := T.spread_crossing(alpha, beta, ss, m0, prompt, kappa)) > 0:
        assert t(crossing) * beta == pytest.approx(alpha, rel=1e-9)


@given(*[positive] * 3, correlation, st.floats(0.01, 10), st.sampled_from(["name", "mean"]), noise)
@example(1.0, 1.0, 0.0, 1.0, 1.0, "name", 0.0)
@example(1.0, 2.0, 0.5, 1.0, 1.0, "name", 0.0)
@example(1.0, 2.0, 0.5, 1.0, 1.0, "name", 2.0)
def test_t10_counter_accuracy_peaks_once(alpha, beta, ss, m0, kappa, prompt, nu):
    peak = float(T.best_spread(alpha, beta, ss, m0, prompt, kappa, nu))
    crossing = float(T.spread_crossing(alpha, beta, ss, m0, prompt, kappa))

    def score(sigma_inv):
        blocks = world(alpha, beta, sigma_inv, ss, (1 + m0) / 2, nu, kappa)
        t = reliance(linear_weights(blocks, prompt))
        return T.counter_score(t, alpha, beta, sigma_inv**2 + nu, ss**2 + nu)

    if np.isnan(peak):
        assert crossing == 0 or crossing < 1e-6 * alpha  # the background does not win over an object without spread
        peak = 0.0
    else:
        assert peak >= crossing
        assume(peak < 500)  # a world's spread goes to 1000
        # Either side of the peak the score moves one way, to rounding of its terms.
        rising, falling = score(peak * np.linspace(1e-3, 1, 40)), score(np.geomspace(peak, 900, 40))
        slack = 1e-12 * (np.abs(rising).max() + 1)
        assert np.all(score(peak * np.array([0.9, 0.99, 1.01, 1.1])) <= score(peak) + slack)
        assert np.all(np.diff(rising) > -slack)
        assert np.all(np.diff(falling) < slack)
        assert rising[-1] >= -slack
    if crossing > 0:  # and where most of the counter group is wrong more spread helps in any world
        below = score(crossing * np.linspace(1e-3, 1, 40))
        assert np.all(np.diff(below) > -1e-12 * (np.abs(below).max() + 1))


def test_t10_in_the_limit_of_xue_et_al():
    """Score sigma/(1 + sigma^2): counter accuracy rises to .69 at sigma_inv = 1 and falls beyond."""
    assert float(T.best_spread(1.0, 1.0, 0.0, 1.0, "name")) == pytest.approx(1.0, abs=1e-9)
    t = T.reliance_name(1.0, 1.0, 1.0, 1.0)
    assert float(ndtr(T.counter_score(t, 1.0, 1.0, 1.0, 0.0))) == pytest.approx(0.691, abs=5e-4)
    assert T.best_spread(1.0, np.array([1.0, 2.0, 0.5]), 0.5, 0.9, "mean").shape == (3,)


@pytest.mark.parametrize("kappa", [1.0, 0.25])
def test_t8_the_mean_prompt_keeps_its_reliance(kappa):
    limit = T.many_class_reliance_mean_limit(1.0, 2.0, 1.0, 0.5, 0.9, kappa)
    assert limit == pytest.approx(kappa * 0.45)
    errors = []
    for K in (1_000, 10_000):
        t = float(reliance(linear_weights(world(1.0, 2.0, 1.0, 0.5, 0.9, kappa=kappa, K=K), "mean")))
        errors.append(abs(t - limit))
    assert errors[1] < 0.11 * errors[0]  # the correction is O(1/K)
    assert errors[1] < 1e-3


@pytest.mark.parametrize(
    ("p", "beta", "si", "ss", "nu"),
    [(0.9, 2.0, 1.0, 0.5, 0.1), (1.0, 1.5, 0.02, 1e-3, 1e-8), (0.999, 1.0, 1e-5, 0.3, 0.0)],
)
@pytest.mark.parametrize("prompt", ["name", "mean"])
def test_the_1_over_n_law_against_fifty_digits(p, beta, si, ss, nu, prompt):
    """Gamma group by group, second derivatives by numerical steps, down to nearly sure decisions and no view noise."""
    d, alpha = 10, 1.0
    with mpmath.workdps(50):
        p_, m_i, m_s, v_i, v_s, v = (mpmath.mpf(x) for x in (p, alpha, beta, si, ss, nu))
        v_i, v_s, m0 = v_i**2, v_s**2, 2 * p_ - 1
        q = [m_i, mpmath.mpf(0)] if prompt == "name" else [m_i, m_s * m0]
        c = m_i * m_s * m0
        C = [[m_i**2 + v_i, c], [c, m_s**2 + v_s]]
        u = [C[i][0] * q[0] + C[i][1] * q[1] for i in (0, 1)]
        S, latent = [v_i + v, v_s + v], [v_i, v_s]
        Gamma, second_s = mpmath.matrix(2, 2), mpmath.mpf(0)
        mean = [mpmath.mpf(0)] * 2
        for weight, m in ((p_, [m_i, m_s]), (1 - p_, [m_i, -m_s])):
            mu = q[0] * m[0] + q[1] * m[1]
            spread = q[0] ** 2 * S[0] + q[1] ** 2 * S[1]
            cross = [latent[i] * q[i] for i in (0, 1)]
            for i in (0, 1):
                mean[i] += weight * (cross[i] + m[i] * mu)
                for j in (0, 1):
                    cov = S[i] if i == j else 0
                    Gamma[i, j] += weight * (
                        (m[i] * m[j] + cov) * (spread + mu**2)
                        + 2 * cross[i] * cross[j]
                        + 2 * mu * (m[i] * cross[j] + m[j] * cross[i])
                    )
            second_s += weight * (spread + mu**2)
        Gamma -= mpmath.matrix([[mean[i] * mean[j] for j in (0, 1)] for i in (0, 1)])
        expected = []
        for sign in (1, -1):

            def accuracy(a, b, w, sign=sign):
                return mpmath.ncdf((a * m_i + sign * b * m_s) / mpmath.sqrt(a**2 * S[0] + b**2 * S[1] + v * w))

            hessian = [mpmath.diff(accuracy, (*u, 0), order) for order in ((2, 0, 0), (1, 1, 0), (0, 2, 0))]
            outside = mpmath.diff(accuracy, (*u, 0), (0, 0, 1)) * v * (d - 2) * second_s
            inside = hessian[0] * Gamma[0, 0] + 2 * hessian[1] * Gamma[0, 1] + hessian[2] * Gamma[1, 1]
            expected.append(float(inside / 2 + outside))
    got = T.first_order_correction(alpha, beta, si, ss, p, nu, d, prompt)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(
    ("prompt", "p", "beta", "sigma_xi", "d"),
    [("name", 0.8, 1.5, 1.0, 2), ("mean", 0.8, 1.5, 1.0, 2), ("name", 0.9, 2.0, 6.0, 40), ("mean", 0.6, 1.0, 4.0, 12)],
)
def test_the_1_over_n_law_against_the_exact_law(prompt, p, beta, sigma_xi, d):
    """n (E Acc - Acc_inf) at an n where the next order, relative 1/n times some tens, is below the error.

    S is unbiased, so the first-order term gradient'(u - u_inf) has mean zero exactly; taking it off leaves the mean
    and brings the deviation from O(n^-1/2) down to O(1/n).
    """
    n, replicates = 4000, 2**17
    model = World(p_spu=p, mu_spu=beta, sigma_xi=sigma_xi, dim_image=d, dim_text=d)
    blocks = Worlds.of(model)
    u = 2 * linear_weights(blocks, prompt)  # a two-class decision has the prompt q_+ - q_- = 2 q_+
    limit = np.array(list(linear_accuracy(u, blocks)))
    step = 1e-5 * np.eye(2)
    up, down = (np.array(list(linear_accuracy(u + s * step, blocks))) for s in (1, -1))
    gradient = (up - down) / 2e-5
    rows = []
    for critic in projected_critics(model, prompt, n, replicates, 0):
        first_order = (critic.inside[:, 0] - u) @ gradient.T
        rows.append(n * (group_accuracy(critic, model.mixture(), model.nu_image) - limit - first_order))
    found = np.concatenate(rows)
    expected = T.first_order_correction(1.0, beta, 1.0, 0.5, p, model.nu_image, d, prompt)
    assert_mean(found, expected, effect=0.02, what=f"1/n law, {prompt}")
    # The comparison sees the law: without it the mean would be off by many standard errors.
    assert np.abs(expected / (found.std(axis=0) / np.sqrt(replicates))).min() > 20
