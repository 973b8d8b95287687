"""Theorems on how much a linear rule relies on the background, and on what holds for any data.
Docstrings prove them.

Up to T9 the world is binary and the prompt is the typical appearance q = (alpha, 0), unless the
docstring says otherwise. Letters: alpha = mu_inv, beta = mu_spu > 0, m0 = 2p - 1, S_i = sigma_inv^2
+ nu, S_s = sigma_spu^2 + nu, A = alpha^2 + sigma_inv^2, B = beta^2 + sigma_spu^2, c = alpha beta
m0, kappa = (pi_spu/pi_inv)^2. D_inv = 2 p_inv - 1 is 1 if every image shows its label's object.
Otherwise c is alpha beta D_inv m0. Reliance is t = u_spu/u_inv. A smaller t is a more robust rule
(T1).

From T14 on images x, captions t, labels y and backgrounds a have any joint law. Laws are tables of
probabilities; with densities in their place the proofs are the same. X, T, K and A count images,
captions, classes and backgrounds.
"""

import numpy as np


def counter_score(t, alpha, beta, S_i, S_s):
    """T1: the z-score of counter accuracy, (alpha - t beta)/sqrt(S_i + t^2 S_s). For the common
    group pass -beta.

    It strictly decreases in t >= 0. Proof: with r^2 = S_i + t^2 S_s its derivative is
    -(beta S_i + alpha t S_s)/r^3 < 0. The common score's derivative is (beta S_i - alpha t
    S_s)/r^3, zero at LDA's t = beta S_i/(alpha S_s). Balanced accuracy peaks at t = 0: the two
    derivatives sum to -2 alpha t S_s/r^3 <= 0, and the density at the counter score, the smaller
    one in size, is at least as large. With p_inv >= 1/2 the counter accuracy p_inv Phi(z) - (1 -
    p_inv) Phi(z') + const, z' the common score, still falls: its derivative is -[p_inv phi(z) (beta
    S_i + alpha t S_s) + (1 - p_inv) phi(z') (beta S_i - alpha t S_s)]/r^3, where only the last term
    can be positive, and phi(z') <= phi(z).
    """
    return (alpha - t * beta) / np.sqrt(S_i + t**2 * S_s)


def best_common_score(alpha, beta, S_i, S_s):
    """T1: the largest z-score of common accuracy, sqrt(alpha^2/S_i + beta^2/S_s).

    LDA's t = beta S_i/(alpha S_s) reaches it.
    Proof: (alpha + t beta)^2 <= (alpha^2/S_i + beta^2/S_s) (S_i + t^2 S_s), by Cauchy and Schwarz.
    """
    return np.sqrt(alpha**2 / S_i + beta**2 / S_s)


def reliance_name(alpha, beta, sigma_inv, m0, D_inv=1.0):
    """T2: t_name = alpha beta D_inv m0/(alpha^2 + sigma_inv^2), for any caption masks with pi_inv >
    0.

    Proof: u = C diag(pi) q with q = (alpha, 0) is pi_inv alpha times the first column of C, (A,
    D_inv c). The ratio contains neither sigma_spu nor pi.
    """
    return alpha * beta * D_inv * m0 / (alpha**2 + sigma_inv**2)


def reliance_mean(alpha, beta, sigma_inv, sigma_spu, m0, kappa=1.0, D_inv=1.0):
    """T2: t_mean = beta m0 (alpha^2 D_inv^2 + kappa B)/(alpha D_inv (A + kappa beta^2 m0^2)), above
    t_name for m0 > 0.

    Proof: q = (pi_inv alpha D_inv, pi_spu beta m0) gives u = (pi_inv^2 alpha D_inv A + pi_spu^2 c
    D_inv beta m0, pi_inv^2 alpha^2 beta D_inv^2 m0 + pi_spu^2 beta m0 B). The slope d t_mean/d log
    kappa is
        kappa beta m0 (A B - alpha^2 beta^2 D_inv^2 m0^2)/(alpha D_inv (A + kappa beta^2 m0^2)^2) >
        0,
    so t increases from t_name at kappa = 0 to B/(alpha beta D_inv m0) at infinity. It falls in
    D_inv while alpha^2 D_inv^2 < kappa B: where objects disagree with labels more often, the
    average caption relies more on the background, and the typical appearance less.
    """
    return _reliance_mean(
        alpha, beta, alpha**2 + sigma_inv**2, beta**2 + sigma_spu**2, m0, kappa, D_inv
    )


def _reliance_mean(alpha, beta, A, B, m0, kappa, D_inv):
    return (
        beta
        * m0
        * (alpha**2 * D_inv**2 + kappa * B)
        / (alpha * D_inv * (A + kappa * beta**2 * m0**2))
    )


