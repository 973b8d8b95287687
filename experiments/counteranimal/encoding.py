"""Photos through models: decode once, preprocess for each model, encode, keep features.

Memory holds a few batches of pixels and one shard of features, whatever the size of the data set. Batches are
cut from the full list of photos and then thinned by what the cache has, so a run that was killed and resumed
forms the same batches as one that was not, and gets the same bits.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from experiments.counteranimal.cache import FeatureCache, Key, photo_key
from experiments.counteranimal.dataset import Photo, Tree, decode
from experiments.counteranimal.models import LoadedModel, described
from experiments.errors import RequestError, RunError

Precision = Literal["fp32", "bf16", "fp16"]
SHARD_ROWS = 256  # features kept in memory before a shard is written; a kill loses at most so many


@dataclass(frozen=True)
class Runtime:
    """Where and how to run: nothing here changes which answer is right."""

    device: str = "cpu"
    precision: Precision = "fp32"
    batch_size: int = 64
    workers: int = 0

    def __post_init__(self):
        for name, low in (("batch_size", 1), ("workers", 0)):
            if getattr(self, name) < low:
                flag = "--" + name.replace("_", "-")
                raise RequestError(f"{flag} {getattr(self, name)} is below {low}; the nearest valid value is {low}")
        kind = self.device.partition(":")[0]
        if kind not in ("cpu", "cuda", "mps"):
            raise RequestError(f"device {self.device!r} is not one of cpu, cuda, mps; the nearest is 'cpu'")
        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not available[kind]:
            raise RequestError(f"device {self.device!r} is not available here; use --device cpu")
        if self.precision == "fp16" and kind == "cpu":
            raise RequestError("precision 'fp16' needs a CUDA device; on the CPU use fp32 or bf16")

    def autocast(self):
        """Automatic mixed precision, as the models' own evaluation code runs it."""
        if self.precision == "fp32":
            return nullcontext()
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        return torch.autocast(self.device.partition(":")[0], dtype=dtype)


@dataclass
class Encoded:
    """Features of one model's readable photos, in the cache, and the photos that could not be read."""

    cache: FeatureCache
    keys: dict[str, Key]  # path -> key, readable photos only
    unreadable: dict[str, str] = field(default_factory=dict)
    passes: int = 0  # photos that went through the model in this run


def encode_photos(
    tree: Tree,
    models: Sequence[LoadedModel],
    cache: Path,
    runtime: Runtime,
    advance: Callable[[int], None] = lambda photos: None,
) -> list[Encoded]:
    """Make sure that every readable photo has features of every model; `advance` hears of photos finished."""
    results = [Encoded(FeatureCache(cache, identity(model, runtime)), {}) for model in models]
    pipelines = {described(model.preprocess): model.preprocess for model in models}
    names = list(pipelines)
    pipeline = [names.index(described(model.preprocess)) for model in models]
    keys: list[Key] = []
    for photo in tree.photos:
        try:
            keys.append(photo_key(tree.root, photo.path))
        except OSError:  # a broken link, or gone since the listing; decoding will name the reason
            keys.append((photo.path, -1, -1))
    batches, needs = _plan(keys, [r.cache for r in results], runtime.batch_size)
    advance(len(keys) - sum(map(len, batches)))
    wanted = [{pipeline[m] for m in range(len(models)) if needs[m][i]} for i in range(len(keys))]
    data = _Photos(tree.root, tree.photos, wanted, [pipelines[name] for name in names])
    loader = DataLoader(
        data,
        batch_sampler=batches,
        num_workers=runtime.workers,
        collate_fn=_collate,
        pin_memory=runtime.device.startswith("cuda"),
        generator=torch.Generator(),  # else the loader seeds its workers from the global random state
    )
    writers = [_Writer(result.cache, keys) for result in results]
    for model in models:
        model.module.to(runtime.device)
    unreadable: dict[str, str] = {}
    try:
        for indices, stacks, failed in loader:
            unreadable |= {tree.photos[i].path: reason for i, reason in failed}
            for m, model in enumerate(models):
                if pipeline[m] not in stacks:
                    continue
                rows, pixels = stacks[pipeline[m]]
                mine = [j for j, i in enumerate(rows) if needs[m][i]]
                if not mine:
                    continue
                if len(mine) < len(rows):
                    rows, pixels = [rows[j] for j in mine], pixels[mine]
                writers[m].put(rows, forward(model, pixels, runtime))
                results[m].passes += len(rows)
            advance(len(indices))
        for writer in writers:
            writer.flush()
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"the device ran out of memory at --batch-size {runtime.batch_size}; "
            f"try {max(1, runtime.batch_size // 2)} (finished photos are kept)"
        ) from error
    for result in results:
        result.unreadable = dict(sorted(unreadable.items()))
        result.keys = {p.path: key for p, key in zip(tree.photos, keys, strict=True) if p.path not in unreadable}
    return results


