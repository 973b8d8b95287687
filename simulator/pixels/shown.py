"""What training and evaluation ask of pixels: bytes of images, captions as vectors, and a finite set of test images.

See `simulator.gaussian.shown`. Test images besides:

trial       test images for one world, with a length and `images(rows)`
accuracies  accuracy by group from the share (E, N, K) of each class in the decision on each image of a trial
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simulator.gaussian.pairs import Pairs
from simulator.pixels import captions
from simulator.pixels.groups import accuracies, trial  # noqa: F401 (functions of this kind of views)
from simulator.pixels.pairs import block_size, draw, draw_block  # noqa: F401
from simulator.pixels.scenery import scenery
from simulator.prompts import Prompt
from simulator.world import World

if TYPE_CHECKING:  # loading them takes .4 s, which pairs alone do not need
    from simulator.towers.ensemble import Ensemble
    from simulator.towers.layers import Shape


def inputs(world: World) -> "dict[str, Shape]":
    scenery(world)
    side = world.views.side
    return {"image": (3, side, side), "text": (world.classes + world.background_count,)}


def block(ensemble: "Ensemble", stream: str, index: int) -> Pairs:
    streams = [f"{stream}/{k}" for k in ensemble.models]
    drawn = draw_block(ensemble.worlds, ensemble.seed, index, streams=streams, device=ensemble.source)
    drawn = Pairs(*(field.to(ensemble.device) for field in drawn))
    return drawn._replace(texts=drawn.texts.to(ensemble.dtype))


def prompts(ensemble: "Ensemble", worlds: tuple[World, ...], prompt: Prompt) -> torch.Tensor:
    K, A = worlds[0].classes, worlds[0].background_count
    weights = np.stack([captions.prompts(own, prompt).reshape(K, -1) for own in worlds])
    texts = torch.as_tensor(weights) @ captions.table(K, A).double().flatten(0, 1)
    return texts.to(device=ensemble.device, dtype=ensemble.dtype)


def backgrounds(ensemble: "Ensemble") -> torch.Tensor:
    K, A = ensemble.worlds[0].classes, ensemble.worlds[0].background_count
    texts = captions.table(K, A)[K, :A].to(device=ensemble.device, dtype=ensemble.dtype)
    return texts.expand(len(ensemble.models), -1, -1)


def identity(world: World) -> dict[str, Any]:
    return {"pictures": scenery(world).digest}
