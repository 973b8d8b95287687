"""Names as people mistype them: which valid one they meant, if any."""

from collections.abc import Iterable
from difflib import SequenceMatcher

LIKENESS = 0.7  # of a slip of the pen; "clip" and "siglip" have 0.6 and mean different things


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """The choice that somebody who wrote `value` seems to have meant; None where none is near.

    Parameters
    ----------
    value : what was written
    choices : what is valid

    Examples
    --------
    >>> nearest("predct", ["predict", "simulate"])
    'predict'
    >>> nearest("lstsq", ["least-squares", "logistic"])
    'least-squares'
    >>> nearest("clip", ["siglip", "infonce"]) is None
    True
    """
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
    """The end of a sentence that refuses `value`: "; the nearest is ..." or nothing.

    Parameters
    ----------
    value : what was written
    choices : what is valid
    quoted
        Whether the choice is printed in quotes.
    called
        The words before it.
    """
    near = nearest(value, choices)
    return "" if near is None else f"; {called} is {near!r}" if quoted else f"; {called} is {near}"
