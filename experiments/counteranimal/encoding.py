"""Photos through a model: decode, preprocess, encode, cache the features.

Batches are cut from the full list of photos and then thinned to those that are not cached. So a run that was killed
and resumed forms the same batches as one that was not, and computes the same bits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch.utils.data import DataLoader, Dataset

from experiments.counteranimal.cache import FeatureCache, model_folder
from experiments.counteranimal.labels import CLASS_COUNT
from experiments.counteranimal.model import LoadedModel
from experiments.counteranimal.photos import Key, Photo, PhotoSet, Source
from experiments.counteranimal.weights import first_line
from experiments.errors import RequestError, RunError
from simulator.naming import suggestion

Precision = Literal["fp32", "bf16", "fp16"]
DEVICES = ("cpu", "cuda", "mps")
SHARD_ROWS = 256  # features per shard; a killed run loses at most so many


@dataclass(frozen=True)
class Runtime:
    """Where and how to run. None of it changes an answer by more than rounding."""

    device: str = "cpu"
    precision: Precision = "fp32"
    batch_size: int = 64
    workers: int = 0

    def __post_init__(self):
        for name, low in (("batch_size", 1), ("workers", 0)):
            if getattr(self, name) < low:
                flag = "--" + name.replace("_", "-")
                raise RequestError(f"{flag} {getattr(self, name)} is below {low}; the nearest valid value is {low}")
        if self.kind not in DEVICES:
            near = suggestion(self.kind, DEVICES, quoted=True)
            raise RequestError(f"device {self.device!r} is not one of {', '.join(DEVICES)}{near}")
        try:
            index = torch.device(self.device).index or 0
        except RuntimeError as error:
            raise RequestError(f"device {self.device!r} is unknown; cpu, cuda, cuda:1 and mps are valid") from error
        cuda = torch.cuda.is_available() and index < torch.cuda.device_count()
        available = {"cpu": True, "cuda": cuda, "mps": torch.backends.mps.is_available()}
        if not available[self.kind]:
            raise RequestError(f"device {self.device!r} is not available here; use --device cpu")
        if self.precision == "fp16" and self.kind == "cpu":
            raise RequestError("precision 'fp16' needs a CUDA device; on the CPU use fp32 or bf16")

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]

    def autocast(self):
        """Automatic mixed precision, as in the models' own evaluation code."""
        if self.precision == "fp32":
            return nullcontext()
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        return torch.autocast(self.kind, dtype=dtype)

    def identity(self, key: str | None) -> dict[str, Any] | None:
        """Everything that a feature depends on besides the photo; None for a model without a key.

        The batch size changes a feature by rounding only.
        """
        return None if key is None else {"model": key, "precision": self.precision, "device": self.kind}


@dataclass
class Encoded:
    """Features of one model's readable photos, in the order of the photo set, and the photos that were left out."""

    photos: list[Photo]
    features: Float[np.ndarray, "N d"]
    unreadable: dict[str, str] = field(default_factory=dict)  # path -> reason
    passes: int = 0  # photos that went through the model in this run
    damaged: list[str] = field(default_factory=list)  # cache shards that were ignored


def encode_photos(
    photo_set: PhotoSet,
    model: LoadedModel,
    cache: Path | None,
    runtime: Runtime,
    advance: Callable[[int], None] = lambda photos: None,
    strict: bool = False,
    labels: int = CLASS_COUNT,
) -> Encoded:
    """Features of every readable photo; `advance` is called with the number of photos finished.

    A classifier's features are its scores of the `labels`. Raises RunError if a decoding process dies, if the device
    runs out of memory or, with `strict`, at the first batch with an unreadable photo. Finished photos stay cached.
    """
    store = FeatureCache(model_folder(cache, runtime.identity(model.key)))
    keys = photo_keys(photo_set)
    missing = [i for i, key in enumerate(keys) if key not in store.rows]
    advance(len(keys) - len(missing))
    unreadable: dict[str, str] = {}
    passes = 0
    waiting: list[tuple[list[int], torch.Tensor]] = []  # photos, and features that are still on the device

    def write() -> None:
        if waiting:
            rows = [keys[i] for indices, _ in waiting for i in indices]
            store.add(rows, torch.cat([features for _, features in waiting]).cpu().numpy())
            waiting.clear()

    with failures(runtime):
        if missing:
            model.module.to(runtime.device)
        for indices, pixels, failed in _batches(photo_set, model.preprocess, runtime, missing):
            unreadable |= {photo_set.photos[i].path: reason for i, reason in failed}
            read = [i for i in indices if photo_set.photos[i].path not in unreadable]
            if read:
                waiting.append((read, forward(model, pixels, runtime, labels)))
                passes += len(read)
            advance(len(indices))
            if strict and unreadable:
                break
            if sum(len(rows) for rows, _ in waiting) >= SHARD_ROWS:
                write()
        write()
    if strict:
        check_readable(unreadable)
    found = [(photo, key) for photo, key in zip(photo_set.photos, keys, strict=True) if photo.path not in unreadable]
    if not found:
        raise RunError(f"none of the {len(keys)} photos in {str(photo_set.root)!r} could be read")
    features = np.stack([store.rows[key] for _, key in found])
    return Encoded([photo for photo, _ in found], features, dict(sorted(unreadable.items())), passes, store.damaged)


