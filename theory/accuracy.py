"""Group accuracies of linear rules in closed form, for any number of classes and attributes.

A rule puts weight u_b on block b. With S_b = sigma_b^2 + nu and s^2 = sum_b u_b^2 S_b, class scores are
independent Gaussians of variance s^2 (K classes), or one Gaussian (two classes):
    two classes    Acc(y, a) = Phi((u_inv alpha +- u_spu beta)/s), + on common, - on counter
    K classes      common = E Phi(t + (u alpha + v beta)/s)^(K-1),   t ~ N(0, 1)
                   counter = E Phi(t + (u alpha - v beta)/s) Phi(t + u alpha/s)^(K-2)
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr, ndtr

from simulator.gaussian.critic import standardise
from simulator.world import Blocks, Numbers, Prompt
from theory.density import class_patterns
from theory.population import linear_weights


class GroupAccuracy(NamedTuple):
    """(common, counter) as fractions, over any grid of worlds."""

    common: Numbers
    counter: Numbers


# Trapezoid over t ~ N(0, 1). The integrands are entire and bounded near the real line, so the error falls like
# exp(-2 pi a/h) with a the half-width of that strip: below 1e-14 at h = 1/16 even for K = 10^4.
_T = np.arange(-160, 161) / 16
_W = np.exp(-(_T**2) / 2) / np.sqrt(2 * np.pi) / 16


def linear_accuracy(u: Float[np.ndarray, "*w B"], blocks: Blocks) -> GroupAccuracy:
    """Exact accuracies of the rule with weight u_b on block b; further attributes are averaged over.

    Absolute precision 1e-13. A rule that is identically zero scores 1/K.
    """
    return _two_classes(u, blocks) if blocks.classes == 2 else _many_classes(u, blocks)


def clip_accuracy(blocks: Blocks, prompt: Prompt) -> GroupAccuracy:
    """Linear CLIP at n = infinity, embedding at least as wide as the latents."""
    return linear_accuracy(linear_weights(blocks, prompt), blocks)


def reliance(u: Float[np.ndarray, "*w B"]) -> Numbers:
    """t = u_spu/u_inv, the weight on the (first) background per weight on the object; nan for u = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return u[..., 1] / u[..., 0]


def score_deviation(u: Float[np.ndarray, "*w B"], blocks: Blocks) -> Numbers:
    """s, the standard deviation of a class score within a group."""
    return np.sqrt((u**2 * (blocks.scale**2 + blocks.nu_image[..., None])).sum(-1))


def binary_scores(u: Float[np.ndarray, "*w 2"], blocks: Blocks) -> GroupAccuracy:
    """z-scores (common, counter) of a two-class rule on one attribute: Acc = Phi(z), on a scale that does not
    saturate. Infinite where the decision has no noise, 0 where the rule is identically zero."""
    s = score_deviation(u, blocks)
    inv, spu = u[..., 0] * blocks.mean[..., 0], u[..., 1] * blocks.mean[..., 1]
    return GroupAccuracy(standardise(inv + spu, s), standardise(inv - spu, s))


def binary_clip_accuracy(p_spu, mu_inv, mu_spu, sigma_inv, sigma_spu, nu=0.0, prompt: Prompt = "name") -> GroupAccuracy:
    """`clip_accuracy` of the paper's world with full captions, written out and evaluated in cache-sized blocks.

    Arguments broadcast; made for sweeps over millions of worlds. Parity with `clip_accuracy` is tested.
    """
    if prompt not in ("name", "mean"):
        raise ValueError(f"prompt = {prompt!r} is neither 'name' nor 'mean'")
    arrays = np.broadcast_arrays(p_spu, mu_inv, mu_spu, sigma_inv, sigma_spu, nu)
    shape = arrays[0].shape
    scalar = [np.asarray(x).ndim == 0 for x in (p_spu, mu_inv, mu_spu, sigma_inv, sigma_spu, nu)]
    flat = [a.flat[0] if one and a.size else a.ravel() for a, one in zip(arrays, scalar, strict=True)]
    common, counter = np.empty(arrays[0].size), np.empty(arrays[0].size)
    for start in range(0, common.size, 8192):
        part = slice(start, start + 8192)
        p, alpha, beta, si, ss, v = (x if one else x[part] for x, one in zip(flat, scalar, strict=True))
        m0, si2, ss2 = 2 * p - 1, si * si, ss * ss
        alpha2, c = alpha * alpha, alpha * beta * m0
        u, w = alpha * (alpha2 + si2), alpha * c
        if prompt == "mean":
            mean = beta * m0
            u, w = u + c * mean, w + (beta * beta + ss2) * mean
        s = np.sqrt(u * u * (si2 + v) + w * w * (ss2 + v))
        gain, pull = u * alpha, w * beta
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (gain + pull) / s, (gain - pull) / s
        if not np.all(s):  # rare, and costs a second pass
            z = standardise(gain + pull, s), standardise(gain - pull, s)
        common[part], counter[part] = ndtr(z[0]), ndtr(z[1])
    return GroupAccuracy(common.reshape(shape), counter.reshape(shape))


def _two_classes(u: np.ndarray, blocks: Blocks) -> GroupAccuracy:
    s = score_deviation(u, blocks)
    pull = u * blocks.mean
    result = []
    for first in (1, -1):  # the background agrees with the label, or does not
        signs = product([1, -1], repeat=pull.shape[-1] - 2)
        gaps = [(pull * np.array([1, first, *others])).sum(-1) for others in signs]
        result.append(np.mean([ndtr(standardise(gap, s)) for gap in gaps], axis=0))
    return GroupAccuracy(*result)


def _many_classes(u: np.ndarray, blocks: Blocks) -> GroupAccuracy:
    K, s = blocks.classes, score_deviation(u, blocks)
    pull = u * blocks.mean
    # Under the test law every attribute is uniform; the first shows the true class, 0, or another one, 1.
    codes, weights = class_patterns(np.full(pull.shape[-1] - 1, 1 / K), K)
    result = []
    for first in (0, 1):
        part = codes[:, 0] == first
        total = np.zeros(s.shape)
        for weight, pattern in zip(weights[part] / weights[part].sum(), codes[part], strict=True):
            # pattern[j] is 0 where attribute j shows the true class, c >= 1 where it shows the c-th other one.
            others = max(pattern)
            shown = [
                sum((pull[..., 1 + j] for j, c in enumerate(pattern) if c == k), np.zeros(s.shape))
                for k in range(others + 1)
            ]
            true = pull[..., 0] + shown[0]
            log_p = (K - 1 - others) * log_ndtr(_T + standardise(true, s)[..., None])
            for k in range(1, others + 1):
                log_p = log_p + log_ndtr(_T + standardise(true - shown[k], s)[..., None])
            total += weight * (np.exp(log_p) @ _W)
        result.append(total)
    return GroupAccuracy(*result)
