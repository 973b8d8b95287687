"""What a learner learns from n pairs, per replicate, and how accurate a rule is on drawn images.

exact law     the statistics of n pairs are sampled from their exact law
              (simulator.gaussian.statistics)
drawn pairs   n pairs are drawn one by one (simulator.gaussian.pairs), and the learner is fitted to
              them
drawn images  a population rule is applied to test images of each group
even images   the same on images that fill a grid of quantiles evenly

Functions import what they need when they run, for start-up time.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from simulator.accuracy import Accuracy, won
from simulator.gaussian.critic import LinearCritic, removed_captions, without_captions
from simulator.gaussian.statistics import covariance_critic, decision_prompts, first_coordinates
from simulator.naming import unlisted
from simulator.samplers import SAMPLERS, Sampler, chosen, group_numbers
from simulator.streams import numpy_stream
from simulator.world import World
from theory.learners.base import Learner

Route = Literal["exact law", "drawn pairs", "drawn images", "even images"]
OF_RULES: tuple[Route, ...] = ("drawn images", "even images")  # nothing is trained

IMAGES = 20_000  # test images per rule, when it is compared with one training run
# replicates of 24^2 images per group scatter by about .004, where drawn images scatter by .02
EVEN = 24


class Unmeasurable(ArithmeticError):
    """A point cannot be measured; the message is the reason."""


def fitted_critics(
    world, learner: Learner, n, replicates, seed, stream, sampler: str = "drawn"
) -> Iterator[LinearCritic]:
    """Critics of a linear learner fitted to n drawn pairs, in blocks; ValueError for an unknown
    estimator.
    """
    from simulator.gaussian.fitting import ESTIMATORS

    if learner.estimator is None:
        raise Unmeasurable(f"learner {learner.name!r} is not fitted to pairs")
    if learner.estimator not in ESTIMATORS:
        raise ValueError(
            f"estimator of learner {learner.name!r} = {unlisted(learner.estimator, ESTIMATORS)}"
        )
    captions = learner.estimator == "linear"
    if captions and not learner.reads_captions:
        raise ValueError(
            f"estimator 'linear' fits captions, and learner {learner.name!r} has no field prompt"
        )
    samples = _samples(world, n, replicates, seed, stream, captions)
    if sampler != "drawn":
        samples = _sampled(SAMPLERS[sampler], world, samples, seed, stream)
    return (_drawn_linear if captions else _drawn_supervised)(world, learner, samples, sampler)


class TrainingSet(NamedTuple):
    """Some replicates of a training set."""

    images: Float[np.ndarray, "r n dI"]
    texts: Float[np.ndarray, "r n dT"]
    labels: Int[np.ndarray, "r n"]
    backgrounds: Int[np.ndarray, "r n J"]
    weights: Float[np.ndarray, "r n"] | None = None


def _samples(
    world: World, n: int, replicates: int, seed: int, stream: str, captions: bool = True
) -> Iterator[TrainingSet]:
    """Replicates of n drawn pairs, in order; a block has as many as fit into one block of the
    stream.
    """
    from simulator.gaussian.pairs import block_size, draw_pairs

    most = max(1, block_size(world) // n)
    blocks = []
    held = 0
    for block in draw_pairs(
        world, first_coordinates(world), n * replicates, seed, stream=stream, captions=captions
    ):
        blocks.append([x.numpy() for x in block])
        held += len(block.labels)
        if held < n * min(most, replicates):
            continue
        rest = [np.concatenate(fields) for fields in zip(*blocks, strict=True)]
        while replicates and held >= n * min(most, replicates):
            whole = min(most, replicates)
            yield TrainingSet(*(x[: n * whole].reshape(whole, n, *x.shape[1:]) for x in rest))
            rest = [x[n * whole :] for x in rest]
            replicates = replicates - whole
            held = held - n * whole
        blocks = [rest]


def _sampled(
    sampler: Sampler, world: World, samples: Iterator[TrainingSet], seed: int, stream: str
) -> Iterator[TrainingSet]:
    """Replicates after a sampler, one at a time."""
    import torch

    from simulator.gaussian.pairs import Pairs, contradicted

    frame = first_coordinates(world)[1]
    every = (fields for sample in samples for fields in zip(*sample[:4], strict=True))
    for r, fields in enumerate(every):
        groups = group_numbers(fields[2], fields[3], world.background_count)
        rows, weights = chosen(
            sampler, groups, world, numpy_stream(seed, f"{stream}/{sampler.name}", r)
        )
        fields_kept = [field[rows][None] for field in fields]
        if sampler.swaps and fields[1].size:  # labelled images have no captions
            pairs = Pairs(*(torch.from_numpy(field[None]) for field in fields))
            fields_kept[1] = contradicted(
                pairs, world, frame, seed, r, streams=(stream,)
            ).texts.numpy()
        yield TrainingSet(*fields_kept, None if weights is None else weights[None])


def drawn_covariances(world, n, replicates, seed, stream) -> Iterator[Float[np.ndarray, "r dI dT"]]:
    """Covariance matrix S of images and texts of each replicate of n drawn pairs."""
    return _covariances(_samples(world, n, replicates, seed, stream))


def _covariances(samples: Iterator[TrainingSet]) -> Iterator[Float[np.ndarray, "r dI dT"]]:
    from simulator.gaussian.fitting import sample_covariance

    for images, texts, _, _, weights in samples:
        if weights is not None:
            yield np.stack(
                [sample_covariance(*each) for each in zip(images, texts, weights, strict=True)]
            )
            continue
        centred = images - images.mean(axis=1, keepdims=True)
        yield centred.transpose(0, 2, 1) @ texts / (images.shape[1] - 1)


def _drawn_linear(world, learner: Learner, samples: Iterator[TrainingSet], sampler: str):
    q = decision_prompts(SAMPLERS[sampler].captioned(world), learner.prompt)
    frames = first_coordinates(world)
    # A learner of a user's has neither: its training ends, at full width.
    projected = getattr(learner, "projected", False)
    modal = getattr(learner, "modal", False)
    removed = removed_captions(world, projected)
    for S in _covariances(samples):
        own = without_captions(S, q, frames[1], removed)
        yield covariance_critic(S, own, frames, learner.strength if modal else None)


def _drawn_supervised(world, learner: Learner, samples: Iterator[TrainingSet], sampler: str):
    from simulator.gaussian.fitting import score_vectors

    D, _ = first_coordinates(world)
    for images, _, labels, _, weights in samples:
        counts = [None] * len(images) if weights is None else weights
        for x, y, w in zip(images, labels, counts, strict=True):
            yield LinearCritic.of_vectors(score_vectors(learner.estimator, x, y, world, w), D)


def hits(
    learner: Learner, world: World, group: int, images: int, seed: int, stream: str
) -> Iterator[np.ndarray]:
    """1 if a rule is right on a drawn test image of a group, else 0, in blocks; 1/k if k classes
    tie.
    """
    from simulator.gaussian.pairs import draw_pairs

    if world.table is not None:
        yield from _hits_of_cells(
            learner, world, group, images, numpy_stream(seed, f"{stream}/{group}")
        )
        return
    test = world.test_law().model_copy(update={"p_spu": 1.0 - group})
    for block in draw_pairs(
        test, first_coordinates(world), images, seed, stream=f"{stream}/{group}", captions=False
    ):
        yield won(
            learner.scores(world, block.images.numpy()[:, : world.latents]), block.labels.numpy()
        )


def _hits_of_cells(
    learner, world: World, group: int, images: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    mixture = world.mixture()
    weights = np.where(mixture.test_groups == group, mixture.test_weights, 0.0)
    for start in range(0, images, IMAGES):
        chosen = rng.choice(
            len(weights), size=min(IMAGES, images - start), p=weights / weights.sum()
        )
        noise = np.sqrt(mixture.image_variances) * rng.standard_normal((len(chosen), world.latents))
        yield won(learner.scores(world, mixture.means[chosen] + noise), mixture.labels[chosen])


def image_accuracy(learner: Learner, world: World, seed: int, stream: str) -> Accuracy:
    """Fractions right on IMAGES / 2 images per group; nan for a group that a table does not
    have.
    """
    half = IMAGES // 2
    groups = {0, 1} if world.table is None else set(world.mixture().test_groups.tolist())
    right = [
        sum(x.sum() for x in hits(learner, world, g, half, seed, stream)) if g in groups else np.nan
        for g in range(max(groups | {1}) + 1)
    ]
    return Accuracy.of(np.array(right) / half)


def even_accuracies(
    learner: Learner, world: World, seed: int, stream: str, replicates: Sequence[int]
) -> Float[np.ndarray, "R 2"]:
    """(common, counter) of a rule on EVEN^2 images per group of a mixture with two latents, one row
    per replicate.

    Each cell of a grid of quantiles has one uniform point. Those on the decision boundary alone add
    to the scatter. They are independent, so a mean over replicates is nearly normal.
    """
    mixture = world.mixture()
    cells = np.stack(np.indices((EVEN, EVEN)), axis=-1)
    uniform = np.stack([numpy_stream(seed, stream, r).random(cells.shape) for r in replicates])
    normal = ndtri(np.maximum((cells + uniform) / EVEN, 2.0**-65)).reshape(len(replicates), -1, 2)
    # (G, R, N, l)
    images = mixture.means[:, None, None] + np.sqrt(mixture.image_variances) * normal
    labels = np.repeat(mixture.labels, normal[..., 0].size)
    right = won(learner.scores(world, images.reshape(-1, 2)), labels)
    return mixture.group_average(right.reshape(images.shape[:-1]).mean(axis=-1).T)
