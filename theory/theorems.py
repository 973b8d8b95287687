"""Theorems on how much a linear rule relies on the background; each proof stands in its docstring.

Binary world, name prompt q = (alpha, 0) unless said otherwise. alpha = mu_inv, beta = mu_spu > 0, m0 = 2p - 1,
S_i = sigma_inv^2 + nu, S_s = sigma_spu^2 + nu, A = alpha^2 + sigma_inv^2, B = beta^2 + sigma_spu^2,
c = alpha beta m0, kappa = (pi_spu/pi_inv)^2. Reliance t = u_spu/u_inv: a smaller t is a more robust rule (T1).
D_inv = 2 p_inv - 1 is 1 where the object shown is always the label's; else c is alpha beta D_inv m0.
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
    With p_inv >= 1/2 the counter accuracy p_inv Phi(z) - (1 - p_inv) Phi(z') + const, z' the common score, still falls:
    its derivative is -[p_inv phi(z) (beta S_i + alpha t S_s) + (1 - p_inv) phi(z') (beta S_i - alpha t S_s)]/r^3, where
    only the last term can be positive, and phi(z') <= phi(z).
    """
    return (alpha - t * beta) / np.sqrt(S_i + t**2 * S_s)


def best_common_score(alpha, beta, S_i, S_s):
    """T1: common accuracy is at most Phi of this, sqrt(alpha^2/S_i + beta^2/S_s).

    LDA's t = beta S_i/(alpha S_s) reaches it.

    Proof: (alpha + t beta)^2 <= (alpha^2/S_i + beta^2/S_s) (S_i + t^2 S_s), by Cauchy and Schwarz.
    """
    return np.sqrt(alpha**2 / S_i + beta**2 / S_s)


def disagreement(common, counter, p_inv):
    """Group accuracies where the object shown is the label's with probability p_inv, from those of the same rule at 1.

    Any two-class rule that a change of sign of the images turns round: the drop does not change, and
    balanced - 1/2 shrinks by D_inv. Proof: on an image whose object is the other one, the rule's decision for its
    label is the negative of that on its mirror image, which has the label's object and, if the background agreed
    with the label, now the other background. So common' = p_inv common + (1 - p_inv)(1 - counter), and likewise.
    What disagreement does to the drop it does through the rule that is learned (T2).
    """
    return p_inv * common + (1 - p_inv) * (1 - counter), p_inv * counter + (1 - p_inv) * (1 - common)


def reliance_name(alpha, beta, sigma_inv, m0, D_inv=1.0):
    """T2: t_name = alpha beta D_inv m0/(alpha^2 + sigma_inv^2), for any caption masks with pi_inv > 0.

    Proof: u = C diag(pi) q with q = (alpha, 0) is pi_inv alpha times the first column of C, (A, D_inv c). Neither
    sigma_spu nor pi appears in the ratio. It falls in sigma_inv (T10) and in the object's own disagreement: a
    covariance with the background has to pass through the label, a variance has not.
    """
    return alpha * beta * D_inv * m0 / (alpha**2 + sigma_inv**2)


def reliance_mean(alpha, beta, sigma_inv, sigma_spu, m0, kappa=1.0, D_inv=1.0):
    """T2: t_mean = beta m0 (alpha^2 D_inv^2 + kappa B)/(alpha D_inv (A + kappa beta^2 m0^2)), above t_name for m0 > 0.

    Proof: q = (pi_inv alpha D_inv, pi_spu beta m0) gives u = (pi_inv^2 alpha D_inv A + pi_spu^2 c D_inv beta m0,
    pi_inv^2 alpha^2 beta D_inv^2 m0 + pi_spu^2 beta m0 B). The slope in kappa is `reliance_mean_slope`, positive, so t
    increases from t_name at kappa = 0 to B/(alpha beta D_inv m0) at infinity. In D_inv it falls while
    alpha^2 D_inv^2 < kappa B: unlike the name prompt, the mean prompt relies more on backgrounds where objects disagree
    with labels more often.
    """
    return _reliance_mean(alpha, beta, alpha**2 + sigma_inv**2, beta**2 + sigma_spu**2, m0, kappa, D_inv)


def _reliance_mean(alpha, beta, A, B, m0, kappa, D_inv):
    return beta * m0 * (alpha**2 * D_inv**2 + kappa * B) / (alpha * D_inv * (A + kappa * beta**2 * m0**2))


