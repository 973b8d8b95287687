"""What several screens are made of."""

from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

VERDICT_STYLES = {
    "proved": "bold green",
    "supported": "green",
    "contradicted": "red",
    "undecided": "yellow",
    "refused": "yellow",
}


def percent(value: float | None) -> str:
    """A share in percent; nothing where there is none."""
    return "" if value is None else f"{100 * value:.2f}"


def indented(words: str) -> Padding:
    """What belongs to the line above."""
    return Padding(Text(words), (0, 0, 0, 4), expand=False)


def folded(*parts: Any) -> Group:
    """Parts of a screen, in whose tables what is too wide goes on in the next line: nothing is cut off."""
    for part in parts:
        for column in part.columns if isinstance(part, Table) else ():
            column.overflow = "fold"
    return Group(*parts)


def interval(ends: list | tuple | None) -> str:
    """Both ends in percent."""
    return "no interval" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
