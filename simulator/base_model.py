"""The pydantic base of declarations, and their documentation."""

from collections.abc import Mapping
from inspect import Parameter, Signature, cleandoc
from itertools import chain
from textwrap import fill, indent
from typing import Any, TypeVar, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from simulator.quantities import LATENT, Notation
from simulator.summary import html_table, short

Same = TypeVar("Same", bound="Checked")
Model = TypeVar("Model", bound=BaseModel)


def documented(model: type[Model]) -> type[Model]:
    """The model, with the descriptions of its fields for "{fields}" in its docstring, and a
    signature without types.
    """
    entries = [
        f"{name}\n{indent(fill(_sentence(info), 106), '    ')}"
        for name, info in model.model_fields.items()
    ]
    model.__doc__ = cleandoc(model.__doc__ or "").replace("{fields}", "\n".join(entries))
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=info.default)
        for name, info in model.model_fields.items()
    ]
    model.__signature__ = Signature(parameters)
    return model


def _sentence(info: FieldInfo) -> str:
    """Description of a field, with its unit if that is LATENT."""
    options = (getattr(option, "__metadata__", ()) for option in get_args(info.annotation))
    parts = [*info.metadata, *chain.from_iterable(options)]
    nested = (
        part.description for part in parts if isinstance(part, FieldInfo) and part.description
    )
    text = info.description or next(nested)
    unit = next(
        (
            f", in {part.unit}"
            for part in parts
            if isinstance(part, Notation) and part.unit == LATENT
        ),
        "",
    )
    return f"{text[0].upper()}{text[1:]}{unit}."


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, arrays in all numbers."""
    arrays = isinstance(one, np.ndarray) or isinstance(other, np.ndarray)
    return np.array_equal(one, other) if arrays else one == other


class _Shown(str):
    """A text that is its own repr."""

    __repr__ = str.__str__


class Checked(BaseModel):
    """A frozen model. Each field lies in its declared domain, also in a copy with changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __eq__(self, other: object) -> bool:
        """Whether both have the same fields; pydantic's own comparison of arrays has no truth
        value.
        """
        if type(self) is not type(other):
            return NotImplemented
        return all(
            same(getattr(self, name), getattr(other, name)) for name in type(self).model_fields
        )

    def __iter__(self):
        """(name, value) of each field; pydantic's own shows cached properties, too."""
        return ((name, getattr(self, name)) for name in type(self).model_fields)

    def __repr_args__(self):
        """Fields that are unset or at their defaults are left out of the repr, and an array is its
        range.
        """
        fields = type(self).model_fields
        pairs = ((str(name), getattr(self, str(name))) for name in fields)
        changed = [
            (name, x) for name, x in pairs if x is not None and not same(x, fields[name].default)
        ]
        return [(name, _Shown(short(x)) if isinstance(x, np.ndarray) else x) for name, x in changed]

    __str__ = BaseModel.__repr__  # pydantic's own has no class name

    def _repr_html_(self) -> str:
        rows = (
            (name, getattr(self, name), _sentence(info))
            for name, info in type(self).model_fields.items()
        )
        return html_table(type(self).__name__, ["field", "value", "meaning"], rows)

    def replace(self: Same, **fields: Any) -> Same:
        """A validated copy with some fields changed. Unset fields stay unset."""
        return type(self)(
            **{**{name: getattr(self, name) for name in self.model_fields_set}, **fields}
        )

    def model_copy(
        self: Same, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Same:
        """The same; pydantic's own copy is not validated."""
        return self.replace(**(update or {}))
