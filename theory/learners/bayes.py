"""The Bayes rule of the training law on images: where supervised learning without a bound on its towers ends.

Letters as in `theory.learners.supervised`: per block b, mu_b mean, S_b variance of an image coordinate, p_b agreement.
"""

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import gaussian_points, standardise
from simulator.world import World, Worlds
from theory.density import attribute_log_density, block_log_density, class_log_density, class_patterns
from theory.learners.base import Learner, each_class_count
from theory.learners.supervised import LARGEST_CLASSES, image_variance
from theory.quadrature import RANGE, REPLICATES, estimate, gaussian_average


def bayes_accuracy(worlds: Worlds, seed: int = 0) -> Accuracy:
    """Accuracy of the Bayes rule of the training law on images, argmax_y p(x_I | y), under the test law.

    Two classes, one attribute: by quadrature, absolute error below 1e-6 (in practice 1e-9), any grid. Otherwise the
    noise of the attributes (and of the other classes) is sampled, REPLICATES randomised Sobol nets from `seed`, one
    world at a time, with a 95% interval. A tie counts 1/(number of classes that tie).
    Raises ValueError above LARGEST_CLASSES, and where object and background are both noiseless and perfectly
    correlated, so that the training law gives the counter group no density to decide by.
    """
    S = image_variance(worlds)
    certain = (worlds.agreement == 1) | ((worlds.agreement == 0) & (np.arange(S.shape[-1]) > 0))
    if np.any(((S == 0) & certain & (worlds.mean != 0)).sum(axis=-1) > 1):
        raise ValueError(
            "object and background are both noiseless and perfectly correlated: the training law has no density on the "
            "counter group, so its Bayes rule is undefined there"
        )
    if worlds.classes > 2:
        return _many_class_bayes(worlds, S, seed)
    a, b = np.abs(standardise(worlds.mean, np.sqrt(S)))[..., 0], standardise(worlds.mean, np.sqrt(S))[..., 1:]
    p = np.broadcast_to(worlds.agreement[..., 1:], b.shape)
    if b.shape[-1] == 1:
        return _binary_bayes(a, b[..., 0], p[..., 0])
    if a.ndim:
        raise ValueError("with several attributes the Bayes accuracy is estimated one world at a time")
    signs = np.array(list(product([1, -1], repeat=len(b))))

    def replicate(r):
        t = gaussian_points(len(b), 12, seed * REPLICATES + r)
        evidence = _evidence(2 * b * (signs[:, None] * b + t), p).sum(-1)  # (G, N)
        z = standardise(2 * a**2 + evidence, np.broadcast_to(2 * a, evidence.shape))
        accuracy = ndtr(np.where(np.isinf(a), np.inf, z)).mean(axis=-1)
        return [accuracy[signs[:, 0] == 1].mean(), accuracy[signs[:, 0] == -1].mean()]

    return estimate(np.array([replicate(r) for r in range(REPLICATES)]))


