"""Zero-shot accuracy at the optimum of InfoNCE with unrestricted towers: the pointwise mutual information decides.

For every batch size B >= 2 the symmetric InfoNCE loss is minimised exactly by the critics PMI(x_I, x_T) + const,
    PMI = log p(x_I, x_T) - log p(x_I) - log p(x_T);
SigLIP's minimiser is PMI - log(B - 1), with the same decisions. (The softmax over texts alone leaves a function of x_I
free, which changes no zero-shot decision. The softmax over images alone leaves a function of x_T free.)
Zero-shot picks argmax_y PMI(x_I, p_y), which is argmax_y log p(x_I, p_y): by symmetry log p(p_y) is the same for all y.
With all captions of a class as prompts, their pooled scores decide (`theory.learners.captions`).

As the view noise nu -> 0 the rule becomes the nearest prompt in latent space, as nu -> infinity linear CLIP: InfoNCE
interpolates between the two. At nu = 0 itself the joint law of the views is singular and the PMI infinite.
"""

from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import gaussian_points
from simulator.prompts import Prompt, prompt_row
from simulator.world import World, Worlds, latent_prompts
from theory.density import class_patterns, combine, prompt_log_density, prompt_parts
from theory.learners.base import LARGEST_CLASSES, Learner, each_class_count, over_worlds
from theory.learners.captions import all_captions_accuracy, all_captions_scores
from theory.learners.pmi import Lines, block_mixture, log_sum
from theory.learners.pmi_accuracy import crossings, line_nodes, objects_averaged, two_prompt_accuracy
from theory.quadrature import RANGE, REPLICATES


def infonce_accuracy(worlds: Worlds, prompt: Prompt, seed: int = 0, tolerance: float = 1e-6) -> Accuracy:
    """Group accuracies of argmax_y PMI(x_I, p_y) under the test law; a tie counts 1/K.

    Two classes and one attribute: quadrature over any grid of worlds, absolute error below `tolerance`. Several
    attributes or K >= 3 classes: REPLICATES randomised Sobol nets from `seed`, world by world, with a 95% interval.
    For prompts that are all captions of a class see `theory.learners.captions`.
    """
    _check(worlds, prompt)
    if prompt_row(prompt).pool:
        return all_captions_accuracy(worlds, prompt, seed, tolerance)
    if worlds.classes == 2 and worlds.mean.shape[-1] == 2:
        common, counter = two_prompt_accuracy(worlds.ravel(), prompt, tolerance).T.reshape(2, *worlds.shape)
        return Accuracy(common, counter, None)
    sample = _several_attributes if worlds.classes == 2 else _many_classes
    seeds = range(seed * REPLICATES, (seed + 1) * REPLICATES)
    return over_worlds(lambda world: np.array([sample(world, prompt, s) for s in seeds]), worlds)


def _check(worlds: Worlds, prompt: Prompt) -> None:
    """Refuse worlds whose PMI is infinite or without a density at the prompts, and more classes than are sampled."""
    if np.any(worlds.nu_image <= 0):
        raise ValueError(
            "sigma_xi = 0: without noise in the images the pointwise mutual information is infinite; any sigma_xi > 0 "
            "is valid, and the limit is the nearest prompt"
        )
    exact = (worlds.nu_text == 0)[..., None]
    if np.any(exact & (worlds.scale == 0) & (worlds.mention > 0)):
        raise ValueError(
            "sigma_xi_text = 0 and a block with sigma = 0: captions take single values, and a prompt with other values "
            "has no density"
        )
    if worlds.classes > LARGEST_CLASSES:
        raise ValueError(
            f"classes = {worlds.classes} is more than the {LARGEST_CLASSES} for which the InfoNCE optimum is sampled"
        )
    if not prompt_row(prompt).pool and np.any(exact & (worlds.mention == 0) & (worlds.prompt(prompt) != 0)):
        raise ValueError(
            f"prompt = {prompt!r} mentions a block that captions never mention, and without noise (sigma_xi_text = 0) "
            "no caption is similar; a mention above 0 is valid, and so is a prompt without this block"
        )


def _several_attributes(world: Worlds, prompt: Prompt, seed: int) -> list[float]:
    """(common, counter) of two classes: attributes on 2^10 Sobol points, the object integrated exactly."""
    J, q, row = len(world.mean) - 1, world.prompt(prompt), world[None]
    S = world.scale**2 + world.nu_image
    noise = np.sqrt(S[1:]) * gaussian_points(J, 10, seed)
    mean = world.mean[:1] / np.sqrt(S[0])
    block = block_mixture(row.mean[:, 0], row.scale[:, 0] ** 2, row.mention[:, 0], row.nu_image, row.nu_text, q[:1])
    with np.errstate(divide="ignore"):
        agree = np.log(np.array([world.agreement[0], 1 - world.agreement[0]]))[[[0, 1], [1, 0]]]
    nodes = line_nodes(mean, block.centre, block.variance, RANGE)
    accuracy: dict[int, list] = {1: [], -1: []}
    for signs in product([1, -1], repeat=J):
        x = np.array(signs) * world.mean[1:] + noise
        parts = [
            prompt_parts(x[:, b, None, None, None], np.array([[[q[1 + b]]], [[-q[1 + b]]]]), row, 1 + b, q[1 + b] != 0)
            for b in range(J)
        ]
        others = reduce(combine, parts)  # (N, prompt, 1, class)
        distinct, shared = (part.reshape(len(x), 2, 2).transpose(1, 2, 0) for part in others)  # (prompt, class, N)
        mentioned = np.logaddexp(distinct, shared) if q[0] != 0 else distinct
        weight = np.stack([mentioned, distinct], axis=1)[:, :, None] + agree[:, :, None]  # (prompt, says, a, y, N)
        weight = log_sum(weight, axis=3)
        weight[1] = weight[1, :, ::-1]  # the components for - are mirrored
        lines = Lines.of_block(
            weight.reshape(2, 4, -1) + block.log_weight, *(np.repeat(field, len(x), 1) for field in block[1:])
        )
        accuracy[signs[0]].append(crossings(lines, np.repeat(nodes, len(x), 0)).mass(mean).mean())
    shown = np.array([np.mean(accuracy[1]), np.mean(accuracy[-1])])
    return list(objects_averaged(shown, world.agreement[0]))


def _many_classes(worlds: Worlds, prompt: Prompt, seed: int) -> list[float]:
    """(common, counter) of K >= 3 classes: every coordinate on Sobol points, decisions counted."""
    K, B = worlds.class_count, len(worlds.mean)
    power = int(np.clip(np.log2(2**23 / (K * K * B)), 9, 13))
    noise = gaussian_points(B * K, power, seed).reshape(-1, B, K) * np.sqrt(worlds.scale**2 + worlds.nu_image)[:, None]
    texts = latent_prompts(worlds, prompt)
    codes, weights = class_patterns(np.append(worlds.agreement[0], np.full(B - 1, 1 / K)), K)
    total = np.zeros(2)
    for code, weight in zip(codes[weights > 0], weights[weights > 0], strict=True):
        image = noise.copy()
        image[:, np.arange(B), code] += worlds.mean
        score = prompt_log_density(image, texts, worlds)  # (N, K)
        best = score == score.max(axis=-1, keepdims=True)
        group = int(code[1] != 0)
        total[group] += weight * (best[:, 0] / best.sum(axis=-1)).mean()
    return list(total / [1 / K, 1 - 1 / K])


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
        if prompt_row(self.prompt).pool:
            return all_captions_scores(worlds, self.prompt, x)
        return prompt_log_density(x, latent_prompts(worlds, self.prompt), worlds)
