"""`counteranimal evaluate`: photos from files to features, and cached features to a summary.

The limit is the model alone on pixels in memory: ResNet-50 on photos of 320 x 256, where decoding takes a tenth.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from experiments.benchmarks.timing import Row, once
from experiments.counteranimal.encoding import Runtime, encode_photos
from experiments.counteranimal.model import LoadedModel, finished
from experiments.counteranimal.photos import read_photos
from simulator.streams import numpy_stream


def rows(device: str) -> Iterator[Row]:
    """From files to features."""
    ours, limit = encoded(device)
    yield Row("ResNet-50, from files to features", "photo", ours, None, limit, "limit: the model alone")


def encoded(device: str, photos: int = 96, batch: int = 16) -> tuple[float, float]:
    """Seconds per photo of `evaluate`, and of the model alone; the better of three runs each."""
    import torchvision  # an optional extra

    module = torchvision.models.resnet50(weights=None).eval().to(device)
    preprocess = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    model = finished(LoadedModel("ImageNet", module, module, preprocess))
    runtime = Runtime(device=device, batch_size=batch, workers=0 if device == "cpu" else 8)
    with TemporaryDirectory() as folder:
        save_photos(Path(folder) / "data", photos)
        tree = read_photos(Path(folder) / "data")
        pixels = torch.stack([preprocess(tree.source.image(photo.path)) for photo in tree.photos])

        @torch.inference_mode()
        def bare() -> None:
            for part in pixels.split(batch):
                module(part.to(device)).cpu()

        bare()
        times = [
            (once(lambda k=k: encode_photos(tree, model, Path(folder) / f"cache-{k}", runtime)), once(bare))
            for k in range(3)
        ]
    ours, limit = map(min, zip(*times, strict=True))
    return ours / photos, limit / photos


def save_photos(root: Path, count: int) -> None:
    """Photos of smooth noise, which compresses as photos do."""
    rng = numpy_stream(0, "benchmark/photos")
    for k in range(count):
        folder = root / "9 ostrich" / f"{('common', 'counter')[k % 2]}-x"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, size=(8, 10, 3), dtype=np.uint8))
        coarse.resize((320, 256), Image.Resampling.BICUBIC).save(folder / f"{k}.jpg")
