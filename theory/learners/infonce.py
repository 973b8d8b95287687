"""Zero-shot accuracy at the optimum of InfoNCE with unrestricted towers: the pointwise mutual information decides.

For every batch size B >= 2 the symmetric InfoNCE loss is minimised exactly by the critics PMI(x_I, x_T) + const,
    PMI = log p(x_I, x_T) - log p(x_I) - log p(x_T);
SigLIP's minimiser is PMI - log(B - 1), the same decision. (The softmax over texts alone leaves a function of x_I free
and the softmax over images alone a function of x_T; only the former cannot be seen by zero-shot classification.)
Zero-shot picks argmax_y PMI(x_I, p_y), which is argmax_y log p(x_I, p_y): by symmetry log p(p_y) is the same for all y.

As the view noise nu -> 0 the rule becomes the nearest prompt in latent space, as nu -> infinity linear CLIP: InfoNCE
interpolates between the two. At nu = 0 itself the joint law of the views is singular and the PMI infinite.
"""

from dataclasses import dataclass
from functools import partial, reduce
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import gaussian_points
from simulator.world import Prompt, World, Worlds, latent_prompts
from theory.density import (
    Parts,
    class_patterns,
    combine,
    prompt_log_density,
    prompt_parts,
    told_together,
)
from theory.learners.base import Learner, each_class_count
from theory.population import linear_weights
from theory.quadrature import RANGE, REPLICATES, estimate, gaussian_average

LARGEST_CLASSES = 50  # a sampled point costs K^2 density terms
CELLS = 2**21  # numbers held in one array at a time, 16 MB; smaller chunks lose more to overhead than cache gains
GRID = np.linspace(-RANGE, RANGE, 49)  # where sign changes are sought, in standard deviations


def infonce_accuracy(worlds: Worlds, prompt: Prompt, seed: int = 0, tolerance: float = 1e-6) -> Accuracy:
    """Group accuracies of argmax_y PMI(x_I, p_y) under the test law; a tie counts 1/K.

    Two classes and one attribute: quadrature over any grid of worlds, absolute error below `tolerance`. Several
    attributes or K >= 3 classes: one world, REPLICATES randomised Sobol nets from `seed`, with a 95% interval.
    Raises ValueError without noise in both views, above LARGEST_CLASSES, and for a grid where one world is wanted.
    """
    if np.any(worlds.nu_image <= 0) or np.any(worlds.nu_text <= 0):
        raise ValueError(
            "sigma_xi = 0: without noise in both views their joint law is singular and the pointwise mutual "
            "information infinite on the diagonal; any sigma_xi > 0 is valid, and the limit is the nearest prompt"
        )
    if worlds.classes > LARGEST_CLASSES:
        raise ValueError(
            f"classes = {worlds.classes} is more than the {LARGEST_CLASSES} for which the InfoNCE optimum is sampled"
        )
    shape = worlds.shape
    if worlds.classes == 2 and worlds.mean.shape[-1] == 2:
        accuracy = _one_attribute(worlds.ravel(), prompt, tolerance)
        return Accuracy(accuracy[:, 0].reshape(shape), accuracy[:, 1].reshape(shape), None)
    if shape:
        raise ValueError(
            "with several attributes or K >= 3 classes the InfoNCE optimum is estimated one world at a time"
        )
    sample = _several_attributes if worlds.classes == 2 else _many_classes
    return estimate(np.array([sample(worlds, prompt, seed * REPLICATES + r) for r in range(REPLICATES)]))


def nearest_prompt_weights(worlds: Worlds, prompt: Prompt) -> Float[np.ndarray, "*w B"]:
    """u = q, the limit nu -> 0 of the PMI rule with full captions: the prompt nearest to the latents wins.

    A caption q_y of latents z costs |z - q_y|^2/(2 (nu_I + nu_T)), which outweighs every prior. Raises ValueError where
    a block of the prompt is mentioned only sometimes: silence about it then competes with a near match, and no
    linear rule is left.
    """
    q = worlds.prompt(prompt)
    if np.any((q != 0) & (worlds.mention < 1)):
        raise ValueError("a block of the prompt has a mention below 1: the limit of the PMI rule is not linear there")
    return q


