"""Every formula exactly as printed, right or wrong, with paper, number and printed domain.

[W] Wang, Lin, Chen, Schmidt, Han, Zhang: "Do CLIPs Always Generalize Better than ImageNet Models?",
    arXiv 2403.11497 v1 (NeurIPS 2024: "A Sober Look at the Robustness of CLIPs to Spurious
    Features").
[X] Xue, Joshi, Nguyen, Mirzasoleiman: "Understanding the Robustness of Multi-modal Contrastive
Learning to
    Distribution Shift", arXiv 2310.04971 (ICLR 2024); its data model 1 as [W] quotes it.

The letters are the papers'; all arguments broadcast. `theory.accuracy` has the correct formulas.
"""

import numpy as np
from scipy.special import ndtr

from simulator.accuracy import Numbers

WANG = "Wang et al., arXiv 2403.11497 v1"


def papers(worlds) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """(p_spu, mu_spu, sigma_inv, sigma_spu), the arguments of the papers' formulas."""
    return worlds.p_spu, worlds.mu_spu, worlds.sigma_inv, worlds.sigma_spu


def lemma_d3_limit(p_spu, mu_spu, sigma_inv, sigma_spu) -> np.ndarray:
    """rho D_I' M* D_T as [W] Lemma D.3 prints it, shape (..., 2, 2).

        [[1 + sigma_inv^2, 2 mu_spu p - 1], [2 mu_spu p - 1, 1 + sigma_spu^2]]

    Printed domain: mu_inv = 1, any mu_spu; error O(sqrt(log n/n))^(1/2)/rho in operator norm w.h.p.
    It equals the true moments only at mu_spu = 1.
    """
    p, mu, si, ss = np.broadcast_arrays(p_spu, mu_spu, sigma_inv, sigma_spu)
    off = 2 * mu * p - 1
    return np.stack([np.stack([1 + si**2, off], -1), np.stack([off, 1 + ss**2], -1)], -2)


def theorem_62_kappas(p_spu, mu_spu, sigma_inv, sigma_spu) -> tuple[Numbers, Numbers]:
    """(kappa_1, kappa_2) of [W] Theorem 6.2, in standard deviations.

        Err(a != y) >= 1 - Phi(kappa_1) - o(1),   Acc(a = y) >= 1 - Phi(kappa_2) - o(1),
        kappa_1 = (sigma_inv^2 + 2 - 2 mu_spu p)/R,   kappa_2 = (-2 mu_spu p - sigma_inv^2)/R,
        R = sqrt((1 + sigma_inv^2)^2 sigma_inv^2 + (2 mu_spu p - 1)^2 sigma_spu^2)

    Printed domain: mu_inv = 1, sigma_inv = Theta(1) > sigma_spu, p_spu = 1 - o(1), n = omega(1),
    d_M, d_T = Omega(n), mu_spu >= (sigma_inv^2 + 2)/2. Infinite where sigma_inv = 0 = sigma_spu.
    """
    p, mu, si, ss = np.broadcast_arrays(p_spu, mu_spu, sigma_inv, sigma_spu)
    R = np.sqrt((1 + si**2) ** 2 * si**2 + (2 * mu * p - 1) ** 2 * ss**2)
    with np.errstate(divide="ignore"):
        return (si**2 + 2 - 2 * mu * p) / R, (-2 * mu * p - si**2) / R


def data_model_1_accuracies(p_spu, sigma_inv, sigma_spu) -> tuple[Numbers, Numbers]:
    """(common, counter) of [X], data model 1 (mu_inv = mu_spu = 1), as fractions.

    Acc(a != y) -> 1 - Phi((2p - 2 - sigma_inv^2)/R),   Acc(a = y) -> 1 - Phi((-2p -
                                                        sigma_inv^2)/R),
    R = sqrt((1 + sigma_inv^2)^2 sigma_inv^2 + (2p - 1)^2 sigma_spu^2)
    """
    k1, k2 = theorem_62_kappas(p_spu, 1.0, sigma_inv, sigma_spu)  # which are this formula there
    return ndtr(-k2), ndtr(k1)


def smallest_mu_spu(sigma_inv) -> Numbers:
    """[W] Theorem 6.2's condition mu_spu >= (sigma_inv^2 + 2)/2, meant to make the majority of a !=
    y wrong.

    >>> float(smallest_mu_spu(1.0))
    1.5
    """
    return (np.asarray(sigma_inv) ** 2 + 2) / 2


def corrected_kappas(p_spu, mu_spu, sigma_inv, sigma_spu) -> tuple[Numbers, Numbers]:
    """(k1*, k2*): by typical appearance at nu = 0 Err(a != y) = 1 - Phi(k1*) and Acc(a = y) = 1 -
    Phi(k2*).

    k1* = (1 + sigma_inv^2 - mu^2 m0)/R*,   k2* = -(1 + sigma_inv^2 + mu^2 m0)/R*,   m0 = 2p - 1,
    R* = sqrt((1 + sigma_inv^2)^2 sigma_inv^2 + mu^2 m0^2 sigma_spu^2)
    """
    p, mu, si, ss = np.broadcast_arrays(p_spu, mu_spu, sigma_inv, sigma_spu)
    m0 = 2 * p - 1
    R = np.sqrt((1 + si**2) ** 2 * si**2 + mu**2 * m0**2 * ss**2)
    with np.errstate(divide="ignore"):
        return (1 + si**2 - mu**2 * m0) / R, -(1 + si**2 + mu**2 * m0) / R


def inequality_margins(p_spu, mu_spu, sigma_inv, sigma_spu) -> tuple[Numbers, Numbers]:
    """(kappa_1 - k1*, kappa_2 - k2*): a printed inequality holds where its margin is not
    negative.
    """
    kappa_1, kappa_2 = theorem_62_kappas(p_spu, mu_spu, sigma_inv, sigma_spu)
    k1, k2 = corrected_kappas(p_spu, mu_spu, sigma_inv, sigma_spu)
    return kappa_1 - k1, kappa_2 - k2


def turning_points(mu_spu, sigma_inv, sigma_spu) -> tuple[Numbers, Numbers]:
    """The p at which the error and the accuracy inequality turn true, to 1e-12; nan without such a
    turn.

    Under the theorem's conditions each margin is negative at 1/2 and changes its sign once in p. A
    dense search found this; the claims theorem-6.2-boundary test it.
    """
    from scipy.optimize.elementwise import find_root  # start-up time

    given = np.broadcast_arrays(*(np.asarray(x, float) for x in (mu_spu, sigma_inv, sigma_spu)))
    results = []
    for which in (0, 1):
        root = find_root(
            lambda p, *x, k=which: inequality_margins(p, *x)[k], (0.5, 1.0), args=tuple(given)
        )
        results.append(np.where(inequality_margins(0.5, *given)[which] < 0, root.x, np.nan))
    return results[0], results[1]
