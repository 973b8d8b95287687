"""Photos asked for an answer in the model's own words: what is kept of them, and how it is read.

A row holds the answer's token ids, exact in single precision up to 2^24, beyond any vocabulary. Which labels compete
is asked when they are read, so one run serves every set of labels.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.counteranimal.encoding import Encoded
from experiments.counteranimal.labels import LabelSpace
from experiments.counteranimal.lvlm.free import MOST_TOKENS, generated, named
from experiments.counteranimal.lvlm.language import LanguageModel, Note
from experiments.counteranimal.metrics import Predictions
from experiments.counteranimal.photos.tree import Photo, Tree
from experiments.counteranimal.scoring import NO_ANSWER, answered
from experiments.errors import RunError
from experiments.files import output_folder, write_table

ANSWERS = "answers.csv"


class Spoken:
    """`asking.Work` for answers in words, which are also written to `folder`."""

    def __init__(
        self, model: LanguageModel, tree: Tree, space: LabelSpace, wordings: Sequence[Sequence[str]], folder: Path
    ):
        self.model, self.tree, self.space, self.wordings, self.folder = model, tree, space, wordings, folder

    def identity(self) -> dict[str, Any]:
        """The question, and how long an answer may be."""
        return {"asked": self.model.prompt.text, "tokens": MOST_TOKENS}

    def mark(self, photo: Photo) -> str:
        """Nothing: the model is not told the labels."""
        return ""

    def row(self, photo: Photo, inputs: dict[str, Any], size: int) -> list[float]:
        """Token ids, or one entry that is no number, so that it is not kept."""
        return [float(token) for token in generated(self.model.module, inputs, self.model.ends)] or [np.nan]

    def read(self, encoded: Encoded, note: Note) -> tuple[Predictions, dict[str, Any]]:
        """The label that each answer names, NO_ANSWER for none or several; no ranks and margins."""
        photos = [photo for photo in self.tree.photos if photo.path in encoded.keys]
        said = [self._text(row) for row in self._rows(encoded, photos, note)]
        found = [self._named(photo, answer) for photo, answer in zip(photos, said, strict=True)]
        predicted = [labels[0] if len(labels) == 1 else NO_ANSWER for labels in found]
        write_table(
            output_folder(self.folder) / ANSWERS,
            ("path", "answer", "labels"),
            (
                (photo.path, answer, " ".join(map(str, labels)))
                for photo, answer, labels in zip(photos, said, found, strict=True)
            ),
        )
        missed = Counter("several" if labels else "none" for labels in found if len(labels) != 1)
        if missed:
            note(
                f"{self.model.spec} named no label on {missed['none']} photos and several on {missed['several']}; "
                f"they count as wrong, and {ANSWERS} has its words"
            )
        settings = {"free": True, "named_none": missed["none"], "named_several": missed["several"]}
        return answered(self.tree, photos, np.array(predicted, dtype=np.int64)), settings

    def _rows(self, encoded: Encoded, photos: list[Photo], note: Note) -> list[Float[np.ndarray, " T"]]:
        rows = [row for (row,) in encoded.cache.read([encoded.keys[photo.path] for photo in photos], batch=1)]
        lost = sum(bool(np.isnan(row).any()) for row in rows)
        if lost:
            said = f"{self.model.spec} has logits that are no numbers for {lost} of {len(photos)} photos"
            if lost == len(photos):
                raise RunError(f"{said}; look at its weights, or at --precision")
            note(f"{said}; they count as wrong and are not kept")
        return rows

    def _text(self, row: Float[np.ndarray, " T"]) -> str:
        """One line of what can be printed."""
        ids = [int(token) for token in row if token >= 0]  # shorter rows are filled with -1
        text = self.model.processor.tokenizer.decode(ids, skip_special_tokens=True)
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())

    def _named(self, photo: Photo, answer: str) -> list[int]:
        """The labels that compete for a photo and are named."""
        labels = range(len(self.wordings)) if self.space.allowed is None else self.space.allowed[photo.class_index]
        return sorted(labels[k] for k in named(answer, [self.wordings[label] for label in labels]))
