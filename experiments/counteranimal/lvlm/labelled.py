"""Photos asked for a score of every label that competes: what is kept of them, and how it is read.

A row holds how many of its answers were cut, then a score a name. A name that several labels share is scored once,
so they tie exactly.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from experiments.counteranimal.encoding import Encoded, Runtime
from experiments.counteranimal.labels import LabelSpace, digest
from experiments.counteranimal.lvlm.language import LanguageModel, Note
from experiments.counteranimal.lvlm.prompt import answer_tokens
from experiments.counteranimal.lvlm.scoring import label_losses, plain_loss
from experiments.counteranimal.metrics import Predictions
from experiments.counteranimal.photos.tree import Photo, Tree
from experiments.counteranimal.scoring import ranked
from experiments.errors import RequestError, RunError

# By how much a loss on kept keys and values may differ from a pass over everything, relative above one nat: rounding.
TOLERANCE = {"fp32": 2e-3, "bf16": 0.25, "fp16": 0.05}
SCORE = "minus the mean loss of the tokens of 'A <label>'"


class Labelled:
    """`asking.Work` for scores of labels."""

    def __init__(self, model: LanguageModel, tree: Tree, space: LabelSpace, names: Sequence[str], runtime: Runtime):
        self.model, self.tree, self.space, self.names, self.runtime = model, tree, space, names, runtime
        every = tuple(range(len(names)))
        self.labels = {index: every if space.allowed is None else space.allowed[index] for index in tree.classes}
        self.unique = {index: tuple(dict.fromkeys(names[k] for k in row)) for index, row in self.labels.items()}
        self.columns = {index: _positions(self.unique[index], names, row) for index, row in self.labels.items()}
        used = list(dict.fromkeys(name for row in dict.fromkeys(self.unique.values()) for name in row))
        _refuse_marks(model, used)
        self.answers = answer_tokens(model.processor, model.prompt, used)
        self.ids = dict(zip(used, self.answers.ids, strict=True))
        self.marks = {index: digest(row) for index, row in self.unique.items()}
        self.checked = False

    def identity(self) -> dict[str, Any]:
        """The question, and where the label stands in the answer."""
        return {"asked": self.model.prompt.answered("{}")}

    def mark(self, photo: Photo) -> str:
        """The names that compete."""
        return self.marks[photo.class_index]

    def row(self, photo: Photo, inputs: dict[str, Any], size: int) -> list[float]:
        """(answers cut, score of each name)."""
        names = self.unique[photo.class_index]
        ids = [self.ids[name] for name in names]
        room = self._room(photo, inputs["input_ids"].shape[1])
        cut = sum(len(one) > room for one in ids)
        loss = label_losses(self.model.module, inputs, self.answers.dropped, [one[:room] for one in ids], size)
        if not self.checked and not cut and np.isfinite(loss).all():
            self._check(photo, names, loss)
        return [cut, *(-loss).tolist()]

    def _room(self, photo: Photo, asked: int) -> int:
        """Tokens that are left for an answer."""
        if self.model.longest is None:
            return max(map(len, self.answers.ids))
        room = self.model.longest - asked + self.answers.dropped
        if room < 1:
            raise RunError(
                f"{self.model.spec} reads {self.model.longest} tokens, and the photo {photo.path!r} with the question "
                f"takes {asked}: no label fits (finished photos are kept)"
            )
        return room

    def _check(self, photo: Photo, names: Sequence[str], loss: Float[np.ndarray, " L"]) -> None:
        """Once a run, the longest label plainly: an architecture may not go on from kept keys as it should."""
        self.checked = True
        k = max(range(len(names)), key=lambda k: len(self.ids[names[k]]))
        plain = plain_loss(self.model, self.tree.files.image(photo.path), names[k], self.ids[names[k]])
        if not abs(plain - loss[k]) <= TOLERANCE[self.runtime.precision] * max(1.0, abs(plain)):
            raise RunError(
                f"{self.model.spec} gives {names[k]!r} a loss of {loss[k]:.5g} on a shared prefix and of {plain:.5g} "
                f"on its own; models of type {self.model.module.config.model_type!r} cannot be scored this way"
            )

    def read(self, encoded: Encoded, note: Note) -> tuple[Predictions, dict[str, Any]]:
        """Ranks among the labels that compete, as of every model with scores."""
        cut: list[int] = []
        predictions = ranked(self.tree, self._scored(encoded, cut), self.space)
        if any(cut):
            note(
                f"{self.model.spec} reads {self.model.longest} tokens, photo and question included: {sum(cut)} "
                f"answers on {np.count_nonzero(cut)} photos were cut, and scored by the tokens that it reads"
            )
        return predictions, {"score": SCORE, "answers_cut": sum(cut)}

    def _scored(
        self, encoded: Encoded, cut: list[int], batch: int = 256
    ) -> Iterator[tuple[list[Photo], Float[np.ndarray, "N L"]]]:
        """Photos with scores of all labels, of which those that do not compete have 0; appends to `cut`."""
        photos = [photo for photo in self.tree.photos if photo.path in encoded.keys]
        for start in range(0, len(photos), batch):
            some = photos[start : start + batch]
            scores = np.zeros((len(some), len(self.names)), dtype=np.float32)
            rows = encoded.cache.read([encoded.keys[photo.path] for photo in some], batch=1)  # of unlike lengths
            for photo, of_labels, (row,) in zip(some, scores, rows, strict=True):
                cut.append(int(row[0]))
                index = photo.class_index
                of_labels[list(self.labels[index])] = row[1:][self.columns[index]]
            yield some, scores


def _positions(unique: Sequence[str], names: Sequence[str], labels: Sequence[int]) -> Int[np.ndarray, " L"]:
    """Where each label's score stands among those of the names."""
    place = {name: k for k, name in enumerate(unique)}
    return np.array([place[names[label]] for label in labels], dtype=np.int64)


def _refuse_marks(model: LanguageModel, names: Sequence[str]) -> None:
    """A label with a token such as <image> in its name would be read as a photo, or as an end."""
    for name in names:
        mark = next((mark for mark in model.processor.tokenizer.all_special_tokens if mark in name), None)
        if mark is not None:
            raise RequestError(f"the label {name!r} holds {mark}, a mark of {model.spec}'s own; spell it otherwise")
