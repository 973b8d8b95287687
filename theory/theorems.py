"""Theorems T1 to T8 on how much a linear rule relies on the background; each proof stands in its docstring.

Binary world, name prompt q = (alpha, 0) unless said otherwise. alpha = mu_inv, beta = mu_spu > 0, m0 = 2p - 1,
S_i = sigma_inv^2 + nu, S_s = sigma_spu^2 + nu, A = alpha^2 + sigma_inv^2, B = beta^2 + sigma_spu^2,
c = alpha beta m0, kappa = (pi_spu/pi_inv)^2. Reliance t = u_spu/u_inv: a smaller t is a more robust rule (T1).
"""

import numpy as np

from simulator.world import Worlds, view_noise
from theory.population import linear_weights


def counter_score(t, alpha, beta, S_i, S_s):
    """T1: counter accuracy is Phi of this, (alpha - t beta)/sqrt(S_i + t^2 S_s); common has + t beta.

    It strictly decreases in t >= 0. Proof: with r^2 = S_i + t^2 S_s its derivative is
    -(beta S_i + alpha t S_s)/r^3 < 0. The common score's derivative is (beta S_i - alpha t S_s)/r^3, zero at LDA's
    t = beta S_i/(alpha S_s). Balanced accuracy peaks at t = 0: the two derivatives sum to -2 alpha t S_s/r^3 <= 0,
    and the density weighs the counter score's (the smaller one in size) at least as heavily.
    """
    return (alpha - t * beta) / np.sqrt(S_i + t**2 * S_s)


def reliance_name(alpha, beta, sigma_inv, m0):
    """T2: t_name = alpha beta m0/(alpha^2 + sigma_inv^2), for any caption masks with pi_inv > 0.

    Proof: u = C diag(pi) q with q = (alpha, 0) is pi_inv alpha times the first column of C, (A, c). Neither
    sigma_spu nor pi appears in the ratio.
    """
    return alpha * beta * m0 / (alpha**2 + sigma_inv**2)


def reliance_mean(alpha, beta, sigma_inv, sigma_spu, m0, kappa=1.0):
    """T2: t_mean = beta m0 (alpha^2 + kappa B)/(alpha (A + kappa beta^2 m0^2)), m0 > 0 makes it exceed t_name.

    Proof: q = (pi_inv alpha, pi_spu beta m0) gives u = (pi_inv^2 alpha A + pi_spu^2 c beta m0,
    pi_inv^2 alpha c + pi_spu^2 beta m0 B). The sign of d t/d kappa is that of A B - alpha^2 beta^2 m0^2 >= 0, so t
    increases from t_name at kappa = 0 to B/(alpha beta m0) at infinity.
    """
    A, B = alpha**2 + sigma_inv**2, beta**2 + sigma_spu**2
    return beta * m0 * (alpha**2 + kappa * B) / (alpha * (A + kappa * beta**2 * m0**2))


def most_harmful_correlation(alpha, beta, sigma_inv, kappa=1.0):
    """T3: the m0 at which the mean prompt relies most on the background, sqrt(A)/(beta sqrt(kappa)) if below 1.

    Proof: t_mean is m0/(A + kappa beta^2 m0^2) times a constant, which peaks where A = kappa beta^2 m0^2. Beyond
    it a stronger correlation makes the rule more robust. Capped at 1, the largest correlation there is.
    """
    return np.minimum(np.sqrt(alpha**2 + sigma_inv**2) / (beta * np.sqrt(kappa)), 1.0)


