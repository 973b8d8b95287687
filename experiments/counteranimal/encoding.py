"""Photos through a model: decode, preprocess, encode, keep features.

Memory holds a few batches of pixels and one shard of features, whatever the size of the data set. Batches are
cut from the full list of photos and then thinned by what the cache has, so a run that was killed and resumed
forms the same batches as one that was not, and gets the same bits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from experiments.counteranimal.cache import FeatureCache
from experiments.counteranimal.labels import CLASS_COUNT
from experiments.counteranimal.loaded import LoadedModel, Model
from experiments.counteranimal.photos.tree import Files, Key, Photo, Tree
from experiments.counteranimal.photos.tree import unreadable as broken
from experiments.counteranimal.weights import first_line
from experiments.errors import RequestError, RunError
from simulator.naming import suggestion

Precision = Literal["fp32", "bf16", "fp16"]
FEW = 100  # photos without features that are looked at before a model is loaded for them
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
    model: Model,
    cache: Path,
    runtime: Runtime,
    advance: Callable[[int], None] = lambda photos: None,
    strict: bool = False,
    labels: int = CLASS_COUNT,
) -> Encoded:
    """Make sure that every readable photo has features; `advance` is called with the number of photos finished.

    A classifier's features are its scores of so many labels. A model whose features are all kept is not loaded. Raises
    RunError if a decoding process dies, the device runs out of memory or, where `strict`, at the first batch with a
    photo that cannot be read; what was encoded by then is kept.
    """
    result, keys = Encoded(FeatureCache(cache, identity(model, runtime)), {}), photo_keys(tree)
    unreadable: dict[str, str] = {}
    lacking = [i for i, key in enumerate(keys) if key not in result.cache]
    if lacking and len(lacking) <= FEW and len(lacking) < len(keys):
        # A few broken photos in a set that is otherwise known are no reason to load a model.
        unreadable = broken(replace(tree, photos=tuple(tree.photos[i] for i in lacking)))
        lacking = [i for i in lacking if tree.photos[i].path not in unreadable]
    batches = _batches(lacking, runtime)
    advance(len(keys) - sum(map(len, batches)))
    if batches and not (strict and unreadable):
        writer = _Writer(result.cache, keys)
        passing = _Passing(model.ready(), runtime, labels)
        for indices, pixels, failed in passing.batches(tree, batches):
            unreadable |= {tree.photos[i].path: reason for i, reason in failed}
            read = [i for i in indices if tree.photos[i].path not in unreadable]
            if read:
                with failures(runtime):
                    writer.put(read, forward(passing.model, pixels, runtime, labels))
                result.passes += len(read)
            advance(len(indices))
            if strict and unreadable:
                break
        with failures(runtime):
            writer.flush()
    if strict:
        refuse(unreadable)
    result.unreadable = dict(sorted(unreadable.items()))
    result.keys = {p.path: key for p, key in zip(tree.photos, keys, strict=True) if p.path not in unreadable}
    return result


class _Passing:
    """A model on its device, and photos on their way to it."""

    def __init__(self, model: LoadedModel, runtime: Runtime, labels: int):
        self.model, self.runtime, self.labels = model, runtime, labels
        with failures(runtime):
            model.module.to(runtime.device)

    def batches(self, tree: Tree, batches: list[list[int]]) -> Iterator[tuple[list[int], torch.Tensor, list]]:
        """(indices, pixels of those that could be read, failures) of each batch, decoded ahead by other processes."""
        pinned = self.runtime.device.startswith("cuda")
        with failures(self.runtime):
            yield from _decoded(
                tree,
                self.model.preprocess,
                self.runtime,
                batch_sampler=batches,
                collate_fn=_collate,
                pin_memory=pinned,
            )


def refuse(unreadable: dict[str, str]) -> None:
    """Raise RunError if some photos cannot be read."""
    if unreadable:
        path, reason = next(iter(unreadable.items()))
        raise RunError(f"at least {len(unreadable)} photos cannot be read, the first is {path!r} ({reason})")


def one_by_one(
    tree: Tree, pipeline: Callable, wanted: Sequence[int], runtime: Runtime
) -> Iterator[tuple[int, str | None, Any]]:
    """(index, why it cannot be read or None, what the pipeline made of it) of each wanted photo, decoded ahead."""
    yield from _decoded(tree, pipeline, runtime, sampler=wanted, batch_size=None, collate_fn=_as_it_is)


def _decoded(tree: Tree, pipeline: Callable, runtime: Runtime, **how: Any) -> DataLoader:
    """Photos through a pipeline in decoding processes; `how` says which of them together."""
    return DataLoader(
        _Photos(tree.files, tree.photos, pipeline),
        num_workers=runtime.workers,
        generator=torch.Generator(),  # else the loader seeds its workers from the global random state
        **how,
    )


def _as_it_is(item: Any) -> Any:
    return item


def _batches(lacking: list[int], runtime: Runtime) -> list[list[int]]:
    """Blocks of the full list, thinned to photos that have no features."""
    blocks: dict[int, list[int]] = {}
    for i in lacking:
        blocks.setdefault(i // runtime.batch_size, []).append(i)
    return list(blocks.values())


def photo_keys(tree: Tree) -> list[Key]:
    keys: list[Key] = []
    for photo in tree.photos:
        try:
            keys.append(tree.files.key(photo.path))
        except OSError:  # a broken link, or gone since the listing; decoding will name the reason
            keys.append((photo.path, -1, -1))
    return keys


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
            f"a decoding process ended early, perhaps for want of memory ({first_line(error)}); "
            f"try fewer --workers than {runtime.workers} (finished photos are kept)"
        ) from error


def forward(model: LoadedModel, pixels: torch.Tensor, runtime: Runtime, labels: int = CLASS_COUNT) -> torch.Tensor:
    """Features of one batch, float32 on the device: unit embeddings of a CLIP, logits of a classifier."""
    pixels = pixels.to(runtime.device, non_blocking=True)
    with torch.inference_mode(), runtime.autocast():
        out = model.encode_image(pixels)
        if model.family == "CLIP":
            return torch.nn.functional.normalize(out, dim=-1).float()
    refuse_other_labels(model.spec, tuple(out.shape[1:]), labels)
    return out.float()


def refuse_other_labels(spec: str, shape: tuple[int, ...], labels: int) -> None:
    """Raise RequestError unless a classifier gives one score a label, computed now or kept from an earlier run."""
    if shape != (labels,):
        which = "ImageNet-1k's are" if labels == CLASS_COUNT else "those of --classes are"
        raise RequestError(
            f"{spec or 'the model'} answers with scores of shape {shape} a photo; the labels, {which} {labels}, in "
            "their order and with no class beside them"
        )


def identity(model: Model, runtime: Runtime) -> dict[str, Any] | None:
    """Everything that a feature depends on beside the photo; None for a model that cannot be described.

    The batch size moves a feature by rounding only.
    """
    if model.key is None:
        return None
    return {"model": model.key, "precision": runtime.precision, "device": runtime.device.partition(":")[0]}


class _Photos(Dataset):
    """Decoded photos, preprocessed."""

    def __init__(self, files: Files, photos: Sequence[Photo], preprocess: Callable):
        self.files, self.photos, self.preprocess = files, photos, preprocess

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, i: int):
        try:
            image = self.files.image(self.photos[i].path)
        except ValueError as error:
            return i, str(error), None
        return i, None, self.preprocess(image)


def _collate(items: list) -> tuple[list[int], torch.Tensor, list[tuple[int, str]]]:
    """(all indices, stacked pixels of those that were read, failures); stacked here, so that workers do it."""
    pixels = [pixel for _, _, pixel in items if pixel is not None]
    failed = [(i, reason) for i, reason, _ in items if reason is not None]
    return [i for i, _, _ in items], torch.stack(pixels) if pixels else torch.empty(0), failed


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
