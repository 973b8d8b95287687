"""How the trainer looks at Gaussian worlds: views are vectors, and accuracies those of the exact test law."""

from collections.abc import Iterable

import numpy as np
import torch

from simulator.gaussian.pairs import Pairs, block_size, dictionaries, draw_block
from simulator.gaussian.resampling import contradicted
from simulator.prompts import Prompt
from simulator.towers.affine import Parameters, View
from simulator.towers.evaluation import (
    Points,
    captioned,
    ensemble_accuracy,
    latent_recovery,
    linear_scores,
    score_reliance,
    standard_points,
)
from simulator.towers.seen import Accuracies, Seen
from simulator.towers.training import Ensemble
from simulator.world import World


def _views(world: World) -> dict[str, View]:
    return {"image": View("vector", (world.dim_image,)), "text": View("vector", (world.dim_text,))}


def _block(ensemble: Ensemble, stream: str, index: int, over: Pairs | None = None) -> Pairs:
    return draw_block(
        ensemble.worlds,
        dictionaries(ensemble.worlds[0], ensemble.seed),
        ensemble.seed,
        index,
        streams=[f"{stream}/{k}" for k in ensemble.models],
        device=ensemble.device,
        draw_on=ensemble.draw_on,
        dtype=ensemble.dtype,
        points=ensemble.recipe.points,
        over=over,
    )


def _refuse_net(world: World, n: int) -> None:
    from simulator.gaussian.sobol import refuse_beyond  # scipy.stats takes a second

    refuse_beyond(world, n)


def _contradicted(ensemble: Ensemble, block: Pairs, stream: str, index: int) -> Pairs:
    world, streams = ensemble.worlds[0], [f"{stream}/{k}" for k in ensemble.models]
    _, D = dictionaries(world, ensemble.seed)
    return contradicted(block, world.classes, D, ensemble.seed, index, streams=streams)


def _texts(ensemble: Ensemble, prompt: Prompt) -> torch.Tensor:
    _, D = dictionaries(ensemble.worlds[0], ensemble.seed)
    p = np.stack([world.prompts(prompt) @ D.T for world in captioned(ensemble)])  # (E, K, d_T)
    return torch.as_tensor(p).to(device=ensemble.device, dtype=ensemble.dtype)


def _trial(ensemble: Ensemble, prompts: Iterable[Prompt | None], power: int, replicates: int) -> Points | None:
    exact = all(linear_scores(ensemble.recipe, prompt) for prompt in prompts)
    return None if exact else standard_points(ensemble, power, replicates)


def _accuracies(ensemble: Ensemble, parameters: Parameters, prompt: Prompt | None, trial: Points | None) -> Accuracies:
    common, counter = np.moveaxis(ensemble_accuracy(ensemble, parameters, prompt, trial), -1, 0)
    return {"common": common, "counter": counter}


GAUSSIAN = Seen(
    views=_views,
    block_size=block_size,
    block=_block,
    contradicted=_contradicted,
    texts=_texts,
    trial=_trial,
    accuracies=_accuracies,
    relied=score_reliance,
    recovery=latent_recovery,
    refuse_net=_refuse_net,
)
