"""Whether a store belongs to a study: the first difference, in one sentence."""

import json
import tomllib
from typing import Any

from experiments.errors import RequestError
from experiments.lab.schema import FORMAT
from experiments.lab.spec import StudySpec
from experiments.provenance import versions
from simulator.world import World

ROUNDING = ("soberclip", "numpy", "scipy", "torch")  # packages whose versions may round differently


def refuse_another(path: Any, attributes: dict[str, Any], study: StudySpec) -> None:
    """Raise RequestError, naming the first difference, unless a store's attributes are of this study and version."""
    refuse_format(path, attributes)
    try:
        stored, then = tomllib.loads(attributes["study"]), json.loads(attributes["versions"])
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{str(path)!r} is not the store of a study ({error}); name another folder") from None
    found = difference(*map(_with_world, (stored, tomllib.loads(study.toml()))))
    if found is None and attributes.get("hash") != study.hash:
        found = "the options of a learner", attributes.get("hash"), study.hash
    if found is not None:
        where, there, here = found
        raise RequestError(
            f"{str(path)!r} holds another study ({where} is {there!r} there and {here!r} here); name another folder"
        )
    now = versions()
    for name in ROUNDING:
        if then.get(name) != now[name]:
            raise RequestError(
                f"{str(path)!r} was begun with {name} {then.get(name)} and this is {now[name]}, which may round "
                "differently; continue with that version, or name another folder"
            )


def _with_world(request: dict[str, Any]) -> dict[str, Any]:
    """The request with the fields of its world that were left out at their defaults."""
    return {**request, "world": {**World().model_dump(exclude_none=True), **request.get("world", {})}}


def refuse_format(path: Any, attributes: dict[str, Any]) -> None:
    """Raise RequestError unless a store's attributes say that it has this version's format."""
    if attributes.get("format") != FORMAT:
        there = f"has format {attributes['format']!r}" if "format" in attributes else "is not the store of a study"
        raise RequestError(
            f"{str(path)!r} {there}, and this version reads and writes format {FORMAT}; name another folder"
        )


def difference(there: Any, here: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """(key, value there, value here) of the first difference of two requests; None if they are equal.

    >>> difference({"axes": {"n": [1, 2]}}, {"axes": {"n": [1, 3]}})
    ('axes.n', [1, 2], [1, 3])
    """
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return None if there == here else (where, there, here)
    if where == "axes" and list(there) != list(here):  # their order is the order of the dimensions
        return where, list(there), list(here)
    for key in dict.fromkeys([*here, *there]):
        found = difference(there.get(key), here.get(key), f"{where}.{key}" if where else key)
        if found is not None:
            return found
    return None