def forward(model: LoadedModel, pixels: torch.Tensor, runtime: Runtime) -> torch.Tensor:
    """Features of one batch, float32 on the device: unit embeddings of a CLIP, logits of a classifier."""
    pixels = pixels.to(runtime.device, non_blocking=True)
    with torch.inference_mode(), runtime.autocast():
        out = model.encode_image(pixels)
        if model.encode_text is not None:
            out = torch.nn.functional.normalize(out, dim=-1)
    return out.float()


def identity(model: LoadedModel, runtime: Runtime) -> dict[str, Any]:
    """Everything that a feature depends on beside the photo. The batch size moves it by rounding only."""
    return {
        "spec": model.spec,
        "weights": model.settings["weights_hash"],
        "activation": model.settings["activation"],
        "preprocessing": described(model.preprocess),
        "precision": runtime.precision,
        "device": runtime.device.partition(":")[0],
    }


def _plan(keys: Sequence[Key], caches: Sequence[FeatureCache], size: int) -> tuple[list[list[int]], list[list[bool]]]:
    """Blocks of the full list thinned to photos that some cache lacks, and which cache lacks which."""
    needs = [[key not in cache for key in keys] for cache in caches]
    batches = []
    for start in range(0, len(keys), size):
        block = [i for i in range(start, min(start + size, len(keys))) if any(need[i] for need in needs)]
        if block:
            batches.append(block)
    return batches, needs


class _Photos(Dataset):
    """Decoded photos, once through each pipeline that still needs them."""

    def __init__(self, root: Path, photos: Sequence[Photo], wanted: list[set[int]], pipelines: list[Callable]):
        self.root, self.photos, self.wanted, self.pipelines = root, photos, wanted, pipelines

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, i: int):
        try:
            image = decode(self.root / self.photos[i].path)
        except ValueError as error:
            return i, str(error), {}
        return i, None, {p: self.pipelines[p](image) for p in self.wanted[i]}


def _collate(items: list):
    """(all indices, pipeline -> (indices, stacked pixels), failures); stacked here, so that workers do it."""
    indices = [i for i, _, _ in items]
    failed = [(i, reason) for i, reason, _ in items if reason is not None]
    stacks = {}
    for p in {p for _, _, pixels in items for p in pixels}:
        rows = [i for i, _, pixels in items if p in pixels]
        stacks[p] = rows, torch.stack([pixels[p] for _, _, pixels in items if p in pixels])
    return indices, stacks, failed


class _Writer:
    """Collects features of a model and writes them in shards of whole batches.

    It fetches a batch from the device one step late, so that the device computes while the host waits for pixels.
    """

    def __init__(self, cache: FeatureCache, keys: Sequence[Key]):
        self.cache, self.keys = cache, keys
        self.pending: tuple[list[int], torch.Tensor] | None = None
        self.rows: list[int] = []
        self.features: list[np.ndarray] = []

    def put(self, rows: list[int], features: torch.Tensor) -> None:
        self._fetch()
        self.pending = rows, features
        if len(self.rows) >= SHARD_ROWS:
            self._write()

    def flush(self) -> None:
        self._fetch()
        if self.rows:
            self._write()

    def _fetch(self) -> None:
        if self.pending is not None:
            self.rows += self.pending[0]
            self.features.append(self.pending[1].cpu().numpy())
            self.pending = None

    def _write(self) -> None:
        self.cache.add([self.keys[i] for i in self.rows], np.concatenate(self.features))
        self.rows, self.features = [], []