def _evidence(h: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Log odds of y = 1 that an attribute gives when its own log odds of a = 1 are h: log (p e^h + q)/(q e^h + p).

    Bounded by |log(p/q)|, q = 1 - p; written for |h| so that h = inf is no special case.
    """
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(p), np.log1p(-p)
    size = np.abs(h)
    return np.sign(h) * (np.logaddexp(log_p, log_q - size) - np.logaddexp(log_q, log_p - size))


def _binary_bayes(a, b, p) -> Accuracy:
    """Given x_spu the rule thresholds x_inv: z = a + evidence/(2a), a = |alpha|/sqrt S_i, b = beta/sqrt S_s.

    The outer variable is x_spu = b s + t in standard deviations (s = +-1 the true background). Where a < b that
    integrand can be a steep step; then, unless the evidence saturates within reach, x_inv is the outer
    variable instead, and x_spu is integrated through Phi.
    """
    shape = np.broadcast_shapes(a.shape, b.shape, p.shape)
    a, b, p = (np.broadcast_to(x, shape).ravel() for x in (a, b, p))
    # Relabelling the background turns p < 1/2 into p > 1/2 and changes no decision: only the meaning of s.
    s = np.array([1.0, -1.0]) * np.where(p < 0.5, -1.0, 1.0)[:, None]
    b, p = np.abs(b), np.maximum(p, 1 - p)
    with np.errstate(divide="ignore"):
        odds = np.log(p) - np.log1p(-p)
    reach = 2 * a * (a + RANGE)
    swap = (a < b) & (reach < 0.9 * odds)
    result = np.empty((len(a), 2))

    def object_inside(index, t):
        A, Bt, P = a[index, None, None], b[index, None, None], p[index, None, None]
        h = 2 * Bt * (Bt * s[index, None, :] + t[..., None])
        g = _evidence(h, P)
        z = standardise(2 * A**2 + g, np.broadcast_to(2 * A, g.shape))
        return ndtr(z)

    def background_inside(index, t):
        A, Bt, P = a[index, None, None], b[index, None, None], p[index, None, None]
        g = -2 * A * (A + t[..., None])  # the evidence at which the decision turns
        size = np.abs(g)
        # Inverse of `_evidence`: e^h = (p e^g - q)/(p - q e^g), q = 1 - p.
        with np.errstate(divide="ignore"):
            log_q = np.log1p(-P)
        h = np.sign(g) * (np.log(P - np.exp(log_q - size)) + size - np.log(P - np.exp(log_q + size)))
        return ndtr(s[index, None, :] * Bt - h / (2 * Bt))

    finite = np.isfinite(a)
    result[~finite] = 1.0
    for rule, part in ((object_inside, finite & ~swap), (background_inside, finite & swap)):
        chosen = np.flatnonzero(part)
        if len(chosen):
            result[chosen] = gaussian_average(lambda i, t, r=rule, c=chosen: r(c[i], t), len(chosen), 2)
    return Accuracy(result[:, 0].reshape(shape), result[:, 1].reshape(shape), None)


def _many_class_bayes(worlds: Worlds, S: Float[np.ndarray, " B"], seed: int) -> Accuracy:
    """K >= 3: given all else, the rule thresholds the true class's own x_inv, which is integrated through Phi."""
    K, B = worlds.classes, worlds.mean.shape[-1]
    if K > LARGEST_CLASSES:
        raise ValueError(f"classes = {K} is more than the {LARGEST_CLASSES} for which the Bayes accuracy is sampled")
    if worlds.mean.ndim > 1:
        raise ValueError("with K >= 3 classes the Bayes accuracy is estimated one world at a time")
    if np.any(S == 0):
        raise ValueError(
            "with K >= 3 classes the Bayes accuracy is estimated from densities, which need sigma^2 + nu > 0"
        )
    codes, weights = class_patterns(np.full(B - 1, 1 / K), K)
    a = np.abs(worlds.mean[0]) / np.sqrt(S[0])

    def replicate(r):
        noise = gaussian_points(B * K - 1, 11, seed * REPLICATES + r)
        others = a * noise[:, : K - 1]  # log odds that the other classes' x_inv give, (N, K - 1)
        rest = noise[:, K - 1 :].reshape(-1, B - 1, K) * np.sqrt(S[1:])[:, None]
        total = np.zeros(2)
        for code, weight in zip(codes, weights, strict=True):
            x = rest.copy()
            x[:, np.arange(B - 1), code] += worlds.mean[1:]
            T = sum(
                attribute_log_density(block_log_density(x[:, j], None, worlds, 1 + j), worlds.agreement[1 + j])
                for j in range(B - 1)
            )
            rivals = others + T[:, 1:] - T[:, :1]
            best = rivals.max(axis=-1)
            ties = 1 + (rivals == 0).sum(axis=-1)
            chance = np.where(best > 0, 0.0, 1.0 / ties) if a == 0 else ndtr(a - best / a)
            total[int(code[0] != 0)] += weight * chance.mean()
        return total / [1 / K, 1 - 1 / K]

    return estimate(np.array([replicate(r) for r in range(REPLICATES)]))


@dataclass(frozen=True)
class Bayes(Learner):
    """The Bayes rule of the training law on images."""

    name: ClassVar[str] = "bayes"
    words: ClassVar[str] = "the Bayes rule"

    @each_class_count
    def accuracy(self, worlds: World | Worlds) -> Accuracy:
        """By quadrature for two classes and one attribute, else sampled; see `bayes_accuracy`."""
        return bayes_accuracy(worlds)

    def scores(self, world: World | Worlds, images: Float[np.ndarray, "N l"]) -> Float[np.ndarray, "N K"]:
        """log p(x_I | y) under the training law, in nats."""
        worlds = Worlds.of(world)
        return class_log_density(images.reshape(len(images), worlds.mean.shape[-1], -1), None, worlds)
