"""What training asks of a kind of views, for Gaussian vectors.

inputs      shapes that the towers "image" and "text" read; ValueError for pictures that cannot be read
draw        the first n pairs of a stream
block_size  pairs in one block of a stream
block       block `index` of every model's own stream
prompts     one caption per class, (E, K, d_T), if captions have the law of `worlds`
backgrounds captions that show one background alone, (E, K or A, d_T)
identity    data besides its fields that a world must share with a checkpoint
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simulator.gaussian.pairs import Frames, Pairs, block_size, dictionaries, draw, draw_block  # noqa: F401 (functions)
from simulator.mixture import class_means
from simulator.prompts import Prompt
from simulator.world import World

if TYPE_CHECKING:  # loading them takes .4 s, which pairs alone do not need
    from simulator.towers.ensemble import Ensemble
    from simulator.towers.layers import Shape


def inputs(world: World) -> "dict[str, Shape]":
    return {"image": (world.dim_image,), "text": (world.text_width,)}


def block(ensemble: "Ensemble", stream: str, index: int) -> Pairs:
    where: dict[str, Any] = {"device": ensemble.device, "draw_on": ensemble.draw_on, "dtype": ensemble.dtype}
    how = {"streams": [f"{stream}/{k}" for k in ensemble.models], "points": ensemble.recipe.points, **where}
    return draw_block(ensemble.worlds, _frames(ensemble), ensemble.seed, index, **how)


def prompts(ensemble: "Ensemble", worlds: tuple[World, ...], prompt: Prompt) -> torch.Tensor:
    _, D = _frames(ensemble)
    texts = np.stack([world.prompts(prompt) @ D.T for world in worlds])
    if prompt == "bare":
        texts[..., worlds[0].dim_text :] = 1.0  # the mark, where captions may be bare
    return torch.as_tensor(texts).to(device=ensemble.device, dtype=ensemble.dtype)


def backgrounds(ensemble: "Ensemble") -> torch.Tensor:
    _, D = _frames(ensemble)
    worlds, patterns = ensemble.worlds, class_means(ensemble.worlds[0].background_count)
    texts = np.stack([world.mu_spu * patterns @ D[:, world.block_latents[1]].T for world in worlds])
    return torch.as_tensor(texts).to(device=ensemble.device, dtype=ensemble.dtype)


def identity(world: World) -> dict[str, Any]:
    return {}


def _frames(ensemble: "Ensemble") -> Frames:
    return dictionaries(ensemble.worlds[0], ensemble.seed)
