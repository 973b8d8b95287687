"""Every claim that closed forms and drawn data can decide, and what no world here can decide, with the reason."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from theory.claims import clip_vs_supervised, ours, prompts, related_work, wang, xue
from theory.claims.claim import Claim


def claims() -> list[Claim]:
    """All claims: those of the two papers, their contradiction, related work, and our own."""
    parts = (wang, xue, clip_vs_supervised, related_work, ours, prompts)
    return [claim for part in parts for claim in part.claims()]


class Untried(NamedTuple):
    """A statement that no world here can decide."""

    id: str
    source: str
    statement: str
    reason: str


@cache
def untried() -> tuple[Untried, ...]:
    """The statements of untried.toml."""
    text = (files("theory.claims") / "untried.toml").read_text(encoding="utf-8")
    return tuple(Untried(**entry) for entry in tomllib.loads(text)["untried"])
