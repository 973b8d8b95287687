"""The joint law of the latents of images and captions on nodes of a uniform grid, for `theory.unit_embeddings`.

Steps are in standard deviations within a group. Images and captions each have a grid of their own. Nodes of small
weight are trimmed: captions at once, images into tails, which get an answer and have no say.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from simulator.world import World
from theory.density import class_log_density, log_density

COARSE, FINE = (0.6, 0.75), (0.5, 0.6)  # steps for object and background, in standard deviations within a group
REACH = 4.0  # of a grid beyond the outer means, in standard deviations within a group
ALIAS = 1.2  # most of a step, in standard deviations of image less caption: a sum on nodes is off by 1e-6 then
LEAST = 1e-6  # weight of a node
LARGEST = 4e6  # pairs of nodes of whole grids, in memory


class Nodes(NamedTuple):
    """P(x, t) on nodes: captions, and those images of a whole grid that have weight."""

    axes: tuple[np.ndarray, np.ndarray]
    images: Float[np.ndarray, "N 2"]  # of the grid, in row order
    kept: Bool[np.ndarray, " N"]
    captions: Float[np.ndarray, "T 2"]  # that are not bare
    law: Float[np.ndarray, "I T"]  # bare captions in the last two columns, if there are any
    tails: Float[np.ndarray, "N-I T"]  # P(t | x) of the other images


def check(world: World) -> None:
    """Raise ValueError for a world in which no law of unit embeddings is known."""
    if world.table is not None or world.classes != 2 or len(world.mean) != 2:
        raise ValueError(
            "unit embeddings have a law for two classes and one background, without a table; leave scale out"
        )
    if world.nu_text == 0:
        raise ValueError("sigma_xi_text = 0: captions without noise have no density on a grid; any above 0 is valid")
    if world.bare and world.mu_inv == 0:
        raise ValueError(
            "mu_inv = 0: a bare caption then tells nothing, and unit embeddings have no law; any other is valid"
        )


@lru_cache(maxsize=4)
def nodes(world: World, spacing: tuple[float, float]) -> Nodes:
    """The nodes of one world, with steps in standard deviations within a group."""
    v, n_I, n_T = world.variances()
    x, t = (
        [
            _axis(min(h * sd, ALIAS * apart), abs(mean) + REACH * sd)
            for h, sd, apart, mean in zip(spacing, np.sqrt(v + n), np.sqrt(n_I + n_T), world.mean, strict=True)
        ]
        for n in (n_I, n_T)
    )
    images, captions = (np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2) for axes in (x, t))
    if len(images) * len(captions) > LARGEST:
        raise ValueError(
            f"view noise nu = {world.nu_image:.3g} (images), {world.nu_text:.3g} (captions) needs {len(images):,} x "
            f"{len(captions):,} nodes, more than {LARGEST:,.0f}; more noise needs fewer"
        )
    alone = np.exp(log_density(None, captions, world)) * (world.bare < 1)
    captions = captions[alone > LEAST * alone.sum()]
    pairs = np.exp(log_density(images[:, None], captions[None], world))
    law = (1 - world.bare) * pairs / pairs.sum()
    if world.bare:
        named = np.exp(class_log_density(images, None, world))
        law = np.concatenate([law, world.bare * named / named.sum()], axis=1)
    kept = law.sum(axis=1) > LEAST
    tails, law = law[~kept] / law[~kept].sum(axis=1, keepdims=True), law[kept] / law[kept].sum()
    drawn, c = 1 - world.mismatch, law.sum(axis=0)
    law = drawn * law + world.mismatch * law.sum(axis=1, keepdims=True) * c
    return Nodes((x[0], x[1]), images, kept, captions, law, drawn * tails + world.mismatch * c)


def _axis(step: float, reach: float) -> np.ndarray:
    """A symmetric grid through zero."""
    count = int(np.ceil(reach / step))
    return step * np.arange(-count, count + 1)
