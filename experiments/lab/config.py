"""Worlds and recipes from flags and TOML files: a wrong value becomes one sentence.

A world file holds World's fields (p_spu = 0.9) and the tables [[attribute]] and [views]. Flags
override the file. Validators that look at several fields run once, after the merge.
"""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from experiments.errors import RequestError
from experiments.provenance import rounding
from simulator.pixels.views import Pixels
from simulator.prompts import prompt_name
from simulator.towers.recipe import Recipe
from simulator.world import World, refusal

if TYPE_CHECKING:
    from simulator.pixels.scenery import Scenery


def read_toml(source: Path | str, kind: str) -> dict[str, Any]:
    """The document in a file, or in a text; `kind` says what it is."""
    name = kind if isinstance(source, str) else f"{kind} file {str(source)!r}"
    try:
        return tomllib.loads(
            source if isinstance(source, str) else source.read_text(encoding="utf-8")
        )
    except OSError as error:
        raise RequestError(f"{name} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"{name} is not TOML: {error}") from None


@contextmanager
def validated(before: str = "") -> Iterator[None]:
    """What is said in it against a world, a recipe or pictures becomes a RequestError."""
    try:
        yield
    except (ValueError, RequestError) as error:
        raise RequestError(
            before + (refusal(error) if isinstance(error, ValidationError) else str(error))
        ) from None


def check_same(place: str, what: str, there: dict[str, Any], here: dict[str, Any]) -> None:
    """Refuse a place that holds another request, by the first difference."""
    differs = difference(there, here)
    if differs is not None:
        where, other, own = differs
        raise RequestError(
            f"{place!r} holds another {what} ({where} is {other!r} there and {own!r} here); give"
            " the same settings, or name another folder"
        )


def check_versions(place: str, then: dict[str, str], instead: str) -> None:
    """Refuse to continue with other versions than a place was begun with, since they may round
    differently.
    """
    for name, now in rounding().items():
        if then.get(name) != now:
            raise RequestError(
                f"{place} was begun with {name} {then.get(name)}, but {now} is installed, which may"
                f" round differently; continue with that version, or {instead}"
            )


def difference(there: Any, here: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """(key, value there, value here) of the first difference of two requests; None if they are
    equal.

    >>> difference({"axes": {"n": [1, 2]}}, {"axes": {"n": [1, 3]}})
    ('axes.n', [1, 2], [1, 3])
    """
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return None if there == here else (where, there, here)
    if where == "axes" and list(there) != list(here):  # their order is the order of the dimensions
        return where, list(there), list(here)
    keys = dict.fromkeys([*here, *there])
    differences = (
        difference(there.get(key), here.get(key), f"{where}.{key}" if where else key)
        for key in keys
    )
    return next((one for one in differences if one is not None), None)


def world_from(file: Path | None, flags: dict[str, Any]) -> World:
    """The world of a file (or the default world) with flags on top; an error names the file and the
    field.
    """
    own = {} if file is None else read_toml(file, "world")
    try:
        world = World(**{**own, **flags})
    except ValidationError as failure:
        field = failure.errors()[0]["loc"][:1]
        source = f"{file}: " if field and field[0] in own.keys() - flags.keys() else ""
        raise RequestError(source + refusal(failure)) from None
    if world.shape:
        whose = "the world's" if file is None else f"{file}: its"
        raise RequestError(f"{whose} arrays make a grid of shape {world.shape}; expected one world")
    return world


def world_fields(world: World, *, defaults: bool = True) -> dict[str, Any]:
    """A world as plain values, with or without the fields at their defaults; without None, which
    TOML lacks.
    """
    fields = world.model_dump(exclude_none=True, exclude_defaults=not defaults)
    attributes = list(fields.pop("attribute", ()))
    return {**fields, "attribute": attributes} if attributes else fields


def world_toml(world: World) -> str:
    import tomli_w  # start-up time

    return tomli_w.dumps(world_fields(world))


def read_pictures(world: World) -> "Scenery":
    from simulator.pixels.scenery import scenery  # start-up time

    if not isinstance(world.views, Pixels):
        raise RequestError(f"this needs a world of pixels, and these views are {world.views.name}")
    with validated():
        return scenery(world)


def recipe_from(flags: dict[str, Any]) -> Recipe:
    with validated():
        return Recipe(**flags)


def recipe_of(label: str, fields: dict[str, Any]) -> Recipe:
    """The recipe that trains the objective of a name, or the objective whose optimum is the learner
    of that name.
    """
    from simulator.towers.objectives import OBJECTIVES  # start-up time: loads torch

    if label in OBJECTIVES:
        kinds, default = OBJECTIVES[label].towers, Recipe.model_fields["towers"].default
        return Recipe(
            **{"loss": label, "towers": default if default in kinds else kinds[0], **fields}
        )
    for objective in OBJECTIVES.values():
        for towers, learner in objective.population_learner.items():
            if learner == label:
                return Recipe(**{**fields, "loss": objective.name, "towers": towers})
    labels = [
        *OBJECTIVES,
        *(learner for o in OBJECTIVES.values() for learner in o.population_learner.values()),
    ]
    raise RequestError(
        f"no towers have the optimum of learner {label!r}; those that can be trained are "
        + ", ".join(dict.fromkeys(labels))
    )


def checked_prompt(recipe: Recipe, prompt: str | None) -> str | None:
    """The prompt, or the first that the towers have: name, or None for towers that see no text."""
    from simulator.towers.evaluation import prompts_of  # start-up time: loads torch

    prompts = prompts_of(recipe)
    prompt = prompt_name(prompt)
    if prompt is None or prompt in prompts:
        return prompt or prompts[0]
    names = ", ".join(map(str, filter(None, prompts)))
    raise RequestError(
        f"prompt = {prompt} has no meaning for loss {recipe.loss!r}"
        + (f"; its prompts are {names}" if names else ", whose scores see no text; leave it out")
    )