def reliance_mean_slope(alpha, beta, sigma_inv, sigma_spu, m0, kappa=1.0, D_inv=1.0):
    """T2, rich captions: d t_mean/d log kappa > 0 for m0, D_inv > 0; d t_mean/d log pi_inv is -2 times this.

        kappa beta m0 (A B - alpha^2 beta^2 D_inv^2 m0^2)/(alpha D_inv (A + kappa beta^2 m0^2)^2)

    So under the mean prompt captions that mention the object more often lower reliance and raise counter accuracy (T1),
    as Xue et al. say, section 5, and captions that mention the background more often do the opposite; the name prompt
    sees neither. What mentions of the object can reach is bounded: pi_inv <= 1 leaves kappa >= pi_spu^2.
    Proof: quotient rule; A B >= alpha^2 beta^2, written as a sum of terms that are not negative where |D_inv m0| <= 1.
    """
    A, x = alpha**2 + sigma_inv**2, (D_inv * m0) ** 2
    gap = alpha**2 * beta**2 * (1 - x) + alpha**2 * sigma_spu**2 + sigma_inv**2 * (beta**2 + sigma_spu**2)
    return kappa * beta * m0 * gap / (alpha * D_inv * (A + kappa * beta**2 * m0**2) ** 2)


def most_harmful_correlation(alpha, beta, sigma_inv, kappa=1.0):
    """T3: the m0 at which the mean prompt relies most on the background, sqrt(A)/(beta sqrt(kappa)) if below 1.

    Proof: t_mean is m0/(A + kappa beta^2 m0^2) times a constant, which peaks where A = kappa beta^2 m0^2. Beyond
    it a stronger correlation makes the rule more robust. Capped at 1, the largest correlation there is; D_inv plays no
    part.
    """
    # x/y < 1 written so that kappa = 0, captions silent on the background, is no special case.
    x, y = np.hypot(alpha, sigma_inv), beta * np.sqrt(kappa)
    return np.divide(x, y, out=np.ones(np.broadcast_shapes(np.shape(x), np.shape(y))), where=y > x)


def largest_reliance_mean(alpha, beta, sigma_inv, sigma_spu, kappa=1.0):
    """T3: what t_mean reaches at that m0 and exceeds at none, (alpha^2 + kappa B)/(2 alpha sqrt(kappa A)).

    Proof: A + kappa beta^2 m0^2 >= 2 sqrt(A kappa) beta m0, with equality at sqrt(A) = sqrt(kappa) beta m0. Where that
    m0 is above 1 it is out of reach.
    """
    A, B = alpha**2 + sigma_inv**2, beta**2 + sigma_spu**2
    return (alpha**2 + kappa * B) / (2 * alpha * np.sqrt(kappa * A))


def reliance_nearest_mean(alpha, beta, m0, D_inv=1.0):
    """T9: t = beta m0/(alpha D_inv) of InfoNCE's optimum asked by the mean of scores over captions that are latents.

    Proof: without noise in captions and with full mention p(x | t) = N(x; t, nu_I), so E_{t|y} PMI(x, t) =
    x'E[t | y]/nu_I + a function of x - E|t|^2/(2 nu_I), and the last term is the same for all classes. The rule is that
    of the nearest mean caption, w = E[t | +]. It does not see sigma: at p = 1 it relies less than Bayes' rule, whose t
    is beta S_i/(alpha S_s), where S_s < S_i. Log-mean-exp instead gives E_{t|y} p(x | t)/p(x) = p(x | y)/p(x), since x
    tells nothing of y beyond t: Bayes' rule. One caption q gives the nearest prompt, w = q: the bare name is perfectly
    robust.
    """
    return beta * m0 / (alpha * D_inv)


