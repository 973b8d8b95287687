"""Flags that are derived: one for each field of World and one for each field of Recipe, from their declarations.

A flag that is not given stays None, so that a file or the declaration's default shows through. A field that World or
Recipe gains is a flag at once.
"""

from dataclasses import asdict, make_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter
from pydantic import BaseModel

from experiments.command.words import real, whole
from simulator.towers.recipe import Recipe
from simulator.world import World

CONVERTERS = {int: whole, float: real}


def _kind(annotation: Any) -> Any:
    """int, float, str or a Literal: what a field holds, without its bounds and its None."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Literal or isinstance(annotation, type):
        return annotation
    (kind,) = (part for part in get_args(annotation) if part is not NoneType)
    return _kind(kind)


def _meaning(annotation: Any) -> str:
    """The description somewhere inside an annotation: a field of World has it in its quantity's type."""
    for part in get_args(annotation):
        found = getattr(part, "description", None) or _meaning(part)
        if found:
            return found
    return ""


def _flags(model: type[BaseModel], group: Group, but: tuple[str, ...] = ()) -> type:
    """A dataclass with one optional field a field of `model`, as cyclopts reads flags."""
    fields = []
    for name, hint in get_type_hints(model, include_extras=True).items():
        if name in but or name not in model.model_fields:
            continue
        kind, default = _kind(hint), model.model_fields[name].default
        shown = f"{default:g}" if isinstance(default, float) else default
        note = _meaning(hint) + ("" if default is None else f" [default: {shown}]")
        parameter = Parameter(help=note, group=group, show_default=False, converter=CONVERTERS.get(kind))
        fields.append((name, Annotated[kind | None, parameter], None))
    # cyclopts reads no fields of a class that claims to be a built-in.
    return make_dataclass(f"{model.__name__}Flags", fields, kw_only=True, namespace={"__module__": __name__})


def given(flags: Any) -> dict[str, Any]:
    """The flags that were given, by field."""
    return {} if flags is None else {name: value for name, value in asdict(flags).items() if value is not None}


_WORLD = Group("World", sort_key=1)
WorldFlags = _flags(World, _WORLD, but=("attribute", "views"))  # tables of a file
WorldOptions = Annotated[WorldFlags, Parameter(name="*")]
WorldFile = Annotated[
    Path | None, Parameter(name="--world", group=_WORLD, help="TOML file with a world's fields; flags override it")
]

_TRAINING = Group("Training", sort_key=0)
TrainingFlags = _flags(Recipe, _TRAINING)
TrainingOptions = Annotated[TrainingFlags, Parameter(name="*")]
RecipeFlags = _flags(Recipe, _TRAINING, but=("loss", "n"))  # a study names losses as learners, and its n has routes
RecipeOptions = Annotated[RecipeFlags, Parameter(name="*")]
