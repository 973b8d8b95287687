"""A vision language model on a tree of photos: each is asked once, and what the model said is kept.

Rows lie in the same shards as features, under the photo and, where they depend on them, the labels. A killed run
loses SHARD_ROWS photos at most, and goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from experiments.counteranimal.cache import FeatureCache
from experiments.counteranimal.encoding import Encoded, Runtime, failures, one_by_one, photo_keys, refuse
from experiments.counteranimal.lvlm.language import Inputs, LanguageModel, Note
from experiments.counteranimal.lvlm.prompt import special_tokens
from experiments.counteranimal.metrics import Predictions
from experiments.counteranimal.photos.tree import Key, Photo, Tree
from experiments.counteranimal.weights import first_line
from experiments.errors import RunError, SoberclipError
from experiments.progress import counting

SHARD_ROWS = 32  # photos between two writings: each costs a pass of a large model


@runtime_checkable
class Work(Protocol):
    """What is asked of a model, and how its rows are read."""

    def identity(self) -> dict[str, Any]:
        """What every row depends on beside model and photo."""
        ...

    def mark(self, photo: Photo) -> str:
        """What the row of this photo depends on beside that, its labels."""
        ...

    def row(self, photo: Photo, inputs: dict[str, Any], size: int) -> list[float]:
        """What is kept of a photo; `size` answers go through the model at once. Not finite: not kept."""
        ...

    def read(self, encoded: Encoded, note: Note) -> tuple[Predictions, dict[str, Any]]:
        """Predictions, and what the summary says of how they were made."""
        ...


def ask(model: LanguageModel, work: Work, tree: Tree, store: Path, runtime: Runtime, strict: bool = False) -> Encoded:
    """A row of every readable photo, computed where it is not kept yet. Raises RunError as `encode_photos` does."""
    cache = FeatureCache(store, model.identity(runtime, **work.identity()))
    keys = [_marked(key, work.mark(photo)) for key, photo in zip(photo_keys(tree), tree.photos, strict=True)]
    todo = [i for i, key in enumerate(keys) if key not in cache]
    encoded = Encoded(cache, {})
    pipeline = Inputs(model.processor, model.prompt.text, special_tokens(model.processor, model.prompt.text))
    rows = _Rows(cache, keys)
    with counting("questions", len(keys), "photos/s") as advance, rows, failures(runtime):
        advance(len(keys) - len(todo))
        if todo:
            model.place(runtime)
        for i, reason, inputs in one_by_one(tree, pipeline, todo, runtime):
            reason = inputs if isinstance(inputs, str) else reason
            if reason is None:
                rows.put(i, _row(model, work, tree.photos[i], inputs, runtime.batch_size))
                encoded.passes += 1
            else:
                encoded.unreadable[tree.photos[i].path] = reason
                if strict:
                    refuse(encoded.unreadable)
            advance(1)
        model.module.to("cpu")  # the next model needs the room
    encoded.keys = {p.path: k for p, k in zip(tree.photos, keys, strict=True) if p.path not in encoded.unreadable}
    if encoded.unreadable and not encoded.keys:
        path, reason = next(iter(encoded.unreadable.items()))
        raise RunError(
            f"none of {len(keys)} photos can be put to {model.spec}, the first is {path!r} ({reason}); look at them "
            "and at its processor"
        )
    return encoded


def _marked(key: Key, mark: str) -> Key:
    path, size, time = key
    return f"{mark} {path}", size, time


def _row(model: LanguageModel, work: Work, photo: Photo, inputs: dict[str, Any], size: int) -> list[float]:
    """The row of a photo; what an architecture raises that is not made for this becomes one sentence."""
    try:
        return work.row(photo, inputs, size)
    except (SoberclipError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        kind = model.module.config.model_type
        raise RunError(
            f"{model.spec}, a model of type {kind!r}, fails on the photo {photo.path!r} ({type(error).__name__}: "
            f"{first_line(error)}); finished photos are kept"
        ) from error


@dataclass
class _Rows:
    """Rows on their way into the cache, in shards; leaving the context writes the last, whatever ended it."""

    cache: FeatureCache
    keys: Sequence[Key]

    def __enter__(self) -> "_Rows":
        self.waiting: dict[Key, list[float]] = {}
        return self

    def put(self, i: int, row: list[float]) -> None:
        if not np.isfinite(row).all():  # perhaps another precision or device gives numbers
            self.cache.hold([self.keys[i]], np.array([row], dtype=np.float32))
            return
        self.waiting[self.keys[i]] = row
        if len(self.waiting) >= SHARD_ROWS:
            self._write()

    def __exit__(self, *error: Any) -> None:
        if self.waiting:
            self._write()

    def _write(self) -> None:
        longest = max(map(len, self.waiting.values()))
        padded = [[*row, *[-1.0] * (longest - len(row))] for row in self.waiting.values()]
        self.cache.add(list(self.waiting), np.array(padded, dtype=np.float32))
        self.waiting = {}
