"""The PMI's preference between the two prompts of a binary world, as Gaussian mixtures.

log p(x_I, p_+) > log p(x_I, p_-) iff g(x) = L(x) - L(-x) is positive. L is the log of the part of the joint density of
image and p_+ that differs between the prompts. It sums over the classes (a_0, a_1) that the two blocks show, and over
the mask patterns that mention a block in which the prompts differ. The other patterns are equal for both and cancel.
The label is summed out: object and background agree with probability P = p_inv p_spu + (1 - p_inv)(1 - p_spu).
In one block, given the class a that it shows and a caption t,
    mentioned   pi N(t; a mu, sigma^2 + nu_T) N(x; a mu + h (t - a mu), nu_I + h nu_T),   h = sigma^2/(sigma^2 + nu_T),
    silent      (1 - pi) N(t; 0, nu_T) N(x; a mu, S),                                     S = sigma^2 + nu_I,
so L is the log of a mixture of at most 16 Gaussians with axes along the blocks.

Without noise in captions (nu_T = 0) a silent caption is exactly 0. Then a nonzero coordinate of a prompt mentions its
block, and a zero coordinate is silent if captions may be silent.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from simulator.prompts import Prompt
from simulator.world import Worlds

# Exponents below this do not change a sum of at least 1, and exp is thirty times slower where it underflows.
NOTHING = -100.0


class BlockMixture(NamedTuple):
    """The Gaussians of one block given the prompt for +: (mentioned, silent) x (a = +, -)."""

    log_weight: Float[np.ndarray, "4 W"]
    centre: Float[np.ndarray, "4 W"]
    variance: Float[np.ndarray, "4 W"]


def block_mixture(mean, variance, mention, nu_I, nu_T, q) -> BlockMixture:
    """The Gaussians of a block in W worlds, with x in standard deviations of an image within its group."""
    S, text_variance = variance + nu_I, variance + nu_T
    shrinkage = np.divide(variance, text_variance, out=np.zeros_like(variance), where=text_variance > 0)
    narrow, shown = nu_I + shrinkage * nu_T, np.array([1.0, -1.0])[:, None] * mean
    mentioned = np.where((nu_T > 0) | (q != 0) | (mention == 1), mention, 0.0) + 0 * shown
    silent = np.where((nu_T > 0) | ((q == 0) & (mention < 1)), 1 - mention, 0.0) + 0 * shown
    scale = np.where(nu_T > 0, nu_T, text_variance)  # a caption that is exactly 0 is never weighed against a mention
    with np.errstate(divide="ignore", invalid="ignore"):
        says = np.log(mentioned) - (q - shown) ** 2 / (2 * text_variance) - np.log(text_variance * narrow) / 2
        hides = np.log(silent) - q**2 / (2 * scale) - np.log(scale * S) / 2
    log_weight = np.where(np.concatenate([mentioned, silent]) > 0, np.concatenate([says, hides]), -np.inf)
    centre = np.concatenate([shown + shrinkage * (q - shown), shown]) / np.sqrt(S)
    return BlockMixture(log_weight, centre, np.stack([narrow, narrow, S, S]) / S)


class PromptMixture(NamedTuple):
    """L(x) = log sum_ij exp(log_weight_ij - sum_b (x_b - centre_b)^2/(2 variance_b)) + const, in W worlds.

    Component i of block 0 and j of block 1 are those of `BlockMixture`. The sign of x_b is chosen such that the means
    `mean` are not negative.
    """

    log_weight: Float[np.ndarray, "4 4 W"]
    centre: Float[np.ndarray, "2 4 W"]
    variance: Float[np.ndarray, "2 4 W"]
    mean: Float[np.ndarray, "2 W"]

    def of(self, worlds) -> "PromptMixture":
        """The mixtures of the worlds at an index."""
        return PromptMixture(*(field[..., worlds] for field in self))

    def swapped(self, swap: np.ndarray) -> "PromptMixture":
        """The two blocks exchanged in the worlds `swap`."""
        pairs = (self.log_weight.swapaxes(0, 1), *(field[::-1] for field in self[1:]))
        return PromptMixture(*(np.where(swap, new, old) for new, old in zip(pairs, self, strict=True)))

    def slope(self) -> Float[np.ndarray, "2 W"]:
        """Half the gradient of g at the origin."""
        inner, outer = self.centre**2 / (2 * self.variance)
        exponent = self.log_weight - inner[:, None] - outer
        weight = np.exp(exponent - exponent.max(axis=(0, 1)))
        tilt = self.centre / self.variance
        return np.stack([(weight * tilt[0][:, None]).sum(axis=(0, 1)), (weight * tilt[1]).sum(axis=(0, 1))])


def prompt_mixture(worlds: Worlds, prompt: Prompt) -> PromptMixture:
    """The mixture L of a row of worlds."""
    q, mean = np.where(worlds.mean < 0, -1, 1) * worlds.prompt(prompt), np.abs(worlds.mean)
    first, second = (
        block_mixture(
            mean[:, b], worlds.scale[:, b] ** 2, worlds.mention[:, b], worlds.nu_image, worlds.nu_text, q[:, b]
        )
        for b in (0, 1)
    )
    p_inv, p_spu = worlds.agreement.T
    agree = p_inv * p_spu + (1 - p_inv) * (1 - p_spu)
    with np.errstate(divide="ignore"):
        same, other = np.log(agree), np.log(1 - agree)
    both = first.log_weight[:, None] + second.log_weight + np.tile([[same, other], [other, same]], (2, 2, 1))
    says_it = np.array([True, True, False, False])[:, None] & (q != 0).T[:, None]  # (block, component, W)
    both[~(says_it[0][:, None] | says_it[1])] = -np.inf
    top = both.max(axis=(0, 1))
    both -= np.where(np.isfinite(top), top, 0.0)
    centre, variance = (np.stack([getattr(first, name), getattr(second, name)]) for name in ("centre", "variance"))
    return PromptMixture(both, centre, variance, (mean / np.sqrt(worlds.scale**2 + worlds.nu_image[:, None])).T)


def log_sum(exponent: np.ndarray, axis: int) -> np.ndarray:
    """Log-sum-exp."""
    top = exponent.max(axis=axis, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(np.maximum(exponent - shift, NOTHING)).sum(axis=axis))
    return np.where(np.isfinite(top), shift, -np.inf).squeeze(axis) + total


class Lines(NamedTuple):
    """g along N lines: log sum_c exp(constant_c + slope_c t - curve_c t^2) of the prompt for + minus that for -.

    Rounding is a few eps of the largest exponent, about mean^2/nu, where the slope of g is mean/nu. So a root is as
    exact as its coordinates.
    """

    constant: Float[np.ndarray, "2 C N"]
    slope: Float[np.ndarray, "2 C N"]
    curve: Float[np.ndarray, "C N"]

    @classmethod
    def of_block(cls, log_weight: Float[np.ndarray, "2 4 N"], centre, variance) -> "Lines":
        """Along one block, given the weight of its components under either prompt; those for - are mirrored."""
        curve = 0.5 / variance
        slope = np.array([1.0, -1.0])[:, None, None] * (2 * curve * centre)
        return cls(log_weight - curve * centre**2, slope, curve)

    def of(self, lines) -> "Lines":
        """The lines at an index."""
        # numpy would lay a selection out with the components next to each other: sums over them take four times longer.
        return Lines(*(np.ascontiguousarray(field[..., lines]) for field in self))

    def __call__(self, t: Float[np.ndarray, "N ..."]) -> tuple[np.ndarray, np.ndarray]:
        """(g, dg/dt); 0 where neither prompt has a density."""
        constant, slope, curve = (field.reshape(*field.shape, *[1] * (t.ndim - 1)) for field in self)
        value, steepness, square = np.zeros(t.shape), np.zeros(t.shape), curve * (t * t)
        for side, sign in enumerate((1, -1)):
            exponent = constant[side] + slope[side] * t - square
            top = exponent.max(axis=0)
            with np.errstate(invalid="ignore"):
                weight = np.exp(np.maximum(exponent - top, NOTHING))
                total = weight.sum(axis=0)
                value += sign * (top + np.log(total))
            steepness += sign * ((weight * slope[side]).sum(axis=0) - 2 * t * (weight * curve).sum(axis=0)) / total
        return np.where(np.isnan(value), 0.0, value), steepness
