"""The InfoNCE optimum with drawn captions as prompts: many classes, several attributes, or masked noisy captions.

captions   log E[p(y | t) | x] over captions t drawn given the image (reason: `theory.learners.captions`). They lie
           near the image; captions drawn for a class rarely do.
scores     E_{t|y} log p(x, t) over captions drawn for class 0. The other classes have the same captions, relabelled, so
           the part that all classes share has no sampling error. If a share eps of the captions belongs to other pairs,
           E_{t|y} log((1 - eps) p(x, t)/(p(x) p(t)) + eps).
"""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.accuracy import LEVEL, Accuracy, won
from simulator.gaussian.critic import gaussian_points
from simulator.prompts import Prompt, latent_prompts
from simulator.world import World
from theory.density import (
    attribute_log_density,
    block_log_density,
    caption_block_log_density,
    class_log_density,
    image_patterns,
    log_density,
)
from theory.learners.base import world_by_world
from theory.quadrature import REPLICATES, estimate

IMAGES = 2**9  # per replicate and pattern of classes
CAPTIONS = 256  # per image, or per class
PAIRS = 2**22  # density terms over all images and captions
LARGEST_CLASSES = 10
CELLS = 2**20  # numbers held in one array at a time


def drawn_captions_accuracy(worlds: World, prompt: Prompt, seed: int = 0) -> Accuracy:
    """Group accuracies, estimated world by world, with a 95% interval.

    Each of REPLICATES replicates has its own images and captions. Finitely many captions blur the boundary, a bias of
    order 1/CAPTIONS or less. So half of them are off by at least as much again, and the truth lies between the
    accuracy of all captions and the same distance beyond, as seen from the accuracy of half of them. The estimate is
    the middle of that range. The interval adds the range to the t interval over replicates.
    """
    if worlds.class_count > LARGEST_CLASSES:
        raise ValueError(
            f"classes = {worlds.class_count} is more than the {LARGEST_CLASSES} for which all captions of a class are "
            "drawn; more are possible with the prompts name, mean and background, and with full captions without noise"
        )
    seeds = range(seed * REPLICATES, (seed + 1) * REPLICATES)

    def accuracy(world: World) -> Accuracy:
        half, whole = np.moveaxis(np.array([_replicate(world, prompt, s) for s in seeds]), 1, 0)
        found = estimate(np.clip(whole + (whole - half) / 2, 0.0, 1.0))
        assert found.interval is not None
        more, ends = np.abs((whole - half).mean(axis=0)) / 2, np.array([*found.interval])
        ends = np.clip(ends + more[:, None] * [-1, 1], 0.0, 1.0)  # (group, low or high)
        return Accuracy.of([*found], LEVEL, map(tuple, ends))

    return world_by_world(accuracy, worlds)


def drawn_captions_scores(world: World, prompt: Prompt, image: Float[np.ndarray, "N B width"], seed: int = 0):
    """Scores (N, K) by drawn captions."""
    return _score_halves(world, prompt, image, seed).mean(axis=0)


