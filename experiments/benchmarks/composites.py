"""A cut-out on a photo, as `compose` makes them, and a copy of the photo, which is the limit."""

import numpy as np

from experiments.benchmarks.exact import seconds
from simulator.pixels.composition import composite, cut, drawn_place, frame
from simulator.streams import numpy_stream


def composed(side: int, count: int = 20) -> tuple[float, float]:
    """Seconds a composite, without its file, and a copy; every object on every photo."""
    rng = numpy_stream(0, "benchmark/composites")
    objects = [cut(disc(rng), drawn_place(rng), side) for _ in range(count)]
    photos = [noise(rng, side) for _ in range(count)]
    pairs = [(cutout, photo) for cutout in objects for photo in photos]

    def each(make) -> float:
        def work():
            for pair in pairs:  # none is kept, as when files are written
                make(*pair)

        return seconds(work) / len(pairs)

    return each(composite), each(lambda _, photo: photo.copy())


def disc(rng: np.random.Generator, side: int = 400):
    """A cut-out of noise: a disc with a soft edge."""
    from PIL import Image

    y, x = np.mgrid[:side, :side] - side / 2
    pixels = rng.integers(0, 256, size=(side, side, 4), dtype=np.uint8)
    pixels[..., 3] = np.clip(255 * (side / 2 - 10 - np.hypot(x, y)) / 10, 0, 255)
    return Image.fromarray(pixels)


def noise(rng: np.random.Generator, side: int):
    """A photo of noise."""
    from PIL import Image

    return frame(Image.fromarray(rng.integers(0, 256, size=(600, 800, 3), dtype=np.uint8)), side)
