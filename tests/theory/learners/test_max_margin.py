"""The limit of the maximum margin against quadrature, LDA, and hard margins in many dimensions."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import worlds_with
from scipy.integrate import quad
from scipy.optimize import minimize

from simulator.gaussian.fitting import margin_vectors
from theory.learners import MaxMargin
from theory.learners.max_margin import hinge_loss

worlds = st.builds(
    worlds_with,
    p_spu=st.floats(0.5, 1),
    p_inv=st.floats(0.6, 1),
    mu_inv=st.floats(0.2, 3),
    mu_spu=st.floats(-3, 3).filter(lambda x: abs(x) > 0.05),
    sigma_inv=st.floats(0.1, 3),
    sigma_spu=st.floats(0.1, 3),
    nu=st.floats(0, 1),
)


@given(worlds)
@example(
    worlds_with(p_spu=1.0, p_inv=1.0, mu_inv=1.0, mu_spu=1.0, sigma_inv=1.0, sigma_spu=1.0, nu=0.0)
)
def test_the_gradient_of_the_squared_hinge_vanishes(world):
    """E (1 - s)_+ y x = 0: given a group and s, x is normal with a mean linear in s; s by adaptive
    quadrature.
    """
    u = MaxMargin().direction(world)
    S = world.image_variance
    deviation = np.sqrt(u**2 @ S)
    gradient = np.zeros(2)
    size = np.zeros(2)
    for signs in product((1, -1), repeat=2):
        chance = np.where(np.array(signs) == 1, world.agreement, 1 - world.agreement).prod()
        mean = np.array(signs) * world.mean
        first, last = (u @ mean + k * deviation for k in (-9, 9))
        for b in range(2):

            def integrand(s, b=b, mean=mean):
                t = (s - u @ mean) / deviation
                x = mean[b] + S[b] * u[b] * t / deviation
                return (1 - s) * x * np.exp(-(t**2) / 2) / deviation

            if first < 1:
                ends = first, min(1, last)
                whole = quad(lambda s, f=integrand: abs(f(s)), *ends, epsrel=1e-6, limit=200)[0]
                size[b] += chance * whole
                # Of one group alone the integral is 0, which no relative precision reaches.
                gradient[b] += (
                    chance * quad(integrand, *ends, epsabs=1e-9 * whole, epsrel=0, limit=200)[0]
                )
    assert np.abs(gradient).max() <= 2e-7 * size.max()


@pytest.mark.parametrize("K", [2, 3, 5])
def test_a_hard_margin_with_orthogonal_noise_is_a_penalised_loss_on_the_latents(K):
    """Noise vectors of length sigma along axes of their own, as in infinitely many dimensions; no
    approximation.
    """
    rng = np.random.default_rng(K)
    n = 40
    l = K + 1
    sigma = 1.5
    labels = np.arange(n) % K
    z = np.eye(K, l)[labels] + rng.standard_normal((n, l))
    for constant in (False, True):
        images = np.hstack([z, sigma * np.eye(n)])
        found = margin_vectors(images, labels, K, constant)
        found = np.concatenate([found, -found]) / 2 if K == 2 else found

        def objective(flat, constant=constant, K=K):
            u = flat.reshape(K, l + 1)[:, :l]
            b = flat.reshape(K, l + 1)[:, l] * constant
            value, slope, *_ = hinge_loss(z @ u.T + b, labels)
            gradient = np.column_stack(
                [slope.T @ z + 2 * sigma**2 * u, slope.sum(axis=0) * constant]
            )
            return value.sum() + sigma**2 * (u**2).sum(), gradient.ravel()

        ridge = minimize(
            objective, np.zeros(K * (l + 1)), jac=True, method="BFGS", options={"gtol": 1e-9}
        ).x
        ridge = ridge.reshape(K, l + 1)
        assert found[:, :l] == pytest.approx(ridge[:, :l], abs=1e-5)
        if constant:
            assert np.diff(found[:, -1]) == pytest.approx(np.diff(ridge[:, -1]), abs=1e-5)
