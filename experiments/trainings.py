"""What n pairs teach a learner, replicate by replicate, and what a rule gets right on drawn images.

exact law     training statistics of n pairs from their exact law (simulator.gaussian.statistics); draws no pair
drawn pairs   n pairs drawn one by one (simulator.gaussian.pairs), then the learner fitted to them
drawn images  a population rule applied to test images drawn from the test law of each group
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from jaxtyping import Float

from experiments.abilities import ability_of
from simulator.accuracy import Accuracy
from simulator.gaussian.critic import LinearCritic
from simulator.gaussian.statistics import covariance_critic, decision_prompts, first_coordinates
from simulator.world import World
from theory.learners.base import Learner

Route = Literal["exact law", "drawn pairs", "drawn images"]

IMAGES = 20_000  # images on which a rule is measured beside one training run of another learner


class Unmeasurable(ArithmeticError):
    """No measurement at this point; the sentence says why."""


def learned_critics(world, learner: Learner, n, replicates, seed, stream, route: Route) -> Iterator[LinearCritic]:
    """Critics of a linear learner trained on n pairs, in blocks of replicates.

    Parameters
    ----------
    world
        The training law.
    learner : Learner
    n
        Pairs of training.
    replicates
        Independent training runs.
    seed, stream
        Root and name of the random stream.
    route : "exact law" or "drawn pairs"

    Raises
    ------
    Unmeasurable
        For a learner that is not fitted to pairs, on drawn ones.
    """
    ability = ability_of(learner)
    if route == "exact law":
        return ability.exact(world, learner, n, replicates, seed, stream)
    if ability.estimator is None:
        raise Unmeasurable(f"learner {learner.name!r} is not fitted to pairs")
    if ability.captions:
        return _drawn_linear(world, learner, n, replicates, seed, stream)
    return _drawn_supervised(world, ability.estimator, n, replicates, seed, stream)


def _samples(world: World, n: int, replicates: int, seed: int, stream: str):
    """Replicates of n drawn pairs, (r, n, ...) images, texts and labels, the dictionaries the first l coordinates.

    All come from one stream, pair after pair; as many replicates together as a block of the stream fills.
    """
    from simulator.gaussian.pairs import block_size, draw_pairs

    frames = first_coordinates(world)
    together = max(1, block_size(world) // n)
    kept, wanted, done = None, min(together, replicates) * n, 0
    for block in draw_pairs(world, frames, n * replicates, seed, stream=stream):
        fresh = [x.numpy() for x in (block.images, block.texts, block.labels)]
        kept = fresh if kept is None else [np.concatenate(both) for both in zip(kept, fresh, strict=True)]
        while len(kept[0]) >= wanted > 0:
            count = wanted // n
            yield [x[:wanted].reshape(count, n, *x.shape[1:]) for x in kept]
            kept, done = [x[wanted:] for x in kept], done + count
            wanted = min(together, replicates - done) * n


def drawn_covariances(world, n, replicates, seed, stream) -> Iterator[Float[np.ndarray, "r dI dT"]]:
    """S of every replicate of n drawn pairs.

    Parameters
    ----------
    world : World
        The training law.
    n
        Pairs of training.
    replicates
        Independent training runs.
    seed, stream
        Root and name of the random stream.
    """
    for images, texts, _ in _samples(world, n, replicates, seed, stream):
        centred = images - images.mean(axis=1, keepdims=True)
        yield centred.transpose(0, 2, 1) @ texts / (n - 1)


def _drawn_linear(world, learner: Learner, n, replicates, seed, stream):
    q = decision_prompts(world, learner.prompt)
    for S in drawn_covariances(world, n, replicates, seed, stream):
        yield covariance_critic(S, q, first_coordinates(world), learner.embed_dim)


def _drawn_supervised(world, estimator: str, n, replicates, seed, stream):
    from simulator.gaussian.supervised import fit

    D, _ = first_coordinates(world)
    for images, _, labels in _samples(world, n, replicates, seed, stream):
        for x, y in zip(images, labels, strict=True):
            yield LinearCritic.of_vectors(fit(estimator, x, y, world.classes), D)


def hits(learner: Learner, world: World, group: int, images: int, seed: int, stream: str) -> Iterator[np.ndarray]:
    """Whether a rule is right on each drawn test image of a group, block by block.

    Among k classes that tie a decision is 1/k right.

    Parameters
    ----------
    learner : Learner
        A rule of the population.
    world : World
        The training law; images follow its test law.
    group : 0 or 1
        Common or counter.
    images
        How many.
    seed, stream
        Root and name of the random stream.
    """
    from simulator.gaussian.pairs import draw_pairs

    l = world.latents
    frames = first_coordinates(world)
    test = world.test_law().model_copy(update={"p_spu": 1.0 - group})
    for block in draw_pairs(test, frames, images, seed, stream=f"{stream}/{group}"):
        scores, labels = learner.scores(world, block.images.numpy()[:, :l]), block.labels.numpy()
        best = scores == scores.max(axis=1, keepdims=True)
        yield best[np.arange(len(labels)), labels] / best.sum(axis=1)


def image_accuracy(learner: Learner, world: World, seed: int, stream: str) -> Accuracy:
    """Fractions right on half of IMAGES a group.

    Parameters
    ----------
    learner : Learner
        A rule of the population.
    world : World
        The training law.
    seed, stream
        Root and name of the random stream.
    """
    half = IMAGES // 2
    return Accuracy(*(sum(x.sum() for x in hits(learner, world, g, half, seed, stream)) / half for g in (0, 1)))
