"""Group accuracies of linear rules in closed form, for any number of classes and attributes.

If p_inv < 1, an image may show another class's object. Accuracies are then averages over the
object's law.

A rule puts weight u_b on block b. With S_b = sigma_b^2 + nu and s^2 = sum_b u_b^2 S_b, class scores
are independent Gaussians of variance s^2 (K classes), or one Gaussian (two classes):
    two classes    Acc(y, a) = Phi((u_inv alpha +- u_spu beta)/s), + on common, - on counter
    K classes      common = E Phi(t + (u alpha + v beta)/s)^(K-1),   t ~ N(0, 1)
                   counter = E Phi(t + (u alpha - v beta)/s) Phi(t + u alpha/s)^(K-2)
"""

from itertools import product

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr, ndtr

from simulator.accuracy import Accuracy, Numbers, objects_averaged
from simulator.gaussian.critic import standardise
from simulator.world import World
from theory.density import image_patterns

Phi = ndtr  # its name in predictions of claims

# Trapezoid over t ~ N(0, 1). The integrands are entire and bounded near the real line, so the error
# falls like exp(-2 pi a/h) with a the half-width of that strip: below 1e-14 at h = 1/16 even for K
# = 10^4.
_T = np.arange(-160, 161) / 16
_W = np.exp(-(_T**2) / 2) / np.sqrt(2 * np.pi) / 16


def linear_accuracy(u: Float[np.ndarray, "*w B"], worlds: World) -> Accuracy:
    """Exact accuracies of the rule with weight u_b on block b, averaged over further attributes.

    Absolute precision 1e-13. A rule that is identically zero scores 1/K.
    """
    if len(counts := np.unique(worlds.classes)) > 1:  # formulas hold for one number of classes
        classes = np.broadcast_to(worlds.classes, worlds.shape)
        whole = np.empty((2, *worlds.shape))
        for part in (classes == K for K in counts):
            whole[:, part] = [*linear_accuracy(u[part], worlds[part])]
        return Accuracy(*whole)
    if worlds.class_count > 2:
        return _many_classes(u, worlds)
    return Accuracy(*objects_averaged(ndtr(binary_scores(u, worlds)).mean(axis=1), worlds.p_inv))


def reliance(u: Float[np.ndarray, "*w B"]) -> Numbers:
    """t = u_spu/u_inv, the weight on the (first) background per weight on the object; nan for u =
    0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return u[..., 1] / u[..., 0]


def binary_scores(
    u: Float[np.ndarray, "*w B"], worlds: World
) -> Float[np.ndarray, "groups=2 further *w"]:
    """z-scores (common, counter) of a two-class rule at p_inv = 1: Acc = Phi(z), on a scale that
    does not saturate.

    They have a row for each choice of what further attributes show. They are infinite where the
    decision has no noise, 0 where the rule is identically zero.
    """
    pull = np.moveaxis(u * worlds.mean, -1, 0)
    s = np.sqrt((u**2 * worlds.image_variance).sum(-1))
    signs = [
        [[1, first, *others] for others in product([1, -1], repeat=len(pull) - 2)]
        for first in (1, -1)
    ]
    return standardise(np.tensordot(signs, pull, axes=1), s, np.abs(pull).sum(axis=0))


def _many_classes(u: np.ndarray, worlds: World) -> Accuracy:
    K = worlds.class_count
    pull = u * worlds.mean
    p_inv = np.asarray(worlds.p_inv)
    s = np.sqrt((u**2 * worlds.image_variance).sum(-1))
    result = np.zeros((2, *s.shape))
    # the object's odds are equal here
    for code, share in zip(*image_patterns(K, pull.shape[-1], 0.5), strict=True):
        if np.any(chance := 2 * (1 - p_inv if code[0] else p_inv)):
            result += np.multiply.outer(share, chance * _pattern_accuracy(pull, s, code, K))
    return Accuracy(*result)


def _pattern_accuracy(pull: np.ndarray, s: Numbers, pattern: np.ndarray, K: int) -> Numbers:
    """Accuracy given the class that each block shows: 0 is the true class, c >= 1 the c-th other
    class.
    """
    others = max(pattern)
    scale = np.abs(pull).sum(axis=-1)
    true, *rivals = [
        sum((pull[..., b] for b, c in enumerate(pattern) if c == k), np.zeros(np.shape(s)))
        for k in range(others + 1)
    ]
    log_p = (K - 1 - others) * log_ndtr(_T + standardise(true, s, scale)[..., None])
    for rival in rivals:
        log_p = log_p + log_ndtr(_T + standardise(true - rival, s, scale)[..., None])
    return np.exp(log_p) @ _W
