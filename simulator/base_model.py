"""The base of every declaration: frozen, each field within its declared domain."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

Same = TypeVar("Same", bound="Checked")


class Checked(BaseModel):
    """Frozen, each field within its declared domain; a copy with changes is checked like the original."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_copy(self: Same, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Same:
        """The same with some fields changed, validated (pydantic's own copy checks nothing).

        Fields that were left out still are.
        """
        return type(self)(**{**{name: getattr(self, name) for name in self.model_fields_set}, **(update or {})})