def reliance_lda(alpha, beta, sigma_inv, sigma_spu, nu=0.0):
    """LDA, and population logistic regression, at p = 1: t = beta S_i/(alpha S_s); infinite at S_s = 0 < S_i.

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
    if prompt == "name":
        # S_i A - alpha^2 S_s without the terms alpha^2 nu, which cancel.
        spread = (sigma_inv - sigma_spu) * (sigma_inv + sigma_spu)
        return alpha**2 * spread + sigma_inv**2 * (sigma_inv**2 + nu)
    return np.asarray(sigma_inv - sigma_spu) + 0.0 * beta


def least_squares_crossover(alpha, beta, sigma_inv, sigma_spu, nu=0.0):
    """T5: CLIP (name) is more robust than least squares iff p exceeds this p_c; nan where it is at every p.

        p_c = (1 + sqrt(1 - [S_i A - alpha^2 S_s]/(alpha^2 beta^2)))/2, real and at least 1/2 where the bracket
        is at most alpha^2 beta^2.

    Proof: least squares has t = beta m0 S_i/(alpha (S_s + 4p(1-p) beta^2)), since Cov(x) minus the outer product
    of E[yx] = (alpha, beta m0) is diag(S_i, S_s + beta^2 (1 - m0^2)). t_name is smaller iff alpha^2 (S_s + 4p(1-p)
    beta^2) < S_i A, and 4p(1-p) falls in p >= 1/2. A p_c above 1 means that least squares is always more robust.
    """
    inside = 1 - full_correlation_margin(alpha, beta, sigma_inv, sigma_spu, "name", nu) / (alpha**2 * beta**2)
    return (1 + np.sqrt(np.where(inside >= 0, inside, np.nan))) / 2


def least_squares_margin(alpha, beta, sigma_inv, sigma_spu, p, nu=0.0):
    """T5 without a root: positive iff p exceeds p_c, S_i A - alpha^2 (S_s + 4p(1-p) beta^2)."""
    at_one = full_correlation_margin(alpha, beta, sigma_inv, sigma_spu, "name", nu)
    return at_one - 4 * p * (1 - p) * alpha**2 * beta**2


def logistic_crossover(alpha, beta, sigma_inv, sigma_spu, prompt, nu=0.0):
    """T6: the p above which linear CLIP is more robust than population logistic regression.

    Found by root finding on log(1 - p), since it can lie within 1e-5 of 1: the supervised loss matters, least squares
    crosses much earlier (T5). nan if they do not cross between p = .5001 and 1 - 1e-9.
    """
    from scipy.optimize import brentq

    from theory.learners.logistic import logistic_direction

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
    """T7: reliance of towers of width 1 (pi = 1), [B - A + sqrt((A - B)^2 + 4 c^2)]/(2c).

    Proof: the decision direction is the top eigenvector of C = [[A, c], [c, B]]. More than half of the counter
    group is wrong iff t beta > alpha, which clears to 2p (beta^2 - alpha^2) > sigma_inv^2 - sigma_spu^2. At m0 = 0
    only the axis of the larger variance is kept, t = 0 or infinity (nan at A = B); in between t jumps.
    """
    gap = (alpha - beta) * (alpha + beta) + (sigma_inv - sigma_spu) * (sigma_inv + sigma_spu)  # A - B
    c2 = 2 * alpha * beta * m0
    # Where A > B the numerator cancels: t = 2c/(A - B + root) is the same number.
    large = np.abs(gap) + np.hypot(gap, c2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gap > 0, c2 / large, np.divide(large, c2))[()]


def many_class_reliance_name(alpha, beta, sigma_inv, p, K, p_inv=1.0):
    """T8: t_name = alpha beta D_inv D/(alpha^2 + K sigma_inv^2), which vanishes like 1/K; D = p - (1 - p)/(K - 1).

    Proof: in the space of class differences C has alpha^2/K + sigma_inv^2 and alpha beta D_inv D/K in its first column.
    """
    return alpha * beta * _correlation(p_inv, K) * _correlation(p, K) / (alpha**2 + K * sigma_inv**2)


def many_class_reliance_mean(alpha, beta, sigma_inv, sigma_spu, p, K, kappa=1.0, p_inv=1.0):
    """T8: t_mean = beta D (alpha^2 D_inv^2 + kappa B_K)/(alpha D_inv (A_K + kappa beta^2 D^2)).

    A_K = alpha^2 + K sigma_inv^2, B_K = beta^2 + K sigma_spu^2: the formula of T2 with sigma^2 K times as large.
    Proof: K C is the binary C of those variances, with D in the place of m0.
    """
    A, B = alpha**2 + K * sigma_inv**2, beta**2 + K * sigma_spu**2
    return _reliance_mean(alpha, beta, A, B, _correlation(p, K), kappa, _correlation(p_inv, K))


def many_class_reliance_mean_limit(alpha, beta, sigma_inv, sigma_spu, p, kappa=1.0, p_inv=1.0):
    """T8: t_mean -> kappa p beta sigma_spu^2/(p_inv alpha sigma_inv^2) as K -> infinity, which is positive.

    Proof: in `many_class_reliance_mean` A_K/K -> sigma_inv^2, B_K/K -> sigma_spu^2, D -> p and D_inv -> p_inv.
    """
    return kappa * p * beta * sigma_spu**2 / (p_inv * alpha * sigma_inv**2)


def _correlation(p, K):
    return p - (1 - p) / (K - 1)


def spread_crossing(alpha, beta, sigma_spu, m0, prompt, kappa=1.0):
    """T10, intra-class contrasting: the sigma_inv above which most of the counter group is right; 0 if it always is.

    Both prompts have t = (alpha/beta) g/(A + k), A = alpha^2 + sigma_inv^2, with
        name: g = beta^2 m0, k = 0;     mean: g = beta^2 m0 (alpha^2 + kappa B)/alpha^2, k = kappa beta^2 m0^2,
    so reliance falls strictly to 0 in sigma_inv: a spread that captions share with images is a reason for the loss to
    attend to the object. That is Xue et al.'s statement, and it holds of reliance without condition (with D_inv too).
    A spread that they do not share, nu, leaves t as it is. Counter accuracy is 1/2 at t beta = alpha, A + k = g.
    """
    g, k = _spread_terms(alpha, beta, sigma_spu, m0, prompt, kappa)
    return np.sqrt(np.maximum(g - k - alpha**2, 0.0))


def best_spread(alpha, beta, sigma_spu, m0, prompt, kappa=1.0, nu=0.0):
    """T10: the sigma_inv at which linear CLIP's counter accuracy peaks; nan unless t beta >= alpha at sigma_inv = 0.

    With a = alpha^2 + k (see `spread_crossing`), x = sigma_inv^2 and h = (alpha g/beta)^2 S_s, the counter score is
    alpha (a + x - g)/sqrt((a + x)^2 (x + nu) + h), and its derivative in x has the sign of
        F(x) = -x^3/2 + 3 (g - a) x^2/2 + [g (2a + nu) - 3 a^2/2] x + h + g a nu + a^2 (g - a)/2.
    Where more than half of the counter group is wrong F is positive, in every world: there more spread always helps.
    Where g >= a, so that the background wins over an object without spread, F's coefficients have signs -, +, +, +:
    one positive root (Descartes). So counter accuracy rises from at most 1/2 to one peak above 1/2, and then
    falls back to 1/2, for the object is lost in its own spread: accuracy does not rise with sigma_inv for ever, and
    Xue et al.'s statement holds of it below this root. In their limit (alpha = beta = p = 1, sigma_spu = nu = 0, name
    prompt) the score is sigma_inv/(1 + sigma_inv^2): the peak is at sigma_inv = 1, Phi(1/2) = .69.
    Proof of the sign: with N = a + x - g and Q the radicand, F = Q - N Q'/2; Q, Q' > 0, so N <= 0 makes F > 0.
    """
    arguments = np.broadcast_arrays(*(np.asarray(v, float) for v in (alpha, beta, sigma_spu, m0, kappa, nu)))
    result = np.empty(arguments[0].shape)
    for w in np.ndindex(result.shape):
        al, be, ss, m, ka, v = (float(x[w]) for x in arguments)
        g, k = _spread_terms(al, be, ss, m, prompt, ka)
        a, h = al**2 + k, (al * g / be) ** 2 * (ss**2 + v)
        cubic = [-0.5, 1.5 * (g - a), g * (2 * a + v) - 1.5 * a**2, h + g * a * v + a**2 * (g - a) / 2]
        roots = np.roots(cubic)
        # One real root is positive; a pair of complex ones may lie beside it.
        real = roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real
        result[w] = np.sqrt(real.max(initial=0.0)) if g >= a else np.nan
    return result[()]


def _spread_terms(alpha, beta, sigma_spu, m0, prompt, kappa):
    """(g, k) of T10."""
    if prompt == "name":
        return beta**2 * m0, 0.0 * np.asarray(m0)
    return beta**2 * m0 * (1 + kappa * (beta**2 + sigma_spu**2) / alpha**2), kappa * beta**2 * m0**2


def first_order_correction(alpha, beta, sigma_inv, sigma_spu, p, nu, d, prompt):
    """The 1/n law: E Acc = Acc_inf + this/n + O(1/n^2), arrays (common, counter); pi = 1, full width.

        tr(Hess_u Acc Gamma)/2 + (dAcc/d||w_perp||^2) nu (d - l) q'(C + nu I) q,  Gamma = Cov(D_I'x_I q'D_T'x_T)

    The second term falls like sigma_xi^4/d, so the theorem's d = Omega(n) is not needed. Gamma follows from the group
    mixture: given the group, x and s = q'x_T are jointly Gaussian. Derivatives of Phi(g/r) in closed form, g = u'm,
    r^2 = u'S u + nu ||w_perp||^2.
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
