"""Photos through models: decode once, preprocess for each model, encode, keep features.

Memory holds a few batches of pixels and one shard of features, whatever the size of the data set. Batches are
cut from the full list of photos and then thinned by what the cache has, so a run that was killed and resumed
forms the same batches as one that was not, and gets the same bits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from experiments.counteranimal.cache import FeatureCache
from experiments.counteranimal.identity import Undescribed, fingerprint
from experiments.counteranimal.labels import CLASS_COUNT
from experiments.counteranimal.loaded import LoadedModel
from experiments.counteranimal.photos.tree import Files, Key, Photo, Tree
from experiments.errors import RequestError, RunError
from simulator.naming import suggestion

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
            kinds = ("cpu", "cuda", "mps")
            near = suggestion(kind, kinds, quoted=True)
            raise RequestError(f"device {self.device!r} is not one of {', '.join(kinds)}{near}")
        try:
            index = torch.device(self.device).index or 0
        except RuntimeError as error:
            raise RequestError(f"device {self.device!r} is no device; cpu, cuda, cuda:1 and mps are") from error
        cuda = torch.cuda.is_available() and index < torch.cuda.device_count()
        available = {"cpu": True, "cuda": cuda, "mps": torch.backends.mps.is_available()}
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
    strict: bool = False,
    labels: int = CLASS_COUNT,
) -> list[Encoded]:
    """Make sure that every readable photo has features of every model; `advance` hears of photos finished.

    Models with equal keys are one model and share its features; a classifier's are its scores of so many labels. Raises
    RunError if a decoding process dies, the device runs out of memory or, where `strict`, at the first batch with a
    photo that cannot be read; what was encoded by then is kept.
    """
    place, distinct = _distinct(models)
    results = [Encoded(FeatureCache(cache, identity(model, runtime)), {}) for model in distinct]
    shared = [_pipeline_key(model) for model in distinct]
    pipelines = {key: model.preprocess for key, model in zip(shared, distinct, strict=True)}
    pipeline = [list(pipelines).index(key) for key in shared]
    keys = _photo_keys(tree)
    batches, needs = _plan(keys, [r.cache for r in results], runtime.batch_size)
    advance(len(keys) - sum(map(len, batches)))
    wanted = [{pipeline[m] for m in range(len(distinct)) if needs[m][i]} for i in range(len(keys))]
    loader = DataLoader(
        _Photos(tree.files, tree.photos, wanted, list(pipelines.values())),
        batch_sampler=batches,
        num_workers=runtime.workers,
        collate_fn=_collate,
        pin_memory=runtime.device.startswith("cuda"),
        generator=torch.Generator(),  # else the loader seeds its workers from the global random state
    )
    writers = [_Writer(result.cache, keys) for result in results]
    unreadable: dict[str, str] = {}
    with failures(runtime):
        for model in distinct:
            model.module.to(runtime.device)
        for indices, stacks, failed in loader:
            unreadable |= {tree.photos[i].path: reason for i, reason in failed}
            for m, model in enumerate(distinct):
                rows, pixels = _share(stacks.get(pipeline[m]), needs[m])
                if rows:
                    writers[m].put(rows, forward(model, pixels, runtime, labels))
                    results[m].passes += len(rows)
            advance(len(indices))
            if strict and unreadable:
                break
        for writer in writers:
            writer.flush()
    if strict and unreadable:
        path, reason = next(iter(unreadable.items()))
        raise RunError(f"at least {len(unreadable)} photos cannot be read, the first is {path!r} ({reason})")
    for result in results:
        result.unreadable = dict(sorted(unreadable.items()))
        result.keys = {p.path: key for p, key in zip(tree.photos, keys, strict=True) if p.path not in unreadable}
    return [results[i] for i in place]


def _distinct(models: Sequence[LoadedModel]) -> tuple[list[int], list[LoadedModel]]:
    """(position among the distinct models of each model, the distinct models)."""
    keys = [model.key or id(model) for model in models]
    order = list(dict.fromkeys(keys))
    return [order.index(key) for key in keys], [models[keys.index(key)] for key in order]


def _pipeline_key(model: LoadedModel) -> str | int:
    """Equal for preprocessing that does the same: by its description, or the very same object."""
    try:
        return fingerprint(model.preprocess)
    except Undescribed:
        return id(model.preprocess)


def _photo_keys(tree: Tree) -> list[Key]:
    keys: list[Key] = []
    for photo in tree.photos:
        try:
            keys.append(tree.files.key(photo.path))
        except OSError:  # a broken link, or gone since the listing; decoding will name the reason
            keys.append((photo.path, -1, -1))
    return keys


def _share(stack: tuple[list[int], torch.Tensor] | None, needed: list[bool]) -> tuple[list[int], torch.Tensor]:
    """The part of a batch that one model lacks."""
    if stack is None:
        return [], torch.empty(0)
    rows, pixels = stack
    mine = [j for j, i in enumerate(rows) if needed[i]]
    return (rows, pixels) if len(mine) == len(rows) else ([rows[j] for j in mine], pixels[mine])


@contextmanager
def failures(runtime: Runtime) -> Iterator[None]:
    """What can go wrong on a sound request, as RunError: memory of the device, a killed decoding process."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        smaller = f"try --batch-size {runtime.batch_size // 2}" if runtime.batch_size > 1 else "try --device cpu"
        raise RunError(
            f"{runtime.device} ran out of memory at --batch-size {runtime.batch_size}; {smaller} "
            "(finished photos are kept)"
        ) from error
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise RunError(
            f"a decoding process ended early, perhaps for want of memory ({str(error).splitlines()[0].rstrip('.')}); "
            f"try fewer --workers than {runtime.workers} (finished photos are kept)"
        ) from error


def forward(model: LoadedModel, pixels: torch.Tensor, runtime: Runtime, labels: int = CLASS_COUNT) -> torch.Tensor:
    """Features of one batch, float32 on the device: unit embeddings of a CLIP, logits of a classifier."""
    pixels = pixels.to(runtime.device, non_blocking=True)
    with torch.inference_mode(), runtime.autocast():
        out = model.encode_image(pixels)
        if model.encode_text is not None:
            return torch.nn.functional.normalize(out, dim=-1).float()
    if out.ndim != 2 or out.shape[1] != labels:
        which = "ImageNet-1k's are" if labels == CLASS_COUNT else "those of --classes are"
        raise RequestError(
            f"{model.spec or 'the model'} answers with scores of shape {tuple(out.shape[1:])} a photo; the labels, "
            f"{which} {labels}, in their order and with no class beside them"
        )
    return out.float()


def identity(model: LoadedModel, runtime: Runtime) -> dict[str, Any] | None:
    """Everything that a feature depends on beside the photo; None for a model that cannot be described.

    The batch size moves a feature by rounding only.
    """
    if model.key is None:
        return None
    return {"model": model.key, "precision": runtime.precision, "device": runtime.device.partition(":")[0]}


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

    def __init__(self, files: Files, photos: Sequence[Photo], wanted: list[set[int]], pipelines: list[Callable]):
        self.files, self.photos, self.wanted, self.pipelines = files, photos, wanted, pipelines

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, i: int):
        try:
            image = self.files.image(self.photos[i].path)
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
        keys, features = [self.keys[i] for i in self.rows], np.concatenate(self.features)
        finite = np.isfinite(features).all(axis=1)
        if finite.any():
            self.cache.add([key for key, sound in zip(keys, finite, strict=True) if sound], features[finite])
        if not finite.all():  # never kept: perhaps another precision or device gives numbers
            self.cache.hold([key for key, sound in zip(keys, finite, strict=True) if not sound], features[~finite])
        self.rows, self.features = [], []
