"""Class names, prompt templates, and label spaces: the labels that compete for a photo.

open_clip's names differ from torchvision's in 362 of 1000, and two of them occur twice. So classes are matched by
index, and every result records which list was used. The user's own classes come from a file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from experiments.errors import RequestError, unknown
from experiments.files import read_table, write_json
from simulator.naming import suggestion

CLASS_COUNT = 1000
SIMPLE = ("A photo of {}.",)
NAME_LISTS = ("open_clip", "torchvision")
CONFUSING = 20  # labels of the 1 vs 20 protocol


def library_names(library: str) -> tuple[str, ...]:
    """ImageNet-1k class names in index order as a library spells them."""
    if library == "open_clip":
        open_clip = _installed("open_clip")
        return tuple(open_clip.IMAGENET_CLASSNAMES)
    if library == "torchvision":
        models = _installed("torchvision.models")
        return tuple(models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"])
    raise unknown("class names", library, NAME_LISTS)


def _installed(module: str):
    from importlib import import_module  # start-up time

    try:
        return import_module(module)
    except ImportError as error:
        raise RequestError(
            f"{module.split('.')[0]} is not installed; in the checkout run: python -m pip install -e '.[clip]'"
        ) from error


@dataclass(frozen=True)
class Vocabulary:
    """Labels in the order of their indices, and their wording in prompts."""

    names: tuple[str, ...]
    source: str  # open_clip, torchvision, a file
    imagenet: bool = True  # whether indices are ImageNet-1k's
    wordings: tuple[tuple[str, ...], ...] | None = None  # words for each label in templates; None: its name
    sentences: tuple[tuple[str, ...], ...] | None = None  # for each wording a prompt that replaces the templates, or ""

    def phrases(self, templates: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """For each label the prompts whose embeddings are averaged: every wording in every template.

        >>> Vocabulary(("owl",), "mine").phrases(("A photo of {}.", "a {} at night"))
        (('A photo of owl.', 'a owl at night'),)
        """
        sentences = self.sentences or tuple(("",) * len(words) for words in self.called)
        return tuple(
            tuple(
                phrase
                for word, whole in zip(words, wholes, strict=True)
                for phrase in ([whole] if whole else [template.format(word) for template in templates])
            )
            for words, wholes in zip(self.called, sentences, strict=True)
        )

    @property
    def called(self) -> tuple[tuple[str, ...], ...]:
        """The wordings of each label, by default its name."""
        return self.wordings or tuple((name,) for name in self.names)

    @property
    def every_label(self) -> "LabelSpace":
        """All labels compete."""
        return LabelSpace("1000" if self.imagenet else "own")


def imagenet(choice: str) -> Vocabulary:
    """ImageNet-1k's labels with the names of `class_names`."""
    return Vocabulary(class_names(choice), choice)


def own_vocabulary(path: Path) -> Vocabulary:
    """The user's own classes: a text file with one class per line, or a CSV file.

    Columns are class, as in the data, and optionally name, the word in prompts, and prompt, a sentence that replaces
    the templates. A class may have several rows; the embeddings of all its prompts are averaged.

    Raises RequestError for an unreadable file, fewer than two classes, and a repeated class in a text file.
    """
    if not path.is_file():
        raise RequestError(
            f"there is no classes file {str(path)!r}; it needs one class per line, or CSV columns class, name"
        )
    if path.suffix.lower() != ".csv":
        names = _lines(str(path), "classes", ())
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise RequestError(f"the class {twice!r} is given twice in {str(path)!r}; keep one")
        found = Vocabulary(names, str(path), False)
    else:
        rows = read_table(path, ("class",), "classes")
        names = tuple(dict.fromkeys(row["class"] for row in rows))
        wordings = tuple(tuple(r.get("name") or r["class"] for r in rows if r["class"] == name) for name in names)
        sentences = tuple(tuple(r.get("prompt") or "" for r in rows if r["class"] == name) for name in names)
        found = Vocabulary(names, str(path), False, wordings, sentences)
    if len(found.names) < 2 or not all(found.names):
        raise RequestError(f"{str(path)!r} names {len(found.names)} classes; at least two are needed, each with a name")
    return found


def class_names(choice: str) -> tuple[str, ...]:
    """1000 names: open_clip, torchvision, or a file with one name per line (or a JSON list) in index order."""
    if choice in NAME_LISTS:
        return library_names(choice)
    names = _lines(choice, "class names", NAME_LISTS)
    if len(names) != CLASS_COUNT:
        raise RequestError(
            f"the class names file {choice!r} has {len(names)} names; ImageNet-1k needs {CLASS_COUNT}, "
            f"one per line in index order, or choose one of {', '.join(NAME_LISTS)}"
        )
    return names


