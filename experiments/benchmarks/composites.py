"""Composites at 224 pixels: an object on a photo, against copying the photo; and `compose` whole, with its files."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from experiments.benchmarks.exact import Row, seconds
from simulator.pixels.composition import composite, cut, drawn_place, frame

SIDE = 224


def blob(rng: np.random.Generator, side: int = 400):
    """A cut-out of noise: a disc with a soft edge, transparent around it."""
    from PIL import Image

    y, x = np.mgrid[:side, :side] - side / 2
    pixels = rng.integers(0, 256, size=(side, side, 4), dtype=np.uint8)
    pixels[..., 3] = np.clip(255 * (side / 2 - 10 - np.hypot(x, y)) / 10, 0, 255)
    return Image.fromarray(pixels)


def scene(rng: np.random.Generator):
    """A photo of noise, smooth as photos are, so that its PNG is as large."""
    from PIL import Image

    small = Image.fromarray(rng.integers(0, 256, size=(60, 80, 3), dtype=np.uint8))
    return frame(small.resize((800, 600), Image.Resampling.BICUBIC), SIDE)


def rows() -> list[Row]:
    """Seconds a composite, without its file."""
    rng = np.random.default_rng(0)
    objects = [cut(blob(rng), drawn_place(rng), SIDE) for _ in range(20)]
    photos = [scene(rng) for _ in range(20)]
    pairs = [(o, p) for o in objects for p in photos]

    def each(make) -> float:
        def work():
            for pair in pairs:  # none is kept, as when files are written
                make(*pair)

        return seconds(work) / len(pairs)

    ours, copies = each(composite), each(lambda _, photo: photo.copy())
    return [Row("cut-out on a photo, 224 pixels", "composite", ours, None, copies, limit_is="a copy of the photo")]


def whole(objects: int = 30, photos: int = 30) -> float:
    """Composites a second of the verb, decoding and PNG files included, on all cores."""
    from experiments.counteranimal.compose import run
    from experiments.counteranimal.factorial import Composition

    rng = np.random.default_rng(0)
    with TemporaryDirectory() as place:
        root = Path(place)
        for part in ("objects/9 ostrich", "scenes"):
            (root / part).mkdir(parents=True)
        for i in range(objects):
            blob(rng).save(root / "objects/9 ostrich" / f"{i}.png")
        for i in range(photos):
            scene(rng).save(root / "scenes" / f"{i}.jpg")
        request = Composition(
            objects=root / "objects", backgrounds=root / "scenes", common=("9=0",), output=root / "out"
        )
        began = perf_counter()
        made = run(request)["written"]
        return made / (perf_counter() - began)


if __name__ == "__main__":
    (row,) = rows()
    print(f"{row.name}: {1 / row.ours:,.0f} a second on one core, {row.ours / row.limit:.1f} times {row.limit_is}")
    print(f"compose with decoding and files: {whole():,.0f} a second")
