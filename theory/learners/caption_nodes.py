"""Averages over the captions of one block of one binary world: nodes, and log densities at them.

Captions of a block mention it, with noise, or are silent on it, noise alone. What matters along a caption t: the
Gaussians of mentions and silence, where one turns into the other, and evidence about the class that the block shows.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.polynomial.legendre import leggauss

WITHIN = 7.2  # standard deviations of captions: 6e-13 of them lie beyond
PANEL = 2.4  # the widest panel, in standard deviations
EVIDENCE = 2 * np.pi  # log odds of the class shown across a panel, where they count
MOST = 50  # such panels on each side of log odds 0
AROUND = np.array([-5.0, 0.0, 5.0])  # edges of panels where captions turn from silence to mention
GAUSS = leggauss(7)


class Block(NamedTuple):
    """One block of one world, with signs such that its mean is not negative."""

    mu: float
    shared: float  # variance that image and caption share, g sigma^2
    p: float
    pi: float
    image_alone: float  # variance of an image beside it
    caption_alone: float  # and of a caption that mentions the block
    nu_T: float  # of a silent caption

    @property
    def S(self) -> float:
        """Variance of an image coordinate within its group."""
        return self.shared + self.image_alone

    @property
    def S_T(self) -> float:
        """Variance within its group of a caption that mentions the block; 1 where such captions do not vary."""
        return self.shared + self.caption_alone or 1.0

    @property
    def shrinkage(self) -> float:
        """Slope of E[t | x]."""
        return self.shared / self.S

    @property
    def spread(self) -> float:
        """Variance of a caption that mentions the block, given the image and the class shown."""
        return self.shrinkage * self.image_alone + self.caption_alone or 1.0

    @property
    def fuzzy(self) -> bool:
        """Whether a caption does not show what it mentions."""
        return self.nu_T > 0 and self.pi < 1

    @property
    def log_agreement(self) -> Float[np.ndarray, "2 2"]:
        """log P(class shown | label)."""
        with np.errstate(divide="ignore"):
            return np.log(np.array([[self.p, 1 - self.p], [1 - self.p, self.p]]))


SHOWN = np.array([1.0, -1.0])[:, None]  # + and -, before an axis of captions


class Captions(NamedTuple):
    """Nodes t of an average over captions of one block: `dt` for densities, `silence` the mass of silent captions."""

    t: Float[np.ndarray, "*s n"]
    dt: Float[np.ndarray, "*s n"]
    silence: Float[np.ndarray, "*s n"]
    mentioned: Bool[np.ndarray, " n"]  # what a node says, where captions show what they mention


def panel_edges(
    block: Block,
    mean: np.ndarray,
    variance: float,
    changes: Float[np.ndarray, "*s k"],
    edges: Float[np.ndarray, "*s j"],
) -> Float[np.ndarray, "*s m"]:
    """Sorted edges of panels for mentions N(mean, variance) of both classes, and for silence.

    There are further `edges`, and where captions may be silent also `changes`.
    """
    steps = np.arange(-np.ceil(WITHIN / PANEL), np.ceil(WITHIN / PANEL) + 1) * PANEL
    shape = edges.shape[:-1]
    groups = [(mean + np.sqrt(variance) * steps).reshape(*shape, -1), edges]
    if block.fuzzy:
        groups += [np.broadcast_to(np.sqrt(block.nu_T) * steps, (*shape, len(steps))), changes]
    return np.sort(np.concatenate(groups, axis=-1), axis=-1)


def nodes_between(block: Block, edges: Float[np.ndarray, "*s k"]) -> Captions:
    """Gauss-Legendre nodes in panels between sorted edges, and a node for silence."""
    shape, half = edges.shape[:-1], np.diff(edges)[..., None] / 2
    t = (edges[..., :-1, None] + half * (1 + GAUSS[0])).reshape(*shape, -1)
    dt = (half * GAUSS[1]).reshape(t.shape)
    if block.fuzzy:
        return Captions(t, dt, (1 - block.pi) * normal(t, 0.0, block.nu_T) * dt, np.ones(t.shape[-1], bool))
    t, dt = (np.concatenate([part, np.zeros((*shape, 1))], axis=-1) for part in (t, dt))
    mentioned = np.arange(t.shape[-1]) < t.shape[-1] - 1  # the last node is a silent caption, exactly 0
    return Captions(t, dt, np.broadcast_to(np.where(mentioned, 0.0, 1 - block.pi), t.shape), mentioned)


def evidence_edges(block: Block, middle: np.ndarray, slope: float) -> Float[np.ndarray, "*s k"]:
    """Edges of panels where evidence about the class shown, log odds slope (t - middle), is not saturated."""
    every = slope * (block.mu + WITHIN * np.sqrt(block.S_T))  # beyond it there are no captions
    if every < EVIDENCE:
        return middle[..., None]
    with np.errstate(divide="ignore"):
        most = np.abs(np.log(block.p) - np.log1p(-block.p)) + 6
    steps = min(np.ceil(min(most, every) / EVIDENCE), MOST)
    return (middle if most < every else 0 * middle)[..., None] + EVIDENCE / slope * np.arange(-steps, steps + 1)


def given_evidence_edges(block: Block, x: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s k"]:
    """`evidence_edges` for captions of images x."""
    slope = 2 * block.mu * block.image_alone / (block.S * block.spread)
    return evidence_edges(block, -x * block.caption_alone / block.image_alone, slope)


def turns(block: Block, mean: np.ndarray, variance: float) -> Float[np.ndarray, "*s k"]:
    """Edges where a caption turns from silence, N(0, nu_T), to a mention, N(mean, variance).

    The log odds are A t^2 + B t + C.
    """
    if not block.fuzzy:
        return np.empty((*mean.shape[:-1], 0))
    A, B = (1 / block.nu_T - 1 / variance) / 2, mean / variance
    with np.errstate(divide="ignore", invalid="ignore"):
        C = np.log(block.pi / (1 - block.pi)) - np.log(variance / block.nu_T) / 2 - mean**2 / (2 * variance)
        square = B**2 - 4 * A * C
        q = -(B + np.where(B < 0, -1, 1) * np.sqrt(np.maximum(square, 0))) / 2
        width = 1 / np.sqrt(np.abs(square) + A)
        places = np.stack([q / A, C / q], axis=-1)[..., None] + width[..., None, None] * AROUND
    return np.nan_to_num(places, posinf=0.0, neginf=0.0).reshape(*mean.shape[:-1], -1)


def normal(t: np.ndarray, mean: np.ndarray | float, variance: float) -> np.ndarray:
    return np.exp(-((t - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def log_captions(block: Block, captions: Captions, middle: Float[np.ndarray, "*s"], half: float, variance: float):
    """log p(t | class): its mean over both classes, half its gap, + less -, and the chance of a mention, (*s, 2, n).

    A mention of the class +-1 is N(middle +- half, variance). Means lack an even function of t. So they keep their
    relative precision where nearly all captions are silent, as gaps do.
    """
    t, centre = captions.t, middle[..., None]
    said, gap = -((t - centre) ** 2 + half**2) / (2 * variance), half * (t - centre) / variance
    if not block.fuzzy:
        said, gap, mention = (np.where(captions.mentioned, f, 0.0) for f in (said, gap, np.ones_like(gap)))
        return said, gap, mention[..., None, :]
    with np.errstate(divide="ignore"):
        scale = np.log(block.pi) - np.log(variance) / 2
        hidden = np.log1p(-block.pi) - np.log(block.nu_T) / 2 - t**2 / (2 * block.nu_T)
    most = scale - np.maximum(np.abs(t) - np.abs(centre) - half, 0) ** 2 / (2 * variance)  # of a mention, at t or -t
    base = np.where(most < hidden, hidden, 0.0)
    said, hidden = said + (scale - base), hidden - base
    each = said[..., None, :] + SHOWN * gap[..., None, :]
    both = np.logaddexp(each, hidden[..., None, :])
    even = said + np.abs(gap) + np.log1p(np.exp(-2 * np.abs(gap))) - np.log(2)
    tanh = np.tanh(gap) * np.exp(even - np.logaddexp(even, hidden))
    difference = (both[..., 0, :] - both[..., 1, :]) / 2
    gap = np.where(np.abs(tanh) < 0.5, np.arctanh(np.clip(tanh, -0.5, 0.5)), difference)
    return both.mean(axis=-2), gap, np.exp(each - both)


def label_evidence(block: Block, gap: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half the gap of log p(.. | y) of both labels, its slope, and its mean, from half the gap of both classes shown.

    The mean is less that of the classes. With D = 2p - 1, tanh of the label's half gap is D tanh(gap).
    """
    D, variance, near = 2 * block.p - 1, 4 * block.p * (1 - block.p), np.clip(gap, -300, 300)
    root = np.sqrt(1 + variance * np.sinh(near) ** 2)
    half, mean, beyond = np.arcsinh(D * np.sinh(near) / root), np.log(root), gap - near
    if variance > 0:
        mean += np.abs(beyond)
    else:
        half += D * beyond
    return half, D / root**2, mean


def given_image(block: Block, x: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s 2 1"]:
    """E[t | x, class shown] of a caption that mentions the block."""
    return SHOWN * block.mu + block.shrinkage * (x[..., None, None] - SHOWN * block.mu)
