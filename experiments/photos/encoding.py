"""Photos through a model: decode, preprocess, encode, and cache the features, so that no photo
passes a model twice.

Each model has one folder, named by a digest of everything that changes a feature: weights,
configuration, preprocessing, library versions, precision, device type. It holds safetensors shards.
A shard has the features of one batch and, as metadata, the keys of its photos or prompts. It is
written atomically, so a killed run loses one batch.

Batches are cut from the full list of photos; cached photos are then left out. So a resumed run
forms the same batches as an uninterrupted one, and computes the same bits.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.numpy import save

from experiments.errors import RequestError, RunError
from experiments.files import output_folder, write_atomically
from experiments.photos.labels import CLASS_COUNT
from experiments.photos.model import LoadedModel
from experiments.photos.options import Options
from experiments.photos.photos import Key, PhotoSet, in_threads
from simulator.progress import counting

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(options: Options) -> Any:
    """Automatic mixed precision, as in the models' own evaluation code."""
    half = options.precision != "fp32"
    return torch.autocast(options.kind, dtype=DTYPES[options.precision]) if half else nullcontext()


class FeatureCache:
    """Features of the model with this key, by photo, all in memory; without a key nothing is
    written.
    """

    def __init__(self, options: Options, key: str | None):
        # The batch size changes features by rounding only.
        identity = {"model": key, "precision": options.precision, "device": options.kind}
        name = sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        users = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        folder = (options.cache or users / "soberclip" / "counteranimal") / name
        self.folder = None if key is None else output_folder(folder)
        self.rows: dict[Key, Float[np.ndarray, " d"]] = {}
        for shard in sorted(self.folder.glob("features-*.safetensors")) if self.folder else ():
            try:
                with safe_open(shard, framework="numpy") as file:
                    keys = [tuple(key) for key in json.loads(file.metadata()["keys"])]
                    self.rows |= zip(keys, file.get_tensor("features"), strict=True)
            except Exception:  # a damaged shard, whose features are computed again
                continue

    def add(self, keys: Sequence[Key], features: Float[np.ndarray, "m d"]) -> None:
        """Keep features, and write the finite ones as one shard: another run may make the others
        finite.
        """
        finite = np.isfinite(features).all(axis=1)
        if self.folder is not None and finite.any():
            listed = json.dumps([key for key, good in zip(keys, finite, strict=True) if good])
            content = save({"features": features[finite]}, metadata={"keys": listed})
            name = f"features-{sha256(listed.encode()).hexdigest()[:24]}.safetensors"
            write_atomically(self.folder / name, lambda temporary: temporary.write_bytes(content))
        self.rows |= zip(keys, features, strict=True)


class Encoded(NamedTuple):
    """One model's features and scores of its readable photos, in the order of the photo set."""

    photos: pd.DataFrame
    features: Float[np.ndarray, "N d"]
    skipped: list[dict[str, str]]  # path and reason of each unreadable photo
    passes: int  # photos that went through the model in this run
    scores: Float[np.ndarray, "N L"]  # of all labels: cosines of a CLIP, else the features
    settings: dict[str, Any]  # how scores were computed, for the summary


def encode_photos(photo_set: PhotoSet, model: LoadedModel, options: Options) -> Encoded:
    """Features of every readable photo; a classifier's are its scores of the labels."""
    store = FeatureCache(options, model.key)
    features = partial(_features, model, options)
    return encode(photo_set, photo_set.keys(), store, options, model.preprocess, features)


def _features(
    model: LoadedModel, options: Options, _: list[int], inputs: list[Any]
) -> torch.Tensor:
    """Features of one batch, float32 on the device: unit embeddings of a CLIP, scores of a
    classifier.
    """
    name = model.spec
    labels = len(options.vocabulary.names)
    shapes = {one.shape if isinstance(one, torch.Tensor) else None for one in inputs}
    if None in shapes or len(shapes) > 1:
        raise RequestError(
            f"{name} preprocesses photos to different shapes, or to no tensor; one shape is"
            " expected"
        )
    model.module.to(options.device)
    pixels = torch.stack(inputs).to(options.device)
    with torch.inference_mode(), autocast(options):
        out = model.encode_image(pixels)
        shape = tuple(getattr(out, "shape", ()))
        if model.embeds_text and shape[:1] == (len(pixels),) and len(shape) == 2:
            return torch.nn.functional.normalize(out, dim=-1).float()
    if model.embeds_text:
        raise RequestError(
            f"{name} returned an array of shape {shape} for {len(pixels)} photos; expected one row"
            " each"
        )
    if shape != (len(pixels), labels):
        which = (
            "1000 ImageNet classes" if labels == CLASS_COUNT else f"{labels} classes of --classes"
        )
        expected = f"expected one score for each of the {which}, in order"
        raise RequestError(f"{name} returned scores of shape {shape[1:]} per photo; {expected}")
    return out.float()


def encode(
    photo_set: PhotoSet,
    keys: Sequence[Key],
    store: FeatureCache,
    options: Options,
    preprocess: Callable[[Any], Any],
    forward: Callable[[list[int], list[Any]], torch.Tensor],
    batch_size: int | None = None,
) -> Encoded:
    """One row per readable photo, from the cache or from forward(indices of a batch, its
    preprocessed inputs).
    """
    size = batch_size or options.batch_size
    paths = photo_set.photos.path
    missing = [i for i, key in enumerate(keys) if key not in store.rows]
    unreadable: dict[str, str] = {}

    def read(i: int) -> Any:
        try:
            return preprocess(photo_set.image(paths[i]))
        except ValueError as error:  # from the decoder, or from a processor that refuses the photo
            unreadable[paths[i]] = str(error)
            return None

    with counting("encoding", len(keys), "photos/s") as advance, failures(options):
        advance(len(keys) - len(missing))
        photos = zip(missing, in_threads(read, missing, size, max(1, options.threads)), strict=True)
        for _, block in groupby(photos, lambda photo: photo[0] // size):
            batch = dict(block)
            good = [i for i in batch if paths[i] not in unreadable]
            if good:
                store.add(
                    [keys[i] for i in good], forward(good, [batch[i] for i in good]).cpu().numpy()
                )
            advance(len(batch))
    loaded = ~paths.isin(unreadable)
    if not loaded.any():
        path, reason = next(iter(unreadable.items()))
        raise RunError(
            f"none of the {len(keys)} photos could be read, the first is {path!r} ({reason})"
        )
    rows = np.stack([store.rows[key] for key, good in zip(keys, loaded, strict=True) if good])
    skipped = [{"path": path, "reason": reason} for path, reason in sorted(unreadable.items())]
    passes = len(missing) - len(unreadable)
    return Encoded(photo_set.photos[loaded].reset_index(drop=True), rows, skipped, passes, rows, {})


@contextmanager
def failures(options: Options) -> Iterator[None]:
    """Turn exhausted memory into RunError."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        smaller = (
            f"--batch-size {options.batch_size // 2}" if options.batch_size > 1 else "--device cpu"
        )
        where = f"{options.device} ran out of memory at --batch-size {options.batch_size}"
        raise RunError(f"{where}; try {smaller} (finished photos are kept)") from error
