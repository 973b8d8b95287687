"""Names: the nearest one, or the domain of a value, for refusals; unique ones in tables; those that
a package loads.
"""

import sys
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from importlib import import_module
from math import inf
from typing import Any

# least similarity of a typing error; "clip" and "siglip" have 0.6 and differ in meaning
LIKENESS = 0.7


def suggestion(value: str, choices: Iterable[str], quoted: bool = False) -> str:
    """The end of an error message about a mistyped `value`: "; the nearest is ...", or nothing if
    no choice is near.
    """
    written = value.casefold()
    folded = {choice.casefold(): choice for choice in choices}
    others = [
        word
        for word in folded
        if sorted(word) == sorted(written)
        or _abbreviates(written, word)
        or word.startswith(f"{written}_")
    ]  # "=>" for ">=", "p" for "p_spu"
    matches = get_close_matches(written, folded, 1, LIKENESS) or get_close_matches(
        written, others, 1, 0
    )
    if not matches:
        return ""
    near = folded[matches[0]]
    return f"; the nearest is {near!r}" if quoted else f"; the nearest is {near}"


def _abbreviates(short: str, word: str) -> bool:
    """Whether `short` is `word` without at most two thirds of its letters; the first letter must
    stay.
    """
    letters = iter(word)
    return (
        3 <= len(short) >= len(word) / 3
        and short[0] == word[:1]
        and all(letter in letters for letter in short)
    )


def unlisted(value: Any, choices: Collection[str]) -> str:
    """The refusal of a name: its value, the known names and the nearest.

    >>> unlisted("lin", ("linear", "infonce"))
    "'lin' is not one of linear, infonce; the nearest is linear"
    """
    return f"{value!r} is not one of {', '.join(choices)}{suggestion(str(value), choices)}"


def outside(value: Any, low: float, high: float = inf) -> str:
    """The refusal of a number: its value, its domain and the nearest valid choice. Every domain is
    refused so.

    >>> outside(1.2, 0.0, 1.0), outside(90.0, 0.0, 1.0)
    ('1.2 lies outside [0, 1]; the nearest valid value is 1', '90.0 lies outside [0, 1]; 90 % is
    0.9')
    """
    low_end, high_end = (f"{end}" if isinstance(end, int) else f"{end:.12g}" for end in (low, high))
    where = f"is below {low_end}" if high == inf else f"lies outside [{low_end}, {high_end}]"
    if value != value:
        return f"{value} {where}"
    if high == 1 and value >= 2:  # a probability, perhaps meant in percent
        return f"{value} {where}" + (f"; {value:g} % is {value / 100:g}" if value <= 100 else "")
    return f"{value} {where}; the nearest valid value is {low_end if value < low else high_end}"


def add_row(table: dict[str, Any], row: Any, kind: str) -> Any:
    """Add a row to a table under its name, and return it."""
    if table.setdefault(row.name, row) is not row:
        raise ValueError(f"{kind} named {row.name!r} is in the table already; names are unique")
    return row


def loaded_on_first_use(
    package: str, words: str, homes: dict[str, str]
) -> tuple[Callable, Callable, str]:
    """`__getattr__`, `__dir__` and `__doc__` of a package: its words, then its names, each with its
    home in `homes`.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, _, defined = homes[name].partition(":")
        module = import_module(home)
        return getattr(module, defined) if defined else module

    names = "\n".join(f"- `{home.replace(':', '.')}`" for home in homes.values())
    return (
        load,
        lambda: sorted({*vars(sys.modules[package]), *homes}),
        f"{words}\nPublic names:\n\n{names}",
    )
