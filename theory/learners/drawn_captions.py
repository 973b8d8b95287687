"""The InfoNCE optimum with drawn captions as prompts: many classes, several attributes, or masked noisy captions.

captions   log E[p(y | t) | x] over captions t drawn given the image (reason: `theory.learners.captions`). They lie
           near the image; captions drawn for a class rarely do.
scores     E_{t|y} log p(x, t) over captions drawn for class 0. The other classes have the same captions, relabelled, so
           the part that all classes share has no sampling error.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import gaussian_points
from simulator.prompts import Prompt
from simulator.world import Worlds, latent_prompts
from theory.density import (
    attribute_log_density,
    block_log_density,
    captions_as_images,
    class_log_density,
    class_patterns,
    log_density,
)
from theory.learners.base import over_worlds
from theory.quadrature import REPLICATES

IMAGES = 2**9  # per replicate and pattern of classes
CAPTIONS = 256  # per image, or per class
PAIRS = 2**22  # density terms over all images and captions
LARGEST_CLASSES = 10
CELLS = 2**20  # numbers held in one array at a time


def drawn_captions_accuracy(worlds: Worlds, prompt: Prompt, seed: int = 0) -> Accuracy:
    """Group accuracies, estimated world by world, with a 95% interval.

    Each of REPLICATES replicates has its own captions. Finitely many captions give a biased estimate: with CAPTIONS of
    them the bias is about .001, which the interval does not include.
    """
    if worlds.classes > LARGEST_CLASSES:
        raise ValueError(
            f"classes = {worlds.classes} is more than the {LARGEST_CLASSES} for which all captions of a class are "
            "drawn; more are possible with the prompts name, mean and background, and with full captions without noise"
        )
    seeds = range(seed * REPLICATES, (seed + 1) * REPLICATES)
    return over_worlds(lambda world: np.array([_replicate(world, prompt, s) for s in seeds]), worlds)


def drawn_captions_scores(world: Worlds, prompt: Prompt, image: Float[np.ndarray, "N B width"], seed: int = 0):
    """Scores (N, K) by drawn captions."""
    score = {"captions": _posterior_score, "scores": _density_score}[prompt](world, seed)
    K = world.classes
    each = max(1, CELLS // (CAPTIONS * K * K))
    return np.concatenate([score(image[start : start + each]) for start in range(0, len(image), each)])


def _replicate(world: Worlds, prompt: Prompt, seed: int) -> list[float]:
    """(common, counter): images of every pattern of classes on Sobol points, class 0 the label."""
    shown = latent_prompts(world, "background")
    K, B, width = shown.shape
    noise = gaussian_points(B * width, IMAGES.bit_length() - 1, seed).reshape(-1, B, width)
    noise = noise * np.sqrt(world.scale**2 + world.nu_image)[:, None]
    codes, weights = class_patterns(np.append(world.agreement[0], np.full(B - 1, 1 / K)), K)
    codes, weights = codes[weights > 0], weights[weights > 0]
    images = np.concatenate([noise + shown[code, np.arange(B)] for code in codes])
    score = drawn_captions_scores(world, prompt, images, seed).reshape(len(codes), len(noise), K)
    best = score == score.max(axis=-1, keepdims=True)
    right = (best[..., 0] / best.sum(axis=-1)).mean(axis=-1)
    group = np.stack([codes[:, 1] == 0, codes[:, 1] != 0])
    return list((group * weights) @ right / [1 / K, 1 - 1 / K])


def _posterior_score(world: Worlds, seed: int):
    """E[p(y | t) | x] over CAPTIONS captions of every image."""
    means, rng = latent_prompts(world, "background"), np.random.default_rng(seed)
    K, B, _ = means.shape
    shrinkage = world.scale**2 / (world.scale**2 + world.nu_image)
    deviation = np.sqrt(shrinkage * world.nu_image)

    def score(image: Float[np.ndarray, "N B width"]) -> Float[np.ndarray, "N K"]:
        y = _drawn(class_log_density(image, None, world)[:, None], rng.random((len(image), CAPTIONS)))
        text = np.empty((*y.shape, B, image.shape[-1]))
        for b in range(B):
            shown = _log_agreement(world.agreement[b], K)[y] + block_log_density(image[:, b], None, world, b)[:, None]
            own = means[_drawn(shown, rng.random(y.shape)), b]
            latent = own + shrinkage[b] * (image[:, None, b] - own) + deviation[b] * rng.standard_normal(own.shape)
            mentioned = rng.random(y.shape) < world.mention[b]
            text[:, :, b] = latent * mentioned[..., None] + np.sqrt(world.nu_text) * rng.standard_normal(own.shape)
        given = np.sum([attribute_log_density(*each) for each in _caption_log_densities(world, text)], axis=0)
        return np.exp(given - np.logaddexp.reduce(given, axis=-1, keepdims=True)).mean(axis=1)

    return score


def _density_score(world: Worlds, seed: int):
    """Mean of log p(x, t) over captions of every class: Sobol points for what they show, mention and add."""
    means = latent_prompts(world, "background")
    K, B, width = means.shape
    count = int(np.clip(PAIRS // (IMAGES * K * K), 32, CAPTIONS))
    points = gaussian_points(2 * B * (1 + width), count.bit_length() - 1, seed)
    chance, normals = ndtr(points[:, : 2 * B]), points[:, 2 * B :].reshape(-1, 2, B, width)
    own = [_drawn(_log_agreement(world.agreement[b], K)[:1], chance[:, b]) for b in range(B)]
    latent = np.stack([means[a, b] for b, a in enumerate(own)], axis=1)
    latent = latent + world.scale[:, None] * normals[:, 0]
    first = latent * (chance[:, B:] < world.mention)[..., None] + np.sqrt(world.nu_text) * normals[:, 1]
    texts = np.stack([first, -first] if K == 2 else [np.roll(first, y, axis=-1) for y in range(K)])

    def score(image: Float[np.ndarray, "N B width"]) -> Float[np.ndarray, "N K"]:
        return log_density(image[:, None, None], texts, world).mean(axis=-1)

    return score


def _caption_log_densities(world: Worlds, text: Float[np.ndarray, "... B width"]):
    """(log p(t_b | a), agreement) of every block; a mentioned block is like an image with the captions' noise."""
    mentioned = captions_as_images(world)
    for b in range(text.shape[-2]):
        pi, nu, t = world.mention[b], world.nu_text, text[..., b, :]
        said = block_log_density(t, None, mentioned, b)
        if pi < 1:
            square = (t**2).sum(axis=-1, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore"):
                hidden = np.log1p(-pi) - (square / nu + t.shape[-1] * np.log(2 * np.pi * nu)) / 2
                said = np.logaddexp(np.log(pi) + said, hidden) if nu > 0 else np.where(square == 0, 0.0, said)
        yield said, world.agreement[b]


def _log_agreement(p: float, K: int) -> Float[np.ndarray, "K K"]:
    """log p(a | y), row y."""
    with np.errstate(divide="ignore"):
        return np.log(np.where(np.eye(K, dtype=bool), p, (1 - p) / (K - 1)))


def _drawn(log_weight: Float[np.ndarray, "... K"], uniform: Float[np.ndarray, "..."]) -> np.ndarray:
    """Classes drawn from unnormalised log weights by uniform numbers."""
    chance = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True)).cumsum(axis=-1)
    return (uniform[..., None] * chance[..., -1:] > chance).sum(axis=-1)
