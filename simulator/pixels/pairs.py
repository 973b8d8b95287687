"""Image-caption pairs of pixel worlds, drawn in fixed blocks, one named stream per field.

Labels, objects, attributes and caption masks come from the streams of Gaussian worlds, so both
kinds of world agree on them pair by pair. Scans and photos have streams of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int

from simulator.gaussian.pairs import LARGEST_BLOCK, Drawn, Pairs, check_same, draw_codes, mismatched
from simulator.pixels import captions

# Functions of this kind of views.
from simulator.pixels.groups import accuracies, trial  # noqa: F401
from simulator.pixels.scenery import Scenery, scenery
from simulator.prompts import Prompt
from simulator.quantities import check_count
from simulator.streams import Source, independent
from simulator.world import World

if TYPE_CHECKING:  # loading them takes .4 s, which pairs alone do not need
    from simulator.towers.ensemble import Ensemble
    from simulator.towers.layers import Shape

BLOCK_BYTES = 2**22  # of a block's images; the block size depends on the world alone
LARGEST_DRAW = 2**31  # bytes of images that `draw` holds at once


class Scenes(NamedTuple):
    """Contents of pairs before they are rendered."""

    labels: Int[torch.Tensor, "*E n"]
    objects: Int[torch.Tensor, "*E n"]
    attributes: Int[torch.Tensor, "*E n"]
    # object and attribute that the caption names; K and A stand for none
    captions: Int[torch.Tensor, "*E n 2"]
    scans: Int[torch.Tensor, "*E n"]
    photos: Int[torch.Tensor, "*E n"]  # zeros in worlds without photos


def block_size(world: World) -> int:
    return max(1, min(LARGEST_BLOCK, BLOCK_BYTES // (3 * world.views.side**2)))


def draw_scenes(
    worlds: Sequence[World],
    size: int,
    seed: int,
    index: int,
    *,
    streams: Sequence[str],
    device: str = "cpu",
) -> Scenes:
    """Scenes of one block of every world's training pairs."""
    check_same(worlds, "table")
    source = independent(seed, index, streams)
    scene = scenery(worlds[0], device)
    y, o, a, named = _contents(worlds, size, source, device)
    named = mismatched(
        named, lambda other: _contents(worlds, size, other, device)[3], worlds, source
    )

    def uniform(field: str) -> torch.Tensor:
        return source(torch.empty(y.shape, dtype=torch.float64, device=device), field, "uniform")

    scans = scene.objects.chosen("train", o, uniform("scan"))
    photos = (
        torch.zeros_like(a)
        if scene.photos is None
        else scene.photos.chosen("train", a, uniform("photo"))
    )
    return Scenes(y, o, a, named, scans, photos)


def _contents(
    worlds: Sequence[World], size: int, source: Source, device: str
) -> tuple[torch.Tensor, ...]:
    """(labels, objects, attributes, captions) of one block, every caption being its image's own."""
    views = worlds[0].views
    none = torch.tensor([worlds[0].classes, worlds[0].background_count], device=device)
    y, o, a, multiples = draw_codes(worlds, size, source, device=device)
    a = a[..., 0]
    if views.tied is not None:
        tied = torch.isin(y, torch.tensor(views.tied, device=device))
        a = torch.where(
            tied, a, source(torch.empty_like(a), "untied", "integer", worlds[0].classes)
        )
    contents = torch.stack([y if views.told == "label" else o, a], dim=-1)
    return y, o, a, torch.where(multiples != 0, contents, none)


def first_scenes(world: World, n: int, seed: int, stream: str, device: str = "cpu") -> Scenes:
    """Scenes of the first n pairs of a stream; scenes need far less memory than images."""
    size = block_size(world)
    indices = range(-(-n // size))
    blocks = [
        draw_scenes((world,), size, seed, index, streams=(stream,), device=device)
        for index in indices
    ]
    return Scenes(*(torch.cat(field, dim=1)[0, :n] for field in zip(*blocks, strict=True)))


def rendered(scene: Scenery, scenes: Scenes) -> Pairs:
    """The pairs of scenes: images (*E, n, 3, S, S) of bytes, captions (*E, n, L)."""
    images = scene.render(
        scenes.scans.flatten(), scenes.attributes.flatten(), scenes.photos.flatten()
    )
    return Pairs(
        images=images.reshape(*scenes.labels.shape, *images.shape[1:]),
        texts=captions.table(len(scene.objects.names), len(scene.shown), images.device)[
            scenes.captions.unbind(-1)
        ],
        labels=scenes.labels,
        backgrounds=scenes.attributes[..., None],
    )


@dataclass(frozen=True, eq=False, repr=False)
class DrawnPixels(Drawn):
    """n pairs of one pixel world with their scenes, images (n, 3, S, S) of bytes; `World.draw`
    returns it.
    """

    scenery: Scenery
    scenes: Scenes


def draw(
    world: World, n: int, seed: int = 0, *, stream: str = "pairs", device: str = "cpu"
) -> DrawnPixels:
    """The first n pairs of a stream in one piece; `World.draw` calls it."""
    check_count("n", n, 1, LARGEST_DRAW // (3 * world.views.side**2))
    scene = scenery(world, device)
    scenes = first_scenes(world, n, seed, stream, device)
    return DrawnPixels(world, *rendered(scene, scenes), scene, scenes)


# What training and evaluation ask of a kind of views (`simulator.views`)


def inputs(world: World) -> "dict[str, Shape]":
    scenery(world)
    side = world.views.side
    return {"image": (3, side, side), "text": (world.classes + world.background_count,)}


def block(ensemble: "Ensemble", stream: str, index: int) -> Pairs:
    streams = [f"{stream}/{k}" for k in ensemble.models]
    source = ensemble.source
    size = block_size(ensemble.worlds[0])
    scenes = draw_scenes(
        ensemble.worlds, size, ensemble.seed, index, streams=streams, device=source
    )
    drawn = Pairs(
        *(
            field.to(ensemble.device)
            for field in rendered(scenery(ensemble.worlds[0], source), scenes)
        )
    )
    return drawn._replace(texts=drawn.texts.to(ensemble.dtype))


def prompts(ensemble: "Ensemble", worlds: tuple[World, ...], prompt: Prompt) -> torch.Tensor:
    K, A = worlds[0].classes, worlds[0].background_count
    weights = np.stack([captions.prompts(own, prompt).reshape(K, -1) for own in worlds])
    texts = torch.as_tensor(weights) @ captions.table(K, A).double().flatten(0, 1)
    return texts.to(device=ensemble.device, dtype=ensemble.dtype)


def identity(world: World) -> dict[str, Any]:
    return {"pictures": scenery(world).digest}
