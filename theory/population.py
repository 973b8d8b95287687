"""Moments of the population and the minimiser of the linearised contrastive loss.

By symmetry every matrix over the latents is, in the space of differences between classes, the B x B matrix of its
blocks (invariant first, then one per attribute). Letters, per block b: mu_b mean, sigma_b scale, pi_b mention,
D_b = p_b - (1 - p_b)/(K - 1) correlation with the label (1 for the invariant block).

    C_bb' = mu_b mu_b' D_b D_b' / kappa  (b != b'),   C_bb = mu_b^2 / kappa + sigma_b^2,   kappa = 1 (K = 2) or K
    M* = S/rho -> D_I C diag(pi) D_T' / rho        (see simulator.gaussian.statistics for finite n)
    u = C diag(pi) q                               weight on each block for the prompt coefficients q

The binary C is the covariance of section 6 of Wang et al. with the means kept:
[[alpha^2 + sigma_inv^2, alpha beta m0], [alpha beta m0, beta^2 + sigma_spu^2]], m0 = 2p - 1.
"""

import numpy as np
from jaxtyping import Float

from simulator.world import Blocks, Prompt


def binary_blocks(
    *,
    p_spu=0.9,
    mu_inv=1.0,
    mu_spu=1.0,
    sigma_inv=1.0,
    sigma_spu=0.5,
    nu=0.0,
    mention_inv=1.0,
    mention_spu=1.0,
    classes: int = 2,
) -> Blocks:
    """Blocks of a whole grid of one-attribute worlds; every argument broadcasts against the others.

    nu is the noise variance of one coordinate in both views, sigma_xi^2/d. Defaults as the command line's,
    save that there is no view noise.
    """
    names = (p_spu, mu_inv, mu_spu, sigma_inv, sigma_spu, nu, mention_inv, mention_spu)
    p, a, b, si, ss, v, mi, ms = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in names))
    return Blocks(
        mean=np.stack([a, b], -1),
        scale=np.stack([si, ss], -1),
        agreement=np.stack([np.ones_like(p), p], -1),
        mention=np.stack([mi, ms], -1),
        nu_image=np.array(v),
        nu_text=np.array(v),
        classes=classes,
    )


def kappa(classes: int) -> int:
    """Variance of one coordinate of a class's pattern per squared mean is 1/kappa, up to a constant shift."""
    return 1 if classes == 2 else classes


def block_covariance(blocks: Blocks) -> Float[np.ndarray, "*w B B"]:
    """C = Cov(z_I, z_I) in the space of class differences, before any caption mask."""
    mu_D = blocks.mean * blocks.correlation
    C = mu_D[..., :, None] * mu_D[..., None, :] / kappa(blocks.classes)
    diagonal = np.arange(blocks.mean.shape[-1])
    C[..., diagonal, diagonal] = blocks.mean**2 / kappa(blocks.classes) + blocks.scale**2
    return C


def linear_weights(blocks: Blocks, prompt: Prompt) -> Float[np.ndarray, "*w B"]:
    """u = C diag(pi) q: what linear CLIP puts on each block at n = infinity, scaled by rho."""
    q = blocks.prompt(prompt)
    return np.einsum("...ij,...j,...j->...i", block_covariance(blocks), blocks.mention, q)


def truncated_weights(blocks: Blocks, prompt: Prompt, width: int) -> Float[np.ndarray, "*w B"]:
    """u for towers of embedding width `width`: M is the rank-`width` part of C diag(pi) (Eckart-Young).

    For K >= 3 each singular value of the B x B matrix occurs K - 1 times, and the directions constant over
    classes add sigma_b^2 pi_b once each; the latter never decide. Raises ValueError if the cut falls on a tie,
    where the minimiser is not unique.
    """
    if width < 1:
        raise ValueError(f"width = {width} is below 1; the nearest valid value is 1")
    A = block_covariance(blocks) * blocks.mention[..., None, :]
    left, values, right = np.linalg.svd(A)
    keep = np.vectorize(lambda s, constant: _kept_values(s, constant, blocks.classes, width), signature="(b),(b)->(b)")(
        values, blocks.scale**2 * blocks.mention
    )
    return np.einsum("...ir,...r,...rj,...j->...i", left, values * keep, right, blocks.prompt(prompt))


def leading_direction(blocks: Blocks) -> Float[np.ndarray, "*w B"]:
    """Top left singular vector of C diag(pi): the direction that towers of width 1 keep, for two classes."""
    return np.linalg.svd(block_covariance(blocks) * blocks.mention[..., None, :])[0][..., 0]


def _kept_values(values, constant, classes: int, width: int):
    """1 for the singular values of class differences that survive a cut after `width` values, else 0."""
    copies = 1 if classes == 2 else classes - 1
    constant = constant if classes > 2 else constant[:0]
    every = np.sort(np.concatenate([np.repeat(values, copies), constant]))[::-1]
    if width >= len(every):
        return np.ones_like(values)
    last, first_dropped = every[width - 1], every[width]
    if last - first_dropped <= 1e-12 * every[0]:
        untied = [h for h in range(1, len(every)) if every[h - 1] - every[h] > 1e-12 * every[0]] + [len(every)]
        near = min(untied, key=lambda h: abs(h - width))
        raise ValueError(
            f"embed_dim = {width} cuts between equal singular values ({last:.6g}), so the minimiser is not "
            f"unique; the nearest width without a tie is {near}"
        )
    return (values >= last).astype(float)
