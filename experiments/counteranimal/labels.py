"""Class names, prompt templates, and label spaces: the labels that compete for a photo.

open_clip's names differ from torchvision's in 362 of 1000 classes, and two names occur twice. So classes are matched
by index, and every result records the list of names. The user's own classes come from a file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from experiments.errors import RequestError, unknown
from experiments.files import read_table, write_json

CLASS_COUNT = 1000
SIMPLE = "A photo of {}."
NAME_LISTS = ("open_clip", "torchvision")
CONFUSING = 20  # labels of the 1 vs 20 protocol


def installed(module: str) -> Any:
    """A module of the extra `clip`, imported only when needed, for start-up time."""
    try:
        return import_module(module)
    except ImportError as error:
        raise RequestError(
            f"{module.split('.')[0]} is not installed; in the checkout run: python -m pip install -e '.[clip]'"
        ) from error


def library_names(library: str) -> tuple[str, ...]:
    """ImageNet-1k class names in index order as a library spells them."""
    if library == "open_clip":
        return tuple(installed("open_clip").IMAGENET_CLASSNAMES)
    if library == "torchvision":
        return tuple(installed("torchvision.models").ResNet50_Weights.IMAGENET1K_V1.meta["categories"])
    raise unknown("class names", library, NAME_LISTS)


@dataclass(frozen=True)
class Vocabulary:
    """Labels in the order of their indices, and their wording in prompts."""

    names: tuple[str, ...]
    source: str  # open_clip, torchvision, a file
    imagenet: bool = True  # whether indices are ImageNet-1k's
    words: tuple[tuple[str, ...], ...] | None = None  # words for each label in templates; None: its name
    sentences: tuple[tuple[str, ...], ...] | None = None  # additional prompts of each label

    def phrases(self, templates: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """For each label the prompts whose embeddings are averaged: every word in every template, and its sentences.

        >>> Vocabulary(("owl",), "mine").phrases(("A photo of {}.", "a {} at night"))
        (('A photo of owl.', 'a owl at night'),)
        """
        words = self.words or [(name,) for name in self.names]
        sentences = self.sentences or [()] * len(self.names)
        return tuple(
            (*(template.format(word) for word in called for template in templates), *whole)
            for called, whole in zip(words, sentences, strict=True)
        )

    @property
    def called(self) -> tuple[str, ...]:
        """The first word for each label, by default its name."""
        if self.words is None:
            return self.names
        return tuple(words[0] if words else name for name, words in zip(self.names, self.words, strict=True))

    @property
    def every_label(self) -> "LabelSpace":
        """All labels compete."""
        return LabelSpace("1000" if self.imagenet else "own")


def imagenet(choice: str) -> Vocabulary:
    """ImageNet-1k's labels as a library spells them."""
    return Vocabulary(library_names(choice), choice)


def own_vocabulary(path: Path) -> Vocabulary:
    """The user's own classes: a text file with one class per line, or a CSV file.

    Columns are class, as in the data, and optionally name, the word in prompts, and prompt, a sentence that replaces
    the templates. A class may have several rows; the embeddings of all its prompts are averaged.

    Raises RequestError for an unreadable file, fewer than two classes, and a repeated class in a text file.
    """
    if path.suffix.lower() == ".csv":
        rows = read_table(path, ("class",), "classes")
    else:
        rows = [{"class": name} for name in _lines(str(path), "the list of classes")]
        if len({row["class"] for row in rows}) < len(rows):
            raise RequestError(f"{str(path)!r} names a class twice; keep one of the lines")
    by_class: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_class.setdefault(row["class"], []).append(row)
    if len(by_class) < 2 or "" in by_class:
        raise RequestError(f"{str(path)!r} names {len(by_class)} classes; at least two are needed, each with a name")
    words = tuple(
        tuple(row.get("name") or name for row in own if not row.get("prompt")) for name, own in by_class.items()
    )
    sentences = tuple(tuple(row["prompt"] for row in own if row.get("prompt")) for own in by_class.values())
    return Vocabulary(tuple(by_class), str(path), False, words, sentences)


