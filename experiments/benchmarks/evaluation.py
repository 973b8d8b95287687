"""How many photos a second `counteranimal evaluate` encodes, beside the bare model on pixels that lie ready: the limit.

ResNet-50 on photos of 320 x 256, a tenth of whose time decoding takes; where it takes more, more workers hide it. And
how long a model takes whose features are all cached: from the features to the summary.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from experiments.counteranimal.cache import FeatureCache, model_folder
from experiments.counteranimal.encoding import SHARD_ROWS, Runtime, encode_photos
from experiments.counteranimal.labels import CLASS_COUNT, LabelSpace
from experiments.counteranimal.model import LoadedModel, PlainCallable, finished
from experiments.counteranimal.photos import GROUPS, Photo, PhotoSet
from experiments.counteranimal.reading import read_photos
from experiments.counteranimal.scoring import Scorer, predict, scored
from experiments.counteranimal.summaries import summarise, write_result
from simulator.streams import numpy_stream

GOAL = 0.9  # of the bare model's throughput
REPEATS = 3  # the best counts: a loaded machine disturbs both alike
KEPT = 10_000  # photos of a cached model
WAITED = 5.0  # seconds that it may take


def main(device: str) -> None:
    """Print the table as Markdown."""
    print("\n| evaluation | photos a second | ours / goal | ours / limit |")
    print("|---|---|---|---|")
    for name, tar in (("folders", False), ("a tar shard", True)):
        each, limit = encoded(device, tar)
        rate = f"{1 / each:,.0f} | {limit / each / GOAL:.2g} | {each / limit:.3g}"
        print(f"| ResNet-50, {device}, from {name} to features | {rate} |")
    seconds = cached()
    print(f"| {KEPT:,} photos that are kept, to the summary | {KEPT / seconds:,.0f} | {seconds / WAITED:.2g} |  |")


def encoded(device: str, tar: bool = False, photos: int = 96, batch: int = 16) -> tuple[float, float]:
    """Seconds a photo, from its file (or from a tar file) to its features, and of the model alone."""
    import torchvision

    module = torchvision.models.resnet50(weights=None).eval().to(device)
    preprocess = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    model = finished(LoadedModel("ImageNet", module, module, preprocess))
    with TemporaryDirectory() as folder:
        _photos(Path(folder) / "data", photos)
        tree = read_photos(_packed(Path(folder) / "data") if tar else Path(folder) / "data")
        pixels = torch.stack([preprocess(tree.source.image(photo.path)) for photo in tree.photos])

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


def cached(photos: int = KEPT, labels: int = CLASS_COUNT, width: int = 512) -> float:
    """Seconds from cached features to a summary of 1000 labels and its files."""
    rng = numpy_stream(0, "benchmark/cached")
    with TemporaryDirectory() as folder:
        shots = [Photo(f"{i}", 9 + i % 45, GROUPS[i // 45 % 2], "x") for i in range(photos)]
        tree = PhotoSet(Path(folder), tuple(shots), {9 + c: str(c) for c in range(45)}, (), _Nowhere())
        model = LoadedModel("CLIP", PlainCallable(), _never, _never, key="k")
        store = FeatureCache(model_folder(Path(folder), Runtime().identity(model.key)))
        for start in range(0, photos, SHARD_ROWS):
            some = [tree.source.key(photo.path) for photo in shots[start : start + SHARD_ROWS]]
            store.add(some, rng.standard_normal((len(some), width), dtype=np.float32))
        score = Scorer(labels, rng.standard_normal((labels, width), dtype=np.float32), range(labels))

        def whole() -> None:
            encoded = encode_photos(tree, model, Path(folder), Runtime())
            predictions = predict(tree, scored(encoded, score), LabelSpace("1000"))
            settings = {"prompts": "simple", "labels": "1000", "data": "cached"}
            document, counts = summarise("evaluate", "cached", "CLIP", predictions, settings, 0)
            write_result(Path(folder) / "out", document, predictions, counts)

        return min(_seconds(whole) for _ in range(REPEATS))


class _Nowhere:
    """Files that are never opened."""

    def key(self, path: str) -> tuple[str, int, int]:
        return path, 1, 1

    def image(self, path: str):
        raise ValueError("never opened")


def _never(*_: object) -> torch.Tensor:
    raise AssertionError("a photo whose features are cached was encoded")


def _packed(data: Path) -> Path:
    import tarfile

    shard = data.with_suffix(".tar")
    with tarfile.open(shard, "w") as tar:
        tar.add(data, data.name)
    return shard


def _seconds(work) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def _photos(root: Path, count: int) -> None:
    """Photos of smooth noise, which compresses as photos do."""
    from PIL import Image

    rng = numpy_stream(0, "benchmark/photos")
    for k in range(count):
        folder = root / "9 ostrich" / f"{('common', 'counter')[k % 2]}-x"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, size=(8, 10, 3), dtype=np.uint8))
        coarse.resize((320, 256), Image.Resampling.BICUBIC).save(folder / f"{k}.jpg")
