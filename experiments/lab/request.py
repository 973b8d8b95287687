"""A study from TOML and flags: merged first, then validated once.

A study file holds the fields of `experiments.lab.spec.StudySpec`: learners, prompts, routes, n, replicates, seed, and
the tables [axes] (p_spu = "0.5:1:51", or a list), [world] and [recipe].
"""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from experiments.errors import RequestError
from experiments.lab.config import read_toml, world_of
from experiments.lab.spec import StudySpec
from experiments.lab.studies import Study, study
from simulator.naming import suggestion

TABLES = ("axes", "recipe", "world")
LISTS = ("learners", "prompts", "routes")


def read(text: str, source: str = "study") -> Study:
    """The study of a TOML text; `source` names it in refusals.

    Raises RequestError for text that is not TOML, an unknown key, and all that `study` refuses.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{source} is not TOML: {error}") from None
    return requested(document, source)


def requested(
    document: dict[str, Any], source: str, flags: dict[str, Any] | None = None, world_file: Path | None = None
) -> Study:
    """The study of a document with a world file on top, and flags on top of both; `source` names the document."""
    _check(document, source)
    flags, own = flags or {}, {} if world_file is None else read_toml(world_file, "world")
    whole = merged(merged(document, {"world": own}), flags)
    sources = {**dict.fromkeys(document.get("world", {}), source), **dict.fromkeys(own, world_file)}
    for name in flags.get("world", {}):
        sources.pop(name, None)
    return study(**{**whole, "world": world_of(whole["world"], sources)})


def merged(document: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A document with another one on top.

    Tables are merged key by key, everything else is replaced. A field that is an axis on top is no longer set below,
    and a field that is set on top is no longer an axis below.
    """
    set_above = {"n", "seed"} & over.keys() | over.get("world", {}).keys() | over.get("recipe", {}).keys()
    varied_above = {_field(name) for name in over.get("axes", {})}
    kept = {key: value for key, value in document.items() if key not in varied_above}
    whole = {**kept, **over}
    for key in TABLES:
        dropped = (set_above if key == "axes" else set()) | varied_above
        below = {name: value for name, value in document.get(key, {}).items() if _field(name) not in dropped}
        whole[key] = {**below, **over.get(key, {})}
    return whole


def _field(name: str) -> str:
    return name.replace("-", "_")


def _check(document: dict[str, Any], source: str) -> None:
    known = [field.name for field in fields(StudySpec)]
    for key, value in document.items():
        if key not in known:
            raise RequestError(f"{source}: key {key!r} is unknown{suggestion(key, known, quoted=True)}")
        if key in TABLES and not isinstance(value, dict):
            raise RequestError(f"{source}: {key} = {value!r} is not a table")
        words = value if isinstance(value, list) else [value]
        if key in LISTS and not all(isinstance(word, str) for word in words):
            raise RequestError(f"{source}: {key} = {value!r} is not a list of names")
