"""Zero-shot accuracy at the optimum of InfoNCE with unrestricted towers: the pointwise mutual information decides.

For every batch size B >= 2 the symmetric InfoNCE loss is minimised exactly by the critics PMI(x_I, x_T) + const,
    PMI = log p(x_I, x_T) - log p(x_I) - log p(x_T);
SigLIP's minimiser is PMI - log(B - 1), the same decision. (The softmax over texts alone leaves a function of x_I free
and the softmax over images alone a function of x_T; only the former cannot be seen by zero-shot classification.)
Zero-shot picks argmax_y PMI(x_I, p_y), which is argmax_y log p(x_I, p_y): by symmetry log p(p_y) is the same for all y.
With all captions of a class as prompts it picks by their pooled scores, see `theory.learners.captions`. Training
captions that belong to other pairs change the mean of scores only, see `theory.learners.mismatched_scores`.

As the view noise nu -> 0 the rule becomes the nearest prompt in latent space, as nu -> infinity linear CLIP: InfoNCE
interpolates between the two. At nu = 0 itself the joint law of the views is singular and the PMI infinite.
"""

from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import gaussian_points
from simulator.prompts import Prompt, prompt_row
from simulator.world import World, Worlds, latent_prompts
from theory.density import (
    Parts,
    attribute_log_density,
    block_log_density,
    class_patterns,
    combine,
    prompt_log_density,
)
from theory.learners.base import LARGEST_CLASSES, Learner, each_class_count, joined, over_worlds
from theory.learners.captions import all_captions_accuracy, all_captions_scores
from theory.learners.contour import contour_accuracy
from theory.learners.curve import agree, curve_accuracy, objects_averaged, one_pattern
from theory.learners.line import line_accuracy, prompt_terms, roots, searched_accuracy
from theory.learners.mismatched_scores import mismatched_scores, mismatched_scores_accuracy
from theory.learners.pmi import prompt_mixture
from theory.quadrature import RANGE, REPLICATES

# Distance of the contour's grid lines, in standard deviations. One boundary in a thousand cannot be followed on one
# grid; a finer one is tried then.
SPACINGS = (0.6, 0.45, 0.33)


def infonce_accuracy(worlds: Worlds, prompt: Prompt, seed: int = 0, tolerance: float = 1e-6) -> Accuracy:
    """Group accuracies of argmax_y PMI(x_I, p_y) under the test law; a tie counts 1/K.

    Two classes and one attribute: quadrature over any grid of worlds, absolute error below `tolerance`. Several
    attributes or K >= 3 classes: REPLICATES randomised Sobol nets from `seed`, world by world, with a 95% interval.
    For prompts that are all captions of a class see `theory.learners.captions`.
    """
    _refuse(worlds, prompt)
    if prompt_row(prompt).pool:
        return _pooled(worlds, prompt, seed, tolerance)
    shape = worlds.shape
    if worlds.classes == 2 and worlds.mean.shape[-1] == 2:
        accuracy = _one_attribute(worlds.ravel(), prompt, tolerance)
        return Accuracy(accuracy[:, 0].reshape(shape), accuracy[:, 1].reshape(shape), None)
    sample = _several_attributes if worlds.classes == 2 else _many_classes
    seeds = range(seed * REPLICATES, (seed + 1) * REPLICATES)
    return over_worlds(lambda world: np.array([sample(world, prompt, s) for s in seeds]), worlds)


def _pooled(worlds: Worlds, prompt: Prompt, seed: int, tolerance: float) -> Accuracy:
    """Only the mean of scores depends on captions of other pairs."""
    row = worlds.ravel()
    strays = np.broadcast_to(np.asarray(row.mismatch) > 0, row.shape) & (prompt_row(prompt).pool == "mean")
    parts = [(strays, mismatched_scores_accuracy(row[strays], tolerance))] if strays.any() else []
    if not strays.all() or not parts:
        parts.append((~strays, all_captions_accuracy(row[~strays], prompt, seed, tolerance)))
    return joined([(rows.reshape(worlds.shape), part) for rows, part in parts], worlds.shape)


