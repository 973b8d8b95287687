"""The sentences of papers that are on trial (sentences.toml), as fields of the claims that try
them.

A claim is `printed` if it tries a sentence in the paper's own regime, and a `reading` if we had to
add something: a learner, a domain, "always". Claims with one sentence id are its readings; they
count as one published statement.
"""

import tomllib
from importlib.resources import files
from typing import Any

from theory.claims.words import Origin

_TEXT = (files("theory.docket") / "sentences.toml").read_text(encoding="utf-8")
_SENTENCES = {entry["id"]: entry for entry in tomllib.loads(_TEXT)["sentence"]}


def printed(sentence: str, note: str = "") -> dict[str, Any]:
    """The fields of a claim that tries a sentence as printed; `note` says what its words leave
    open.
    """
    return _fields("printed", sentence, note)


def reading(sentence: str, ours: str) -> dict[str, Any]:
    """The fields of a claim that is our reading of a sentence; `ours` says what is ours."""
    return _fields("reading", sentence, ours)


def _fields(origin: Origin, sentence: str, note: str) -> dict[str, Any]:
    entry = _SENTENCES[sentence]
    words = entry["words"].strip()
    place = entry["place"]
    source = f"{place}; {note}" if note else place
    return {"origin": origin, "sentence": sentence, "quote": f"{words} ({place})", "source": source}
