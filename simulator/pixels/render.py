"""Objects on their backgrounds: image = ground + coverage (object - ground), in sRGB, as image editors do it."""

import torch
from jaxtyping import Float, Int, UInt8

from simulator.pixels.scenery import Scenery

# Numbers that are rendered at a time on the CPU: 1 MB in float32 stays in the second-level cache.
TOGETHER = 2**18


def render(
    scene: Scenery,
    scans: Int[torch.Tensor, " n"],
    attributes: Int[torch.Tensor, " n"],
    photos: Int[torch.Tensor, " n"] | None,
) -> UInt8[torch.Tensor, "n 3 S S"]:
    """Images of scenes."""
    objects, own = scene.objects.pixels, scene.objects.pixels.shape[1] == 4  # own: objects have their own colours
    images = objects.new_empty(len(scans), 3, *objects.shape[2:])
    size = max(1, TOGETHER // images[:1].numel()) if scans.device.type == "cpu" else len(scans)
    # Buffers for all rounds: new memory would cost a CPU twice as much as the arithmetic.
    picked, behind = (objects.new_empty(size, channels, *objects.shape[2:]) for channels in (objects.shape[1], 3))
    coverage, *layers, made = (
        objects.new_empty(size, channels, *objects.shape[2:], dtype=torch.float32) for channels in (1, 3, 3, 3)
    )
    for k in range(0, len(scans), size):
        part, m = slice(k, k + size), min(size, len(scans) - k)
        shown = torch.index_select(objects, 0, scans[part], out=picked[:m])
        torch.mul(shown[:, -1:], 1 / 255, out=coverage[:m])
        front = layers[0][:m].copy_(shown[:, :3]) if own else _plain(scene, attributes[part], "object-colour")
        if photos is None:
            ground = _plain(scene, attributes[part], "background-colour")
        else:
            ground = layers[1][:m].copy_(torch.index_select(scene.photos.pixels, 0, photos[part], out=behind[:m]))
        # Adding .5 before truncation to integers rounds; no sum is below 0 or above 255.5.
        images[part] = torch.lerp(ground, front, coverage[:m], out=made[:m]).add_(0.5)
    return images


def _plain(scene: Scenery, attributes: Int[torch.Tensor, " n"], coloured: str) -> Float[torch.Tensor, "n 3 1 1"]:
    """The colour of a plain layer: the attribute's where it colours this layer, else the bare one."""
    colour = scene.colours[attributes] if scene.views.attribute == coloured else scene.bare.expand(len(attributes), 3)
    return colour.float()[..., None, None]
