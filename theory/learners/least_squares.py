"""Least squares on labels, and Fisher's discriminant (LDA), which points the same way.

Letters, per block b: mu_b mean, S_b = sigma_b^2 + nu variance of an image coordinate, D_b
correlation with the label (D_inv = 1 where p_inv = 1), kappa = 1 (two classes) or K. Blocks are
independent given the label, so that in the space of class differences
    r = mu D                          what a class's own coordinate shows of the label,
    d = S + mu^2 (1 - D^2)/kappa      its variance within a class, pooled over the classes.
A rule puts weight u_b on block b. Captions have no influence.

At p = 1/K this is also the law of a last layer refitted on balanced groups (DFR), if the embedding
keeps all latents. At mention_spu = 0 that is an assumption: the loss does not ask for the
background that no caption mentions. Trained towers kept it; the balanced factorisation of M* does
not have it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from simulator.gaussian.critic import LinearCritic
from simulator.gaussian.statistics import first_coordinates, labelled_moments
from simulator.world import World
from theory.learners.base import Learner, latent_critic
from theory.population import kappa, latent_moments, pattern_correlation


def within_class(mean, correlation, S, K):
    """(r, d) of the module's docstring, from numbers, arrays or formulas."""
    return mean * correlation, S + mean**2 * (1 - correlation**2) / K


@dataclass(frozen=True)
class LeastSquares(Learner):
    """Least squares of the labels on images, at n = infinity; everywhere the direction of LDA."""

    name: ClassVar[str] = "least-squares"
    words: ClassVar[str] = "least squares"
    estimator: ClassVar[str] = "least-squares"
    on_images: ClassVar[bool] = False

    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """Population least squares on labels +-1 (two classes) or one-hot labels with intercept (K
        classes).

        The normal equations (diag(d) + r r'/kappa) u = r/kappa have, by Sherman and Morrison, the
        solution u = (r/d)/(kappa + sum r^2/d); binary
            u_spu/u_inv = beta m0 (S_i + 4 p_inv (1-p_inv) alpha^2)/(alpha D_inv (S_s + 4 p (1-p)
            beta^2)).
        Blocks with d = 0 decide alone; among several the solution of least norm is returned. Exact
        to rounding.
        """
        K = np.asarray(kappa(worlds.classes))[..., None]
        r, d = within_class(worlds.mean, worlds.correlation, worlds.image_variance, K)
        # a block without information about the label gets no weight
        d = np.where(r == 0, np.inf, d)
        least = d.min(axis=-1, keepdims=True)
        # r/d in units of the smallest d, so that d = 0 is no special case.
        g = r * np.divide(least, d, out=np.ones_like(d), where=d != least)
        return g / (K * least + (r * g).sum(axis=-1, keepdims=True))

    def critic(self, world: World) -> LinearCritic:
        """Regression of one-hot labels on images and a constant, in one world of any kind."""
        prior, means, mean, covariance = latent_moments(world)
        S = covariance + world.nu_image * np.eye(len(mean))
        u = np.linalg.lstsq(S, (prior[:, None] * (means - mean)).T, rcond=None)[0].T
        return latent_critic(u, prior - u @ mean)

    def exact_law(
        self, world: World, n: int, replicates: int, seed: int, stream: str
    ) -> Iterator[LinearCritic]:
        """The normal equations of n labelled images, whose moments have a known law."""
        for second, label in labelled_moments(world, n, replicates, seed, stream):
            w = np.linalg.solve(second, label[..., None])[..., 0][:, None]
            yield LinearCritic.of_vectors(w, first_coordinates(world)[0])

    def weights(self, x):
        """r/d of both blocks, times both d; see `Learner.weights`."""
        K = kappa(x.classes)
        nu = x.nu_image
        r, d = within_class(x.mu_inv, 1, x.sigma_inv**2 + nu, K)
        r_spu, d_spu = within_class(
            x.mu_spu, pattern_correlation(x.p_spu, x.classes), x.sigma_spu**2 + nu, K
        )
        return r * d_spu, r_spu * d
