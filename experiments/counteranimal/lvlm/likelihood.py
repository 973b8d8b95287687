"""Every competing label of every photo scored by a language model's loss on "A <label>".

Scores are cached like features, under the photo and the names that compete. A name that several labels share is
scored once, so those labels tie exactly.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from experiments.counteranimal.cache import FeatureCache, model_folder
from experiments.counteranimal.encoding import Encoded, Runtime, check_readable, decoded, failures, photo_keys
from experiments.counteranimal.labels import LabelSpace, digest
from experiments.counteranimal.lvlm.losses import label_losses, plain_loss
from experiments.counteranimal.lvlm.model import Inputs, LanguageModel
from experiments.counteranimal.lvlm.prompt import answer_tokens, special_tokens
from experiments.counteranimal.photos import Photo, PhotoSet
from experiments.counteranimal.weights import first_line
from experiments.errors import RequestError, RunError, SoberclipError
from experiments.progress import counting

SHARD_ROWS = 32  # photos between two writes: each costs a pass of a large model
# Largest difference between a loss on a shared prefix and a pass over everything, relative above one nat: rounding.
TOLERANCE = {"fp32": 2e-3, "bf16": 0.25, "fp16": 0.05}
SCORE = "minus the mean loss of the tokens of 'A <label>'"


def score_labels(
    model: LanguageModel,
    photo_set: PhotoSet,
    space: LabelSpace,
    names: Sequence[str],
    cache: Path,
    runtime: Runtime,
    strict: bool = False,
) -> tuple[Encoded, dict[str, Any]]:
    """(scores of all labels, 0 for those that do not compete; what a summary says about them).

    Raises RunError as `encode_photos` does, and if no photo can be read.
    """
    labels = _Labels(model, photo_set, space, names, runtime)
    identity = runtime.identity(model.key) | {"asked": model.prompt.answered("{}")}
    store = FeatureCache(model_folder(cache, identity))
    keys = [
        (f"{labels.digests[photo.class_index]} {path}", size, time)
        for photo, (path, size, time) in zip(photo_set.photos, photo_keys(photo_set), strict=True)
    ]
    missing = [i for i, key in enumerate(keys) if key not in store.rows]
    pipeline = Inputs(model.processor, model.prompt.text, special_tokens(model.processor, model.prompt.text))
    unreadable: dict[str, str] = {}
    waiting: dict[int, list[float]] = {}
    passes = 0

    def write() -> None:
        if waiting:
            longest = max(map(len, waiting.values()))
            rows = [[*row, *[0.0] * (longest - len(row))] for row in waiting.values()]
            store.add([keys[i] for i in waiting], np.array(rows, dtype=np.float32))
            waiting.clear()

    with counting("questions", len(keys), "photos/s") as advance, failures(runtime):
        advance(len(keys) - len(missing))
        if missing:
            model.place(runtime)
        try:
            for i, reason, inputs in decoded(photo_set, pipeline, runtime, missing):
                photo = photo_set.photos[i]
                reason = inputs if isinstance(inputs, str) else reason
                if reason is None:
                    waiting[i] = labels.row(photo, inputs)
                    passes += 1
                else:
                    unreadable[photo.path] = reason
                    if strict:
                        check_readable(unreadable)
                if len(waiting) >= SHARD_ROWS:
                    write()
                advance(1)
        finally:
            write()
        model.module.to("cpu")  # the next model needs the memory
    read = [i for i, photo in enumerate(photo_set.photos) if photo.path not in unreadable]
    if not read:
        path, reason = next(iter(unreadable.items()))
        raise RunError(
            f"{model.spec} can take none of {len(keys)} photos, the first is {path!r} ({reason}); look at them and at "
            "its processor"
        )
    photos, rows = [photo_set.photos[i] for i in read], [store.rows[keys[i]] for i in read]
    scores = np.stack([labels.scores(photo, row) for photo, row in zip(photos, rows, strict=True)])
    encoded = Encoded(photos, scores, unreadable, passes, store.damaged)
    return encoded, {"score": SCORE, "answers_cut": int(sum(row[0] for row in rows))}


class _Labels:
    """The names that compete for the photos of each class, and their answer tokens.

    A row holds the number of answers that were truncated, then a score per distinct name.
    """

    def __init__(
        self, model: LanguageModel, photo_set: PhotoSet, space: LabelSpace, names: Sequence[str], runtime: Runtime
    ):
        self.model, self.photo_set, self.names, self.runtime = model, photo_set, names, runtime
        every = tuple(range(len(names)))
        self.labels = {index: every if space.allowed is None else space.allowed[index] for index in photo_set.classes}
        self.unique = {index: tuple(dict.fromkeys(names[k] for k in row)) for index, row in self.labels.items()}
        self.digests = {index: digest(row) for index, row in self.unique.items()}
        used = list(dict.fromkeys(name for row in dict.fromkeys(self.unique.values()) for name in row))
        _check_special_tokens(model, used)
        self.answers = answer_tokens(model.processor, model.prompt, used)
        self.ids = dict(zip(used, self.answers.ids, strict=True))
        self.checked = False

    def row(self, photo: Photo, inputs: dict[str, Any]) -> list[float]:
        """The row of a photo; an exception of an architecture that does not support this becomes one sentence."""
        names = self.unique[photo.class_index]
        ids = [self.ids[name] for name in names]
        try:
            room = self._room(photo, inputs["input_ids"].shape[1])
            loss = label_losses(
                self.model.module,
                inputs,
                self.answers.dropped,
                [one[:room] for one in ids],
                self.runtime.batch_size,
            )
            truncated = sum(len(one) > room for one in ids)
            if not self.checked and not truncated and np.isfinite(loss).all():
                self._check_prefix(photo, names, loss)
        except (SoberclipError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            kind = self.model.module.config.model_type
            raise RunError(
                f"{self.model.spec}, a model of type {kind!r}, fails on the photo {photo.path!r} "
                f"({type(error).__name__}: {first_line(error)}); finished photos are kept"
            ) from error
        return [truncated, *(-loss).tolist()]

    def scores(self, photo: Photo, row: Float[np.ndarray, " T"]) -> Float[np.ndarray, " L"]:
        """Scores of all labels from a row."""
        place = {name: k for k, name in enumerate(self.unique[photo.class_index], start=1)}
        scores = np.zeros(len(self.names), dtype=np.float32)
        for label in self.labels[photo.class_index]:
            scores[label] = row[place[self.names[label]]]
        return scores

    def _room(self, photo: Photo, prompt: int) -> int:
        """Tokens that are left for an answer."""
        if self.model.longest is None:
            return max(map(len, self.answers.ids))
        room = self.model.longest - prompt + self.answers.dropped
        if room < 1:
            raise RunError(
                f"{self.model.spec} reads {self.model.longest} tokens, and the photo {photo.path!r} with the question "
                f"takes {prompt}: no label fits (finished photos are kept)"
            )
        return room

    def _check_prefix(self, photo: Photo, names: Sequence[str], loss: Float[np.ndarray, " L"]) -> None:
        """Once per run, the longest label in one plain pass: an architecture may not continue from cached keys."""
        self.checked = True
        k = max(range(len(names)), key=lambda k: len(self.ids[names[k]]))
        plain = plain_loss(self.model, self.photo_set.source.image(photo.path), names[k], self.ids[names[k]])
        if not abs(plain - loss[k]) <= TOLERANCE[self.runtime.precision] * max(1.0, abs(plain)):
            raise RunError(
                f"{self.model.spec} gives {names[k]!r} a loss of {loss[k]:.5g} on a shared prefix and of {plain:.5g} "
                f"on its own; models of type {self.model.module.config.model_type!r} cannot be scored this way"
            )


def _check_special_tokens(model: LanguageModel, names: Sequence[str]) -> None:
    """A label with a token such as <image> in its name would be read as a photo, or as an end."""
    for name in names:
        token = next((token for token in model.processor.tokenizer.all_special_tokens if token in name), None)
        if token is not None:
            raise RequestError(f"the label {name!r} holds {token}, a special token of {model.spec}; rename it")
