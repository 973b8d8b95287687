"""Zero-shot accuracy of a trained ensemble, by group and prompt.

A class is scored by the inner product of the image embedding with one vector: an embedded prompt,
the mean of embedded captions, or a row of the head. Linear towers are therefore linear critics,
whose accuracy is exact. Other towers, and log-mean-exp prompts, are evaluated on scrambled Sobol
points. Pixel worlds have a finite set of test images.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped

from simulator.accuracy import GROUPS, decision, won
from simulator.gaussian.critic import LinearCritic, gaussian_points, group_accuracy
from simulator.gaussian.pairs import dictionaries
from simulator.prompts import DEFAULT_PROMPTS, LINEAR, PROMPTS, Prompt, prompt_row
from simulator.streams import numpy_stream
from simulator.towers.ensemble import Ensemble
from simulator.towers.layers import Parameters, embed, logit_scale, scored
from simulator.towers.objectives import class_logits
from simulator.towers.recipe import Recipe
from simulator.world import World

CAPTIONS = 512  # per class, for prompts that pool over captions
LOGITS = 2**24  # in memory at once
PIXELS = 2**24  # numbers of images that all models of an ensemble score at a time


def prompts_of(recipe: Recipe) -> tuple[Prompt | None, ...]:
    """The prompts that towers of a recipe accept; inner products, defined up to a factor, have no
    log-mean-exp.
    """
    if not recipe.prompted:
        return (None,)
    return PROMPTS if recipe.objective.cosine else LINEAR


def default_prompts(recipe: Recipe) -> tuple[Prompt | None, ...]:
    """The prompts that are evaluated unless others are given."""
    return DEFAULT_PROMPTS if recipe.prompted else (None,)


def class_vectors(
    ensemble: Ensemble, parameters: Parameters, prompt: Prompt | None
) -> Float[torch.Tensor, "E K *captions h"]:
    """Vectors that score images: one per class, or one per caption for log-mean-exp prompts."""
    if "head.weight" in parameters:
        return parameters["head.weight"].mT
    recipe = ensemble.recipe
    pool = prompt_row(prompt).pool
    texts = (
        class_captions(ensemble)
        if pool
        else ensemble.views.prompts(ensemble, captioned(ensemble), prompt)
    )
    vectors = scored(recipe, embed(recipe, parameters, "text", texts.flatten(1, -2))).unflatten(
        1, texts.shape[1:-1]
    )
    if pool == "mean":  # the mean of scores is the score of the mean of unit vectors
        vectors = vectors.mean(2)
    return vectors


def captioned(ensemble: Ensemble) -> tuple[World, ...]:
    """Worlds with the law of a class's own captions in every model's training pairs."""
    return tuple(
        ensemble.sampler.captioned(world).replace(mismatch=0.0) for world in ensemble.worlds
    )


def class_captions(ensemble: Ensemble) -> Shaped[torch.Tensor, "E K captions dT"]:
    """CAPTIONS captions of every class and model, from a stream that training does not read."""
    K = ensemble.worlds[0].classes
    texts = []
    labels = []
    count = torch.zeros(len(ensemble.models), K, dtype=torch.int64, device=ensemble.device)
    while count.min() < CAPTIONS:
        captions = ensemble._replace(worlds=captioned(ensemble))
        block = ensemble.views.block(captions, "class-captions", len(texts))
        texts = [*texts, block.texts]
        labels = [*labels, block.labels]
        count += torch.nn.functional.one_hot(block.labels, K).sum(1)
    order = torch.cat(labels, 1).argsort(dim=1, stable=True)  # class by class
    start = count.cumsum(1) - count
    chosen = order.gather(
        1, (start[..., None] + torch.arange(CAPTIONS, device=start.device)).flatten(1)
    )
    every = torch.cat(texts, 1)
    return every.gather(1, chosen[..., None].expand(-1, -1, every.shape[2])).unflatten(
        1, (K, CAPTIONS)
    )


def scores(
    ensemble: Ensemble,
    parameters: Parameters,
    vectors: Sequence[Float[torch.Tensor, "E K *captions h"]],
    x: Shaped[torch.Tensor, "E N *d"],
) -> list[Float[torch.Tensor, "E N K"]]:
    """Scores of images by the class vectors of each prompt; images are embedded once for all
    prompts.
    """
    I = scored(ensemble.recipe, embed(ensemble.recipe, parameters, "image", x))
    if "head.weight" in parameters:
        return [class_logits(parameters, I) for _ in vectors]
    scale = logit_scale(ensemble.recipe, parameters)
    return [torch.bmm(I, own.mT) if own.ndim == 3 else _pooled(scale, own, I) for own in vectors]


def _pooled(
    scale: Float[torch.Tensor, " E"],
    vectors: Float[torch.Tensor, "E K C h"],
    I: Float[torch.Tensor, "E N h"],
) -> Float[torch.Tensor, "E N K"]:
    """Log-mean-exp scores, up to a constant, by the vectors of C captions per class."""
    # images per product
    scale = scale[:, None, None]
    each = max(1, LOGITS // (len(I) * vectors.shape[2]))
    pooled = [
        [torch.logsumexp(scale * torch.bmm(part, texts.mT), dim=-1) for texts in vectors.unbind(1)]
        for part in I.split(each, dim=1)
    ]
    return torch.cat([torch.stack(classes, dim=-1) for classes in pooled], dim=1)


def linear_critics(
    ensemble: Ensemble, parameters: Parameters, prompt: Prompt | None
) -> LinearCritic:
    """Score vectors of linear towers, one critic per model. The norm of the image embedding changes
    no decision.
    """
    D, _ = dictionaries(ensemble.worlds[0], ensemble.seed)
    vectors = class_vectors(ensemble, parameters, prompt)
    w = torch.bmm(vectors, parameters["image.0.weight"].mT).double().cpu().numpy()  # (E, K, d_I)
    if "head.bias" in parameters:
        w = np.concatenate([w, parameters["head.bias"].double().cpu().numpy()[..., None]], axis=2)
    if w.shape[1] == 2:
        w = w[:, :1] - w[:, 1:]
    return LinearCritic.of_vectors(w, D)


def linear_scores(recipe: Recipe, prompt: Prompt | None) -> bool:
    """Whether scores are linear in the image, and accuracies therefore exact."""
    return recipe.towers == "linear" and (
        prompt is None or prompt_row(prompt).pool != "log-mean-exp"
    )


def standard_points(
    ensemble: Ensemble, power: int = 11, replicates: int = 8
) -> Float[np.ndarray, "R N d"]:
    """R scramblings of 2^power standard normal Sobol points for test images, shared by all groups
    and models.
    """
    return _points(ensemble.worlds[0].dim_image, power, ensemble.seed * replicates, replicates)


# to draw them takes a fifth of a row of the history, and every row needs the same
@lru_cache(maxsize=1)
def _points(d: int, power: int, first: int, replicates: int) -> Float[np.ndarray, "R N d"]:
    return np.stack([gaussian_points(d, power, first + r) for r in range(replicates)])


def ensemble_accuracy(
    ensemble: Ensemble,
    parameters: Parameters,
    prompt: Prompt | None,
    points: Float[np.ndarray, "R N d"] | None = None,
) -> Float[np.ndarray, "R E groups"]:
    """Accuracy of every model by group under the test law: exact for linear critics (R = 1), else R
    replicates.
    """
    if not linear_scores(ensemble.recipe, prompt):
        points = standard_points(ensemble) if points is None else points
        return _accuracy_on_points(ensemble, parameters, (prompt,), points)[0]
    critics = linear_critics(ensemble, parameters, prompt)
    rows = []
    intercept = np.broadcast_to(critics.intercept, critics.inside.shape[:2])
    for k, (number, world) in enumerate(zip(ensemble.models, ensemble.worlds, strict=True)):
        critic = LinearCritic(
            *(part[k : k + 1] for part in (critics.inside, critics.outside, intercept))
        )
        points = numpy_stream(ensemble.seed, "test points", number)
        rows.append(group_accuracy(critic, world.mixture(), world.nu_image, points))
    return np.stack(rows, axis=1)


def _accuracy_on_points(
    ensemble: Ensemble,
    parameters: Parameters,
    prompts: Sequence[Prompt | None],
    points: Float[np.ndarray, "R N d"],
) -> Float[np.ndarray, "prompts R E groups"]:
    objects = any(world.p_inv < 1 for world in ensemble.worlds)  # one list of groups for all
    mixtures = [world.mixture(objects) for world in ensemble.worlds]
    vectors = [class_vectors(ensemble, parameters, prompt) for prompt in prompts]

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values).to(vectors[0])

    # Coordinates of the frame: l latents, then noise alone.
    l = ensemble.worlds[0].latents
    nu = np.array([[world.nu_image] for world in ensemble.worlds])
    D, _ = dictionaries(ensemble.worlds[0], ensemble.seed)
    frame = tensor(np.concatenate([D, np.linalg.svd(D, full_matrices=True)[0][:, l:]], axis=1))
    deviation = np.repeat(np.sqrt(nu), len(frame), axis=1)  # (E, d)
    deviation[:, :l] = np.sqrt(np.stack([m.image_variances for m in mixtures]))
    deviation = tensor(deviation)
    means = tensor(np.stack([m.means for m in mixtures], axis=1))  # (G, E, l)
    result = np.empty((len(prompts), len(points), len(mixtures), len(means)))
    for r, normals in enumerate(points):
        noise = (tensor(normals) * deviation[:, None]) @ frame.T  # (E, N, d)
        for g, y in enumerate(mixtures[0].labels):
            answers = scores(
                ensemble, parameters, vectors, noise + (means[g] @ frame[:, :l].T)[:, None]
            )
            result[:, r, :, g] = [won(score.cpu().numpy(), y).mean(1) for score in answers]
    return np.stack([m.group_average(result[:, :, k]) for k, m in enumerate(mixtures)], axis=2)


def trial(ensemble: Ensemble, prompts: Iterable[Prompt | None], power: int, replicates: int) -> Any:
    """Test images for these prompts: `standard_points`, those of views, or None if all accuracies
    are exact.
    """
    world = ensemble.worlds[0]
    if world.views is not None:
        return ensemble.views.trial(world, seed=ensemble.seed, device=ensemble.device)
    exact = all(linear_scores(ensemble.recipe, prompt) for prompt in prompts)
    return None if exact else standard_points(ensemble, power, replicates)


def accuracies(
    ensemble: Ensemble, parameters: Parameters, prompts: Iterable[Prompt | None], trial: Any
) -> dict[Prompt | None, dict[str, Float[np.ndarray, "R E"]]]:
    """Accuracy of every model on a `trial`, by prompt and group: those of `GROUPS` that there are,
    or more.
    """
    prompts = tuple(prompts)
    if ensemble.worlds[0].views is not None:
        return _accuracies_on_images(ensemble, parameters, prompts, trial)
    by_prompt = {
        p: ensemble_accuracy(ensemble, parameters, p)
        for p in prompts
        if linear_scores(ensemble.recipe, p)
    }
    if others := [prompt for prompt in prompts if prompt not in by_prompt]:
        by_prompt |= zip(
            others, _accuracy_on_points(ensemble, parameters, others, trial), strict=True
        )
    groups = np.unique(ensemble.worlds[0].mixture().test_groups)
    return {prompt: {GROUPS[g]: by_prompt[prompt][..., g] for g in groups} for prompt in prompts}


def _accuracies_on_images(
    ensemble: Ensemble, parameters: Parameters, prompts: Sequence[Prompt | None], trial: Any
) -> dict[Prompt | None, dict[str, Float[np.ndarray, "R E"]]]:
    vectors = [class_vectors(ensemble, parameters, prompt) for prompt in prompts]
    E = len(ensemble.models)
    each = max(1, PIXELS // (E * trial.images(slice(1)).numel()))
    parts = []
    for first in range(0, len(trial), each):
        images = trial.images(slice(first, first + each))
        parts.append(
            [
                s.cpu().numpy()
                for s in scores(ensemble, parameters, vectors, images.expand(E, *images.shape))
            ]
        )
    result = {}
    for prompt, part in zip(prompts, zip(*parts, strict=True), strict=True):
        shares = decision(np.concatenate(part, axis=1))  # (E, N, K)
        by_world = [
            ensemble.views.accuracies(world, trial, shares[k : k + 1])
            for k, world in enumerate(ensemble.worlds)
        ]
        result[prompt] = {
            group: np.concatenate([own[group] for own in by_world])[None] for group in by_world[0]
        }
    return result
