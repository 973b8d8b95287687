"""Suggestions for mistyped names, and tables whose rows have unique names."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any

LIKENESS = 0.7  # least similarity of a typing error; "clip" and "siglip" have 0.6 and differ in meaning


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """The choice nearest to a mistyped `value`; None if none is near."""
    written, folded = value.casefold(), {choice.casefold(): choice for choice in choices}
    others = [
        word
        for word in folded
        if sorted(word) == sorted(written) or _abbreviates(written, word) or word.startswith(f"{written}_")
    ]  # "=>" for ">=", "p" for "p_spu"
    found = get_close_matches(written, folded, 1, LIKENESS) or get_close_matches(written, others, 1, 0)
    return folded[found[0]] if found else None


def _abbreviates(short: str, word: str) -> bool:
    """Whether `short` is `word` without at most two thirds of its letters; the first letter must stay."""
    letters = iter(word)
    return 3 <= len(short) >= len(word) / 3 and short[0] == word[:1] and all(letter in letters for letter in short)


def suggestion(value: str, choices: Iterable[str], quoted: bool = False) -> str:
    """The end of an error message about `value`: "; the nearest is ..." or nothing."""
    near = nearest(value, choices)
    return "" if near is None else f"; the nearest is {near!r}" if quoted else f"; the nearest is {near}"


def check_known(what: str, value: str, known: Collection[str]) -> None:
    """Raise ValueError for an unknown name, naming the nearest."""
    if value not in known:
        raise ValueError(f"{what} = {value!r} is not one of {', '.join(known)}{suggestion(str(value), known)}")


def add_row(table: dict[str, Any], row: Any, kind: str) -> Any:
    """Add a row to a table under its name, and return it."""
    if table.setdefault(row.name, row) is not row:
        raise ValueError(f"{kind} named {row.name!r} is in the table already; names are unique")
    return row
