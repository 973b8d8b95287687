"""Modes of the sample cross-covariance S of n pairs in d dimensions: which stand out of the noise, and where.

Towers learn the modes of S in the order of their singular values (`theory.population.grown`). Let d and n grow with
delta = d/n, and let each coordinate of both views have noise of variance nu. C is the cross-covariance of the latents
and V their covariance in one view; captions mention everything. With q = delta h and 0 < h < h*,

    sigma(h) = nu [1/h + q/(1 - q^2)]        decreases from infinity to the edge of the noise, sigma(h*)
    k(h) = q h/(1 - q^2),   theta(h) = h/(1 - q^2)
    q*^2 = x,   x (1 + x) = delta (1 - x)^2

Singular values sigma(h) stand out where an eigenvalue of [[k V, theta C], [theta C', k V]]/nu is 1. Derived from the
self-consistent equations of the product of both views' noise (see arXiv 2510.17561 for partial least squares). A mode
with C = c and V = v stands out iff c > nu sqrt(x) (1 + x)/(1 - x) - sqrt(x) v: so many pairs (x -> delta) need
c > sqrt(delta) (nu - v), half the edge where v is small, and a latent with v > nu stands out without any covariance.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from simulator.world import World
from theory.population import block_covariance

SMALLEST = 1e-12  # of h/h*


class SampleModes(NamedTuple):
    """Limits of the singular values of S that stand out, in descending order, and the noise's largest one."""

    outside: Float[np.ndarray, " r"]
    edge: float


def sample_modes(world: World, n: float) -> SampleModes:
    """The modes of S in the space of class differences, for n pairs.

    Raises
    ------
    ValueError
        For views that differ in size or noise, captions that omit something, are bare or of other pairs, and no noise.
    """
    even = world.dim_image == world.dim_text and world.nu_image == world.nu_text > 0
    if not even or world.bare or world.mismatch or not world.caption_kinds.always_told.all():
        raise ValueError(
            "modes of S are known for two views of equal size and noise, and captions that tell everything"
        )
    same = tuple(attribute.replace(detail=1.0) for attribute in world.attribute)
    C, V = block_covariance(world), block_covariance(world.replace(detail_inv=1.0, detail_spu=1.0, attribute=same))
    delta, nu = world.dim_image / n, world.nu_image
    # x (1 + x) = delta (1 - x)^2
    x = brentq(lambda x: x * (1 + x) - delta * (1 - x) ** 2, 0, 1, xtol=1e-15)
    last = np.sqrt(x) / delta

    def sigma(h: float) -> float:
        return nu * (1 / h + delta * h / (1 - (delta * h) ** 2))

    def eigenvalues(h: float) -> np.ndarray:
        theta = h / (1 - (delta * h) ** 2)
        k = delta * h * theta
        return np.linalg.eigvalsh(np.block([[k * V, theta * C], [theta * C.T, k * V]]) / nu)[::-1]

    count = int((eigenvalues(last) > 1).sum())  # they increase with h
    roots = [brentq(lambda h: eigenvalues(h)[j] - 1, SMALLEST * last, last) for j in range(count)]  # noqa: B023
    return SampleModes(np.array([sigma(h) for h in roots]), sigma(last))
