"""The base of every declaration: frozen, each field within its declared domain."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Checked(BaseModel):
    """Frozen, each field within its declared domain; a copy with changes is checked like the original."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_copy(self, *, update: dict[str, Any] | None = None, deep: bool = False):
        """The same with some fields changed, validated (pydantic's own copy checks nothing).

        Fields that were left out still are.

        Parameters
        ----------
        update
            Fields that change.
        deep
            As of pydantic; frozen values need no copies.
        """
        return type(self)(**{**{name: getattr(self, name) for name in self.model_fields_set}, **(update or {})})