def _terms(x: Float[np.ndarray, "*s"], worlds: Worlds, q: Float[np.ndarray, "*s"], b: int) -> Parts:
    """Parts (*s, 2, 2) of block b, by prompt (+, -) and class (+1, -1)."""
    text = np.stack([q, -q], axis=-1)[..., None]
    return prompt_parts(x[..., None, None], text, worlds[np.s_[..., None]], b, q[..., None] != 0)


def _at(parts: Parts, index) -> Parts:
    return Parts(parts.told[index], parts.shared[index])


def _preference(first: Parts, second: Parts) -> Float[np.ndarray, "..."]:
    """Positive where log p(x_I, p_+) > log p(x_I, p_-): the difference of what the two captions alone tell."""
    told = told_together(first, second)
    joint = np.logaddexp(told[..., 0], told[..., 1])
    # Prompts that say the same, or captions that say nothing, leave no part that differs, -inf - (-inf): a tie.
    with np.errstate(invalid="ignore"):
        gap = np.asarray(joint[..., 0] - joint[..., 1])
    gap[np.isnan(gap)] = 0.0
    return gap


def _preference_at(worlds: Worlds, q, b: int, centre, scale, rest: Parts, w, n, part, t) -> Float[np.ndarray, " A"]:
    """`_preference` at x_b = centre + scale t, in the worlds w[part] and at the outer nodes n[part]."""
    at = w[part]
    inner = _terms(centre[at] + scale[at] * t, worlds[at], q[at], b)
    return _preference(inner, _at(rest, (at, n[part])))


def _inner_accuracy(
    worlds: Worlds, q: Float[np.ndarray, " W"], b: int, centre: Float[np.ndarray, " W"], rest: Parts
) -> Float[np.ndarray, "W n"]:
    """P(preference > 0) + P(preference = 0)/2 over x_b ~ N(centre, S_b), exactly, given the other blocks.

    `rest` (W, n, 2, 2) holds the other blocks' parts. The set where the preference is positive is found by its sign
    changes on GRID, each refined to 1e-9 standard deviations, and by pairs of changes within a cell, around an
    extremum. Normally there is one change; with caption masks there can be several.
    """
    scale = np.sqrt(worlds.scale[:, b] ** 2 + worlds.nu_image)
    mesh = centre[:, None] + scale[:, None] * GRID  # (W, c)
    inner = _terms(mesh, worlds[np.s_[:, None]], np.broadcast_to(q[:, None], mesh.shape), b)
    values = _preference(_at(inner, np.s_[:, None]), _at(rest, np.s_[:, :, None]))  # (W, n, c)

    preference = partial(_preference_at, worlds, q, b, centre, scale, rest)

    signs = np.sign(values)
    accuracy = (1 + signs[..., 0]) / 2
    w, n, c = np.nonzero(signs[..., 1:] != signs[..., :-1])
    brackets = [(w, n, GRID[c], GRID[c + 1], values[w, n, c], values[w, n, c + 1])]

    size = np.abs(values)
    before, here, after = size[..., :-2], size[..., 1:-1], size[..., 2:]
    same = (signs[..., :-2] == signs[..., 1:-1]) & (signs[..., 2:] == signs[..., 1:-1])
    # A dip that could reach zero between the nodes: no deeper than the neighbours' slopes would carry it.
    w, n, c = np.nonzero(same & (here < np.minimum(before, after)) & (here <= np.maximum(before, after) - here))
    t, lowest = _lowest(partial(preference, w, n), GRID[c], GRID[c + 2], np.sign(values[w, n, c + 1]))
    dips = np.sign(lowest) != np.sign(values[w, n, c + 1])
    w, n, c, t, lowest = w[dips], n[dips], c[dips], t[dips], lowest[dips]
    brackets += [(w, n, GRID[c], t, values[w, n, c], lowest), (w, n, t, GRID[c + 2], lowest, values[w, n, c + 2])]

    w, n, low, high, at_low, at_high = (np.concatenate(x) for x in zip(*brackets, strict=True))
    root = _roots(partial(preference, w, n), low, high, at_low, at_high)
    np.add.at(accuracy, (w, n), (np.sign(at_high) - np.sign(at_low)) / 2 * ndtr(-root))
    return accuracy


