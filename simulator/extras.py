"""Modules of optional packages, which are imported only when needed."""

from importlib import import_module
from typing import Any


def installed(
    module: str, package: str, extra: str, user: str = "", refusal: type[Exception] = ValueError
) -> Any:
    """The module. Raises `refusal` with the line that installs its package, and with what needs
    it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        needed = f", which {user} needs," if user else ""
        line = f"python -m pip install -e '.[{extra}]'"
        raise refusal(f"{package}{needed} is not installed; in the checkout run: {line}") from error
