"""Moments of the population and the minimiser of the linearised contrastive loss.

In the space of class differences, by symmetry, every matrix over the latents is a B x B matrix of
blocks (invariant first, then one per attribute). Letters, per block b: mu_b mean, sigma_b scale,
m_b the multiple that captions show, D_b = p_b - (1 - p_b)/(K - 1) correlation with the label (p_b =
p_inv for the invariant block, 1 in the papers).

    C_bb' = mu_b mu_b' D_b D_b' / kappa  (b != b'),   C_bb = mu_b^2 / kappa + g_b sigma_b^2,   kappa
                                                      = 1 (K = 2) or K
    A = (1 - eps) [(1 - bare) C diag(E m) + bare c e_0'],   c_b = mu_b D_b mu_0 / kappa
    M* = S/rho -> D_I A D_T' / rho                 (see simulator.gaussian.statistics for finite n)
    u = A q                                        weight on each block for the prompt coefficients
                                                   q

g_b is the detail of a block: how far image and caption vary together within their group. eps is the
share of captions that belong to other pairs. It makes all scores smaller and changes no decision. A
bare caption tells the label alone, mu_0 times the label's pattern (e_0, the invariant block). The
covariance of images alone has sigma_b^2 for g_b sigma_b^2.

The binary C is the covariance of section 6 of Wang et al. with the means kept:
[[alpha^2 + sigma_inv^2, alpha beta m0], [alpha beta m0, beta^2 + sigma_spu^2]], m0 = 2p - 1, for g
= 1.
"""

import numpy as np
from jaxtyping import Float

from simulator.accuracy import Numbers, rounded
from simulator.mixture import Mixture
from simulator.prompts import Prompt, caption
from simulator.world import World

START = 1e-4  # m_0 unless given: towers whose weights begin at a hundredth


def kappa(classes):
    """kappa, 1 or K: one coordinate of a class's pattern has variance mean^2/kappa, up to a
    constant shift.
    """
    return classes - (classes == 2)


def block_covariance(worlds: World) -> Float[np.ndarray, "*w B B"]:
    """C = Cov(z_I, z_T) in the space of class differences, for captions that mention everything and
    are not bare.
    """
    mu_D = worlds.mean * worlds.correlation
    K = np.asarray(kappa(worlds.classes))[..., None]
    C = mu_D[..., :, None] * mu_D[..., None, :] / K[..., None]
    diagonal = np.arange(worlds.mean.shape[-1])
    C[..., diagonal, diagonal] = worlds.mean**2 / K + worlds.detail * worlds.scale**2
    return C


def latent_cross_covariance(worlds: World) -> Float[np.ndarray, "*w B B"]:
    """A = Cov(z_I, z_T) in the space of class differences."""
    mu = worlds.mean
    D = worlds.correlation
    bare = np.asarray(worlds.bare)[..., None, None]
    A = (1 - bare) * (block_covariance(worlds) * worlds.caption_kinds.moment()[..., None, :])
    A[..., 0] += bare[..., 0] * mu * D * mu[..., :1] / np.asarray(kappa(worlds.classes))[..., None]
    return np.asarray(1 - worlds.mismatch)[..., None, None] * A


def latent_moments(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """P(y) (K,), E[z | y] (K, l), E[z] (l,) and Cov(z) (l, l) of the latents in training, in one
    world of any kind.
    """
    groups = world.mixture().seen
    share = (groups.labels == np.arange(world.classes)[:, None]) * groups.weights  # (K, G)
    prior = share.sum(axis=1)
    mean = groups.weights @ groups.means
    centred = groups.means - mean
    covariance = (groups.weights * centred.T) @ centred + np.diag(groups.variances)
    return prior, share @ groups.means / prior[:, None], mean, covariance


def caption_moments(mixture: Mixture) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, "l l"]]:
    """Mean and covariance of what captions show, without view noise; one multiple of each block as
    a whole.
    """
    m = mixture.caption_kinds.moment()[mixture.block]
    m2 = mixture.caption_kinds.moment(2)[mixture.block]
    same = mixture.block[:, None] == mixture.block
    moment = (mixture.weights * mixture.means.T) @ mixture.means
    bare = (mixture.weights * mixture.label_means.T) @ mixture.label_means
    moment = (moment + np.diag(mixture.variances)) * np.where(same, m2, np.outer(m, m))
    mean = mixture.weights @ (
        (1 - mixture.bare) * m * mixture.means + mixture.bare * mixture.label_means
    )
    return mean, (1 - mixture.bare) * moment + mixture.bare * bare - np.outer(mean, mean)


