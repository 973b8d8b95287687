"""Axes of a study: a field of World or Recipe, `n`, `seed`, `mitigation`, or a learner's `time`,
`start`, `scale` or `bias`; its values.

    NAME=LOW:HIGH:COUNT             linear
    NAME=LOW:HIGH:COUNT:log         logarithmic
    NAME=LOW:HIGH:COUNT:one-minus   1 - x logarithmic, both ends below 1
    NAME=V1,V2,V3                   listed; a value of table is the text of a named table
                                    (`simulator.tables`)

Hyphens equal underscores in a name. Whole-number fields are rounded on logarithmic axes only.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from experiments.errors import RequestError, unknown
from experiments.lab.config import refusal, validated
from experiments.lab.mitigations import MITIGATIONS
from simulator import quantities as q
from simulator.naming import suggestion
from simulator.quantities import Notation
from simulator.tables import named
from simulator.towers.recipe import Recipe
from simulator.world import SCALARS, World

LONGEST = 1_000_000  # values of one axis
SCALES = ("linear", "log", "one-minus")
_WORLD = {name: q.declared(get_type_hints(World, include_extras=True)[name]) for name in SCALARS}
_WORLD |= {"n": q.PairCount, "seed": q.Seed}
# learners' own options
OF_LEARNERS = {"time": q.Time, "start": q.Start, "scale": q.Scale, "bias": q.Bias}
_WORLD |= OF_LEARNERS
_RECIPE = {
    n: hint
    for n, hint in get_type_hints(Recipe, include_extras=True).items()
    if n in Recipe.model_fields
}
_WORDS = {
    "mitigation": "mitigation of the background",
    "table": "joint probabilities of classes and backgrounds",
}
_FIELDS = {n: h for n, h in _RECIPE.items() if n != "loss"} | _WORLD | dict.fromkeys(_WORDS, str)
OF_RECIPE = _RECIPE.keys() - _WORLD.keys()
OF_BOTH = ("embed_dim", "batch_size")  # fields of a recipe, and options of learners in theory
_KINDS = {name: q.kind_and_meaning(annotation)[0] for name, annotation in _FIELDS.items()}
_MEANINGS = {name: Recipe.model_fields[name].description or name for name in OF_RECIPE} | _WORDS
QUANTITIES = {name: q.quantity_of(annotation) for name, annotation in _WORLD.items()} | {
    name: Notation(r"\mathrm{" + name.replace("_", r"\ ") + "}", meaning, "")
    for name, meaning in _MEANINGS.items()
}

Value = float | int | str


@dataclass(frozen=True)
class StudyAxis:
    name: str
    values: tuple[Value, ...]
    scale: str = "listed"

    def toml(self) -> str | list[Value]:
        if self.scale == "listed":
            return list(self.values)
        ends = f"{self.values[0]!r}:{self.values[-1]!r}:{len(self.values)}"
        return ends if self.scale == "linear" else f"{ends}:{self.scale}"


def axis(name: str, values: Any) -> StudyAxis:
    """The axis of a name, from a range or list as text, one value or several."""
    field = name.replace("-", "_")
    if field == "loss":
        raise RequestError(
            "axis 'loss': objectives are learners of a study; name them as --learner infonce"
        )
    if field not in _FIELDS:
        near = suggestion(field, _FIELDS, quoted=True)
        *most, last = ("n", "seed", "mitigation", *OF_LEARNERS)
        others = f"{', '.join(most)} or {last}"
        raise RequestError(
            f"axis {name!r} is not a field of a world or a recipe, nor {others}{near}"
        )
    scale = "listed"
    if isinstance(values, str) and ":" in values:
        values, scale = _spread(field, values)
    elif isinstance(values, str):
        values = [_value(field, word.strip()) for word in _words(values)] if values else []
    values = np.asarray(values).tolist() if isinstance(values, np.ndarray | np.generic) else values
    values = list(values) if isinstance(values, Sequence) else [values]
    if not 1 <= len(values) <= LONGEST:
        raise RequestError(f"axis {field} has {len(values):,} values; give 1 to {LONGEST:,}")
    checked = _checked(field, values)
    if len(set(checked)) < len(checked):
        ((twice, _),) = Counter(checked).most_common(1)
        raise RequestError(f"axis {field} holds {twice} more than once; its values must differ")
    return StudyAxis(field, tuple(checked), scale)


def _words(text: str) -> list[str]:
    """The parts of a text between commas outside of brackets.

    >>> _words("compositional(2, 3, 1),diagonal(0.9)")
    ['compositional(2, 3, 1)', 'diagonal(0.9)']
    """
    words = [""]
    depth = 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            words.append("")
        else:
            words[-1] += letter
    return words


def given_axes(texts: Iterable[str]) -> dict[str, str]:
    """The values of texts NAME=VALUES, by name."""
    axes: dict[str, str] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise RequestError(
                f"--axis {text!r} is neither NAME=LOW:HIGH:COUNT nor NAME=V1,V2; try p_spu=.5:1:11"
            )
        if name in axes:
            raise RequestError(f"axis {name!r} is given more than once")
        axes[name] = values.strip()
    return axes


def _spread(field: str, text: str) -> tuple[list[Value], str]:
    low_word, high_word, *rest = text.split(":")
    scale = rest[1] if len(rest) == 2 else "linear"
    count = 0.0
    with suppress(ValueError, IndexError):
        count = float(rest[0])
    if len(rest) > 2 or scale not in SCALES or not 2 <= count <= LONGEST or count % 1:
        raise RequestError(
            f"axis {field} = {text!r} is not LOW:HIGH:COUNT, optionally with :log or :one-minus"
            f" after it, and COUNT from 2 to {LONGEST:,}"
        )
    if _KINDS[field] not in (int, float):
        raise RequestError(
            f"axis {field} = {text!r} is a range of words; list them as"
            f" {field}={low_word},{high_word}"
        )
    low, high = _checked(field, [_value(field, low_word), _value(field, high_word)])
    ends = (1 - low, 1 - high) if scale == "one-minus" else (low, high)
    if scale != "linear" and min(ends) <= 0:
        within = "above 0" if scale == "log" else "below 1"
        raise RequestError(f"axis {field} = {text!r}: both ends of a {scale} axis lie {within}")
    values = (np.linspace if scale == "linear" else np.geomspace)(*ends, int(count))
    values = 1 - values if scale == "one-minus" else values
    values[0], values[-1] = low, high
    if _KINDS[field] is int and scale != "linear":
        values = np.rint(values)
    return values.tolist(), scale


def _value(field: str, word: str) -> Value:
    kind = _KINDS[field]
    if kind not in (int, float):
        return word
    with suppress(ValueError):
        return kind(word)  # a seed may have more digits than a float keeps
    try:
        return float(word)
    except ValueError:
        raise RequestError(f"axis {field}: {word!r} is not a number") from None


def _checked(field: str, values: Sequence[Any]) -> list[Value]:
    kind = _KINDS[field]
    for value in values:
        if kind in (int, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise RequestError(f"axis {field}: {value!r} is not a number")
        if field == "mitigation" and value not in [*MITIGATIONS]:
            raise unknown("mitigation", str(value), MITIGATIONS)
        if field == "table" and not isinstance(value, str):
            raise RequestError(
                f"axis table holds {value!r}; its values are texts such as 'compositional(3, 4, 1)'"
            )
        if field == "table":
            with validated("axis table: "):
                named(value)
    if field == "table":
        return [value.strip() for value in values]
    if kind is int:
        values = [int(value) if value == value // 1 else value for value in values]
    try:
        if field in _WORLD:  # all values at once, for axes of a million
            return q.numbers(values, *QUANTITIES[field].domain).tolist()
        return TypeAdapter(list[_FIELDS[field]]).validate_python(values)
    except ValidationError as failure:
        raise RequestError(refusal(failure, f"axis {field}")) from None
    except ValueError as error:
        raise RequestError(f"axis {field} = {error}") from None
