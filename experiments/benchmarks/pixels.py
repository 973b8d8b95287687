"""How fast pixel worlds are rendered on one thread.

Limit: a copy of as many bytes as the images have. Goals are those that pixel worlds were built for.
"""

import torch

from experiments.benchmarks.composites import composed
from experiments.benchmarks.exact import seconds
from simulator.pixels.pairs import block_size, draw_scenes, seen
from simulator.pixels.pictures import TURN, Pictures
from simulator.pixels.render import render
from simulator.pixels.scenery import Scenery, scenery
from simulator.pixels.views import Pixels
from simulator.streams import numpy_stream
from simulator.world import World

CLASSES = 10
SIDE = 224


def main() -> None:
    """Print the table as Markdown."""
    print("\n| pixels, one thread | images a second | ours / goal | ours / limit |")
    print("|---|---|---|---|")
    for name, each, limit, goal in rows():
        print(f"| {name} | {1 / each:,.0f} | {1 / (each * goal):.2g} | {each / limit:.2g} |", flush=True)


def rows():
    """(what, seconds an image, seconds to copy one, images a second that are the goal)."""
    for attribute in ("object-colour", "background-colour"):
        world = World(classes=CLASSES, views=Pixels(attribute=attribute, size=28))
        yield (f"digits of 28 pixels, {attribute}, drawn with their captions", *drawn(world), 20_000)
    yield (f"cut-outs on photos of {SIDE} pixels", *rendered(standing_on_photos(SIDE), 50), 800)
    yield (f"a cut-out within its box on a photo of {SIDE} pixels, as compose does", *composed(SIDE), 800)


def drawn(world: World) -> tuple[float, float]:
    """Seconds a pair, random numbers and caption included, and to copy its image."""
    scene, size = scenery(world.views, world.classes), block_size(world)
    work = lambda: seen(scene, draw_scenes((world,), size, 0, 0, streams=("pairs",)))  # noqa: E731
    images = work().images
    return seconds(work) / size, seconds(images.clone) / size


def rendered(scene: Scenery, count: int) -> tuple[float, float]:
    """Seconds an image of objects that stand before photos, and to copy it."""
    rows = torch.arange(count)
    work = lambda: render(scene, rows, rows, rows.flip(0))  # noqa: E731
    images = work()
    return seconds(work) / count, seconds(images.clone) / count


def standing_on_photos(side: int, count: int = 50) -> Scenery:
    """Cut-outs and photos of noise; how long they take does not depend on what they show."""
    rng = numpy_stream(0, "benchmark/pixels")
    labels, names = torch.arange(CLASSES).repeat_interleave(count // CLASSES), tuple(map(str, range(CLASSES)))
    objects, photos = (
        Pictures(
            torch.from_numpy(rng.integers(256, size=(count, channels, side, side), dtype="uint8")),
            labels,
            torch.tensor(TURN).repeat(count // len(TURN)),
            names,
        )
        for channels in (4, 3)
    )
    views = Pixels(objects="cutouts", root="noise", attribute="photos", photos="noise", size=side)
    return Scenery(views, objects, photos, colours=None, bare=torch.zeros(3, dtype=torch.uint8), shown=names)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
