"""The maximum margin of labelled images in many dimensions: [X]'s supervised learner.

n images in d dimensions, view noise sigma_xi^2/d per coordinate, sigma_xi fixed. As d/n grows
without bound, noise vectors of different images become orthogonal, and their Gram matrix sigma_xi^2
I. A separating vector w has the part u along the latents, and a part in the span of the noise that
lifts the margin u'y z_i of image i to 1 at the price (1 - u'y z_i)_+^2/sigma_xi^2. So the maximum
margin is the minimum of
    sum_i (1 - u'y z_i)_+^2 + sigma_xi^2 |u|^2,
the squared hinge on the latents with a penalty. As n grows the penalty vanishes, and u minimises
E(1 - s)_+^2 with s = u'y z. The part outside the latents has no influence on test images then. Let
s ~ N(m, V), z = (1 - m)/sqrt V and t = (s - m)/sqrt V:
    E(1 - s)_+ = sqrt V (z Phi(z) + phi(z)),   E[1(s < 1) t^k] = Phi(z), -phi(z), Phi(z) - z phi(z).
As d grows at fixed sigma_xi, nu falls to 0. Here nu is the world's own, as for other learners.

K classes: score vectors w_k with the least sum |w_k|^2 such that each image's own class leads every
other by 1, and free constants. Logistic regression tends to their direction on separable samples
(Soudry et al. 2018). The noise of an image of class y now adds c_k to its scores s_k, at the price
sum_k c_k^2/sigma_xi^2. Let g_k = s_k + 1 for k other than y, and g_y = s_y. The cheapest c makes g
equal over a set A, of y and the classes with g_k above the mean of A, and is 0 elsewhere. It costs
the loss
    sum_{k in A} (g_k - mean_A g)^2,
half of (1 - s)_+^2 for two classes. u and the constants minimise its population mean. A world with
a table has constants, too, if it has two classes.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from scipy.special import erfcx, ndtr

from simulator.gaussian.critic import standardise
from theory.learners.logistic import OfMargins, PointLoss
from theory.quadrature import Moments


def hinge_moments(m: Float[np.ndarray, "*s"], V: Float[np.ndarray, "*s"]) -> Moments:
    """2 E(1 - s)_+ and 2 E[1(s < 1) t^k] for s = m + sqrt(V) t, divided by exp(log_scale)."""
    z = standardise(1 - m, np.sqrt(V))
    low = z < 0
    finite = np.where(np.isfinite(z), z, 0.0)
    log_scale = np.where(low, -(z**2) / 2, 0.0)  # far from the hinge phi(z) underflows
    phi = np.where(low, 1.0, np.exp(-(z**2) / 2)) / np.sqrt(2 * np.pi)
    Phi = np.where(low, erfcx(np.where(low, -z, 0.0) / np.sqrt(2)) / 2, ndtr(z))
    tail = np.where(V > 0, np.sqrt(V) * (finite * Phi + phi), np.maximum(1 - m, 0.0))
    return log_scale, 2 * tail, 2 * np.stack([Phi, -phi, Phi - finite * phi])


def hinge_loss(score: Float[np.ndarray, "N K"], labels: Int[np.ndarray, " N"]) -> PointLoss:
    """The squared hinge of K classes: the scatter of g over the set A of the module's docstring."""
    n, K = score.shape
    own = labels[:, None] == np.arange(K)
    each = np.arange(n)
    g = score + ~own
    order = np.argsort(np.where(own, -np.inf, -g), axis=1)  # the label first, the others falling
    falling = np.take_along_axis(g, order, axis=1)
    mean = np.cumsum(falling, axis=1) / np.arange(1, K + 1)
    size = 1 + np.cumprod(falling[:, 1:] > mean[:, :-1], axis=1).sum(axis=1)
    centre = mean[each, size - 1][:, None]
    active = own | (g > centre)
    off = np.where(active, g - centre, 0.0)
    return (off**2).sum(axis=1), 2 * off, active.astype(float), 2.0


@dataclass(frozen=True)
class MaxMargin(OfMargins):
    """Maximum-margin classifier of labelled images, in the limit of d/n, and then n, to infinity.

    Below that limit samples need not be separable. `simulate` fits it to n images in d dimensions.
    """

    name: ClassVar[str] = "max-margin"
    words: ClassVar[str] = "the maximum margin"
    # on drawn images all the same: few pairs in few dimensions are separable
    estimator: ClassVar[str] = "max-margin"
    # Where p = 1 and noise is small, the density of s grows like e^(2 s) from 0 to 1, so that r =
    # mu^2/(2 S).
    loss = hinge_loss, hinge_moments, 0.5
