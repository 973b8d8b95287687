"""InfoNCE's optimum for towers as people train them: scores s u(x).v(t) of unit embeddings of width D, logit scale s.

The joint law of the latents of images and captions is put on nodes, a uniform grid with a node exactly at each prompt.
Towers are tables, one unit row per node, and the population loss is an exact finite sum,
    L(G) = -<P, G> + [a'log(E c) + c'log(E'a)]/2,   G = s U V', E = e^G,
P the probabilities of pairs, a and c those of images and captions. L-BFGS minimises it over rows scaled by the root of
their weight, which makes all rows equally stiff.

The scores s u.v of any width are {G: gamma_2(G) <= s} (gamma_2: the least product of the largest norms of rows over all
factorisations), which is convex. So for wide towers every local minimum is global. Certificate: let T = dL/dG,
alpha_i = -u_i.(T V)_i and beta_j = -v_j.(T'U)_j. For all unit rows, <T, U'V''> >= -(sum alpha + sum beta)/2 - delta if
[[alpha, T], [T', beta]], with rows and columns over the roots of weights, has no eigenvalue below -delta. So the loss
exceeds its minimum by at most s delta.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RectBivariateSpline
from scipy.linalg import eigh
from scipy.optimize import minimize

from simulator.accuracy import objects_averaged
from simulator.gaussian.critic import standardise
from simulator.prompts import Prompt
from simulator.world import World
from theory.density import class_log_density, log_density
from theory.integrator import gap_accuracy

SPACING = (0.5, 0.6)  # of nodes, object and background, in standard deviations within a group
REACH = 4.0  # of the grid beyond the outer means, in standard deviations
LEAST = 1e-6  # weight of a node
WIDTH = 16  # no wider tower changes the third decimal
STEPS, SETTLED = 300, 1e-9  # of the projection of images beyond the nodes


class Nodes(NamedTuple):
    """P(x, t) on nodes: images on a whole grid, of which `kept` have weight; captions, with the rows of the prompts."""

    axes: tuple[np.ndarray, np.ndarray]
    law: Float[np.ndarray, "I T"]  # of all images of the grid, in row order
    kept: np.ndarray
    prompts: np.ndarray


def nodes(world: World, prompt: Prompt, spacing: tuple[float, float] = SPACING) -> Nodes:
    """The nodes of one world with two classes and one background, and the rows of the prompts of both classes."""
    mean = np.abs(world.mean)
    image_sd = np.sqrt(world.image_variance)
    axes = tuple(_axis(0.0, h * s, m + REACH * s) for h, s, m in zip(spacing, image_sd, mean, strict=True))
    image = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    v, n = world.variances().shared, world.variances().caption
    text_sd = np.sqrt(v + n)
    q = np.zeros(2) if prompt == "bare" else np.abs(world.prompts(prompt)[0])
    lines = [_axis(p, h * s, m + REACH * s) for p, h, s, m in zip(q, spacing, text_sd, mean, strict=True)]
    text = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 2)
    alone = np.exp(log_density(None, text, world))
    text = text[alone / alone.sum() > LEAST]
    told = np.exp(log_density(image[:, None], text[None], world))
    named = np.exp(class_log_density(image, None, world))
    law = (1 - world.bare) * told / told.sum()
    if prompt == "bare":
        rows = len(text) + np.arange(2)
    else:
        rows = np.array([np.abs(text - each).sum(axis=1).argmin() for each in world.prompts(prompt)])
        assert np.allclose(text[rows], world.prompts(prompt))
    if world.bare:
        law = np.concatenate([law, world.bare * named / named.sum()], axis=1)
    return Nodes(axes, law, law.sum(axis=1) > LEAST, rows)


def _axis(node: float, step: float, reach: float) -> np.ndarray:
    """A symmetric grid through zero and a node."""
    step = node / np.ceil(node / step) if node > 1e-9 else step
    count = int(np.ceil(reach / step))
    return step * np.arange(-count, count + 1)


class Towers(NamedTuple):
    """Unit rows of images and captions with weight, and the loss in nats."""

    images: Float[np.ndarray, "I D"]
    captions: Float[np.ndarray, "T D"]
    loss: float
    slope: Float[np.ndarray, "I T"]


def slope(scores, law) -> tuple[float, np.ndarray]:
    """The population loss and its derivative in the scores."""
    a, c, E = law.sum(axis=1), law.sum(axis=0), np.exp(scores)
    R, C = E @ c, a @ E
    value = -np.vdot(law, scores) + (a @ np.log(R) + c @ np.log(C)) / 2
    E *= a[:, None] * c / 2
    return float(value), E / R[:, None] + E / C - law


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def trained(law: Float[np.ndarray, "I T"], scale: float, width: int, seed: int) -> Towers:
    """The towers at a minimum of the loss, from random rows."""
    I, T = law.shape
    rng = np.random.default_rng(seed)
    root = np.sqrt(np.concatenate([law.sum(axis=1), law.sum(axis=0)]))[:, None]

    def of_flat(flat):
        rows = flat.reshape(I + T, width)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        W = rows / length
        value, G = slope(scale * W[:I] @ W[I:].T, law)
        gradient = scale * np.concatenate([G @ W[I:], G.T @ W[:I]])
        gradient -= W * (W * gradient).sum(axis=1, keepdims=True)
        return value / scale, (gradient / length / scale).ravel()

    start = root * unit(rng.standard_normal((I + T, width)))
    options = {"maxiter": 3000, "maxfun": 6000, "ftol": 1e-13, "gtol": 1e-8, "maxcor": 20}
    W = unit(minimize(of_flat, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(I + T, width))
    return Towers(W[:I], W[I:], *slope(scale * W[:I] @ W[I:].T, law))


def excess(towers: Towers, law: Float[np.ndarray, "I T"], scale: float) -> float:
    """The most by which the loss exceeds that of any tables of any width, in nats."""
    U, V, T = towers.images, towers.captions, towers.slope
    ends = np.concatenate([-(U * (T @ V)).sum(axis=1), -(V * (T.T @ U)).sum(axis=1)])
    root = np.sqrt(np.concatenate([law.sum(axis=1), law.sum(axis=0)]))
    matrix = np.diag(ends)
    matrix[: len(U), len(U) :], matrix[len(U) :, : len(U)] = T, T.T
    least = eigh(matrix / np.outer(root, root), eigvals_only=True, subset_by_index=[0, 0])[0]
    return scale * max(0.0, -float(least))


def gaps(place: Nodes, towers: Towers, scale: float) -> Float[np.ndarray, "n m"]:
    """Score gaps of the prompts on the whole grid; the best rows of images without weight follow from the captions."""
    law = place.law
    kept, V = law[place.kept], towers.captions
    c = kept.sum(axis=0)
    C = kept.sum(axis=1) @ np.exp(scale * towers.images @ V.T)
    U = np.zeros((len(law), V.shape[1]))
    U[place.kept] = towers.images
    given = law[~place.kept] / law[~place.kept].sum(axis=1, keepdims=True)
    u = unit(given @ V)
    for _ in range(STEPS):
        E = np.exp(scale * u @ V.T) * c / 2
        pull = (given - E / E.sum(axis=1, keepdims=True) / 2 - E / C) @ V
        new = unit(u + 2 / scale * pull)
        moved, u = np.abs(new - u).max(), new
        if moved < SETTLED:
            break
    U[~place.kept] = u
    plus, minus = V[place.prompts]
    return (U @ (plus - minus)).reshape(tuple(map(len, place.axes)))


def accuracy(world: World, place: Nodes, gap: np.ndarray) -> np.ndarray:
    """(common, counter) of the gap's cubic spline."""
    sd = np.sqrt(world.image_variance)
    spline = RectBivariateSpline(place.axes[0] / sd[0], place.axes[1] / sd[1], gap)
    both = gap_accuracy(lambda x, y: spline.ev(x, y), standardise(world.mean, sd))
    return objects_averaged(both, world.p_inv)
