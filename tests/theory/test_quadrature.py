import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.special import ndtr

from theory.quadrature import gaussian_average, logistic_moments, nested_rule


def exact_moments(m, V):
    """The defining integrals over s, at 30 digits, split where the integrand changes its shape."""
    mp.dps = 30
    m = mpf(m)
    V = mpf(V)
    root = mp.sqrt(V)
    density = lambda s: mp.exp(-((s - m) ** 2) / (2 * V)) / mp.sqrt(2 * mp.pi * V)  # noqa: E731
    slope = lambda s: mp.exp(-abs(s)) / (1 + mp.exp(-abs(s))) ** 2  # noqa: E731
    cuts = sorted(
        {m + k * root for k in range(-14, 15, 2)}
        | {m - V + k * root for k in (-8, -4, 0, 4)}
        | set(range(-60, 61, 10))
    )
    tail = mp.quad(lambda s: density(s) / (1 + mp.exp(s)), cuts)
    return tail, [
        mp.quad(lambda s, k=k: density(s) * slope(s) * ((s - m) / root) ** k, cuts)
        for k in range(3)
    ]


# Both rules, both sides of their switch at V = 4, means of both signs, and a margin of 20 standard
# deviations.
@pytest.mark.parametrize(("m", "V"), [(-3, 3.9), (5, 4.1), (2, 20), (-30, 50), (60, 25)])
def test_logistic_moments_match_the_integrals(m, V):
    log_scale, got, slopes = logistic_moments(np.array([float(m)]), np.array([float(V)]))
    tail, curvature = exact_moments(m, V)
    scale = np.exp(log_scale[0])
    # Both rules err by e^-39 of the integrand's mass; 1e-12 leaves room for the 300 roundings of a
    # sum.
    assert got[0] * scale == pytest.approx(float(tail), rel=1e-12)
    for k in range(3):
        size = float(abs(curvature[0])) if k == 1 else 0.0  # the odd moment may be near 0
        assert slopes[k, 0] * scale == pytest.approx(
            float(curvature[k]), rel=1e-11, abs=1e-12 * size
        )


def test_logistic_moments_of_a_certain_margin():
    (log_scale,), (tail,), slopes = logistic_moments(np.array([1.5]), np.array([0.0]))
    sigma = 1 / (1 + np.exp(-1.5))
    assert np.exp(log_scale) * tail == pytest.approx(1 - sigma, rel=1e-14)
    assert np.exp(log_scale) * slopes[0, 0] == pytest.approx(sigma * (1 - sigma), rel=1e-14)


@pytest.mark.parametrize("n", [4, 8, 16])
def test_a_nested_rule_integrates_the_polynomials_through_its_nodes(n):
    nodes, fine, rough = nested_rule(n)
    assert [fine @ nodes**k for k in range(n + 1)] == pytest.approx(
        [1 / (k + 1) for k in range(n + 1)], abs=1e-14
    )
    assert [rough @ nodes**k for k in range(n // 2)] == pytest.approx(
        [1 / (k + 1) for k in range(n // 2)], abs=1e-14
    )
    assert not rough[1::2].any()


def test_gaussian_average_of_smooth_steep_and_broken_integrands():
    steep = np.array([0.1, 1.0, 30.0, 1e4])

    got = gaussian_average(lambda index, t: ndtr(steep[index, None] * (t - 0.3)), 4)
    np.testing.assert_allclose(got, ndtr(-0.3 * steep / np.sqrt(1 + steep**2)), atol=1e-7)
    ends = [
        lambda t: (t > 0.7123) * 1.0,
        lambda t: np.sqrt(np.maximum(t - 0.7123, 0)) * (t < 1.7123),
    ]
    got = gaussian_average(lambda index, t: np.where(index[:, None], ends[1](t), ends[0](t)), 2)
    assert got[0] == pytest.approx(ndtr(-0.7123), abs=1e-6)
    from scipy.integrate import quad

    # v = sqrt(t - .7123) makes the square-root end analytic for the oracle.
    oracle = quad(
        lambda v: 2 * v * v * np.exp(-((v * v + 0.7123) ** 2) / 2) / np.sqrt(2 * np.pi), 0, 1
    )[0]
    assert got[1] == pytest.approx(oracle, abs=1e-6)


def test_an_average_of_noise_ends_in_a_sentence():
    noise = lambda index, t: np.sin(1e9 * t)  # noqa: E731
    with pytest.raises(ArithmeticError, match="did not settle to 1e-06 within 2000 panels"):
        gaussian_average(noise, 1)
