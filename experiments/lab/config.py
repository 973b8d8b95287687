"""Worlds and recipes from flags and TOML files: a wrong value becomes one sentence.

A world file holds World's fields (p_spu = 0.9) and the tables [[attribute]] and [views]. Flags override the file.
Validators that look at several fields run once, after the merge.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from experiments.errors import RequestError
from simulator.naming import suggestion
from simulator.pixels.views import Pixels
from simulator.quantities import domain_of
from simulator.towers.recipe import Recipe
from simulator.world import Attribute, World

if TYPE_CHECKING:
    from simulator.pixels.scenery import Scenery

_KINDS = {"model_type": "a table", "tuple_type": "a list", "string_type": "a text"}  # TOML's terms
_TABLES = {"attribute": Attribute, "views": Pixels}  # of a world file
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most"}


def read_toml(file: Path, kind: str) -> dict[str, Any]:
    """The content of a TOML file. Raises RequestError if it cannot be read or is not TOML."""
    try:
        with file.open("rb") as handle:
            return tomllib.load(handle)
    except OSError as error:
        raise RequestError(f"{kind} file {str(file)!r} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{kind} file {str(file)!r} is not TOML: {error}") from None


def world_from(file: Path | None, flags: dict[str, Any]) -> World:
    """The world of a file (or the default world) with flags on top.

    Raises RequestError naming the flag, or the file and key, with the value, its domain and the nearest valid choice.
    """
    own = {} if file is None else read_toml(file, "world")
    return world_of({**own, **flags}, dict.fromkeys(own.keys() - flags.keys(), file))


def world_of(fields: dict[str, Any], sources: Mapping[str, Path | str]) -> World:
    """The world of some fields. `sources` names the file of each field that does not come from a flag."""
    try:
        return World(**fields)
    except ValidationError as failure:
        raise RequestError(world_refusal(failure, sources)) from None


def world_refusal(failure: ValidationError, sources: Mapping[str, Path | str]) -> str:
    """What is wrong with a world, in one sentence; `sources` as in `world_of`."""
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
    """A world as a TOML text, which --world reads."""
    import tomli_w  # start-up time

    fields = world.model_dump(exclude_none=True)  # TOML has no null
    attributes, views = fields.pop("attribute"), fields.pop("views", None)
    tables = {"attribute": [dict(a) for a in attributes], "views": views}
    return tomli_w.dumps({**fields, **{name: table for name, table in tables.items() if table}})


def read_pictures(world: World) -> "Scenery":
    """The pictures of a world of pixels. Raises RequestError if they cannot be read."""
    from simulator.pixels.scenery import scenery  # start-up time

    try:
        return scenery(world.views, world.classes)
    except ValueError as error:
        raise RequestError(str(error)) from None


def recipe_from(flags: dict[str, Any]) -> Recipe:
    """The recipe of some flags. Raises RequestError naming flag, value, domain and the nearest valid choice."""
    try:
        return Recipe(**flags)
    except ValidationError as failure:
        raise RequestError(recipe_refusal(failure, lambda field: f"--{field.replace('_', '-')}")) from None


def recipe_refusal(failure: ValidationError, called: Callable[[str], str] = str) -> str:
    """What is wrong with a recipe, in one sentence; `called` turns a field into the user's name for it."""
    error = failure.errors()[0]
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # a validator over several fields names them itself
        return message
    field, value, limits = str(error["loc"][0]), error["input"], error.get("ctx", {})
    for name, words in _BOUNDS.items():
        if name in limits:
            near = Recipe.model_fields[field].default if name == "gt" else limits[name]
            hint = "" if near is None else f"; the nearest valid choice is {near}"
            return f"{called(field)} = {value} is not {words} {limits[name]:g}{hint}"
    if error["type"] == "value_error":  # our own sentence, which begins with the value
        return f"{called(field)} = {message}"
    return f"{called(field)} = {value!r}: {message[0].lower()}{message[1:]}"


def recipe_of(label: str, given: dict[str, Any]) -> Recipe:
    """The recipe that trains the objective of that name, or the objective whose optimum is the learner of that name.

    Raises RequestError for a learner that is no objective's optimum, ValidationError for fields that contradict.
    """
    from simulator.towers.objectives import OBJECTIVES  # start-up time: loads torch

    if label in OBJECTIVES:
        kinds, default = OBJECTIVES[label].towers, Recipe.model_fields["towers"].default
        return Recipe(**{"loss": label, "towers": default if default in kinds else kinds[0], **given})
    for objective in OBJECTIVES.values():
        for towers, learner in objective.population_learner.items():
            if learner == label:
                return Recipe(**{**given, "loss": objective.name, "towers": towers})
    known = [*OBJECTIVES, *(learner for o in OBJECTIVES.values() for learner in o.population_learner.values())]
    raise RequestError(
        f"no towers learn what learner {label!r} learns; those that can be trained are "
        f"{', '.join(dict.fromkeys(known))}"
    )


def checked_prompt(recipe: Recipe, prompt: str | None) -> str | None:
    """The prompt, or the first that the towers have: name, or None for towers that see no text.

    Raises RequestError for a prompt that the towers do not have.
    """
    from simulator.towers.evaluation import prompts_of  # start-up time: loads torch

    known = prompts_of(recipe)
    if prompt is None or prompt in known:
        return prompt or known[0]
    if known == (None,):
        captions = recipe.objective.captions
        why = "a last layer that is refitted" if captions else f"loss {recipe.loss!r}, which sees no text"
        raise RequestError(f"--prompt = {prompt} has no meaning for {why}; leave it out")
    raise RequestError(
        f"--prompt = {prompt} needs scores that are cosines times a scale, which loss {recipe.loss!r} does not have; "
        f"its prompts are {', '.join(known)}"
    )
