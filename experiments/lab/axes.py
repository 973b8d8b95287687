"""Axes of a study: a field of World or Recipe, `n`, `seed` or `mitigation`, and its values.

    NAME=LOW:HIGH:COUNT             linear
    NAME=LOW:HIGH:COUNT:log         logarithmic
    NAME=LOW:HIGH:COUNT:one-minus   1 - x logarithmic, both ends below 1
    NAME=V1,V2,V3                   listed

Hyphens equal underscores in a name. Whole-number fields are rounded on logarithmic axes only.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from experiments.errors import RequestError
from experiments.lab import mitigations
from simulator import quantities as q
from simulator.naming import suggestion
from simulator.quantities import Quantity
from simulator.samplers import SAMPLERS
from simulator.towers.recipe import Recipe
from simulator.world import SCALARS, World

SCALES = ("linear", "log", "one-minus")
LONGEST = 1_000_000  # values of one axis
_WORLD = get_type_hints(World, include_extras=True)
_RECIPE = get_type_hints(Recipe, include_extras=True)
_OWN = {"n": q.PairCount, "seed": q.Seed}
NAMES = (*SCALARS, *(name for name in Recipe.model_fields if name not in ("loss", "n")), *_OWN, "mitigation")

Value = float | int | str


@dataclass(frozen=True)
class Axis:
    """A field and its values."""

    name: str
    values: tuple[Value, ...]
    scale: str = "listed"

    def toml(self) -> str | list[Value]:
        """The axis in a TOML file: a range as text, or a list."""
        if self.scale == "listed":
            return list(self.values)
        ends = f"{self.values[0]!r}:{self.values[-1]!r}:{len(self.values)}"
        return ends if self.scale == "linear" else f"{ends}:{self.scale}"

    def quantity(self) -> Quantity:
        """Symbol, meaning and unit."""
        return quantity(self.name)


def quantity(name: str) -> Quantity:
    """Symbol, meaning and unit of a field that can be an axis."""
    if name in _OWN or name in SCALARS:
        return q.quantity_of(_OWN.get(name) or _WORLD[name])
    if name == "mitigation":
        return Quantity(r"\mathrm{mitigation}", "mitigation of the background", "")
    word = name.replace("_", r"\ ")
    return Quantity(rf"\mathrm{{{word}}}", Recipe.model_fields[name].description or name, "")


def of_world(name: str) -> bool:
    """Whether an axis varies the world."""
    return name in SCALARS


def of_recipe(name: str) -> bool:
    """Whether an axis varies the recipe of trained towers only."""
    return name in Recipe.model_fields and name not in SCALARS and name not in _OWN


def axis(name: str, values: Any) -> Axis:
    """The axis of a name, from a range or list as text, one value, several, or another axis.

    Raises RequestError, naming field and value, for an unknown field, an empty axis, a repeated value, nan, or a value
    outside the field's domain.
    """
    field = name.replace("-", "_")
    if field == "loss":
        raise RequestError("axis 'loss': objectives are learners of a study; name them as --learner infonce")
    if field not in NAMES:
        near = suggestion(field, NAMES, quoted=True)
        raise RequestError(f"axis {name!r} is not a field of a world or a recipe, nor n, seed or mitigation{near}")
    if isinstance(values, Axis):
        values, scale = values.values, values.scale
    elif isinstance(values, str):
        values, scale = _read(field, values)
    else:
        values, scale = _listed(field, values), "listed"
    if not len(values):
        raise RequestError(f"axis {field} is empty; give at least one value")
    if len(values) > LONGEST:
        raise RequestError(f"axis {field} has {len(values):,} values, more than {LONGEST:,}")
    checked = _checked(field, values)
    if len(set(checked)) < len(checked):
        twice = next(value for i, value in enumerate(checked) if value in checked[:i])
        raise RequestError(f"axis {field} holds {twice} more than once; its values must differ")
    return Axis(field, tuple(checked), scale)


def _listed(field: str, values: Any) -> list[Value]:
    """One value, or a flat list of values, as Python numbers and strings."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    values = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    for value in values:
        if isinstance(value, Sequence) and not isinstance(value, str):
            raise RequestError(f"axis {field}: {value!r} is a list within a list; expected a flat list")
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def parsed(text: str) -> Axis:
    """The axis in `NAME=...` from the command line."""
    name, equals, values = text.partition("=")
    if not equals:
        raise RequestError(f"--axis {text!r} is neither NAME=LOW:HIGH:COUNT nor NAME=V1,V2; p_spu=.5:1:11 is one")
    return axis(name.strip(), values.strip())