def reliance_lda(alpha, beta, sigma_inv, sigma_spu, nu=0.0):
    """LDA, and population logistic regression, at p = 1: t = beta S_i/(alpha S_s); infinite at S_s = 0.

    Proof: at p = 1 the classes are Gaussians with means +-(alpha, beta) and one covariance diag(S_i, S_s), so the
    log odds are 2 x'diag(S)^-1 (alpha, beta), which logistic regression attains.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(beta * (sigma_inv**2 + nu)) / (alpha * (sigma_spu**2 + nu))


def full_correlation_margin(alpha, beta, sigma_inv, sigma_spu, prompt, nu=0.0):
    """T4: positive iff linear CLIP is more robust than LDA at p = 1; beta decides nothing.

        name: S_i (alpha^2 + sigma_inv^2) - alpha^2 S_s;     mean (pi = 1): sigma_inv - sigma_spu

    Proof: t_name < t_LDA is alpha beta/A < beta S_i/(alpha S_s). For the mean prompt t_mean = beta (alpha^2 + B)/
    (alpha (A + beta^2)) < beta S_i/(alpha S_s) is S_s (alpha^2 + beta^2 + sigma_spu^2) < S_i (alpha^2 + beta^2 +
    sigma_inv^2), and x -> (x + nu)(x + alpha^2 + beta^2) increases in x = sigma^2. So under sigma_inv > sigma_spu
    linear CLIP is always the more robust: for the name prompt because S_i > S_s and A > alpha^2.
    """
    S_i, S_s = sigma_inv**2 + nu, sigma_spu**2 + nu
    if prompt == "name":
        return S_i * (alpha**2 + sigma_inv**2) - alpha**2 * S_s
    return np.asarray(sigma_inv - sigma_spu) + 0.0 * beta


def least_squares_crossover(alpha, beta, sigma_inv, sigma_spu, nu=0.0):
    """T5: CLIP (name) is more robust than least squares iff p exceeds this p_c; nan where it is at every p.

        p_c = (1 + sqrt(1 - [S_i A - alpha^2 S_s]/(alpha^2 beta^2)))/2, real and at least 1/2 where the bracket
        is at most alpha^2 beta^2.

    Proof: least squares has t = beta m0 S_i/(alpha (S_s + 4p(1-p) beta^2)), since Cov(x) minus the outer product
    of E[yx] = (alpha, beta m0) is diag(S_i, S_s + beta^2 (1 - m0^2)). t_name is smaller iff alpha^2 (S_s + 4p(1-p)
    beta^2) < S_i A, and 4p(1-p) falls in p >= 1/2. A p_c above 1 means that least squares is always more robust.
    """
    S_i, S_s = sigma_inv**2 + nu, sigma_spu**2 + nu
    A = alpha**2 + sigma_inv**2
    inside = 1 - (S_i * A - alpha**2 * S_s) / (alpha**2 * beta**2)
    return (1 + np.sqrt(np.where(inside >= 0, inside, np.nan))) / 2


def logistic_crossover(alpha, beta, sigma_inv, sigma_spu, prompt, nu=0.0):
    """T6: the p above which linear CLIP is more robust than population logistic regression (scalar arguments).

    Found by root finding on log(1 - p), since it can lie within 1e-5 of 1: the supervised loss matters, least
    squares crosses much earlier (T5). nan if they do not cross between p = .5001 and 1 - 1e-9.
    """
    from scipy.optimize import brentq

    from theory.learners.supervised import logistic_direction

    def difference(log_gap: float) -> float:
        worlds = Worlds(
            p_spu=-np.expm1(log_gap),
            mu_inv=alpha,
            mu_spu=beta,
            sigma_inv=sigma_inv,
            sigma_spu=sigma_spu,
            sigma_xi=view_noise(nu),
        )
        clip, logistic = linear_weights(worlds, prompt), logistic_direction(worlds)
        return float(logistic[1] / logistic[0] - clip[1] / clip[0])

    low, high = np.log(0.4999), np.log(1e-9)
    if difference(low) > 0 or difference(high) < 0:
        return float("nan")
    return float(-np.expm1(brentq(difference, high, low, xtol=1e-12)))


def reliance_bottleneck(alpha, beta, sigma_inv, sigma_spu, m0):
    """T7: reliance of towers of width 1 (pi = 1), [B - A + sqrt((A - B)^2 + 4 c^2)]/(2c); m0 > 0.

    Proof: the decision direction is the top eigenvector of C = [[A, c], [c, B]]. More than half of the counter
    group is wrong iff t beta > alpha, which clears to 2p (beta^2 - alpha^2) > sigma_inv^2 - sigma_spu^2. At m0 = 0
    only the axis of the larger variance is kept, so the limit m0 -> 0 is not the value there if B > A.
    """
    A, B, c = alpha**2 + sigma_inv**2, beta**2 + sigma_spu**2, alpha * beta * m0
    return (B - A + np.sqrt((A - B) ** 2 + 4 * c**2)) / (2 * c)


def many_class_reliance_name(alpha, beta, sigma_inv, p, K):
    """T8: t_name = alpha beta D/(alpha^2 + K sigma_inv^2), which vanishes like 1/K; D = p - (1 - p)/(K - 1).

    Proof: in the space of class differences C has alpha^2/K + sigma_inv^2 and alpha beta D/K in its first column.
    """
    D = p - (1 - p) / (K - 1)
    return alpha * beta * D / (alpha**2 + K * sigma_inv**2)


def many_class_reliance_mean_limit(alpha, beta, sigma_inv, sigma_spu, p, kappa=1.0):
    """T8: t_mean -> kappa p beta sigma_spu^2/(alpha sigma_inv^2) as K -> infinity, which is positive.

    Proof: u = alpha [pi_inv^2 (alpha^2/K + sigma_inv^2) + O(1/K)] and v = beta D [O(1/K) + pi_spu^2 (beta^2/K +
    sigma_spu^2)] with D -> p.
    """
    return kappa * p * beta * sigma_spu**2 / (alpha * sigma_inv**2)


def first_order_correction(alpha, beta, sigma_inv, sigma_spu, p, nu, d, prompt):
    """The 1/n law: E Acc = Acc_inf + this/n + O(1/n^2), arrays (common, counter); pi = 1, full width.

        tr(Hess_u Acc Gamma)/2 + (dAcc/d||w_perp||^2) nu (d - l) q'(C + nu I) q,  Gamma = Cov(D_I'x_I q'D_T'x_T)

    d is the image dimension and nu the noise variance of a coordinate. The second term falls like sigma_xi^4/d,
    so the theorem's d = Omega(n) is not needed. Gamma follows from the group mixture: given the group, x and
    s = q'x_T are jointly Gaussian. Derivatives of Phi(g/r) in closed form, g = u'm, r^2 = u'S u + nu ||w_perp||^2.
    """
    worlds = Worlds(
        p_spu=p, mu_inv=alpha, mu_spu=beta, sigma_inv=sigma_inv, sigma_spu=sigma_spu, sigma_xi=view_noise(nu)
    )
    q, u = worlds.prompt(prompt), linear_weights(worlds, prompt)
    S, variance = np.diag(worlds.scale**2 + nu), np.diag(worlds.scale**2)
    second, first = np.zeros((2, 2)), np.zeros(2)
    total = 0.0
    for weight, m in ((p, np.array([alpha, beta])), (1 - p, np.array([alpha, -beta]))):
        # Both signs of y give the same x s product. E[(xs)(xs)'] of a Gaussian, by Isserlis.
        M, mean_s = S + np.outer(m, m), q @ m
        cross = variance @ q  # Cov(x, s) within the group
        V = q @ S @ q + mean_s**2
        xs = cross + m * mean_s
        product = V * M + 2 * np.outer(xs, xs) - 2 * mean_s**2 * np.outer(m, m)
        second += weight * product
        first += weight * xs
        total += weight * V
    Gamma = second - np.outer(first, first)
    results = []
    for m in (np.array([alpha, beta]), np.array([alpha, -beta])):
        g, r2 = u @ m, u @ S @ u
        r = np.sqrt(r2)
        z, Su = g / r, S @ u
        gradient = m / r - g * Su / r**3
        hessian = -(np.outer(m, Su) + np.outer(Su, m)) / r**3 - g * S / r**3 + 3 * g * np.outer(Su, Su) / r**5
        density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        hessian_acc = density * (hessian - z * np.outer(gradient, gradient))
        outside = density * (-g / (2 * r**3)) * nu
        results.append(np.trace(hessian_acc @ Gamma) / 2 + outside * nu * (d - 2) * total)
    return np.array(results)
