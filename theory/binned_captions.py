"""InfoNCE's optimum where captions are words: a caption tells the bin in which each of its latents lies.

Within a group, an image coordinate x and the caption's coordinate t of the same latent are jointly Gaussian: mean m,
variances S_I = sigma^2 + nu_I and S_T = sigma^2 + nu_T, and covariance g sigma^2. So a bin (a, b] has the probability
    P(a < t <= b | x) = Phi((b - c)/sqrt v) - Phi((a - c)/sqrt v),
    c = m + chi (x - m),   chi = g sigma^2/S_I,   v = S_T - chi g sigma^2.
A sum over the groups gives p(x | caption). Zero-shot classification by the optimum picks the prompt with the largest
p(x | prompt) (`theory.learners.infonce`). Finer bins lead to the optimum of continuous captions.

A caption is a row of whole numbers: first the label of a bare caption, NONE in others; then the bin of each latent,
NONE where the caption does not mention the block. A bare caption tells nothing else.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtr

from simulator.accuracy import Accuracy, won
from simulator.gaussian.critic import gaussian_points
from simulator.mixture import Mixture
from simulator.prompts import Prompt
from simulator.world import World
from theory.quadrature import REPLICATES, estimate

BINS = 5  # more bins change p' by less than .002; an odd number has one in the middle
NONE = -1
TERMS = 2**22  # densities held at a time
POINTS = 2**15  # of one replicate, times captions and groups; 2^6 to 2^13 points of each group
LEAST = 1e-300  # probability of a bin that no image of the group comes near


@dataclass(frozen=True)
class BinnedCaptions:
    """The captions of one world in words, and the optimum of InfoNCE for them."""

    world: World

    @cached_property
    def mixture(self) -> Mixture:
        return self.world.mixture()

    @cached_property
    def image_variance(self) -> Float[np.ndarray, " l"]:
        return self.mixture.variances + self.world.nu_image

    @cached_property
    def caption_variance(self) -> Float[np.ndarray, " l"]:
        return self.mixture.variances + self.world.nu_text

    @cached_property
    def means(self) -> Float[np.ndarray, "2 l"]:
        """The two means that a latent takes: -mu and mu, or 0 and mu where latents are one-hot."""
        return np.stack([self.mixture.means.min(axis=0), self.mixture.means.max(axis=0)])

    @cached_property
    def edges(self) -> Float[np.ndarray, "l edges"]:
        """Quantiles of each latent of captions where all classes are equally frequent: symmetric for two classes."""
        counts = (self.world.class_count, *[self.world.background_count] * (self.mixture.block.max()))
        rows = []
        for block, ends, variance in zip(self.mixture.block, self.means.T, self.caption_variance, strict=True):
            own, s = 1 / counts[block], np.sqrt(variance)
            shares = (1 - own, own) if ends[1] > 0 else (own, 1 - own)  # a negative mu is the lower end
            rise = lambda t: shares @ ndtr((t - ends) / s)  # noqa: B023, E731
            reach = ends[0] - 9 * s, ends[1] + 9 * s
            rows.append([brentq(lambda t, k=k: rise(t) - k / BINS, *reach, xtol=1e-14) for k in range(1, BINS)])  # noqa: B023
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

    def log_density(self, images: Float[np.ndarray, "N l"], captions: Int[np.ndarray, "T told"]) -> np.ndarray:
        """log p(x | caption) of latent images, (N, T), up to a constant that all images and captions share."""
        groups = len(self.mixture.weights)
        each = max(1, TERMS // (len(captions) * groups))
        weights = np.where(self.mixture.labels == captions[:, :1], self.mixture.weights, 0.0)
        weights = np.where(captions[:, :1] == NONE, self.mixture.weights, weights)
        with np.errstate(divide="ignore"):  # groups that training does not show
            log_w = np.log(weights)
        told = logsumexp(
            self._of_groups(self._caption_terms(self.means, self.caption_variance), captions) + log_w, axis=-1
        )
        parts = []
        for start in range(0, len(images), each):
            x, S_I = images[start : start + each, None], self.image_variance
            shared = self.mixture.detail[self.mixture.block] * self.mixture.variances
            chi = shared / S_I
            terms = self._caption_terms(self.means + chi * (x - self.means), self.caption_variance - chi * shared)
            terms = self._of_groups(terms, captions)
            image = -((x - self.means) ** 2) / (2 * S_I)  # image, mean, latent
            terms += self._of_groups(image[..., None], np.zeros((1, captions.shape[1]), int))
            parts.append(logsumexp(terms + log_w, axis=-1) - told)
        return np.concatenate(parts)

    def critic(self, images: Float[np.ndarray, "N l"], captions: Int[np.ndarray, "T told"]) -> np.ndarray:
        """The optimum's scores (N, T): the pointwise mutual information, mismatched captions included."""
        silent = np.full((1, captions.shape[1]), NONE)
        pmi = self.log_density(images, captions) - self.log_density(images, silent)
        eps = self.world.mismatch
        return np.logaddexp(np.log1p(-eps) + pmi, np.log(eps)) if eps else pmi

    def accuracy(self, captions: Int[np.ndarray, "K told"], seed: int = 0) -> Accuracy:
        """Group accuracies of the optimum with one caption per class; REPLICATES Sobol nets, 95% interval."""
        G, width = self.mixture.means.shape
        power = int(np.clip(np.log2(POINTS / (G * len(captions))), 6, 13))
        deviation, values = np.sqrt(self.image_variance), np.zeros((REPLICATES, G))
        for r in range(REPLICATES):
            points = deviation * gaussian_points(width, power, seed * REPLICATES + r)
            for g in np.flatnonzero(self.mixture.test_weights):
                score = self.log_density(self.mixture.means[g] + points, captions)
                values[r, g] = won(score, self.mixture.labels[g]).mean()
        return estimate(self.mixture.group_average(values))

    def _caption_terms(self, centre: np.ndarray, variance: np.ndarray) -> Float[np.ndarray, "*n 2 l bins"]:
        """log P of each bin around each centre; the last column is that of a latent that is not mentioned."""
        at = (self.edges - centre[..., None]) / np.sqrt(variance)[:, None]
        ends = np.concatenate(
            [np.full((*at.shape[:-1], 1), -np.inf), at, np.full((*at.shape[:-1], 1), np.inf)], axis=-1
        )
        low, high = ends[..., :-1], ends[..., 1:]
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)  # the tail where Phi is precise
        log_p = np.log(np.maximum(ndtr(high) - ndtr(low), LEAST))
        return np.concatenate([log_p, np.zeros((*log_p.shape[:-1], 1))], axis=-1)

    def _of_groups(self, terms: Float[np.ndarray, "*n 2 l bins"], captions: np.ndarray) -> Float[np.ndarray, "*n T G"]:
        """Sum the terms of every caption's bins over the latents, at the means of every group."""
        own = terms[..., np.arange(terms.shape[-2]), captions[:, 1:]]  # *n 2 T l
        low, high = own[..., 0, :, :], own[..., 1, :, :]
        shows = (self.mixture.means == self.means[1]).astype(float)
        return low.sum(axis=-1, keepdims=True) + (high - low) @ shows.T