def forward(model: LoadedModel, pixels: torch.Tensor, runtime: Runtime, labels: int = CLASS_COUNT) -> torch.Tensor:
    """Features of one batch, float32 on the device: unit embeddings of a CLIP, scores of a classifier."""
    pixels = pixels.to(runtime.device, non_blocking=True)
    with torch.inference_mode(), runtime.autocast():
        out = model.encode_image(pixels)
        if model.family == "CLIP":
            return torch.nn.functional.normalize(out, dim=-1).float()
    check_score_count(model.spec, tuple(out.shape[1:]), labels)
    return out.float()


def check_score_count(spec: str, shape: tuple[int, ...], labels: int) -> None:
    """Raise RequestError unless a classifier gives one score per label."""
    if shape != (labels,):
        which = "1000 ImageNet classes" if labels == CLASS_COUNT else f"{labels} classes of --classes"
        raise RequestError(
            f"{spec or 'the model'} returned scores of shape {shape} per photo; expected one score for each of the "
            f"{which}, in order"
        )


def check_readable(unreadable: dict[str, str]) -> None:
    """Raise RunError if some photos cannot be read."""
    if unreadable:
        path, reason = next(iter(unreadable.items()))
        raise RunError(f"at least {len(unreadable)} photos cannot be read, the first is {path!r} ({reason})")


def photo_keys(photo_set: PhotoSet) -> list[Key]:
    """The cache key of each photo: path, size and modification time."""
    keys: list[Key] = []
    for photo in photo_set.photos:
        try:
            keys.append(photo_set.source.key(photo.path))
        except OSError:  # a broken link, or removed since the listing; decoding will give the reason
            keys.append((photo.path, -1, -1))
    return keys


@contextmanager
def failures(runtime: Runtime) -> Iterator[None]:
    """Turns a full device and a killed decoding process into RunError."""
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
            f"a decoding process ended early, perhaps for lack of memory ({first_line(error)}); "
            f"try fewer --workers than {runtime.workers} (finished photos are kept)"
        ) from error


def decoded(
    photo_set: PhotoSet, pipeline: Callable, runtime: Runtime, wanted: Sequence[int]
) -> Iterator[tuple[int, str | None, Any]]:
    """(index, reason why it cannot be read or None, output of the pipeline) of each wanted photo, decoded ahead."""
    yield from _loader(photo_set, pipeline, runtime, sampler=wanted, batch_size=None, collate_fn=_unchanged)


def _batches(
    photo_set: PhotoSet, preprocess: Callable, runtime: Runtime, missing: Sequence[int]
) -> Iterator[tuple[list[int], torch.Tensor, list[tuple[int, str]]]]:
    """(indices, pixels of the readable ones, failures) of each batch: blocks of the full list, thinned to `missing`."""
    blocks: dict[int, list[int]] = {}
    for i in missing:
        blocks.setdefault(i // runtime.batch_size, []).append(i)
    if blocks:
        pinned = runtime.kind == "cuda"
        options = {"batch_sampler": list(blocks.values()), "collate_fn": _collate, "pin_memory": pinned}
        yield from _loader(photo_set, preprocess, runtime, **options)


def _loader(photo_set: PhotoSet, pipeline: Callable, runtime: Runtime, **options: Any) -> DataLoader:
    return DataLoader(
        _Photos(photo_set.source, photo_set.photos, pipeline),
        num_workers=runtime.workers,
        generator=torch.Generator(),  # otherwise the loader seeds its workers from the global random state
        **options,
    )


class _Photos(Dataset):
    """Decoded and preprocessed photos."""

    def __init__(self, source: Source, photos: Sequence[Photo], preprocess: Callable):
        self.source, self.photos, self.preprocess = source, photos, preprocess

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, i: int):
        try:
            image = self.source.image(self.photos[i].path)
        except ValueError as error:
            return i, str(error), None
        return i, None, self.preprocess(image)


def _collate(items: list) -> tuple[list[int], torch.Tensor, list[tuple[int, str]]]:
    """Stacks the pixels of the readable photos, in the decoding process."""
    pixels = [pixel for _, _, pixel in items if pixel is not None]
    failed = [(i, reason) for i, reason, _ in items if reason is not None]
    return [i for i, _, _ in items], torch.stack(pixels) if pixels else torch.empty(0), failed


def _unchanged(item: Any) -> Any:
    return item