def _refuse(worlds: Worlds, prompt: Prompt) -> None:
    silent = (worlds.nu_text == 0)[..., None]
    if np.any(worlds.nu_image <= 0):
        raise ValueError(
            "sigma_xi = 0: without noise in the images the pointwise mutual information is infinite; any sigma_xi > 0 "
            "is valid, and the limit is the nearest prompt"
        )
    if np.any(silent & (worlds.scale == 0) & (worlds.mention > 0)):
        raise ValueError(
            "sigma_xi_text = 0 and a block with sigma = 0: captions take single values, and a prompt with other values "
            "has no density"
        )
    if worlds.classes > LARGEST_CLASSES:
        raise ValueError(
            f"classes = {worlds.classes} is more than the {LARGEST_CLASSES} for which the InfoNCE optimum is sampled"
        )
    if not prompt_row(prompt).pool and np.any(silent & (worlds.mention == 0) & (worlds.prompt(prompt) != 0)):
        raise ValueError(
            f"prompt = {prompt!r} mentions a block that captions never mention, and without noise (sigma_xi_text = 0) "
            "no caption is similar; a mention above 0 is valid, and so is a prompt without this block"
        )


def _one_attribute(worlds: Worlds, prompt: Prompt, tolerance: float) -> Float[np.ndarray, "W 2"]:
    """(common, counter) of a row of worlds, along the boundary: a curve, a contour, or by search if both fail."""
    what = prompt_mixture(worlds, prompt)
    tie = ~np.isfinite(what.log_weight).any(axis=(0, 1))
    curve = one_pattern(what) & agree(worlds, prompt)
    left = np.flatnonzero(~tie & ~curve)
    accuracy = np.full((worlds.size, 2), 0.5)
    accuracy[curve] = curve_accuracy(what.of(curve), tolerance)
    for spacing in SPACINGS:
        if not len(left):
            break
        accuracy[left], sound = contour_accuracy(what.of(left), tolerance, spacing)
        left = left[~sound]
    if len(left):
        accuracy[left] = searched_accuracy(worlds[left], prompt, tolerance)
    return objects_averaged(accuracy, worlds.agreement[:, :1])


def _several_attributes(worlds: Worlds, prompt: Prompt, seed: int) -> list[float]:
    """(common, counter) of two classes: attributes on 2^10 Sobol points, the object integrated exactly."""
    J, q = len(worlds.mean) - 1, worlds.prompt(prompt)
    t = gaussian_points(J, 10, seed)
    S = worlds.scale**2 + worlds.nu_image
    world = worlds[None]
    accuracy: dict[int, list] = {1: [], -1: []}
    for signs in product([1, -1], repeat=J):
        x = np.array(signs) * worlds.mean[1:] + np.sqrt(S[1:]) * t
        rest = reduce(combine, [prompt_terms(x[:, j], world, np.full(len(x), q[1 + j]), 1 + j) for j in range(J)])
        accuracy[signs[0]].append(
            line_accuracy(world, q[:1], 0, worlds.mean[:1], Parts(*(part[None] for part in rest))).mean()
        )
    shown = np.array([np.mean(accuracy[1]), np.mean(accuracy[-1])])
    return list(objects_averaged(shown, worlds.agreement[0]))


def _many_classes(worlds: Worlds, prompt: Prompt, seed: int) -> list[float]:
    """(common, counter) of K >= 3 classes, on Sobol points."""
    K, B = worlds.class_count, len(worlds.mean)
    texts = latent_prompts(worlds, prompt)
    by_object = bool((texts[:, 0] != texts[0, 0]).any() and (texts[:, 1:] == texts[0, 1:]).all() and worlds.mention[0])
    chance = _chance_by_object if by_object else _counted
    power = 12 if by_object else int(np.clip(np.log2(2**23 / (K * K * B)), 9, 13))
    noise = gaussian_points(B * K, power, seed).reshape(-1, B, K) * np.sqrt(worlds.scale**2 + worlds.nu_image)[:, None]
    codes, weights = class_patterns(np.append(worlds.agreement[0], np.full(B - 1, 1 / K)), K)
    total = np.zeros(2)
    for code, weight in zip(codes[weights > 0], weights[weights > 0], strict=True):
        image = noise.copy()
        image[:, np.arange(B), code] += worlds.mean
        total[int(code[1] != 0)] += weight * chance(worlds, texts, image, code).mean()
    return list(total / [1 / K, 1 - 1 / K])


def _counted(worlds: Worlds, texts: np.ndarray, image: Float[np.ndarray, "N B K"], _) -> Float[np.ndarray, " N"]:
    """Whether class 0 is decided."""
    score = prompt_log_density(image, texts, worlds)  # (N, K)
    best = score == score.max(axis=-1, keepdims=True)
    return best[:, 0] / best.sum(axis=-1)


