"""How the trainer looks at worlds of pixels: bytes of images, captions as vectors or words, a trial that has an end."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.functional import one_hot

from simulator.gaussian.pairs import Pairs
from simulator.mixture import class_means
from simulator.pixels import captions, trials
from simulator.pixels.pairs import block_size, draw_block, draw_scenes, seen
from simulator.pixels.scenery import scenery
from simulator.pixels.trials import Trial
from simulator.prompts import Prompt
from simulator.towers.affine import Parameters, View
from simulator.towers.evaluation import captioned, class_vectors, scores
from simulator.towers.layers import embed
from simulator.towers.seen import Accuracies, Seen
from simulator.towers.training import Ensemble
from simulator.world import World

ROUNDING = 1e-6  # of the largest eigenvalue of a scatter, below which embeddings have no width
PAIRS = 4096  # whose embeddings tell how far apart classes lie
TOGETHER = 2**24  # numbers of images that all models of an ensemble are asked about at a time


def _views(world: World) -> dict[str, View]:
    scene, side = scenery(world.views, world.classes), world.views.side
    length = captions.table(scene).shape[2:]
    words = world.views.captions == "tokens"
    text = View("words", length, len(captions.vocabulary(scene))) if words else View("vector", length)
    return {"image": View("image", (3, side, side)), "text": text}


def _block(ensemble: Ensemble, stream: str, index: int, over: Pairs | None = None) -> Pairs:
    streams, source = [f"{stream}/{k}" for k in ensemble.models], ensemble.draw_on or ensemble.device
    block = draw_block(ensemble.worlds, ensemble.seed, index, streams=streams, device=source)
    block = Pairs(*(field.to(ensemble.device) for field in block))
    return block._replace(texts=_numbers(ensemble, block.texts))


def _numbers(ensemble: Ensemble, texts: torch.Tensor) -> torch.Tensor:
    """Captions that are vectors in the ensemble's precision; words are counted."""
    return texts.to(ensemble.dtype) if texts.is_floating_point() else texts


def _texts(ensemble: Ensemble, prompt: Prompt) -> torch.Tensor:
    """The caption of a prompt; vectors are averaged with its weights, of which a sentence has one."""
    world = ensemble.worlds[0]
    table = captions.table(scenery(world.views, world.classes, ensemble.device)).flatten(0, 1)
    weights = np.stack([captions.prompts(own, prompt) for own in captioned(ensemble)])  # (E, K, K + 1, K + 1)
    weights = torch.as_tensor(weights, device=ensemble.device).flatten(2)
    if table.is_floating_point():
        return _numbers(ensemble, weights @ table.double())
    return table[weights.argmax(2)]


def _trial(ensemble: Ensemble, prompts: Iterable[Prompt | None], power: int, replicates: int) -> Trial:
    """Every test object with every attribute, once: how many there are is not the caller's to say."""
    return trials.trial(ensemble.worlds[0], seed=ensemble.seed, device=ensemble.device)


def _accuracies(ensemble: Ensemble, parameters: Parameters, prompt: Prompt | None, trial: Trial) -> Accuracies:
    vectors, E = class_vectors(ensemble, parameters, prompt), len(ensemble.models)
    each = max(1, TOGETHER // (E * trial.images(slice(1)).numel()))
    said = []
    for first in range(0, len(trial), each):
        images = trial.images(slice(first, first + each))
        said.append(scores(ensemble, parameters, vectors, images.expand(E, *images.shape)).argmax(-1))
    predicted = torch.cat(said, dim=1).cpu().numpy()  # (E, N)
    found = [trials.accuracies(world, trial, predicted[k : k + 1]) for k, world in enumerate(ensemble.worlds)]
    return {group: np.concatenate([own[group] for own in found])[None] for group in found[0]}


def _separation(ensemble: Ensemble, parameters: Parameters) -> Float[np.ndarray, "E 2"]:
    """mu/sigma of objects and of attributes: the Gaussian world whose class means lie as far apart in its scatter.

    Means of embeddings by object and by attribute are fitted to pairs of the training streams, and distances are
    Mahalanobis, in the scatter that they leave; the two are not orthogonal in general, and each is taken by itself.
    """
    world, streams = ensemble.worlds[0], [f"train/{k}" for k in ensemble.models]
    K, size, source = world.classes, block_size(world), ensemble.draw_on or ensemble.device
    scene = scenery(world.views, K, source)
    codes, embeddings = [], []
    for index in range(-(-PAIRS // size)):
        scenes = draw_scenes(ensemble.worlds, size, ensemble.seed, index, streams=streams, device=source)
        images = seen(scene, scenes).images.to(ensemble.device)
        embeddings.append(embed(ensemble.recipe, parameters, "image", images).double().cpu())
        codes.append(torch.cat([one_hot(code.cpu(), K).double() for code in (scenes.objects, scenes.attributes)], -1))
    X, I = torch.cat(codes, dim=1), torch.cat(embeddings, dim=1)
    means = torch.linalg.lstsq(X, I, driver="gelsd").solution  # (E, 2 K, h); the two share a constant
    rest = I - X @ means
    scatter = rest.mT @ rest / (I.shape[1] - (2 * K - 1))
    precision = torch.linalg.pinv(scatter, rtol=ROUNDING, hermitian=True)
    pattern = torch.as_tensor(class_means(K) - class_means(K).mean(0))
    found = []
    for part in means.split(K, dim=1):
        part = part - part.mean(1, keepdim=True)
        found.append((part @ precision @ part.mT).diagonal(dim1=1, dim2=2).sum(1) / pattern.square().sum())
    return torch.stack(found, dim=1).sqrt().numpy()


def _identity(world: World) -> dict[str, Any]:
    scene = scenery(world.views, world.classes)
    words = captions.vocabulary(scene) if world.views.captions == "tokens" else ()
    return {"pictures": scene.digest, "vocabulary": list(words)}


PIXELS = Seen(
    views=_views,
    block_size=block_size,
    block=_block,
    texts=_texts,
    trial=_trial,
    accuracies=_accuracies,
    separation=_separation,
    identity=_identity,
)
