"""The maximum margin of labelled images in many dimensions: [X]'s supervised learner.

n images in d dimensions, view noise sigma_xi^2/d per coordinate, sigma_xi fixed. As d/n grows without bound, noise
vectors of different images become orthogonal, and their Gram matrix sigma_xi^2 I. A separating vector w has the part u
along the latents, and a part in the span of the noise that lifts the margin u'y z_i of image i to 1 at the price
(1 - u'y z_i)_+^2/sigma_xi^2. So the maximum margin is the minimum of
    sum_i (1 - u'y z_i)_+^2 + sigma_xi^2 |u|^2,
the squared hinge on the latents with a penalty. As n grows the penalty vanishes, and u minimises E(1 - s)_+^2 with
s = u'y z. The part outside the latents has no influence on test images then. Let s ~ N(m, V), z = (1 - m)/sqrt V and
t = (s - m)/sqrt V:
    E(1 - s)_+ = sqrt V (z Phi(z) + phi(z)),   E[1(s < 1) t^k] = Phi(z), -phi(z), Phi(z) - z phi(z).
As d grows at fixed sigma_xi, nu falls to 0. Here nu is the world's own, as for other learners.

Logistic regression tends to the maximum margin on separable samples (Soudry et al. 2018).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import erfcx, ndtr

from simulator.gaussian.critic import LinearCritic, standardise
from simulator.world import World
from simulator.worlds import Worlds
from theory.learners.base import each_class_count
from theory.learners.logistic import OfMargins, margin_minimiser, table_minimiser
from theory.quadrature import LogisticMoments


def hinge_moments(m: Float[np.ndarray, "*s"], V: Float[np.ndarray, "*s"]) -> LogisticMoments:
    """2 E(1 - s)_+ and 2 E[1(s < 1) t^k] for s = m + sqrt(V) t, divided by exp(log_scale)."""
    z = standardise(1 - m, np.sqrt(V))
    low, finite = z < 0, np.where(np.isfinite(z), z, 0.0)
    log_scale = np.where(low, -(z**2) / 2, 0.0)  # far from the hinge phi(z) underflows
    phi = np.where(low, 1.0, np.exp(-(z**2) / 2)) / np.sqrt(2 * np.pi)
    Phi = np.where(low, erfcx(np.where(low, -z, 0.0) / np.sqrt(2)) / 2, ndtr(z))
    tail = np.where(V > 0, np.sqrt(V) * (finite * Phi + phi), np.maximum(1 - m, 0.0))
    return LogisticMoments(log_scale, 2 * tail, 2 * np.stack([Phi, -phi, Phi - finite * phi]))


def _first_guess(n, p, D):
    """Where p = 1 and noise is small: the density of s grows like e^(2 s) from 0 to 1, so r = mu^2/(2 S)."""
    return D / (2 * (n + 1 - D**2))


@dataclass(frozen=True)
class MaxMargin(OfMargins):
    """Maximum-margin classifier of labelled images, in the limit of d/n and then n, to infinity; two classes.

    Below that limit samples need not be separable. `simulate` fits it to n images in d dimensions.
    """

    name: ClassVar[str] = "max-margin"
    words: ClassVar[str] = "the maximum margin"

    @each_class_count
    def direction(self, worlds: Worlds) -> Float[np.ndarray, "*w B"]:
        """Weight on each block of the population's squared hinge; ValueError for more than two classes."""
        _check_two(worlds.class_count)
        return margin_minimiser(worlds, hinge_moments, _first_guess)

    def critic(self, world: World) -> LinearCritic:
        """With a constant, in a world with a table."""
        _check_two(world.classes)
        return table_minimiser(world, hinge_moments)


def _check_two(classes: int) -> None:
    if classes != 2:
        raise ValueError(f"the maximum margin of classes = {classes} has no known limit; two classes have one")
