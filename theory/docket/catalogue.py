"""All claims on trial, about formulas and about trained towers, and the statements that no world
here can decide.
"""

import tomllib
from importlib.resources import files
from typing import NamedTuple

from theory.docket import (
    any_data,
    clip_vs_supervised,
    combinations,
    detail,
    equivalent,
    filtering,
    ours,
    pictures,
    prompts,
    recent,
    related_work,
    remedies,
    time,
    trained,
    unit_embeddings,
    wang,
    xue,
)

# the two papers, where they disagree, and others
PAPERS = (wang, xue, clip_vs_supervised, related_work)
MORE = (
    ours,
    prompts,
    equivalent,
    detail,
    any_data,
    unit_embeddings,
    remedies,
    combinations,
    time,
    recent,
    filtering,
)
CLAIMS = [claim for part in (*PAPERS, *MORE) for claim in part.CLAIMS]
TRAINED = [*trained.CLAIMS, *pictures.CLAIMS]


class Untried(NamedTuple):
    """A statement that no world here can decide."""

    id: str
    source: str
    statement: str
    reason: str


def untried() -> list[Untried]:
    """The statements of untried.toml."""
    text = (files("theory.docket") / "untried.toml").read_text(encoding="utf-8")
    return [Untried(**entry) for entry in tomllib.loads(text)["untried"]]
