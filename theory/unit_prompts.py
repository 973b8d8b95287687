"""Zero-shot answers of towers of unit embeddings in one world: nodes, prompts, and accuracies with
an error.

The joint law of the latents lies on nodes of uniform grids, one of images and one of captions.
Nodes of small weight are trimmed: captions at once, images into tails, which get an answer and have
no say. A prompt need not be a node: as a caption of weight 0 it changes no other row, and its own
row minimises what it would add to the loss. So do the rows of images in the tails.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from simulator.accuracy import LEVEL, Accuracy
from simulator.prompts import Prompt, prompt_row
from simulator.quantities import LARGEST_SCALE
from simulator.world import World
from theory.density import class_log_density, log_density
from theory.integrator import Gap, gap_accuracy
from theory.theorems import mismatched_pmi
from theory.unit_embeddings import LAW, NARROW, Objective, Slopes, Towers, factors, trained, unit

# steps for object and background, in standard deviations within a group
COARSE = (0.6, 0.75)
FINE = (0.5, 0.6)
REACH = 4.0  # of a grid beyond the outer means, in standard deviations within a group
# most of a step, in standard deviations of image less caption: a sum on nodes is off by 1e-6 then
ALIAS = 1.2
LEAST = 1e-6  # weight of a node
LARGEST = 4e6  # pairs of nodes of whole grids, in memory

WIDTH = 16  # of towers whose width is not given
FAR = 3.0  # scale from which the start at the law tells something; below it is slow
SEEDS = 5  # random starts of narrow towers on each grid
CLOSE = 1e-4  # nats above the least loss: such an end is an answer, too
COLLAPSED = 1e-2  # largest distance of embeddings along a coordinate
STEPS, SETTLED = 1000, 1e-7  # of the rows without weight
HIGHER = 2**0.5  # the next scale that a search for the budget tries


class Nodes(NamedTuple):
    """P(x, t) on nodes: captions, and those images of a whole grid that have weight."""

    axes: tuple[np.ndarray, np.ndarray]
    images: Float[np.ndarray, "N 2"]  # of the grid, in row order
    kept: Bool[np.ndarray, " N"]
    captions: Float[np.ndarray, "T 2"]  # that are not bare
    law: Float[np.ndarray, "I T"]  # bare captions in the last two columns, if there are any
    tails: Float[np.ndarray, "N-I T"]  # P(t | x) of the other images


def check_unit(world: World) -> None:
    """Raise ValueError for a world in which no law of unit embeddings is known."""
    if world.table is not None or not world.binary:
        raise ValueError(
            "unit embeddings have a law for two classes and one background, without a table; leave"
            " scale out"
        )
    if world.nu_text == 0:
        raise ValueError(
            "sigma_xi_text = 0: captions without noise have no density on a grid; any above 0 is"
            " valid"
        )
    if world.bare and world.mu_inv == 0:
        raise ValueError(
            "mu_inv = 0: a bare caption then tells nothing, and unit embeddings have no law; any"
            " other is valid"
        )


@lru_cache(maxsize=4)
def nodes(world: World, spacing: tuple[float, float]) -> Nodes:
    """The nodes of one world, with steps in standard deviations within a group."""
    v, n_I, n_T = world.variances()
    x, t = (
        [
            _axis(min(h * sd, ALIAS * apart), abs(mean) + REACH * sd)
            for h, sd, apart, mean in zip(
                spacing, np.sqrt(v + n), np.sqrt(n_I + n_T), world.mean, strict=True
            )
        ]
        for n in (n_I, n_T)
    )
    images = np.stack(np.meshgrid(*x, indexing="ij"), axis=-1).reshape(-1, 2)
    captions = np.stack(np.meshgrid(*t, indexing="ij"), axis=-1).reshape(-1, 2)
    if len(images) * len(captions) > LARGEST:
        raise ValueError(
            f"view noise nu = {world.nu_image:.3g} (images), {world.nu_text:.3g} (captions) needs"
            f" {len(images):,} x {len(captions):,} nodes, more than {LARGEST:,.0f}; more noise"
            " needs fewer"
        )
    alone = np.exp(log_density(None, captions, world)) * (world.bare < 1)
    captions = captions[alone > LEAST * alone.sum()]
    pairs = np.exp(log_density(images[:, None], captions[None], world))
    law = (1 - world.bare) * pairs / pairs.sum()
    if world.bare:
        named = np.exp(class_log_density(images, None, world))
        law = np.concatenate([law, world.bare * named / named.sum()], axis=1)
    kept = law.sum(axis=1) > LEAST
    tails = law[~kept] / law[~kept].sum(axis=1, keepdims=True)
    law = law[kept] / law[kept].sum()
    drawn = 1 - world.mismatch
    c = law.sum(axis=0)
    law = drawn * law + world.mismatch * law.sum(axis=1, keepdims=True) * c
    return Nodes((x[0], x[1]), images, kept, captions, law, drawn * tails + world.mismatch * c)


def _axis(step: float, reach: float) -> np.ndarray:
    """A symmetric grid through zero."""
    count = int(np.ceil(reach / step))
    return step * np.arange(-count, count + 1)


def rows_without_weight(
    given: Float[np.ndarray, "n m"],
    others: Float[np.ndarray, "m D"],
    slopes: Slopes,
    scale: float,
    wide: bool,
) -> Float[np.ndarray, "n D"]:
    """The best rows of images of weight 0, or of captions, by accelerated gradient steps.

    `given` is P(other | own), and `slopes` are the loss's derivatives in the scores of such rows.
    In wide towers a row may have a coordinate of its own, on which no score depends: the others lie
    in the ball.
    """
    before = u = at = unit(given @ others)
    for step in range(STEPS):
        before = u
        u = at - slopes(np.exp(scale * at @ others.T), given) @ others / scale
        length = np.linalg.norm(u, axis=1, keepdims=True)
        u = u / (np.maximum(length, 1) if wide else length)
        at = u + step / (step + 3) * (u - before)
        if np.abs(u - before).max(initial=0.0) < SETTLED:
            break
    return u


def score_gap(
    world: World,
    prompt: Prompt,
    place: Nodes,
    towers: Towers,
    scale: float,
    wide: bool,
    objective: Objective,
) -> Gap:
    """The spline of scores of the prompt of class 0 less those of class 1."""
    from scipy.interpolate import RectBivariateSpline  # start-up time

    U, V, law = towers.images, towers.captions, place.law
    scores = scale * U @ V.T
    images = np.empty((len(place.images), U.shape[1]))
    of_images = objective.loss(scores, law)[2]
    of_captions = objective.loss(scores.T, law.T)[2]
    images[place.kept], images[~place.kept] = (
        U,
        rows_without_weight(place.tails, V, of_images, scale, wide),
    )
    if (pool := prompt_row(prompt).pool) is not None:
        of_class = np.exp(class_log_density(None, place.captions, world)).T
        of_class = (1 - world.bare) * of_class / of_class.sum(axis=1, keepdims=True)
        if world.bare:
            of_class = np.concatenate([of_class, world.bare * np.eye(2)], axis=1)
        if pool == "mean":
            gaps = images @ V.T @ (of_class[0] - of_class[1])
        else:
            plus, minus = of_class @ np.exp(scale * images @ V.T).T
            gaps = np.log(plus / minus)
    else:
        prompts = V[-2:]
        if prompt != "bare":
            near = np.exp(
                log_density(place.images[place.kept], world.prompts(prompt)[:, None], world)
            )
            near = (1 - world.mismatch) * near / near.sum(
                axis=1, keepdims=True
            ) + world.mismatch * law.sum(axis=1)
            prompts = rows_without_weight(near, U, of_captions, scale, wide)
        gaps = images @ (prompts[0] - prompts[1])
    x, y = (axis / sd for axis, sd in zip(place.axes, np.sqrt(world.image_variance), strict=True))
    return RectBivariateSpline(x, y, gaps.reshape(len(x), len(y))).ev


@lru_cache(maxsize=8)
def ends(
    world: World, scale: float, width: int | None, objective: Objective
) -> list[tuple[Nodes, Towers]]:
    """Towers from two grids and two starts, which all prompts share; the last ones are the answer.

    Of narrow towers those of the least loss on each grid, those close to it, and the second best at
    least.
    """
    narrow = width is not None and width < NARROW
    answers = list[tuple[Nodes, Towers]]()
    far = LAW if scale >= FAR else 1
    starts = {*range(SEEDS if narrow else 1), far}
    for spacing, own in ((COARSE, starts), (FINE, starts if narrow else {far})):
        place = nodes(world, spacing)
        tables = [
            trained(place.law, scale, WIDTH if width is None else width, start, objective)
            for start in sorted(own)
        ]
        if np.ptp(tables[0][-1].images, axis=0).max() < COLLAPSED:
            raise ArithmeticError(
                f"at scale {scale:g} the loss is least where all embeddings are equal, so that no"
                " prompt decides; a larger scale or a learned bias tells images apart"
            )
        tables.sort(key=lambda each: -each[-1].loss)
        first = max(
            0,
            min(
                len(tables) - 2, sum(each[-1].loss > tables[-1][-1].loss + CLOSE for each in tables)
            ),
        )
        answers += [(place, towers) for each in tables[first:] for towers in each]
    return answers


def unit_accuracy(
    world: World, prompt: Prompt, scale: float, width: int | None, objective: Objective
) -> Accuracy:
    """Group accuracies of one world on the finer grid.

    The interval is symmetric, and holds what all ends of `ends` give. It is no statement of
    confidence: it has the usual level because p' and r need one.
    """
    *others, value = (
        gap_accuracy(
            score_gap(world, prompt, place, towers, scale, width is None, objective), world
        )
        for place, towers in ends(world, scale, width, objective)
    )
    error = np.abs(np.array(others) - value).max(axis=0)
    return Accuracy.of(
        [*value],
        LEVEL,
        zip(np.maximum(value - error, 0), np.minimum(value + error, 1), strict=True),
    )


def least_scale(
    world: World,
    prompt: Prompt,
    scale: float,
    objective: Objective,
    law: Float[np.ndarray, " 2"],
    within: float,
) -> float | None:
    """The least of the scales 1.41, 2, 2.83 ... times this one at which accuracies are so close to
    those of a law.

    None if none up to 100 is. On the coarser grid, from one start. A larger scale may be off again.
    """
    place = nodes(world, COARSE)
    while (scale := scale * HIGHER) <= LARGEST_SCALE:
        *_, towers = trained(place.law, scale, WIDTH, LAW if scale >= FAR else 1, objective)
        gap = score_gap(world, prompt, place, towers, scale, True, objective)
        if np.abs(gap_accuracy(gap, world) - law).max() <= within:
            return scale
    return None


@lru_cache(maxsize=64)
def reaches(world: World, prompt: Prompt, scale: float, constant: float | None) -> bool:
    """Whether unit embeddings of any width have all scores of the optimum without limits, on the
    finer grid.

    The law then holds as it is. Prompts and images in the tails belong to these scores.
    """
    place = nodes(world, FINE)
    captions = place.captions
    single = prompt != "bare" and prompt_row(prompt).pool is None
    if single:
        captions = np.concatenate([captions, world.prompts(prompt)])
    alone = log_density(place.images, None, world)[:, None]
    scores = (
        log_density(place.images[:, None], captions, world)
        - alone
        - log_density(None, captions, world)
    )
    if world.bare:
        scores = np.concatenate(
            [scores, class_log_density(place.images, None, world) - alone], axis=1
        )
    if world.mismatch:
        scores = mismatched_pmi(scores, world.mismatch)
    constant = -(scores.max() + scores.min()) / 2 if constant is None else constant
    if np.abs(scores + constant).max() > scale:
        return False
    U, _ = factors(scores + constant)
    return bool((U**2).sum(axis=1).max() <= scale)
