"""Rendering of pixel worlds on one thread; the limit is a copy of the images."""

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image

from experiments.benchmarks.timing import Row, seconds
from simulator.pixels.composition import composite, cut, drawn_place, frame
from simulator.pixels.pairs import block_size, draw_scenes, rendered
from simulator.pixels.scenery import TURN, Pictures, Scenery, scenery
from simulator.pixels.views import Pixels
from simulator.streams import numpy_stream
from simulator.world import World

CLASSES = 10
SIDE = 224
LIMIT = "limit: a copy"


def rows() -> Iterator[Row]:
    """Digits with their captions, cut-outs on photos, and composites."""
    for attribute in ("object-colour", "background-colour"):
        yield digits(World(classes=CLASSES, views=Pixels(attribute=attribute, size=28)))
    yield cutouts(photos_and_cutouts(SIDE), 50)
    yield composites(SIDE)


def digits(world: World) -> Row:
    """Pairs of one block: random numbers, images and captions."""
    scene, size = scenery(world.views, world.classes), block_size(world)

    def ours():
        return rendered(scene, draw_scenes((world,), size, 0, 0, streams=("pairs",)))

    images = ours().images
    name = f"digits of {world.views.size} pixels, {world.views.attribute}"
    return Row(name, "pair", seconds(ours) / size, None, seconds(images.clone) / size, LIMIT)


def cutouts(scene: Scenery, count: int) -> Row:
    """Objects in front of photos."""
    index = torch.arange(count)
    images = scene.render(index, index, index.flip(0))
    ours = seconds(lambda: scene.render(index, index, index.flip(0)))
    name = f"cut-outs on photos of {scene.views.size} pixels"
    return Row(name, "image", ours / count, None, seconds(images.clone) / count, LIMIT)


def photos_and_cutouts(side: int, count: int = 50) -> Scenery:
    """Cut-outs and photos of noise; the time does not depend on their content."""
    rng = numpy_stream(0, "benchmark/pixels")
    labels, names = torch.arange(CLASSES).repeat_interleave(count // CLASSES), tuple(map(str, range(CLASSES)))
    parts = torch.tensor(TURN).repeat(count // len(TURN))
    objects, photos = (
        Pictures(
            torch.from_numpy(rng.integers(256, size=(count, channels, side, side), dtype="uint8")),
            labels,
            parts,
            names,
        )
        for channels in (4, 3)
    )
    views = Pixels(objects="cutouts", root="noise", attribute="photos", photos="noise", size=side)
    return Scenery(views, objects, photos, colours=None, bare=torch.zeros(3, dtype=torch.uint8), shown=names)


def composites(side: int, count: int = 10) -> Row:
    """Cut-outs on photos as `compose` makes them, without the file."""
    rng = numpy_stream(0, "benchmark/composites")
    objects = [cut(disc(rng), drawn_place(rng), side) for _ in range(count)]
    noise = rng.integers(0, 256, size=(count, 600, 800, 3), dtype=np.uint8)
    photos = [frame(Image.fromarray(pixels), side) for pixels in noise]
    pairs = [(cutout, photo) for cutout in objects for photo in photos]
    ours = seconds(lambda: [composite(*pair) and None for pair in pairs]) / len(pairs)
    limit = seconds(lambda: [photo.copy() and None for _, photo in pairs]) / len(pairs)
    return Row(f"a composite of {side} pixels", "image", ours, None, limit, LIMIT)


def disc(rng: np.random.Generator, side: int = 400) -> Image.Image:
    """A cut-out of noise: a disc with a soft edge."""
    y, x = np.mgrid[:side, :side] - side / 2
    pixels = rng.integers(0, 256, size=(side, side, 4), dtype=np.uint8)
    pixels[..., 3] = np.clip(255 * (side / 2 - 10 - np.hypot(x, y)) / 10, 0, 255)
    return Image.fromarray(pixels)
