"""Names: which valid one people meant who mistype one, and tables whose rows have one each."""

from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from typing import Protocol, TypeVar, runtime_checkable


@runtime_checkable
class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """By which a table knows it."""
        ...


Row = TypeVar("Row", bound=Named)

LIKENESS = 0.7  # of a slip of the pen; "clip" and "siglip" have 0.6 and mean different things


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """The choice that somebody who wrote `value` seems to have meant; None where none is near."""
    likeness = {}
    for choice in sorted(choices):
        written, meant = value.casefold(), choice.casefold()
        ratio = SequenceMatcher(None, written, meant).ratio()
        swapped = sorted(written) == sorted(meant)  # "=>" for ">="
        if ratio >= LIKENESS or swapped or _abbreviates(written, meant):
            likeness[choice] = ratio
    return max(likeness, key=likeness.__getitem__, default=None)


def _abbreviates(short: str, word: str) -> bool:
    """Whether `short` is `word` with letters left out, the first one excepted."""
    letters = iter(word)
    return len(short) >= 3 and short[0] == word[:1] and all(letter in letters for letter in short)


def suggestion(value: str, choices: Iterable[str], quoted: bool = False, called: str = "the nearest") -> str:
    """The end of a sentence that refuses `value`: "; the nearest is ..." or nothing."""
    near = nearest(value, choices)
    return "" if near is None else f"; {called} is {near!r}" if quoted else f"; {called} is {near}"


def refuse_unknown(what: str, value: str, known: Collection[str]) -> None:
    """Refuse a name that is not among the known ones, with the nearest."""
    if value not in known:
        raise ValueError(f"{what} = {value!r} is not one of {', '.join(known)}{suggestion(str(value), known)}")


def entered(table: dict[str, Row], row: Row, kind: str) -> Row:
    """The row, after it was entered into a table by its name."""
    if table.setdefault(row.name, row) is not row:
        raise ValueError(f"{kind} named {row.name!r} is in the table already; names are unique")
    return row
