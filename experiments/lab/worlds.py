"""From flags and TOML to a World: one merge, one place where a wrong value becomes a sentence.

A world file holds World's fields flat (p_spu = 0.9) and the tables [[attribute]] and [views]; flags override the file,
and validators that look at several fields run once, after the merge.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from experiments.errors import RequestError
from simulator.naming import suggestion
from simulator.pixels.views import Pixels
from simulator.quantities import domain_of
from simulator.world import Attribute, World

if TYPE_CHECKING:
    from simulator.pixels.scenery import Scenery

_KINDS = {"model_type": "a table", "tuple_type": "a list", "string_type": "a text"}  # in TOML's words, not Python's
_TABLES = {"attribute": Attribute, "views": Pixels}  # of a world file, and what they hold


def world_from(file: Path | None, flags: dict[str, Any]) -> World:
    """The world of a file (or the defaults) with `flags` on top.

    Raises RequestError naming the flag or the file and key, the value, its domain and the nearest valid choice.
    """
    own = {} if file is None else read(file)
    return world_of({**own, **flags}, dict.fromkeys(own.keys() - flags.keys(), file))


def world_of(fields: dict[str, Any], sources: Mapping[str, Path | str]) -> World:
    """The world of some fields. `sources` names the file, or the like, that a field stands in; all others are flags."""
    try:
        return World(**fields)
    except ValidationError as failure:
        raise RequestError(in_words(failure, sources)) from None


def read_pictures(world: World) -> "Scenery":
    """The pictures of a world of pixels, before any work with them. Raises RequestError where they cannot be read."""
    from simulator.pixels.scenery import scenery

    try:
        return scenery(world.views, world.classes)
    except ValueError as error:
        raise RequestError(str(error)) from None


def read(file: Path) -> dict[str, Any]:
    """The fields in a world file. Raises RequestError for a file that cannot be read or is not TOML."""
    try:
        with file.open("rb") as handle:
            return tomllib.load(handle)
    except OSError as error:
        raise RequestError(f"world file {str(file)!r} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"world file {str(file)!r} is not TOML: {error}") from None


def in_words(failure: ValidationError, sources: Mapping[str, Path | str]) -> str:
    """What is wrong with a world, in one sentence; `sources` as of `world_of`."""
    error = failure.errors()[0]
    location, value = error["loc"], error["input"]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":  # a validator over several fields names them itself
        return message
    name = str(location[-1])
    model = _TABLES.get(location[0], World) if len(location) > 1 else World
    source = sources.get(location[0])
    where = f"--{name.replace('_', '-')}" if source is None else f"{source}: key {'.'.join(map(str, location))}"
    if error["type"] == "extra_forbidden":
        return f"{where} is not a field of a world{suggestion(name, model.model_fields, quoted=True)}"
    if error["type"] in _KINDS:
        return f"{where} = {value!r} is not {_KINDS[error['type']]}"
    if error["type"] in ("greater_than_equal", "less_than_equal", "finite_number"):
        low, high = _domain(model, name)
        near = f"; the nearest valid value is {min(max(value, low), high):g}" if value == value else ""
        return f"{where} = {value} lies outside [{low:g}, {high:g}]{near}"
    return f"{where} = {value!r}: {message[0].lower()}{message[1:]}"


def _domain(model: type, name: str) -> tuple[float, float]:
    hint = get_type_hints(model, include_extras=True)[name]
    return domain_of(hint if get_origin(hint) is Annotated else get_args(hint)[0])  # the first of "a number or None"


def world_toml(world: World) -> str:
    """A world as TOML that --world reads back."""
    import tomli_w

    fields = world.model_dump(exclude_none=True)  # TOML has no null; what is absent reads as it was
    attributes, views = fields.pop("attribute"), fields.pop("views", None)
    tables = {"attribute": [dict(a) for a in attributes], "views": views}
    return tomli_w.dumps({**fields, **{name: table for name, table in tables.items() if table}})
