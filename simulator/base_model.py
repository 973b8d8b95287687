"""The pydantic base of declarations."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

Same = TypeVar("Same", bound="Checked")


class Checked(BaseModel):
    """Frozen, with each field in its declared domain; a copy with changes is validated, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_copy(self: Same, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Same:
        """A copy with some fields changed, validated; pydantic's own copy is not. Unset fields stay unset."""
        return type(self)(**{**{name: getattr(self, name) for name in self.model_fields_set}, **(update or {})})