def templates(choice: str) -> tuple[str, ...]:
    """Prompt templates with {} for the class name: simple, openai80, or a file with one template per line."""
    if choice == "simple":
        return SIMPLE
    if choice == "openai80":
        return tuple(template("{}") for template in _installed("open_clip").OPENAI_IMAGENET_TEMPLATES)
    found = _lines(choice, "prompts", ("simple", "openai80"))
    for template in found:
        if template.count("{}") != 1 or template.replace("{}", "").count("{") + template.replace("{}", "").count("}"):
            raise RequestError(
                f"the template {template!r} in {choice!r} must hold {{}} once, for the class name, as in {SIMPLE[0]!r}"
            )
    if not found:
        raise RequestError(f"the prompts file {choice!r} is empty; it needs one template per line, as {SIMPLE[0]!r}")
    return found


def _lines(choice: str, what: str, words: Sequence[str]) -> tuple[str, ...]:
    path = Path(choice)
    if not path.is_file():
        raise RequestError(
            f"{what} {choice!r} is neither one of {', '.join(words)} nor a file{suggestion(choice, words, quoted=True)}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")  # a byte order mark would become part of the first entry
        if path.suffix == ".json":
            lines = json.loads(text)
            if not (isinstance(lines, list) and all(isinstance(line, str) for line in lines)):
                raise ValueError("not a list of strings")
            return tuple(lines)
    except (OSError, ValueError) as error:
        raise RequestError(f"{what} file {choice!r} cannot be read ({error}); write one entry a line") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def digest(words: Sequence[str]) -> str:
    """A short fingerprint of a list of strings: 16 hexadecimal digits."""
    return sha256(json.dumps(list(words)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LabelSpace:
    """The labels that compete: all of them, one fixed set, or a set for each true class.

    A set for each true class (1 vs 20) is an oracle: it depends on the answer. `added` lists the classes whose true
    label the reference model did not rank among its 20, so that it had to be added.
    """

    name: str  # 1000, 20, 45, own
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


def own_classes(classes: Sequence[int]) -> LabelSpace:
    """The data set's own classes, 45 in CounterAnimal."""
    own = tuple(sorted(classes))
    return LabelSpace("45", dict.fromkeys(own, own), settings={"labels_per_class": len(own)})


def confusing_labels(similarity: Float[np.ndarray, "C L"], classes: Sequence[int], count: int = CONFUSING):
    """1 vs 20: for each true class the labels of highest mean cosine, ties to the lower index, and the true label.

    `similarity` holds the mean cosine of the photos of each of `classes` with every label.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    allowed, added = {}, []
    for index, row in zip(classes, order, strict=True):
        labels = tuple(int(label) for label in row)
        if index not in labels:
            added.append(int(index))
            labels = (*labels, int(index))
        allowed[int(index)] = labels
    return LabelSpace(str(CONFUSING), allowed, tuple(added))


def save_confusing(path: Path, space: LabelSpace, names_list: str, names: Sequence[str], reference: dict) -> None:
    """Write the sets with the class list that their indices refer to and the reference model."""
    document = {
        "class_names": names_list,
        "class_names_digest": digest(names),
        "reference": reference,
        "added": list(space.added),
        "labels": {str(index): list(labels) for index, labels in (space.allowed or {}).items()},
    }
    write_json(path, document)


def load_confusing(path: Path, names_list: str, names: Sequence[str], classes: Sequence[int]) -> LabelSpace:
    """Read the sets of `save_confusing`.

    Raises RequestError for another class list, labels outside it, and a class without a set.
    """
    if not path.is_file():
        raise RequestError(f"there is no confusing-set file {str(path)!r}; leave --confusing out to compute one")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        labels = {int(index): tuple(int(label) for label in row) for index, row in document["labels"].items()}
        fingerprint, listed = document["class_names_digest"], document["class_names"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RequestError(
            f"{str(path)!r} is not a confusing-set file ({error}); leave --confusing out to compute one"
        ) from error
    if fingerprint != digest(names):
        raise RequestError(
            f"the confusing sets in {str(path)!r} were made for the class names {listed!r}, not {names_list!r}; "
            f"pass --{'class-names' if listed in NAME_LISTS else 'classes'} {listed} or leave --confusing out"
        )
    for index, row in labels.items():
        outside = [label for label in row if not 0 <= label < len(names)]
        if outside:
            raise RequestError(f"label {outside[0]} of class {index} in {str(path)!r} lies outside 0..{len(names) - 1}")
    missing = [index for index in classes if index not in labels]
    if missing:
        raise RequestError(f"{str(path)!r} has no labels for class {missing[0]}; leave --confusing out to compute them")
    allowed, added = {}, list(document.get("added", []))
    for index in classes:
        if index not in labels[index]:
            added.append(index)
            labels[index] = (*labels[index], index)
        allowed[index] = labels[index]
    used = tuple(sorted(set(added) & set(classes)))
    return LabelSpace(str(CONFUSING), allowed, used, {"reference": document.get("reference")})