def _chance_by_object(worlds: Worlds, texts: np.ndarray, image: Float[np.ndarray, "N B K"], code) -> np.ndarray:
    """Probability (N,) that class 0 is decided, over its own object coordinate x_0; prompts differ in the object only.

    Let d = sigma^2 (nu_I + nu_T) + nu_I nu_T, A = mu nu_T/d, C = mu nu_I q/d and D = sigma^2 q/d, for prompts q e_y.
    The other blocks give every class c of the object a density V_c. Up to terms that all prompts share,
        p(x, p_y) = e^(D x_y) (s + (e^C - 1) V_y e^(A x_y)),   s = sum_c V_c e^(A x_c).
    Turn x and q such that A, C and D are not negative. Then p(x, p_0)/p(x, p_j) rises with x_0: its logarithm has slope
    D + A (E u/(r + E u) - u/(u + r + (E - 1) V_j e^(A x_j))) >= D, with E = e^C, u = V_0 e^(A x_0) and r = s - u.
    So class 0 is decided above a threshold.
    """
    mu, variance, q = abs(worlds.mean[0]), worlds.scale[0] ** 2, abs(texts[0, 0, 0])
    nu_I, nu_T, S = worlds.nu_image, worlds.nu_text, variance + worlds.nu_image
    d = variance * (nu_I + nu_T) + nu_I * nu_T
    A, C, D = mu * nu_T / d, mu * nu_I * q / d, variance * q / d
    blocks = range(1, len(worlds.mean))
    f = [block_log_density(image[:, b], np.broadcast_to(texts[0, b], image[:, b].shape), worlds, b) for b in blocks]
    given_label = np.sum([attribute_log_density(f[b - 1], worlds.agreement[b]) for b in blocks], axis=0)
    log_V = attribute_log_density(given_label, worlds.agreement[0])
    x = np.sign(worlds.mean[0]) * image[:, 0]
    terms = log_V + A * x
    log_r = np.logaddexp.reduce(terms[:, 1:], axis=-1)
    with np.errstate(divide="ignore"):
        log_gain = C + np.log(-np.expm1(-C))  # log(e^C - 1)

    def lead(rows, t):
        """log p(x, p_0) less the largest of the others, at x_0 that many deviations from its mean."""
        x_0 = mu * (code[0] == 0) + np.sqrt(S) * t
        log_u = log_V[rows, 0] + A * x_0
        log_s = np.logaddexp(log_r[rows], log_u)
        others = D * x[rows, 1:] + np.logaddexp(0, log_gain + terms[rows, 1:] - log_s[:, None])
        return D * x_0 + np.logaddexp(0, log_gain + log_u - log_s) - others.max(axis=-1)

    low, high = (np.full(len(x), end) for end in (-RANGE, RANGE))
    at_low, at_high = (lead(slice(None), end) for end in (low, high))
    inside = np.flatnonzero((at_low < 0) & (at_high > 0))
    threshold = np.where(at_low < 0, np.inf, -np.inf)
    ends = (end[inside] for end in (low, high, at_low, at_high))
    threshold[inside] = roots(lambda active, t: lead(inside[active], t), *ends)
    return ndtr(-threshold)


@dataclass(frozen=True)
class InfoNCE(Learner):
    """The optimum of InfoNCE (and SigLIP) over unrestricted towers: the PMI critic, with a prompt.

    Parameters
    ----------
    prompt
        A prompt of `simulator.prompts`.
    """

    name: ClassVar[str] = "infonce"
    words: ClassVar[str] = "the InfoNCE optimum"
    prompt: Prompt = "name"

    @each_class_count
    def accuracy(self, worlds: Worlds) -> Accuracy:
        """By quadrature for two classes and one attribute, else sampled; see `infonce_accuracy`."""
        return infonce_accuracy(worlds, self.prompt)

    def scores(self, world: World | Worlds, images: Float[np.ndarray, "N l"]) -> Float[np.ndarray, "N K"]:
        """log p(x_I, p_y) in nats, the PMI up to a term without influence; for all captions, their pooled scores."""
        worlds = Worlds.of(world)
        x = images.reshape(len(images), worlds.mean.shape[-1], -1)
        if prompt_row(self.prompt).pool == "mean" and worlds.mismatch > 0:
            return mismatched_scores(worlds, x)
        if prompt_row(self.prompt).pool:
            return all_captions_scores(worlds, self.prompt, x)
        return prompt_log_density(x, latent_prompts(worlds, self.prompt), worlds)
