"""Designs: studies that ship with the package, each with the one question that it answers.

>>> from experiments import design
>>> design("sources").study().dims
('p_spu',)
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from experiments.errors import RequestError, unknown
from experiments.lab.config import read_toml
from experiments.lab.studies import Study, merged, requested

_FOLDER = files("experiments.lab") / "designs"
SUFFIX = ".toml"


@dataclass(frozen=True)
class Design:
    """A question and the study that answers it, as in a file of `designs/`."""

    name: str
    question: str
    takeaway: str  # the answer as a title, without numbers
    look: str  # what to look at
    answer: str  # of the quick size
    seconds: dict[str, float]  # of each size, on one core
    plot: list[dict[str, Any]]  # options of `soberclip plot`
    quick: dict[str, Any]  # the table [study], a study document
    over: dict[str, Any]  # the table [full], what the full size changes
    # if Table 8 of [W] has the same settings (`experiments.lab.tables.beside`)
    printed: str | None = None

    @property
    def words(self) -> dict[str, str]:
        return {
            "question": self.question,
            "takeaway": self.takeaway,
            "look": self.look,
            "answer": self.answer,
        }

    def document(self, full: bool = False) -> dict[str, Any]:
        return merged(self.quick, self.over) if full else self.quick

    def study(self, full: bool = False, **changes) -> Study:
        return requested(self.document(full), f"design {self.name!r}", changes)

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"design": self.name, **self.words, "plot": self.plot}
        for size, study in {"quick": self.study(), "full": self.study(full=True)}.items():
            document[size] = {
                "cells": study.cells,
                "seconds": self.seconds[size],
                "study": study.document(),
            }
        return document


def design_of(name: str, text: str) -> Design:
    document = tomllib.loads(text)
    return Design(name=name, quick=document.pop("study"), over=document.pop("full"), **document)


def designs() -> tuple[str, ...]:
    """Names of all designs."""
    return tuple(
        sorted(
            entry.name.removesuffix(SUFFIX)
            for entry in _FOLDER.iterdir()
            if entry.name.endswith(SUFFIX)
        )
    )


def design(name: str) -> Design:
    """The design of a name; RequestError for an unknown one, with the nearest.

    >>> design("sources").question
    'How many pairs from an unbiased source make a certain correlation harmless?'
    """
    if name not in designs():
        raise unknown("design", name, designs())
    return design_of(name, (_FOLDER / f"{name}{SUFFIX}").read_text(encoding="utf-8"))


def design_or_file(word: str, full: bool) -> tuple[dict[str, Any], str, Design | None]:
    """(study document, its name in errors, its design) for the name of a design or a study file."""
    path = Path(word)
    is_file = path.suffix or len(path.parts) > 1 or path.exists()
    if word in designs() or not is_file:
        preset = design(word)
        return preset.document(full), f"design {word!r}", preset
    if full:
        raise RequestError(f"--full is a size of a design, and {word!r} is a file; leave it out")
    return read_toml(path, "study"), word, None
