"""How many photos a second `counteranimal evaluate` encodes, beside the bare model on pixels that lie ready: the limit.

ResNet-50 on photos of 320 x 256, a tenth of whose time decoding takes; where it takes more, more workers hide it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch

from experiments.counteranimal.encoding import Runtime, encode_photos
from experiments.counteranimal.loaded import LoadedModel, finished
from experiments.counteranimal.photos.reading import read_tree
from simulator.pixels.decoding import decode
from simulator.streams import numpy_stream

GOAL = 0.9  # of the bare model's throughput
REPEATS = 3  # the best counts: a loaded machine disturbs both alike


def main(device: str) -> None:
    """Print the table as Markdown."""
    print("\n| evaluation | photos a second | ours / goal | ours / limit |")
    print("|---|---|---|---|")
    each, limit = encoded(device)
    print(f"| ResNet-50, {device}, end to end | {1 / each:,.0f} | {limit / each / GOAL:.2g} | {each / limit:.3g} |")


def encoded(device: str, photos: int = 96, batch: int = 16) -> tuple[float, float]:
    """Seconds a photo, from its file to its features, and of the model alone."""
    import torchvision

    module = torchvision.models.resnet50(weights=None).eval().to(device)
    preprocess = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    model = finished(LoadedModel("resnet50", "ImageNet", module, module, preprocess))
    with TemporaryDirectory() as folder:
        _photos(Path(folder) / "data", photos)
        tree = read_tree(Path(folder) / "data")
        pixels = torch.stack([preprocess(decode(tree.root / photo.path)) for photo in tree.photos])

        def bare() -> None:
            with torch.inference_mode():
                for part in pixels.split(batch):
                    module(part.to(device)).cpu()

        def whole(run: int) -> None:
            runtime = Runtime(device=device, batch_size=batch, workers=0 if device == "cpu" else 8)
            encode_photos(tree, model, Path(folder) / f"cache-{run}", runtime)  # a cache that is empty

        bare()
        taken = [(_seconds(lambda run=run: whole(run)), _seconds(bare)) for run in range(REPEATS)]
    ours, limit = map(min, zip(*taken, strict=True))
    return ours / photos, limit / photos


def _seconds(work) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def _photos(root: Path, count: int) -> None:
    """Photos of smooth noise, which compresses as photos do."""
    import numpy as np
    from PIL import Image

    rng = numpy_stream(0, "benchmark/photos")
    for k in range(count):
        folder = root / "9 ostrich" / f"{('common', 'counter')[k % 2]}-x"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, size=(8, 10, 3), dtype=np.uint8))
        coarse.resize((320, 256), Image.Resampling.BICUBIC).save(folder / f"{k}.jpg")
