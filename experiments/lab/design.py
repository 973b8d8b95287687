"""Designs: studies that ship with the package, each with the one question that it answers.

>>> from experiments import design
>>> design("sources").study().dims
('p_spu',)

A file of `designs/` holds

    question, look, answer     what is asked, what to look at, what came out of the quick size
    takeaway                   the answer as a title, without numbers
    printed                    a table that a paper prints of the same settings (`experiments.lab.printed`), if any
    seconds                    that each size took on one core
    [[plot]]                   pictures: what is drawn, and at which values, as `soberclip plot` takes them
    [study]                    the quick size, a study document (`experiments.lab.request`)
    [full]                     what the full size lays on top of it
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from experiments.errors import RequestError
from experiments.lab.request import document_of, merged, requested
from experiments.lab.studies import Study
from simulator.naming import suggestion

_FOLDER = files("experiments.lab") / "designs"
SUFFIX = ".toml"


@dataclass(frozen=True)
class Design:
    """A question and the study that answers it; `design` reads one."""

    name: str
    question: str
    takeaway: str
    look: str
    answer: str
    seconds: dict[str, float]
    plot: list[dict[str, Any]]
    quick: dict[str, Any]
    over: dict[str, Any]
    printed: str | None = None

    @property
    def words(self) -> dict[str, str]:
        """Question, takeaway, look and answer."""
        return {"question": self.question, "takeaway": self.takeaway, "look": self.look, "answer": self.answer}

    def document(self, full: bool = False) -> dict[str, Any]:
        """The study document of a size."""
        return merged(self.quick, self.over) if full else self.quick

    def study(self, full: bool = False, **changes) -> Study:
        """The study of a size."""
        return requested(self.document(full), f"design {self.name!r}", changes)

    def as_json(self) -> dict[str, Any]:
        """Everything in it, with the cells of both sizes."""
        sizes = {"quick": self.study(), "full": self.study(full=True)}
        return {
            "design": self.name,
            **self.words,
            "plot": self.plot,
            **{
                size: {"cells": study.cells, "seconds": self.seconds[size], "study": study.document()}
                for size, study in sizes.items()
            },
        }


def designs() -> tuple[str, ...]:
    """Names of the designs that there are."""
    return tuple(sorted(entry.name.removesuffix(SUFFIX) for entry in _FOLDER.iterdir() if entry.name.endswith(SUFFIX)))


def design(name: str) -> Design:
    """The design of a name.

    Parameters
    ----------
    name : one of `designs()`

    Raises
    ------
    RequestError
        for an unknown name, with the nearest.

    Examples
    --------
    >>> design("sources").question
    'How many pairs from an unbiased source make a certain correlation harmless?'
    """
    if name not in designs():
        near = suggestion(name, designs(), quoted=True) or f"; there are {', '.join(designs())}"
        raise RequestError(f"design {name!r} is unknown{near}")
    document = tomllib.loads((_FOLDER / f"{name}{SUFFIX}").read_text(encoding="utf-8"))
    return Design(name=name, quick=document.pop("study"), over=document.pop("full"), **document)


def asked_by(word: str, full: bool) -> tuple[dict[str, Any], str, Design | None]:
    """(study document, what sentences call it, its design) of a design's name or a file's; designs come first.

    What has a suffix, a folder or is there is a file. Raises RequestError for a word that is neither, and for the full
    size of a file.
    """
    if word in designs():
        found = design(word)
        return found.document(full), f"design {word!r}", found
    path = Path(word)
    if not (path.suffix or len(path.parts) > 1 or path.exists()):
        design(word)  # a sentence with the nearest
    if full:
        raise RequestError(f"--full is a size of a design, and {word!r} is a file; leave it out")
    return document_of(path), word, None
