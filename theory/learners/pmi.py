"""The PMI's preference between the two prompts of a binary world with one attribute, as Gaussian mixtures.

log p(x_I, p_+) > log p(x_I, p_-) iff L(x) > L(-x). L is the log of the part of the joint density of image and p_+ that
differs between the prompts. It sums over the classes (a_0, a_1) that the two blocks show, and over the mask patterns
that mention a block in which the prompts differ. The other patterns are equal for both and cancel. The label is summed
out: object and background agree with probability P = p_inv p_spu + (1 - p_inv)(1 - p_spu).
In one block, given the class a that it shows and a caption t,
    mentioned   pi N(t; a mu, sigma^2 + nu_T) N(x; a mu + h (t - a mu), nu_I + h nu_T),   h = sigma^2/(sigma^2 + nu_T),
    silent      (1 - pi) N(t; 0, nu_T) N(x; a mu, S),                                     S = sigma^2 + nu_I,
so L is the log of a mixture of at most 16 Gaussians with axes along the blocks.

Without noise in captions (nu_T = 0) a silent caption is exactly 0. Then a nonzero coordinate of a prompt mentions its
block, and a zero coordinate is silent if captions may be silent.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from simulator.prompts import Prompt
from simulator.world import Worlds

# Exponents below this do not change a sum of at least 1, and exp is thirty times slower where it underflows.
NOTHING = -100.0


class PromptMixture(NamedTuple):
    """L(x) = log sum_c exp(log_weight_c - sum_b (x_b - centre_cb)^2/(2 variance_cb)) + const, W worlds.

    x is in standard deviations of an image within its group, turned so that the means `mean` are not negative.
    Components run over (mentioned, silent) x (a_0 = +, -) of block 0, then of block 1.
    """

    log_weight: Float[np.ndarray, "4 4 W"]
    centre: Float[np.ndarray, "2 4 W"]
    variance: Float[np.ndarray, "2 4 W"]
    mean: Float[np.ndarray, "2 W"]

    def of(self, worlds) -> "PromptMixture":
        """The worlds `worlds` (an index) alone; an index with None adds an axis of points."""
        return PromptMixture(*(_at(field, worlds) for field in self))


def prompt_mixture(worlds: Worlds, prompt: Prompt) -> PromptMixture:
    """The mixture L of a row of worlds."""
    q, nu_T, pi = worlds.prompt(prompt).T, worlds.nu_text, worlds.mention.T
    mean, variance = np.abs(worlds.mean.T), worlds.scale.T**2
    q = np.where(worlds.mean.T < 0, -q, q)
    S, text_variance = variance + worlds.nu_image, variance + nu_T
    shrinkage = np.divide(variance, text_variance, out=np.zeros_like(variance), where=text_variance > 0)
    sign = np.array([1.0, -1.0])[:, None, None]

    mentioned = np.where((nu_T > 0) | (q != 0) | (pi == 1), pi, 0.0)
    silent = np.where((nu_T > 0) | ((q == 0) & (pi < 1)), 1 - pi, 0.0)
    scale = np.where(nu_T > 0, nu_T, text_variance)  # of the atom at 0, which is never weighed against a mention
    with np.errstate(divide="ignore", invalid="ignore"):
        says = np.log(mentioned) - (q - sign * mean) ** 2 / (2 * text_variance) - np.log(text_variance) / 2
        hides = np.log(silent) - q**2 / (2 * scale) - np.log(scale) / 2 + 0 * sign
    narrow = worlds.nu_image + shrinkage * nu_T
    log_weight = np.concatenate([says - np.log(narrow) / 2, hides - np.log(S) / 2])  # (4, block, W)
    log_weight[np.concatenate([mentioned + 0 * sign, silent + 0 * sign]) == 0] = -np.inf
    centre = np.concatenate([sign * mean + shrinkage * (q - sign * mean), sign * mean]) / np.sqrt(S)
    variance = np.concatenate([np.stack([narrow, narrow]), np.stack([S, S])]) / S

    both = log_weight[:, None, 0] + log_weight[None, :, 1] + _agreement(worlds)
    differs, says_it = q != 0, np.array([True, True, False, False])[:, None]
    both[~((says_it & differs[0])[:, None] | (says_it & differs[1])[None])] = -np.inf
    top = both.max(axis=(0, 1))
    both -= np.where(np.isfinite(top), top, 0.0)
    return PromptMixture(both, centre.swapaxes(0, 1), variance.swapaxes(0, 1), mean / np.sqrt(S))


def _agreement(worlds: Worlds) -> Float[np.ndarray, "4 4 W"]:
    """log P(a_0, a_1), up to log 2."""
    p_inv, p_spu = worlds.agreement.T
    with np.errstate(divide="ignore"):
        same = np.log(p_inv * p_spu + (1 - p_inv) * (1 - p_spu))
        other = np.log(p_inv * (1 - p_spu) + (1 - p_inv) * p_spu)
    return np.tile(np.array([[same, other], [other, same]]), (2, 2, 1))


def _at(field: np.ndarray, worlds) -> np.ndarray:
    # numpy would lay a selection out with the components next to each other, and sums over them take four times longer.
    return np.ascontiguousarray(field[(..., *worlds) if isinstance(worlds, tuple) else (..., worlds)])


@runtime_checkable
class Preference(Protocol):
    """The preference g for + at points of an image's two blocks; it decides + where g > 0, and g(-x) = -g(x)."""

    def of(self, worlds) -> "Preference":
        """At the worlds `worlds` (an index) alone."""

    def __call__(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(g, dg/dx, dg/dy) at block coordinates x and y."""


class PromptPreference:
    """g(x) = L(x) - L(-x) and its gradient at points x of many worlds.

    The quadratics are kept as even and odd parts, exponent_c(+-x) = even +- odd. Rounding is a few eps of the largest
    exponent, about mean^2/nu, where the slope of g is mean/nu: a root is as exact as its coordinates.
    """

    def __init__(self, mixture: PromptMixture):
        i, j = np.nonzero(np.isfinite(mixture.log_weight).any(axis=tuple(range(2, mixture.log_weight.ndim))))
        centre = np.stack([mixture.centre[0, i], mixture.centre[1, j]])  # (2, C, *s)
        self._curve = 0.5 / np.stack([mixture.variance[0, i], mixture.variance[1, j]])
        self._slope = 2 * centre * self._curve
        self._constant = mixture.log_weight[i, j] - (centre**2 * self._curve).sum(axis=0)

    def of(self, worlds) -> "PromptPreference":
        """At the worlds `worlds` (an index) alone."""
        part = object.__new__(PromptPreference)
        fields = (self._curve, self._slope, self._constant)
        part._curve, part._slope, part._constant = (_at(field, worlds) for field in fields)
        return part

    def __call__(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(g, dg/dx, dg/dy) at block coordinates x and y."""
        (curve_x, curve_y), (slope_x, slope_y) = self._curve, self._slope
        even = self._constant - curve_x * (x * x) - curve_y * (y * y)
        odd = slope_x * x + slope_y * y
        value, share = np.zeros(()), []
        for sign in (1, -1):
            exponent = even + odd if sign > 0 else even - odd
            top = exponent.max(axis=0)
            exponent = np.maximum(exponent - top, NOTHING)
            weight = np.exp(exponent, out=exponent)
            total = weight.sum(axis=0)
            value = value + sign * (top + np.log(total))
            share.append(np.divide(weight, total, out=weight))
        # d exponent/dx = +-slope - 2 curve x, averaged over the components
        both, gap = share[0] + share[1], share[0] - share[1]
        along_x = (both * slope_x).sum(axis=0) - 2 * x * (gap * curve_x).sum(axis=0)
        along_y = (both * slope_y).sum(axis=0) - 2 * y * (gap * curve_y).sum(axis=0)
        return value, along_x, along_y
