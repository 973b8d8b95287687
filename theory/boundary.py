"""Where in p each printed inequality of Wang et al., Theorem 6.2, turns from false to true (mu_inv = 1, nu = 0).

With m0 = 2p - 1 the corrected law has
    k1* = (1 + sigma_inv^2 - mu^2 m0)/R*,   k2* = -(1 + sigma_inv^2 + mu^2 m0)/R*,
    R* = sqrt((1 + sigma_inv^2)^2 sigma_inv^2 + mu^2 m0^2 sigma_spu^2),
and Err >= 1 - Phi(kappa_1) iff k1* <= kappa_1, Acc >= 1 - Phi(kappa_2) iff k2* <= kappa_2. Under the theorem's
conditions each difference changes sign once in p. A dense search found this; the claims theorem-6.2-boundary test it.
"""

import numpy as np

from simulator.accuracy import Numbers
from theory.published import theorem_62_kappas


def corrected_kappas(p_spu, mu_spu, sigma_inv, sigma_spu) -> tuple[Numbers, Numbers]:
    """(k1*, k2*), in standard deviations: Err(a != y) = 1 - Phi(k1*), Acc(a = y) = 1 - Phi(k2*), name prompt."""
    p, mu, si, ss = np.broadcast_arrays(p_spu, mu_spu, sigma_inv, sigma_spu)
    m0 = 2 * p - 1
    R = np.sqrt((1 + si**2) ** 2 * si**2 + mu**2 * m0**2 * ss**2)
    with np.errstate(divide="ignore"):
        return (1 + si**2 - mu**2 * m0) / R, -(1 + si**2 + mu**2 * m0) / R


def inequality_margins(p_spu, mu_spu, sigma_inv, sigma_spu) -> tuple[Numbers, Numbers]:
    """(kappa_1 - k1*, kappa_2 - k2*): a printed inequality holds where its margin is not negative."""
    printed = theorem_62_kappas(p_spu, mu_spu, sigma_inv, sigma_spu)
    true = corrected_kappas(p_spu, mu_spu, sigma_inv, sigma_spu)
    return printed[0] - true[0], printed[1] - true[1]


def turning_points(mu_spu, sigma_inv, sigma_spu) -> tuple[Numbers, Numbers]:
    """Where in p the error inequality and the accuracy inequality turn, to 1e-12, vectorised.

    Bisection on [1/2, 1]: the margins are negative at 1/2 and not negative at 1 under the theorem's conditions; outside
    them nan marks a margin without that change of sign.
    """
    mu, si, ss = np.broadcast_arrays(*(np.asarray(x, float) for x in (mu_spu, sigma_inv, sigma_spu)))
    results = []
    for which in (0, 1):
        low, high = np.full(mu.shape, 0.5), np.ones(mu.shape)
        turns = (inequality_margins(low, mu, si, ss)[which] < 0) & (inequality_margins(high, mu, si, ss)[which] >= 0)
        for _ in range(40):
            middle = (low + high) / 2
            below = inequality_margins(middle, mu, si, ss)[which] < 0
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        results.append(np.where(turns, (low + high) / 2, np.nan))
    return results[0], results[1]
