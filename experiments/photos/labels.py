"""Class names and their indices, prompt templates, and label spaces: the labels that compete for a
photo.

ImageNet's names are open_clip's. They differ from torchvision's in 362 of 1000 classes, and two
names occur twice. So classes are matched by index, and every result records the list of names. The
user's own classes come from a file.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from experiments.errors import RequestError
from experiments.files import read_table
from simulator.extras import installed
from simulator.naming import suggestion

CLASS_COUNT = 1000
SIMPLE = "A photo of {}."
CONFUSING = 20  # labels of the 1 vs 20 protocol


def library(module: str) -> Any:
    """A module of an optional library, which has an extra of its name."""
    name = module.partition(".")[0]
    return installed(module, name, name.replace("_", "-"), refusal=RequestError)


@dataclass(frozen=True)
class Vocabulary:
    """Labels in the order of their indices, and their wording in prompts."""

    names: tuple[str, ...]
    source: str  # open_clip, or a file
    imagenet: bool = True  # whether indices are ImageNet-1k's
    # for a label in templates; by default its name
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # additional prompts of a label
    sentences: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def phrases(self, templates: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """For each label the prompts whose embeddings are averaged: every word in every template,
        and its sentences.

        >>> Vocabulary(("owl",), "mine").phrases(("A photo of {}.", "a {} at night"))
        (('A photo of owl.', 'a owl at night'),)
        """
        every = []
        for name in self.names:
            words = (
                template.format(word)
                for word in self.words.get(name, [name])
                for template in templates
            )
            every.append((*words, *self.sentences.get(name, ())))
        return tuple(every)

    @property
    def every_label(self) -> "LabelSpace":
        return LabelSpace("1000" if self.imagenet else "own")


@cache
def imagenet() -> Vocabulary:
    """ImageNet-1k's classes in the order of their indices, as open_clip spells them."""
    return Vocabulary(tuple(library("open_clip").IMAGENET_CLASSNAMES), "open_clip")


def own_vocabulary(path: Path) -> Vocabulary:
    """The user's own classes: a text file with one per line, or a CSV file (class, optionally name
    and prompt).
    """
    if path.suffix.lower() == ".csv":
        rows = read_table(path, ("class",), "classes")
    else:
        rows = [{"class": name} for name in _lines(str(path), "the list of classes")]
        if len({row["class"] for row in rows}) < len(rows):
            raise RequestError(f"{str(path)!r} names a class twice; keep one of the lines")
    words: dict[str, list[str]] = {row["class"]: [] for row in rows}
    sentences: dict[str, list[str]] = {name: [] for name in words}
    if len(words) < 2 or "" in words:
        raise RequestError(
            f"{str(path)!r} names {len(words)} classes; at least two are needed, each with a name"
        )
    for row in rows:
        if row.get("prompt"):
            sentences[row["class"]].append(row["prompt"])
        else:
            words[row["class"]].append(row.get("name") or row["class"])
    return Vocabulary(tuple(words), str(path), False, words, sentences)


def templates(choice: str) -> tuple[str, ...]:
    """Prompt templates with {} for the class name: simple, openai80, or a file with one template
    per line.
    """
    if choice == "simple":
        return (SIMPLE,)
    if choice == "openai80":
        return tuple(template("{}") for template in library("open_clip").OPENAI_IMAGENET_TEMPLATES)
    lines = _lines(choice, "the list of prompts (simple, openai80 or a file)")
    wrong = next(
        (t for t in lines or ("",) if t.count("{}") != 1 or set("{}") & set(t.replace("{}", ""))),
        None,
    )
    if wrong is not None:
        raise RequestError(
            f"the template {wrong!r} in {choice!r} must hold {{}} exactly once, like {SIMPLE!r}"
        )
    return lines