def templates(choice: str) -> tuple[str, ...]:
    """Prompt templates with {} for the class name: simple, openai80, or a file with one template per line."""
    if choice == "simple":
        return (SIMPLE,)
    if choice == "openai80":
        return tuple(template("{}") for template in installed("open_clip").OPENAI_IMAGENET_TEMPLATES)
    lines = _lines(choice, "the list of prompts (simple, openai80 or a file)")
    wrong = next((t for t in lines or ("",) if t.count("{}") != 1 or set("{}") & set(t.replace("{}", ""))), None)
    if wrong is not None:
        raise RequestError(f"the template {wrong!r} in {choice!r} must hold {{}} exactly once, like {SIMPLE!r}")
    return lines


def _lines(choice: str, what: str) -> tuple[str, ...]:
    try:
        text = Path(choice).read_text(encoding="utf-8-sig")  # a byte order mark would become part of the first entry
    except (OSError, ValueError) as error:
        raise RequestError(f"{what} {choice!r} is not a text file ({error})") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def digest(words: Sequence[str]) -> str:
    """A short fingerprint of a list of strings: 16 hexadecimal digits."""
    return sha256(json.dumps(list(words)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LabelSpace:
    """The labels that compete: all of them, one fixed set, or a set for each true class.

    A set for each true class (1 vs 20) is an oracle: it depends on the true label. `added` lists classes whose true
    label was added, because the reference model did not rank it among its 20.
    """

    name: str  # 1000, 20, 45, data, own
    allowed: dict[int, tuple[int, ...]] | None = None  # true class -> labels; None allows all
    added: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def mask(self, truth: Int[np.ndarray, " N"], labels: int = CLASS_COUNT) -> Bool[np.ndarray, "N L"] | None:
        """True if the label competes for the photo; None if all labels do."""
        if self.allowed is None:
            return None
        mask = np.zeros((len(truth), labels), dtype=bool)
        for i, index in enumerate(truth):
            mask[i, list(self.allowed[int(index)])] = True
        return mask

    def union(self, labels: int) -> list[int]:
        """The labels that compete for some photo."""
        return list(range(labels)) if self.allowed is None else sorted(set().union(*self.allowed.values()))


def own_classes(classes: Sequence[int]) -> LabelSpace:
    """The data set's own classes, named 45 if there are as many as in CounterAnimal, otherwise "data"."""
    own = tuple(sorted(classes))
    return LabelSpace(own_classes_name(len(own)), dict.fromkeys(own, own), settings={"labels_per_class": len(own)})


def own_classes_name(count: int) -> str:
    return "45" if count == 45 else "data"


def confusing_labels(
    similarity: Float[np.ndarray, "C L"], classes: Sequence[int], count: int = CONFUSING
) -> LabelSpace:
    """1 vs 20: for each true class the labels of highest mean cosine, ties to the lower index, and the true label.

    `similarity` holds the mean cosine of the photos of each of `classes` with every label.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    best = {int(index): tuple(row.tolist()) for index, row in zip(classes, order, strict=True)}
    added = tuple(index for index, labels in best.items() if index not in labels)
    return LabelSpace(str(CONFUSING), {i: labels + (i,) * (i in added) for i, labels in best.items()}, added)


def save_confusing(path: Path, space: LabelSpace, vocabulary: Vocabulary, reference: dict[str, Any]) -> None:
    """Write the sets, their list of classes and the reference model."""
    document = {
        "class_names": vocabulary.source,
        "class_names_digest": digest(vocabulary.names),
        "reference": reference,
        "added": list(space.added),
        "labels": {str(index): list(labels) for index, labels in (space.allowed or {}).items()},
    }
    write_json(path, document)


def load_confusing(path: Path, vocabulary: Vocabulary, classes: Sequence[int]) -> LabelSpace:
    """Read the sets of `save_confusing`. Raises RequestError for another class list and a class without a set."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        if document["class_names_digest"] != digest(vocabulary.names):
            raise ValueError(f"they are for the class names {document['class_names']!r}, not {vocabulary.source!r}")
        allowed = {index: tuple(map(int, document["labels"][str(index)])) for index in classes}
        for index, row in allowed.items():
            if index not in row or not 0 <= min(row) <= max(row) < len(vocabulary.names):
                raise ValueError(f"the labels of class {index} lack the class or lie outside the class list")
        added = tuple(index for index in classes if index in document["added"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RequestError(
            f"{str(path)!r} has no confusing sets for these classes ({error}); leave --confusing out to compute them"
        ) from error
    return LabelSpace(str(CONFUSING), allowed, added, {"reference": document.get("reference")})
