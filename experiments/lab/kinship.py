"""Whether a store is of the study that is asked for: the first difference, in a sentence."""

import json
import tomllib
from typing import Any

from experiments.errors import RequestError
from experiments.lab.result import FORMAT, attributes
from experiments.lab.study import Study

ROUNDING = ("soberclip", "numpy", "scipy", "torch")  # packages whose versions may round otherwise


def refuse_another(path: Any, kept: dict[str, Any], study: Study) -> None:
    """Raise RequestError, naming the first difference, unless a store's attributes are of this study and edition."""
    refuse_format(path, kept, f"this edition writes format {FORMAT}; name a store of its own")
    try:
        stored, then = tomllib.loads(kept["study"]), json.loads(kept["versions"])
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{str(path)!r} is no store of a study ({error}); name a store of its own") from None
    found = difference(stored, tomllib.loads(study.toml()))
    if found is None and kept.get("hash") != study.hash:
        found = "a learner of one's own", kept.get("hash"), study.hash
    if found is not None:
        where, there, here = found
        raise RequestError(
            f"{str(path)!r} holds another study ({where} is {there!r} there and {here!r} here); name a store of its own"
        )
    now = json.loads(attributes(study)["versions"])
    for name in ROUNDING:
        if then.get(name) != now[name]:
            raise RequestError(
                f"{str(path)!r} was begun with {name} {then.get(name)} and this is {now[name]}, which may round "
                "otherwise; go on with that version, or name a store of its own"
            )


def refuse_format(path: Any, kept: dict[str, Any], hint: str) -> None:
    """Raise RequestError, with a hint, unless a store's attributes say that it has this edition's variables."""
    if kept.get("format") != FORMAT:
        there = f"has format {kept['format']!r}" if "format" in kept else "is no store of a study"
        raise RequestError(f"{str(path)!r} {there}, {hint}")


def difference(there: Any, here: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """(place, value there, value here) of the first difference of two requests, None if they are equal.

    >>> difference({"axes": {"n": [1, 2]}}, {"axes": {"n": [1, 3]}})
    ('axes.n', [1, 2], [1, 3])
    """
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return None if there == here else (where, there, here)
    if where == "axes" and list(there) != list(here):  # their order is that of the dimensions
        return where, list(there), list(here)
    for key in dict.fromkeys([*here, *there]):
        found = difference(there.get(key), here.get(key), f"{where}.{key}" if where else key)
        if found is not None:
            return found
    return None