def largest_reliance_mean(alpha, beta, sigma_inv, sigma_spu, kappa=1.0):
    """T3: no correlation gives a larger t_mean than (alpha^2 + kappa B)/(2 alpha sqrt(kappa A)).

    t_mean reaches it at m0 = sqrt(A)/(beta sqrt(kappa)), if that is at most 1.
    Proof: A + kappa beta^2 m0^2 >= 2 sqrt(A kappa) beta m0, with equality at sqrt(A) = sqrt(kappa)
    beta m0.
    """
    A = alpha**2 + sigma_inv**2
    B = beta**2 + sigma_spu**2
    return (alpha**2 + kappa * B) / (2 * alpha * np.sqrt(kappa * A))


def least_squares_margin(alpha, beta, sigma_inv, sigma_spu, p, nu=0.0, g=1.0):
    """T4, T5: positive iff linear CLIP is more robust than least squares, S_i A - alpha^2 (S_s +
    4p(1-p) beta^2).

    g is the detail of captions (World.detail_inv): A = alpha^2 + g sigma_inv^2, and S_i, S_s do not
    contain it.

    Proof: least squares has t = beta m0 S_i/(alpha (S_s + 4p(1-p) beta^2)), since Cov(x) minus the
    outer product of E[yx] = (alpha, beta m0) is diag(S_i, S_s + beta^2 (1 - m0^2)). So t_name is
    smaller iff the margin is positive. The margin rises in p >= 1/2 and changes sign at
        p_c = (1 + sqrt(1 - [S_i A - alpha^2 S_s]/(alpha^2 beta^2)))/2.
    At p = 1 the classes are Gaussians with means +-(alpha, beta) and covariance diag(S_i, S_s), so
    LDA and logistic regression have the same direction, and the margin S_i A - alpha^2 S_s does not
    contain beta (T4).
    """
    # S_i A - alpha^2 S_s without the terms alpha^2 nu, which cancel.
    spread = (sigma_inv - sigma_spu) * (sigma_inv + sigma_spu)
    at_one = alpha**2 * spread + g * sigma_inv**2 * (sigma_inv**2 + nu)
    return at_one - 4 * p * (1 - p) * alpha**2 * beta**2


def many_class_reliance_name(alpha, beta, sigma_inv, p, K, p_inv=1.0):
    """T8: t_name = alpha beta D_inv D/(alpha^2 + K sigma_inv^2), which vanishes like 1/K; D = p -
    (1 - p)/(K - 1).

    Proof: in the space of class differences C has alpha^2/K + sigma_inv^2 and alpha beta D_inv D/K
    in its first column.
    """
    return (
        alpha * beta * _correlation(p_inv, K) * _correlation(p, K) / (alpha**2 + K * sigma_inv**2)
    )


def many_class_reliance_mean(alpha, beta, sigma_inv, sigma_spu, p, K, kappa=1.0, p_inv=1.0):
    """T8: t_mean = beta D (alpha^2 D_inv^2 + kappa B_K)/(alpha D_inv (A_K + kappa beta^2 D^2)).

    A_K = alpha^2 + K sigma_inv^2, B_K = beta^2 + K sigma_spu^2: T2's formula with sigma^2
    multiplied by K. Proof: K C is the binary C of those variances, with D in the place of m0.
    """
    A = alpha**2 + K * sigma_inv**2
    B = beta**2 + K * sigma_spu**2
    return _reliance_mean(alpha, beta, A, B, _correlation(p, K), kappa, _correlation(p_inv, K))


def many_class_reliance_mean_limit(alpha, beta, sigma_inv, sigma_spu, p, kappa=1.0, p_inv=1.0):
    """T8: t_mean -> kappa p beta sigma_spu^2/(p_inv alpha sigma_inv^2) > 0 as K -> infinity.

    Proof: in `many_class_reliance_mean` A_K/K -> sigma_inv^2, B_K/K -> sigma_spu^2, D -> p and
    D_inv -> p_inv.
    """
    return kappa * p * beta * sigma_spu**2 / (p_inv * alpha * sigma_inv**2)


def _correlation(p, K):
    return p - (1 - p) / (K - 1)


def reliance_nearest_mean(alpha, beta, m0, D_inv=1.0):
    """T9: InfoNCE's optimum has t = beta m0/(alpha D_inv) with the mean of scores over captions
    that are latents.

    Proof: without noise in captions and with full mention p(x | t) = N(x; t, nu_I), so E_{t|y}
    PMI(x, t) = x'E[t | y]/nu_I + a function of x - E|t|^2/(2 nu_I), and the last term is the same
    for all classes. The rule is that of the nearest average caption, w = E[t | +]. It does not
    contain sigma: at p = 1 it relies less than Bayes' rule, whose t is beta S_i/(alpha S_s), where
    S_s < S_i. Log-mean-exp gives E_{t|y} p(x | t)/p(x) = p(x | y)/p(x) instead, Bayes' rule, for
    any law by which the image is independent of y given t. One caption q gives the nearest prompt,
    w = q.
    """
    return beta * m0 / (alpha * D_inv)


