"""Optima for towers as people train them: scores s u(x).v(t) of unit embeddings of width D, with a logit scale s.

The joint law of the latents of images and captions is put on nodes of a uniform grid. Towers are tables, one unit row
per node, and InfoNCE's population loss (at infinitely many negatives) is an exact finite sum,
    L(G) = -<P, G> + [a'log(E c) + c'log(E'a)]/2,   G = s U V', E = e^G,
P the probabilities of pairs, a and c those of images and captions. L-BFGS minimises it over rows scaled by the root of
their weight, which makes all rows equally stiff. A prompt need not be a node: as a caption of weight 0 it changes no
other row, and its own row minimises what it would add to the loss. So do the rows of images in the tails.

The scores s u.v of any width are {G: gamma_2(G) <= s} (gamma_2: the least product of the largest norms of rows over all
factorisations), which is convex. So for wide towers every local minimum is global. Certificate: let T = dL/dG,
alpha_i = -u_i.(T V)_i and beta_j = -v_j.(T'U)_j. For all unit rows, <T, U'V''> >= -(sum alpha + sum beta)/2 - delta if
[[alpha, T], [T', beta]], with rows and columns over the roots of weights, has no eigenvalue below -delta. So the loss
exceeds its minimum by at most s delta.

A small excess is no small error: prompts that few captions resemble are decided among pairs that the loss hardly sees.
So every answer has an error, from two grids and two starts.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from simulator.accuracy import LEVEL, Accuracy, objects_averaged
from simulator.gaussian.critic import standardise
from simulator.prompts import Prompt, prompt_row
from simulator.world import World
from theory.density import class_log_density, log_density
from theory.integrator import gap_accuracy

COARSE, FINE = (0.6, 0.75), (0.5, 0.6)  # steps for object and background, in standard deviations within a group
RUNS = ((COARSE, 0), (COARSE, 1), (FINE, 0))  # a grid and a start of each; the last one is the answer
REACH = 4.0  # of a grid beyond the outer means, in standard deviations within a group
ALIAS = 1.2  # most of a step, in standard deviations of image less caption: a sum on nodes is off by 1e-6 then
LEAST = 1e-6  # weight of a node
WIDTH = 16  # of towers whose width is not given
LARGEST = 4e6  # pairs of nodes of whole grids, in memory
MOST, WORK, OVERHEAD = 3000, 2.5e10, 6  # steps, and their number times pairs of nodes times width: two CPU minutes
FEWEST = 100  # steps that any minimum takes
OPTIONS = {"ftol": 1e-13, "gtol": 1e-8, "maxcor": 20}
STEPS, SETTLED = 1000, 1e-7  # of the rows without weight


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


class Towers(NamedTuple):
    """Unit rows of images and captions with weight, the loss in nats, and its derivative in the scores."""

    images: Float[np.ndarray, "I D"]
    captions: Float[np.ndarray, "T D"]
    loss: float
    slope: Float[np.ndarray, "I T"]


def infonce(scores: Float[np.ndarray, "I T"], law: Float[np.ndarray, "I T"]) -> tuple[float, np.ndarray]:
    """The population loss at infinitely many negatives, and its derivative in the scores."""
    a, c, E = law.sum(axis=1), law.sum(axis=0), np.exp(scores)
    R, C = E @ c, a @ E
    value = -np.vdot(law, scores) + (a @ np.log(R) + c @ np.log(C)) / 2
    E *= a[:, None] * c / 2
    return float(value), E / R[:, None] + E / C - law


def unit(rows: Float[np.ndarray, "*n D"]) -> Float[np.ndarray, "*n D"]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def trained(law: Float[np.ndarray, "I T"], scale: float, width: int, seed: int) -> Towers:
    """The towers at a minimum of the loss, from random rows. Raises ArithmeticError beyond the budget of WORK."""
    from scipy.optimize import minimize  # start-up time

    I, T = law.shape
    rng = np.random.default_rng(seed)
    root = np.sqrt(np.concatenate([law.sum(axis=1), law.sum(axis=0)]))[:, None]

    def of_flat(flat: np.ndarray) -> tuple[float, np.ndarray]:
        rows = flat.reshape(I + T, width)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        W = rows / length
        value, G = infonce(scale * W[:I] @ W[I:].T, law)
        gradient = scale * np.concatenate([G @ W[I:], G.T @ W[:I]])
        gradient -= W * (W * gradient).sum(axis=1, keepdims=True)
        return value / scale, (gradient / length / scale).ravel()

    start = root * unit(rng.standard_normal((I + T, width)))
    limit = int(min(MOST, WORK / (I * T * (width + OVERHEAD))))
    beyond = (
        f"the loss of unit embeddings at scale {scale:g} does not settle in two CPU minutes on {I} x {T} nodes with "
        f"embed_dim = {width}; a smaller scale or embed_dim does, or more view noise"
    )
    if limit < FEWEST:
        raise ArithmeticError(beyond)
    options = {**OPTIONS, "maxiter": limit, "maxfun": 2 * limit}
    end = minimize(of_flat, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    if limit < MOST and not end.success:
        raise ArithmeticError(beyond)
    W = unit(end.x.reshape(I + T, width))
    return Towers(W[:I], W[I:], *infonce(scale * W[:I] @ W[I:].T, law))


def excess(towers: Towers, law: Float[np.ndarray, "I T"], scale: float) -> float:
    """The most by which the loss exceeds that of any tables of any width, in nats."""
    from scipy.linalg import eigh  # start-up time

    U, V, T = towers.images, towers.captions, towers.slope
    ends = np.concatenate([-(U * (T @ V)).sum(axis=1), -(V * (T.T @ U)).sum(axis=1)])
    root = np.sqrt(np.concatenate([law.sum(axis=1), law.sum(axis=0)]))
    matrix = np.diag(ends)
    matrix[: len(U), len(U) :], matrix[len(U) :, : len(U)] = T, T.T
    least = eigh(matrix / np.outer(root, root), eigvals_only=True, subset_by_index=[0, 0])[0]
    return scale * max(0.0, -float(least))


def needed_scale(values: int, error: float) -> float:
    """The scale that unit embeddings of any width need for one further attribute alone, which captions tell.

    The attribute has so many equally likely values, and a caption names a random one of them with probability `error`.
    The least gamma_2 of its PMI + const is (1 - 1/m) log((1 - c)(m - 1)/c), c = error (1 - 1/m): two levels, on and off
    the diagonal, and 1 - 1/m is gamma_2 of I - 1/m. Scales of independent attributes add at most.

    >>> round(needed_scale(1000, 0.05), 1), round(needed_scale(10**6, 0.05), 1)
    (9.8, 16.8)
    """
    m = values
    c = error * (1 - 1 / m)
    return float((1 - 1 / m) * np.log((1 - c) * (m - 1) / c))


def rows_without_weight(
    given: Float[np.ndarray, "n m"],
    others: Float[np.ndarray, "m D"],
    weights: Float[np.ndarray, " m"],
    sums: Float[np.ndarray, " m"],
    scale: float,
    wide: bool,
) -> Float[np.ndarray, "n D"]:
    """The best rows of images of weight 0, or of captions, by accelerated gradient steps.

    `given` is P(other | own), `weights` those of the others, and `sums` the average of e^score over their partners. In
    wide towers a row may have a coordinate of its own, on which no score depends: the others lie in the ball.
    """
    before = u = at = unit(given @ others)
    for step in range(STEPS):
        E = np.exp(scale * at @ others.T) * weights / 2
        pull = (given - E / E.sum(axis=1, keepdims=True) / 2 - E / sums) @ others
        before, u = u, at + pull / scale
        length = np.linalg.norm(u, axis=1, keepdims=True)
        u = u / (np.maximum(length, 1) if wide else length)
        at = u + step / (step + 3) * (u - before)
        if np.abs(u - before).max(initial=0.0) < SETTLED:
            break
    return u


def score_gaps(
    world: World, prompt: Prompt, place: Nodes, towers: Towers, scale: float, wide: bool = True
) -> Float[np.ndarray, "n m"]:
    """Scores of the prompt of class 0 less those of class 1, on the whole grid of images."""
    U, V, (a, c) = towers.images, towers.captions, (place.law.sum(axis=axis) for axis in (1, 0))
    E = np.exp(scale * U @ V.T)
    images = np.empty((len(place.images), U.shape[1]))
    images[place.kept], images[~place.kept] = U, rows_without_weight(place.tails, V, c, a @ E, scale, wide)
    if (pool := prompt_row(prompt).pool) is not None:
        of_class = np.exp(class_log_density(None, place.captions, world)).T
        of_class = (1 - world.bare) * of_class / of_class.sum(axis=1, keepdims=True)
        if world.bare:
            of_class = np.concatenate([of_class, world.bare * np.eye(2)], axis=1)
        if pool == "mean":
            gap = images @ V.T @ (of_class[0] - of_class[1])
        else:
            plus, minus = of_class @ np.exp(scale * images @ V.T).T
            gap = np.log(plus / minus)
    else:
        prompts = V[-2:]
        if prompt != "bare":
            near = np.exp(log_density(place.images[place.kept], world.prompts(prompt)[:, None], world))
            near = (1 - world.mismatch) * near / near.sum(axis=1, keepdims=True) + world.mismatch * a
            prompts = rows_without_weight(near, U, a, E @ c, scale, wide)
        gap = images @ (prompts[0] - prompts[1])
    return gap.reshape(tuple(map(len, place.axes)))


def gap_function(
    world: World, prompt: Prompt, scale: float, width: int | None, run: tuple[tuple[float, float], int] = RUNS[-1]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The cubic spline of the score gaps, at coordinates in standard deviations of an image within its group."""
    from scipy.interpolate import RectBivariateSpline  # start-up time

    spacing, seed = run
    place, sd = nodes(world, spacing), np.sqrt(world.image_variance)
    gaps = score_gaps(world, prompt, place, _solved(world, scale, width, spacing, seed), scale, width is None)
    return RectBivariateSpline(place.axes[0] / sd[0], place.axes[1] / sd[1], gaps).ev


@lru_cache(maxsize=16)
def _solved(world: World, scale: float, width: int | None, spacing: tuple[float, float], seed: int) -> Towers:
    """The towers of one world, which all prompts share."""
    return trained(nodes(world, spacing).law, scale, WIDTH if width is None else width, seed)


def unit_accuracy(world: World, prompt: Prompt, scale: float, width: int | None) -> Accuracy:
    """Group accuracies of one world on the finer grid.

    The interval is symmetric, and holds what the other grid and the other start give. It is no statement of confidence:
    it has the usual level because p' and r need one.
    """
    check(world)
    rows = []
    for run in RUNS:
        both = gap_accuracy(
            gap_function(world, prompt, scale, width, run), standardise(world.mean, np.sqrt(world.image_variance))
        )
        rows.append(objects_averaged(both, world.p_inv))
    *others, value = np.array(rows)
    error = np.abs(others - value).max(axis=0)
    return Accuracy.of([*value], LEVEL, zip(np.maximum(value - error, 0), np.minimum(value + error, 1), strict=True))
