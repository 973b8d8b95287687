"""InfoNCE's optimum where captions are words: a caption tells the bin in which each of its latents
lies.

Within a group, an image coordinate x and the caption's coordinate t of the same latent are jointly
Gaussian: mean m, variances S_I = sigma^2 + nu_I and S_T = sigma^2 + nu_T, and covariance g sigma^2.
So a bin (a, b] has the probability
    P(a < t <= b | x) = Phi((b - c)/sqrt v) - Phi((a - c)/sqrt v),
    c = m + chi (x - m),   chi = g sigma^2/S_I,   v = S_T - chi g sigma^2.
A sum over the groups gives p(x | caption). Zero-shot classification by the optimum picks the prompt
with the largest p(x | prompt) (`theory.learners.infonce`). Finer bins lead to the optimum of
continuous captions.

A caption is a row of whole numbers: first the label of a bare caption, NONE in others; then the bin
of each latent, NONE where the caption does not mention the block. A bare caption tells nothing
else.
"""

from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtr

from simulator.accuracy import Accuracy, won
from simulator.prompts import Prompt
from simulator.world import World
from theory.learners.base import sampled
from theory.quadrature import estimate
from theory.theorems import mismatched_pmi

BINS = 5  # more bins change p' by less than .002; an odd number has one in the middle
NONE = -1
TERMS = 2**22  # densities held at a time
POWER = 12  # of 2, points of a group and replicate
LEAST = 1e-300  # probability of a bin that no image of the group comes near