def pmi(pairs):
    """T14: log p(x, t)/(p(x) p(t)) in nats (X, T), InfoNCE's optimum over unrestricted scores, from
    p(x, t) (X, T).

    At every batch size B >= 2, and at infinitely many negatives, the symmetric loss is least
    exactly at the PMI plus one constant. Proof: let t_1, ..., t_B be the captions of a batch in
    random order. Given one image x of the batch, its own caption is the k-th with probability
    proportional to p(x, t_k)/p(t_k), so to e^PMI(x, t_k). The image-to-caption half is the
    cross-entropy of this probability and the softmax of scores. It is least where both are equal in
    every batch (Gibbs): where s(x, t) = PMI(x, t) + f(x). At infinitely many negatives they are p(t
    | x) and p(t) e^s(x, t)/E_t e^s(x, t), with the same consequence. The other half is least at
    PMI(x, t) + h(t). Both are at once if f and h are one constant. See Oord et al. (arXiv
    1807.03748) for B = infinity, and Uesaka et al. (ICLR 2025, arXiv 2510.15508).

    Prompted with captions t_1, ..., t_K the optimum decides for the largest p(x | t_k). This is the
    ideal classifier, at equal priors, between the images that have these captions: the chance (1/K)
    sum_x p(x | t_k(x)) that a rule k(x) finds the caption is largest where each p(x | t_k(x)) is.

    The image-to-caption half alone leaves f(x) free, which no decision between prompts contains, so
    it is enough. The caption-to-image half alone leaves h(t) free, one constant per prompt:
    decisions then depend on the start of training. SigLIP's sigmoid compares one own caption with B
    - 1 others, so its optimum is PMI - log(B - 1).

    Raises
    ------
    ValueError
        If an image or a caption has no probability, or any probability is negative.
    """
    images = pairs.sum(axis=1, keepdims=True)
    captions = pairs.sum(axis=0, keepdims=True)
    if np.any(pairs < 0) or np.any(images <= 0) or np.any(captions <= 0):
        raise ValueError(
            "probabilities of pairs must be at least 0, with a positive sum for every image and"
            " caption"
        )
    with np.errstate(divide="ignore"):  # a pair that never occurs has the PMI -inf
        return np.log(pairs) - np.log(images) - np.log(captions) + np.log(pairs.sum())


def match_among_bare(p, usual, other):
    """T15: the share of usual backgrounds among bare captions, p usual/(p usual + (1 - p) other).

    usual, other: shares of bare captions among images with usual and with other backgrounds.
    By bare name the optimum is the ideal classifier of a world with this correlation, so p' is this
    number.

    Let b(y, a) be the probability that a caption of class y and background a says the label alone,
    and no other caption does. Then p(x | bare y) is proportional to sum_a b(y, a) p(x, y, a), and
    by bare name InfoNCE's optimum takes the largest (T14). If b is one number above 0, p(x | bare
    y) = p(x | y): by bare name the optimum is the Bayes rule of the training data for equal priors,
    for any images, any number of classes, any backgrounds. Supervised learning on the same images,
    with equally frequent classes, has the same population optimum. Its drop is the data's, not the
    loss's.

    Conditions that fail by a known amount:
    - b depends on the background. The decision is the ideal one where p(a | y) has the weights p(a
      | y) b(y, a).
    - Classes have the frequencies pi_y. The decision stays that for equal priors; the Bayes rule of
      the data adds log pi_y to log p(x | y).
    - A share d of the captions that are read as bare are others. Their law is (1 - d) p(x | y) + d
      p(x | t). If these belong to the other classes evenly, no decision changes while d < (K -
      1)/K.
    """
    return p * usual / (p * usual + (1 - p) * other)


def mismatched_pmi(scores, eps):
    """T11: log((1 - eps) e^PMI + eps), the PMI if a share eps of captions belongs to pairs drawn at
    random.

    Proof: the law of pairs is (1 - eps) p(x, t) + eps p(x) p(t), with the same p(x) and p(t). The
    function increases and is the same for all prompts, so single prompts decide as before. So does
    the log-mean-exp of scores, since the function is linear in e^PMI. The mean of scores may decide
    otherwise.
    """
    return np.logaddexp(np.log1p(-eps) + scores, np.log(eps))