def _score_halves(world: World, prompt: Prompt, image, seed: int) -> Float[np.ndarray, "2 N K"]:
    """The scores by either half of the captions, each a net of Sobol points."""
    score = {"captions": _posterior_score, "scores": _density_score}[prompt](world, seed)
    each = max(1, CELLS // (CAPTIONS * world.classes**2))
    return np.concatenate([score(image[start : start + each]) for start in range(0, len(image), each)], axis=1)


def _replicate(world: World, prompt: Prompt, seed: int) -> Float[np.ndarray, "2 2"]:
    """(common, counter) by half of the captions and by all; images of every pattern of classes, class 0 the label."""
    shown = latent_prompts(world, "background")
    K, B, width = shown.shape
    noise = gaussian_points(B * width, IMAGES.bit_length() - 1, np.random.default_rng((seed, 0))).reshape(-1, B, width)
    noise = noise * np.sqrt(world.scale**2 + world.nu_image)[:, None]
    codes, shares = image_patterns(world)
    images = np.concatenate([noise + shown[code, np.arange(B)] for code in codes])
    halves = _score_halves(world, prompt, images, seed).reshape(2, len(codes), len(noise), K)
    right = np.array([won(score).mean(axis=-1) for score in (*halves, halves.mean(axis=0))])
    accuracy = right @ shares.T
    return np.stack([accuracy[:2].mean(axis=0), accuracy[2]])


def _posterior_score(world: World, seed: int):
    """E[p(y | t) | x] over CAPTIONS captions of every image, from the same Sobol points for all images."""
    means = latent_prompts(world, "background")
    K, B, width = means.shape
    shrinkage = world.shared / (world.shared + world.image_alone)
    deviation = np.sqrt(shrinkage * world.image_alone + world.caption_alone)
    points = gaussian_points(1 + B * (2 + width), CAPTIONS.bit_length() - 1, np.random.default_rng((seed, 1)))
    chance, normals = ndtr(points[:, : 1 + 2 * B]), points[:, 1 + 2 * B :].reshape(-1, B, width)
    mentioned = (chance[:, 1 + B :] < world.mention)[..., None]
    noise = normals * np.where(mentioned, deviation[:, None], np.sqrt(world.nu_text))

    def score(image: Float[np.ndarray, "N B width"]) -> Float[np.ndarray, "2 N K"]:
        y = _drawn(class_log_density(image, None, world)[:, None], chance[:, 0])
        text = np.empty((*y.shape, B, width))
        for b in range(B):
            shown = _log_agreement(world.agreement[b], K)[y] + block_log_density(image[:, b], None, world, b)[:, None]
            own = means[_drawn(shown, chance[:, 1 + b]), b]
            text[:, :, b] = np.where(mentioned[:, b], own + shrinkage[b] * (image[:, None, b] - own), 0.0) + noise[:, b]
        given = _given_label(world, text)
        posterior = np.exp(given - np.logaddexp.reduce(given, axis=-1, keepdims=True))
        return np.stack([half.mean(axis=1) for half in np.split(posterior, 2, axis=1)])

    return score


def _density_score(world: World, seed: int):
    """Mean of log p(x, t) over captions of every class: Sobol points for what they show, mention and add."""
    means = latent_prompts(world, "background")
    K, B, width = means.shape
    count = min(max(PAIRS // (IMAGES * K * K), 32), CAPTIONS)
    points = gaussian_points(B * (2 + width), count.bit_length() - 1, np.random.default_rng((seed, 1)))
    chance, normals = ndtr(points[:, : 2 * B]), points[:, 2 * B :].reshape(-1, B, width)
    own = [_drawn(_log_agreement(world.agreement[b], K)[:1], chance[:, b]) for b in range(B)]
    mentioned = (chance[:, B:] < world.mention)[..., None]
    deviation = np.sqrt(world.scale**2 + world.nu_text)[:, None]
    first = np.where(mentioned, np.stack([means[a, b] for b, a in enumerate(own)], axis=1), 0.0)
    first = first + normals * np.where(mentioned, deviation, np.sqrt(world.nu_text))
    texts = np.stack([first, -first] if K == 2 else [np.roll(first, y, axis=-1) for y in range(K)])
    alone = np.logaddexp.reduce(_given_label(world, first), axis=-1) - np.log(K)  # log p(t), alike for all classes

    def score(image: Float[np.ndarray, "N B width"]) -> Float[np.ndarray, "2 N K"]:
        density = log_density(image[:, None, None], texts, world)
        if world.mismatch > 0:
            pmi = density - log_density(image, None, world)[:, None, None] - alone
            density = np.logaddexp(np.log1p(-world.mismatch) + pmi, np.log(world.mismatch))
        return np.stack([half.mean(axis=-1) for half in np.split(density, 2, axis=-1)])

    return score


def _given_label(world: World, text: Float[np.ndarray, "... B width"]) -> Float[np.ndarray, "... K"]:
    """log p(t | y) of captions."""
    blocks = [caption_block_log_density(text[..., b, :], world, b) for b in range(text.shape[-2])]
    return np.sum([attribute_log_density(f, world.agreement[b]) for b, f in enumerate(blocks)], axis=0)


def _log_agreement(p: float, K: int) -> Float[np.ndarray, "K K"]:
    """log p(a | y), row y."""
    with np.errstate(divide="ignore"):
        return np.log(np.where(np.eye(K, dtype=bool), p, (1 - p) / (K - 1)))


def _drawn(log_weight: Float[np.ndarray, "... K"], uniform: Float[np.ndarray, "..."]) -> np.ndarray:
    """Classes drawn from unnormalised log weights by uniform numbers."""
    chance = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True)).cumsum(axis=-1)
    return (uniform[..., None] * chance[..., -1:] > chance).sum(axis=-1)