def _lowest(function, a: np.ndarray, b: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Argument and value of the least sign * function in every bracket, by golden section; stops below zero."""
    ratio = (np.sqrt(5) - 1) / 2
    a, b, every = np.array(a), np.array(b), np.arange(len(a))
    left, right = b - ratio * (b - a), a + ratio * (b - a)
    f_left, f_right = function(every, left), function(every, right)
    for _ in range(32):  # the bracket, .7 wide, shrinks to 1e-7 and the value's error to its square
        down = sign * f_left < sign * f_right
        a, b = np.where(down, a, left), np.where(down, right, b)
        kept, f_kept = np.where(down, left, right), np.where(down, f_left, f_right)
        probe = a + b - kept
        f_probe = function(every, probe)
        first = probe < kept
        left, right = np.where(first, probe, kept), np.where(first, kept, probe)
        f_left, f_right = np.where(first, f_probe, f_kept), np.where(first, f_kept, f_probe)
    best = sign * f_left < sign * f_right
    return np.where(best, left, right), np.where(best, f_left, f_right)


def _roots(function, a: np.ndarray, b: np.ndarray, fa: np.ndarray, fb: np.ndarray) -> np.ndarray:
    """One root in every bracket [a, b] with function values of different sign, to 1e-9: Illinois steps, vectorised.

    A false position that keeps an end twice halves the value remembered there. What a kink has kept from settling
    in eight steps is bisected every second step.
    """
    a, b, fa, fb = (np.array(x) for x in (a, b, fa, fb))
    active, kept = np.arange(len(a)), np.zeros(len(a))
    for iteration in range(150):
        active = active[(np.abs(b[active] - a[active]) > 1e-9) & (fa[active] != 0) & (fb[active] != 0)]
        if not len(active):
            break
        A, B, FA, FB = a[active], b[active], fa[active], fb[active]
        t = (A + B) / 2 if iteration > 8 and iteration % 2 else (A * FB - B * FA) / (FB - FA)
        f = function(active, t)
        left = np.sign(f) == np.sign(FA)
        a[active], fa[active] = np.where(left, t, A), np.where(left, f, FA / np.where(kept[active] < 0, 2, 1))
        b[active], fb[active] = np.where(left, B, t), np.where(left, FB / np.where(kept[active] > 0, 2, 1), f)
        kept[active] = np.where(left, 1.0, -1.0)
    return np.where(fa == 0, a, np.where(fb == 0, b, (a + b) / 2))


def _one_attribute(worlds: Worlds, prompt: Prompt, tolerance: float) -> Float[np.ndarray, "W 2"]:
    """Outer trapezoid over one block, inner integral exact; the inner block is the one that linear CLIP heeds more.

    Integrating the more influential block through Phi keeps the integrand of the outer one from being a step.
    """
    q = worlds.prompt(prompt)
    S = worlds.scale**2 + worlds.nu_image[:, None]
    heed = np.abs(linear_weights(worlds, prompt)) * np.sqrt(S)
    accuracy = np.empty((len(q), 2))
    for inner, outer, part in ((0, 1, heed[:, 0] >= heed[:, 1]), (1, 0, heed[:, 0] < heed[:, 1])):
        chosen = np.flatnonzero(part)

        def values(index, t, inner=inner, outer=outer, chosen=chosen):
            result = np.empty((*t.shape, 2))
            per_chunk = max(1, CELLS // (4 * t.shape[1] * len(GRID)))
            for start in range(0, len(index), per_chunk):
                part = slice(start, start + per_chunk)
                rows = chosen[index[part]]
                some = worlds[rows]
                for group, sign in enumerate((1, -1)):
                    means = some.mean * np.array([1, sign])  # the group y = +1, a = sign
                    x = means[:, outer, None] + np.sqrt(S[rows, outer, None]) * t[part]
                    rest = _terms(x, some[np.s_[:, None]], np.broadcast_to(q[rows, outer, None], x.shape), outer)
                    result[part, :, group] = _inner_accuracy(some, q[rows, inner], inner, means[:, inner], rest)
            return result

        if len(chosen):
            accuracy[chosen] = gaussian_average(values, len(chosen), 2, tolerance)
    return accuracy


def _several_attributes(worlds: Worlds, prompt: Prompt, seed: int) -> list[float]:
    """(common, counter) of two classes: attributes on 2^10 Sobol points, the object integrated exactly."""
    J, q = len(worlds.mean) - 1, worlds.prompt(prompt)
    t = gaussian_points(J, 10, seed)
    S = worlds.scale**2 + worlds.nu_image
    world = worlds[None]
    accuracy: dict[int, list] = {1: [], -1: []}
    for signs in product([1, -1], repeat=J):
        x = np.array(signs) * worlds.mean[1:] + np.sqrt(S[1:]) * t
        rest = reduce(combine, [_terms(x[:, j], world, np.full(len(x), q[1 + j]), 1 + j) for j in range(J)])
        accuracy[signs[0]].append(_inner_accuracy(world, q[:1], 0, worlds.mean[:1], _at(rest, None)).mean())
    return [float(np.mean(accuracy[1])), float(np.mean(accuracy[-1]))]


def _many_classes(worlds: Worlds, prompt: Prompt, seed: int) -> list[float]:
    """(common, counter) of K >= 3 classes: every coordinate on Sobol points, decisions counted."""
    K, B = worlds.classes, len(worlds.mean)
    power = int(np.clip(np.log2(2**23 / (K * K * B)), 9, 13))
    noise = gaussian_points(B * K, power, seed).reshape(-1, B, K) * np.sqrt(worlds.scale**2 + worlds.nu_image)[:, None]
    texts = latent_prompts(worlds, prompt)
    codes, weights = class_patterns(np.full(B - 1, 1 / K), K)
    total = np.zeros(2)
    for code, weight in zip(codes, weights, strict=True):
        image = noise.copy()
        image[:, np.arange(B), [0, *code]] += worlds.mean
        score = prompt_log_density(image, texts, worlds)  # (N, K)
        best = score == score.max(axis=-1, keepdims=True)
        group = int(code[0] != 0)
        total[group] += weight * (best[:, 0] / best.sum(axis=-1)).mean()
    return list(total / [1 / K, 1 - 1 / K])


@dataclass(frozen=True)
class InfoNCE(Learner):
    """The optimum of InfoNCE (and SigLIP) over unrestricted towers: the PMI critic, asked by a prompt."""

    name: ClassVar[str] = "infonce"
    words: ClassVar[str] = "the InfoNCE optimum"
    prompt: Prompt = "name"

    @each_class_count
    def accuracy(self, worlds: World | Worlds) -> Accuracy:
        """By quadrature for two classes and one attribute, else sampled; see `infonce_accuracy`."""
        return infonce_accuracy(worlds, self.prompt)

    def scores(self, world: World | Worlds, images: Float[np.ndarray, "N l"]) -> Float[np.ndarray, "N K"]:
        """log p(x_I, p_y) in nats: the PMI up to a term that no decision sees."""
        worlds = Worlds.of(world)
        x = images.reshape(len(images), worlds.mean.shape[-1], -1)
        return prompt_log_density(x, latent_prompts(worlds, self.prompt), worlds)