def pattern_correlation(p: Numbers, classes: int) -> Numbers:
    """D = p - (1 - p)/(K - 1), the correlation of a block with the label."""
    return 2 * p - 1 if classes == 2 else p - (1 - p) / (classes - 1)


def two_block_covariance(alpha, beta, si2, ss2, D) -> tuple[Numbers, Numbers, Numbers]:
    """`block_covariance` times kappa, written out for one background and p_inv = 1."""
    return alpha * alpha + si2, alpha * beta * D, beta * beta + ss2


def two_block_weights(
    alpha, beta, si2, ss2, D, pi_inv, pi_spu, bare, prompt: Prompt
) -> tuple[Numbers, Numbers]:
    """u = A q up to scale, written out for one background and p_inv = 1; si2 and ss2 are kappa g
    sigma^2.

    u = (f alpha^2 + m_inv si2) q_inv + m_spu c q_spu,   w = f c q_inv + m_spu (beta^2 + ss2) q_spu,
    m_b = (1 - bare) pi_b, f = bare + m_inv, c = alpha beta D.
    """
    A, c, B = two_block_covariance(alpha, beta, si2, ss2, D)
    own = caption(prompt)
    detailed = 1 - bare
    q_inv = own.coefficient(alpha, 1.0, pi_inv, bare, True)
    u = (bare * alpha**2 + detailed * pi_inv * A) * q_inv
    w = (bare + detailed * pi_inv) * c * q_inv
    if not own.names_background:
        return u, w
    q_spu = detailed * pi_spu * own.coefficient(beta, D, pi_spu, bare, False)
    return u + c * q_spu, w + B * q_spu


def grown(
    values: Float[np.ndarray, "*r h"], time: float = np.inf, start: float = START
) -> Float[np.ndarray, "*r h"]:
    """Strength m(t) of the modes of M with singular values s, in descending order, after gradient
    flow; s at time inf.

    Two linear towers M = W_I' W_T with the loss -<M, S> + rho/2 |M|^2 begin aligned with the
    singular vectors of S and with equal weights, W_I = m_0^(1/2) U', W_T = m_0^(1/2) V'. Then the
    modes grow apart from each other:

        dm/dt = 2 m (s - rho m),   m(t) = (s/rho) / (1 + (s/(rho m_0) - 1) exp(-2 s t))

    in units of rho = 1. A mode of s = 0 has no direction of its own and stays 0. (Compare Saxe et
    al., 1312.6120.)
    """
    if time == np.inf:
        return values.copy()
    s = rounded(values, values[..., :1])
    return np.divide(
        s, 1 + (s / start - 1) * np.exp(-2 * s * time), out=np.zeros_like(s), where=s > 0
    )


def half_times(
    values: Float[np.ndarray, "*r h"], start: float = START
) -> Float[np.ndarray, "*r h"]:
    """Times at which the modes reach half of their end, log(s/m_0 - 1)/(2 s); 0 for s <= 2 m_0,
    infinite for s = 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        later = np.log(values / start - 1) / (2 * values)
    return np.where(values > 2 * start, later, np.where(values > 0, 0.0, np.inf))


def leading_direction(worlds: World) -> Float[np.ndarray, "*w B"]:
    """Top left singular vector of A: the direction that towers of width 1 keep, for two classes."""
    return np.linalg.svd(latent_cross_covariance(worlds))[0][..., 0]


def check_cut(values: Float[np.ndarray, "*r h"], width: int) -> None:
    """Raise ValueError where a cut after `width` modes separates equal singular values."""
    gaps = rounded(values[..., :-1] - values[..., 1:], values[..., :1])
    tied = (gaps == 0) & (rounded(values[..., :-1], values[..., :1]) > 0)
    if tied[..., width - 1 : width].any():
        row = np.argwhere(tied[..., width - 1])[0]
        untied = [*(1 + np.flatnonzero(~tied[(*row,)])), values.shape[-1]]
        near = min(untied, key=lambda h: abs(h - width))
        raise ValueError(
            f"embed_dim = {width} cuts between equal singular values"
            f" ({values[*row, width - 1]:.6g}), so the minimiser is not unique; the nearest width"
            f" without a tie is {near}"
        )