def _lines(choice: str, what: str) -> tuple[str, ...]:
    try:
        # a byte order mark would become part of the first entry
        text = Path(choice).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise RequestError(f"{what} {choice!r} is not a text file ({error})") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def digest(words: Sequence[str]) -> str:
    """A short fingerprint of a list of strings: 16 hexadecimal digits."""
    return sha256(json.dumps(list(words)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LabelSpace:
    """The labels that compete: all, one set, or, as an oracle, a set for each true class (1 vs
    20).
    """

    name: str  # 1000, 20, 45, data, own
    allowed: dict[int, tuple[int, ...]] | None = None  # true class -> labels; None allows all
    # classes whose true label the reference model did not rank among its 20
    added: tuple[int, ...] = ()

    def of(self, index: int, labels: int) -> Sequence[int]:
        """The labels that compete for photos of a class."""
        return range(labels) if self.allowed is None else self.allowed[index]

    def mask(self, truth: Int[np.ndarray, " N"], labels: int) -> Bool[np.ndarray, "N L"]:
        """True if the label competes for the photo."""
        mask = np.zeros((len(truth), labels), dtype=bool)
        for index in set(truth.tolist()):
            mask[np.ix_(truth == index, self.of(index, labels))] = True
        return mask


def own_classes(classes: Iterable[int]) -> LabelSpace:
    """The data set's own classes, named 45 if there are as many as in CounterAnimal, otherwise
    "data".
    """
    own = tuple(sorted(set(classes)))
    return LabelSpace("45" if len(own) == 45 else "data", dict.fromkeys(own, own))


def class_indices(names: Iterable[str], vocabulary: Vocabulary | None = None) -> dict[str, int]:
    """Class name -> index in the user's own vocabulary or in ImageNet-1k. Raises RequestError if
    two share an index.
    """
    indices: dict[str, int] = {}
    for name in names:
        if vocabulary is not None and name not in vocabulary.names:
            near = suggestion(name, vocabulary.names, quoted=True)
            lacks = f"the class {name!r} is not in {vocabulary.source!r}{near}"
            raise RequestError(f"{lacks}; every class of the data needs a line there")
        index = imagenet_index(name) if vocabulary is None else vocabulary.names.index(name)
        if (
            other := next((other for other, taken in indices.items() if taken == index), None)
        ) is not None:
            raise RequestError(
                f"class {index} is given twice, by {other!r} and {name!r}; keep one of them"
            )
        indices[name] = index
    return indices


def imagenet_index(name: str) -> int:
    """The ImageNet-1k index of a class by its leading number, its WordNet id (n01518878) or its
    name.
    """
    classes = _classes_by_name()
    if number := re.match(r"(-?\d{1,9})(?:\s+(.*)|$)", name):
        index = int(number[1])
        words = number[2] or ""
        if not 0 <= index < CLASS_COUNT:
            raise RequestError(f"class index {index} of {name!r} lies outside 0..{CLASS_COUNT - 1}")
        others = {i for part in (words, *words.split(",")) for i in classes.get(_words(part), ())}
        if others and index not in others:
            two = (
                f"ImageNet's class {index} is {imagenet().names[index]!r}, and {words!r} is class"
                f" {min(others)}"
            )
            raise RequestError(
                f"the class {name!r} is ambiguous: {two}; correct the number or the name"
            )
        return index
    words = _words(name)
    indices = sorted(classes.get(words, ()))
    if not indices:
        lacks = (
            f"the class {name!r} has no leading index, and no class of ImageNet has this name or"
            " WordNet id"
        )
        near = suggestion(words, classes, quoted=True)
        raise RequestError(f"{lacks}{near}; classes of your own need --classes FILE")
    if len(indices) > 1:
        readings = ", ".join(f"{i} ({imagenet().names[i]})" for i in indices)
        way = (
            f"put the index before its name, as in '{indices[0]} {name}', or give your own classes"
        )
        raise RequestError(
            f"the class {name!r} may be any of ImageNet's {readings}; {way} with --classes FILE"
        )
    return indices[0]


@cache
def _classes_by_name() -> dict[str, set[int]]:
    """Each open_clip name, WordNet id and synonym -> indices of its classes."""
    info = library("timm.data").ImageNetInfo()
    by_name: dict[str, set[int]] = {}
    for names in (imagenet().names, info.label_names(), info.label_descriptions()):
        for index, name in enumerate(names):
            for part in (name, *name.split(",")):
                by_name.setdefault(_words(part), set()).add(index)
    return by_name


def _words(name: str) -> str:
    return " ".join(re.findall(r"\w+", name.lower().replace("_", " ")))