class BinnedCaptions:
    """The captions of one world in words, and the optimum of InfoNCE for them."""

    def __init__(self, world: World):
        if not world.caption_kinds.plainly_told:
            raise ValueError(
                "captions in words show a block as it is or omit it, and here some show it"
                " otherwise"
            )
        self.world = world
        self.mixture = world.mixture()
        self.caption_variance = self.mixture.variances + world.nu_text
        # The two means that a latent takes: -mu and mu, or 0 and mu where latents are one-hot.
        self.means = np.stack([self.mixture.means.min(axis=0), self.mixture.means.max(axis=0)])

    @cached_property
    def edges(self) -> Float[np.ndarray, "l edges"]:
        """Quantiles of each latent of captions where all classes are equally frequent: symmetric
        for two classes.
        """
        counts = (
            self.world.class_count,
            *[self.world.background_count] * (self.mixture.block.max()),
        )
        rows = []
        for block, ends, variance in zip(
            self.mixture.block, self.means.T, self.caption_variance, strict=True
        ):
            own = 1 / counts[block]
            s = np.sqrt(variance)
            # a negative mu is the lower end
            shares = (1 - own, own) if ends[1] > 0 else (own, 1 - own)
            rows.append(_quantiles(shares, ends, s))
        return np.array(rows)

    def binned(self, latents: Float[np.ndarray, "n l"]) -> Int[np.ndarray, "n told"]:
        """Captions with these latents that mention everything."""
        bins = (latents[..., None] > self.edges).sum(axis=-1)
        return np.concatenate([np.full((len(bins), 1), NONE), bins], axis=1)

    def bare(self, labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n told"]:
        """Bare captions of these labels."""
        rest = np.full((len(labels), self.mixture.means.shape[1]), NONE)
        return np.concatenate([labels[:, None], rest], axis=1)

    def prompts(self, prompt: Prompt) -> Int[np.ndarray, "K told"]:
        """Every class's prompt in words."""
        latents = self.world.prompts(prompt)
        return self.bare(np.arange(len(latents))) if prompt == "bare" else self.binned(latents)

    def log_shares(self, captions: Int[np.ndarray, "T told"]) -> Float[np.ndarray, "T G"]:
        """Log probability of each caption's bins in each group."""
        return self._of_groups(self._bins(self.means, self.caption_variance, captions))

    def log_density(
        self, images: Float[np.ndarray, "N l"], captions: Int[np.ndarray, "T told"]
    ) -> np.ndarray:
        """log p(x | caption) of latent images, (N, T), up to a constant that all images and
        captions share.
        """
        mixture = self.mixture
        S_I = self.mixture.image_variances
        label = captions[:, :1]
        with np.errstate(divide="ignore"):  # groups that training does not show
            log_w = np.log(
                np.where((label == NONE) | (label == mixture.labels), mixture.weights, 0.0)
            )
        others = logsumexp(self.log_shares(captions) + log_w, axis=-1)
        shared = mixture.detail[mixture.block] * mixture.variances
        chi = shared / S_I
        each = max(1, TERMS // log_w.size)
        parts = []
        for start in range(0, len(images), each):
            off = images[start : start + each, None] - self.means
            terms = self._bins(
                self.means + chi * off, self.caption_variance - chi * shared, captions
            )
            terms -= (off**2 / (2 * S_I))[:, None]
            parts.append(logsumexp(self._of_groups(terms) + log_w, axis=-1) - others)
        return np.concatenate(parts)

    def critic(
        self, images: Float[np.ndarray, "N l"], captions: Int[np.ndarray, "T told"]
    ) -> np.ndarray:
        """The optimum's scores (N, T): the pointwise mutual information, mismatched captions
        included.
        """
        silent = np.full((1, captions.shape[1]), NONE)
        pmi = self.log_density(images, captions) - self.log_density(images, silent)
        return mismatched_pmi(pmi, self.world.mismatch) if self.world.mismatch else pmi

    def accuracies(
        self, prompts: Int[np.ndarray, "prompts K told"], seed: int = 0
    ) -> list[Accuracy]:
        """Group accuracies of the optimum, by prompt; REPLICATES Sobol nets, 95% interval.

        A prompt is one caption per class.
        """
        captions, columns = np.unique(np.concatenate(prompts), axis=0, return_inverse=True)

        def right(images: np.ndarray, labels: np.ndarray, _) -> np.ndarray:
            score = self.log_density(images, captions)
            return np.array(
                [won(score[:, own], labels) for own in columns.reshape(len(prompts), -1)]
            )

        return [estimate(each) for each in sampled(right, self.world, POWER, seed).swapaxes(0, 1)]

    def _bins(
        self,
        centre: Float[np.ndarray, "*n 2 l"],
        variance: np.ndarray,
        captions: Int[np.ndarray, "T told"],
    ) -> Float[np.ndarray, "*n T 2 l"]:
        """Log probability of each caption's bins around each centre; 0 for a latent that is not
        mentioned.
        """
        ends = np.pad(self.edges, ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf)))
        latents = np.broadcast_to(np.arange(len(variance)), captions[:, 1:].shape)
        bins = captions[:, 1:]
        pairs = np.stack([latents, bins]).reshape(2, -1)
        (latent, bin_), which = np.unique(pairs, axis=1, return_inverse=True)
        low, high = (
            (np.where(bin_ == NONE, silent, ends[latent, bin_ + upper]) - centre[..., latent])
            / np.sqrt(variance[latent])
            for upper, silent in ((0, -np.inf), (1, np.inf))
        )
        # the tail where Phi is precise
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
        log_p = np.log(np.maximum(ndtr(high) - ndtr(low), LEAST))
        return np.moveaxis(log_p[..., which.reshape(bins.shape)], -3, -2)

    def _of_groups(self, terms: Float[np.ndarray, "*n T 2 l"]) -> Float[np.ndarray, "*n T G"]:
        """Sums over the latents of terms at both means, each group at its own means."""
        low = terms[..., 0, :]
        high = terms[..., 1, :]
        shows = (self.mixture.means == self.means[1]).astype(float)
        return low.sum(axis=-1, keepdims=True) + (high - low) @ shows.T


def _quantiles(
    shares: tuple[float, float], means: Float[np.ndarray, " 2"], deviation: float
) -> list[float]:
    """The ends between BINS equally likely bins of a mixture of two normal laws."""
    low = means[0] - 9 * deviation
    high = means[1] + 9 * deviation

    def excess(t: float, share: float) -> float:
        return shares @ ndtr((t - means) / deviation) - share

    return [brentq(excess, low, high, args=(k / BINS,), xtol=1e-14) for k in range(1, BINS)]
