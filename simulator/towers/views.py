"""One interface of training to worlds of Gaussian vectors and of pixels.

inputs      shapes that the towers "image" and "text" read
block_size  pairs in one block of a stream
block       block `index` of every model's own stream; `over` is a block that may be overwritten
prompts     one caption per class, (E, K, ...), if captions have the law of `worlds`
identity    data besides its fields that a world must share with a checkpoint
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from simulator.gaussian import pairs as gaussian
from simulator.gaussian.pairs import Pairs
from simulator.pixels import captions
from simulator.pixels import pairs as pixels
from simulator.pixels.scenery import scenery
from simulator.prompts import Prompt
from simulator.towers.layers import View
from simulator.world import World

if TYPE_CHECKING:
    from simulator.towers.ensemble import Ensemble


class GaussianViews:
    """Vectors of images and captions."""

    def inputs(self, world: World) -> dict[str, View]:
        return {"image": View("vector", (world.dim_image,)), "text": View("vector", (world.dim_text,))}

    def block_size(self, world: World) -> int:
        return gaussian.block_size(world)

    def block(self, ensemble: "Ensemble", stream: str, index: int, over: Pairs | None = None) -> Pairs:
        return gaussian.draw_block(
            ensemble.worlds,
            gaussian.dictionaries(ensemble.worlds[0], ensemble.seed),
            ensemble.seed,
            index,
            streams=[f"{stream}/{k}" for k in ensemble.models],
            device=ensemble.device,
            draw_on=ensemble.draw_on,
            dtype=ensemble.dtype,
            points=ensemble.recipe.points,
            over=over,
        )

    def prompts(self, ensemble: "Ensemble", worlds: tuple[World, ...], prompt: Prompt) -> torch.Tensor:
        """p_y = D_T q_y, (E, K, d_T)."""
        _, D = gaussian.dictionaries(worlds[0], ensemble.seed)
        p = np.stack([world.prompts(prompt) @ D.T for world in worlds])
        return torch.as_tensor(p).to(device=ensemble.device, dtype=ensemble.dtype)

    def identity(self, world: World) -> dict[str, Any]:
        return {}


class PixelViews:
    """Bytes of images; captions as vectors."""

    def inputs(self, world: World) -> dict[str, View]:
        scenery(world.views, world.classes)  # raises ValueError for pictures that cannot be read
        side = world.views.side
        return {"image": View("image", (3, side, side)), "text": View("vector", (2 * world.classes,))}

    def block_size(self, world: World) -> int:
        return pixels.block_size(world)

    def block(self, ensemble: "Ensemble", stream: str, index: int, over: Pairs | None = None) -> Pairs:
        streams = [f"{stream}/{k}" for k in ensemble.models]
        block = pixels.draw_block(ensemble.worlds, ensemble.seed, index, streams=streams, device=ensemble.source)
        block = Pairs(*(field.to(ensemble.device) for field in block))
        return block._replace(texts=block.texts.to(ensemble.dtype))

    def prompts(self, ensemble: "Ensemble", worlds: tuple[World, ...], prompt: Prompt) -> torch.Tensor:
        """All captions, averaged with a prompt's weights."""
        weights = np.stack([captions.prompts(own, prompt) for own in worlds])  # (E, K, K + 1, K + 1)
        table = captions.table(worlds[0].classes).double().flatten(0, 1)
        return (torch.as_tensor(weights).flatten(2) @ table).to(ensemble.device, ensemble.dtype)

    def identity(self, world: World) -> dict[str, Any]:
        """Digest of all pictures."""
        return {"pictures": scenery(world.views, world.classes).digest}


Views = GaussianViews | PixelViews


def views_of(world: World) -> Views:
    """The interface for a world's kind of views."""
    return GaussianViews() if world.views is None else PixelViews()
