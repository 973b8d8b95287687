"""Objects before their grounds: image = ground + coverage (object - ground), in sRGB, as image editors do it."""

import torch
from jaxtyping import Float, Int, UInt8

from simulator.pixels.scenery import Scenery

# Numbers that are rendered at a time: 1 MB in float32 stays in the second-level cache.
TOGETHER = 2**18


def render(
    scene: Scenery,
    scans: Int[torch.Tensor, " n"],
    attributes: Int[torch.Tensor, " n"],
    photos: Int[torch.Tensor, " n"] | None,
) -> UInt8[torch.Tensor, "n 3 S S"]:
    """Images of scenes.

    Parameters
    ----------
    scene : Scenery
    scans
        Rows of its objects.
    attributes
        Classes of the attribute, where it is a colour.
    photos
        Rows of its photos, where it is those.
    """
    side = scene.objects.pixels.shape[-1]
    images = torch.empty(len(scans), 3, side, side, dtype=torch.uint8, device=scans.device)
    size = max(1, TOGETHER // images[:1].numel()) if scans.device.type == "cpu" else len(scans)
    for k in range(0, len(scans), size):
        part = slice(k, k + size)
        pixels = scene.objects.pixels[scans[part]]
        coverage = pixels[:, -1:] * (1 / 255)
        front = pixels[:, :3].float() if pixels.shape[1] == 4 else _plain(scene, attributes[part], "object-colour")
        ground = (
            _plain(scene, attributes[part], "background-colour")
            if photos is None
            else scene.photos.pixels[photos[part]].float()
        )
        # Adding a half before numbers are cut to integers rounds them; no sum is below 0 or above 255.5.
        images[part] = torch.lerp(ground, front, coverage).add_(0.5)
    return images


def _plain(scene: Scenery, attributes: Int[torch.Tensor, " n"], coloured: str) -> Float[torch.Tensor, "n 3 1 1"]:
    """A plain colour: the attribute's where it colours this layer, else the bare one."""
    colour = scene.colours[attributes] if scene.views.attribute == coloured else scene.bare.expand(len(attributes), 3)
    return colour.float()[..., None, None]