def _read(field: str, text: str) -> tuple[list[Value], str]:
    if ":" not in text:
        words = [word.strip() for word in text.split(",")] if text else []
        return [_value(field, word) for word in words], "listed"
    parts = text.split(":")
    scale = parts[3] if len(parts) == 4 else "linear"
    if len(parts) not in (3, 4) or scale not in SCALES:
        near = suggestion(scale, SCALES) if len(parts) == 4 else f"; {text}:11 is" if len(parts) == 2 else ""
        raise RequestError(f"axis {field} = {text!r} is not LOW:HIGH:COUNT, nor with :log or :one-minus after it{near}")
    low, high = (_value(field, part) for part in parts[:2])
    if isinstance(low, str) or isinstance(high, str):
        raise RequestError(f"axis {field} = {text!r} is a range of words; list them as {field}={low},{high}")
    _checked(field, [low, high])
    return _spread(field, text, low, high, _count(field, text, parts[2]), scale), scale


def _count(field: str, text: str, word: str) -> int:
    """Number of values of a range."""
    with suppress(ValueError):
        count = float(word)
        if count.is_integer() and 2 <= count <= LONGEST:
            return int(count)
    raise RequestError(f"axis {field} = {text!r}: the count {word!r} is not a whole number from 2 to {LONGEST:,}")


def _spread(field: str, text: str, low: float, high: float, count: int, scale: str) -> list[Value]:
    """The values of a range; its ends are not rounded."""
    if scale == "linear":
        values = np.linspace(low, high, count)
    else:
        ends = (low, high) if scale == "log" else (1 - low, 1 - high)
        if min(ends) <= 0:
            within = "above 0" if scale == "log" else "below 1"
            raise RequestError(f"axis {field} = {text!r}: both ends of a {scale} axis lie {within}")
        values = np.geomspace(*ends, count)
        values = values if scale == "log" else 1 - values
    values[0], values[-1] = low, high
    if _kind(field) is not int:
        return values.tolist()
    whole = np.rint(values)
    if scale == "linear" and np.any(whole != values):
        raise RequestError(
            f"axis {field} = {text!r} passes {values[whole != values][0]:g}, which is not a whole number"
        )
    return [int(value) for value in whole]


def _value(field: str, word: str) -> Value:
    """A number, or a word if the field takes words."""
    if _choices(field):
        return word
    with suppress(ValueError):
        return int(word) if _kind(field) is int else float(word)  # a seed may have more digits than a float keeps
    try:
        number = float(word)
    except ValueError:
        raise RequestError(f"axis {field}: {word!r} is not a number") from None
    return int(number) if number.is_integer() else number


def _annotation(field: str) -> Any:
    return _OWN.get(field) or _WORLD.get(field) or _RECIPE.get(field)


def _plain(annotation: Any) -> Any:
    """An annotation without its bounds and its None."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) is not Literal and parts:
        return _plain(parts[0])
    return annotation


def _kind(field: str) -> Any:
    return _plain(_annotation(field))


def _choices(field: str) -> tuple[str, ...]:
    if field == "mitigation":
        return mitigations.names()
    if field == "sampler":
        return tuple(SAMPLERS)
    return get_args(_kind(field)) if get_origin(_kind(field)) is Literal else ()


def _checked(field: str, values: Sequence[Value]) -> list[Value]:
    """The values, of the field's type and within its domain; a recipe checks its own fields later."""
    if choices := _choices(field):
        for value in values:
            if value not in choices:
                hint = suggestion(str(value), choices)
                raise RequestError(f"axis {field}: {value!r} is not one of {', '.join(choices)}{hint}")
        return list(values)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RequestError(f"axis {field}: {value!r} is not a number")
    numbers = np.array(values, float)
    low, high = (-math.inf, math.inf) if of_recipe(field) else q.domain_of(_annotation(field))
    if (bad := ~((low <= numbers) & (numbers <= high) & np.isfinite(numbers))).any():
        value = numbers[bad][0]
        if of_recipe(field):
            raise RequestError(f"axis {field}: {value} is not a finite number")
        near = f"; the nearest valid value is {min(max(value, low), high):g}" if math.isfinite(value) else ""
        raise RequestError(f"axis {field}: {value:g} lies outside [{low:g}, {high:g}]{near}")
    if _kind(field) is not int:
        return numbers.tolist()
    if (broken := numbers != np.rint(numbers)).any():
        raise RequestError(f"axis {field}: {numbers[broken][0]} is not a whole number")
    return [int(value) for value in values]
