"""One interface of training to worlds of Gaussian vectors and of pixels.

inputs      shapes that the towers "image" and "text" read; ValueError for pictures that cannot be read
block_size  pairs in one block of a stream
block       block `index` of every model's own stream; `over` is a block that may be overwritten
prompts     one caption per class, (E, K, d_T), if captions have the law of `worlds`
backgrounds captions that show one background alone, (E, K or A, d_T)
identity    data besides its fields that a world must share with a checkpoint
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simulator.gaussian import pairs as gaussian
from simulator.gaussian.pairs import Pairs
from simulator.mixture import class_means
from simulator.pixels import captions
from simulator.pixels import pairs as pixels
from simulator.pixels.scenery import scenery
from simulator.prompts import Prompt
from simulator.towers.layers import Shape
from simulator.world import World

if TYPE_CHECKING:
    from simulator.towers.ensemble import Ensemble


class GaussianViews:
    """Vectors of images and captions."""

    block_size = staticmethod(gaussian.block_size)

    def inputs(self, world: World) -> dict[str, Shape]:
        return {"image": (world.dim_image,), "text": (world.dim_text,)}

    def block(self, ensemble: "Ensemble", stream: str, index: int, over: Pairs | None = None) -> Pairs:
        frames, streams = self._frames(ensemble), [f"{stream}/{k}" for k in ensemble.models]
        where = {"device": ensemble.device, "draw_on": ensemble.draw_on, "dtype": ensemble.dtype, "over": over}
        how = {"streams": streams, "points": ensemble.recipe.points, **where}
        return gaussian.draw_block(ensemble.worlds, frames, ensemble.seed, index, **how)

    def prompts(self, ensemble: "Ensemble", worlds: tuple[World, ...], prompt: Prompt) -> torch.Tensor:
        _, D = self._frames(ensemble)
        texts = np.stack([world.prompts(prompt) @ D.T for world in worlds])
        return torch.as_tensor(texts).to(device=ensemble.device, dtype=ensemble.dtype)

    def backgrounds(self, ensemble: "Ensemble") -> torch.Tensor:
        _, D = self._frames(ensemble)
        worlds, patterns = ensemble.worlds, class_means(ensemble.worlds[0].background_count)
        texts = np.stack([world.mu_spu * patterns @ D[:, world.background_latents].T for world in worlds])
        return torch.as_tensor(texts).to(device=ensemble.device, dtype=ensemble.dtype)

    def identity(self, world: World) -> dict[str, Any]:
        return {}

    def _frames(self, ensemble: "Ensemble") -> gaussian.Frames:
        return gaussian.dictionaries(ensemble.worlds[0], ensemble.seed)


class PixelViews:
    """Bytes of images; captions as vectors."""

    block_size = staticmethod(pixels.block_size)

    def inputs(self, world: World) -> dict[str, Shape]:
        scenery(world)
        text = world.classes + world.background_count
        return {"image": (3, world.views.side, world.views.side), "text": (text,)}

    def block(self, ensemble: "Ensemble", stream: str, index: int, over: Pairs | None = None) -> Pairs:
        streams = [f"{stream}/{k}" for k in ensemble.models]
        block = pixels.draw_block(ensemble.worlds, ensemble.seed, index, streams=streams, device=ensemble.source)
        block = Pairs(*(field.to(ensemble.device) for field in block))
        return block._replace(texts=block.texts.to(ensemble.dtype))

    def prompts(self, ensemble: "Ensemble", worlds: tuple[World, ...], prompt: Prompt) -> torch.Tensor:
        K, A = worlds[0].classes, worlds[0].background_count
        weights = np.stack([captions.prompts(own, prompt).reshape(K, -1) for own in worlds])
        texts = torch.as_tensor(weights) @ captions.table(K, A).double().flatten(0, 1)
        return texts.to(device=ensemble.device, dtype=ensemble.dtype)

    def backgrounds(self, ensemble: "Ensemble") -> torch.Tensor:
        K, A = ensemble.worlds[0].classes, ensemble.worlds[0].background_count
        texts = captions.table(K, A)[K, :A].to(device=ensemble.device, dtype=ensemble.dtype)
        return texts.expand(len(ensemble.models), -1, -1)

    def identity(self, world: World) -> dict[str, Any]:
        return {"pictures": scenery(world).digest}


Views = GaussianViews | PixelViews


def views_of(world: World) -> Views:
    """The interface for a world's kind of views."""
    return GaussianViews() if world.views is None else PixelViews()
