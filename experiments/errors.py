"""How a request or a run fails: one sentence, exit status 2, 1 or 130, never a traceback."""

from collections.abc import Iterable
from difflib import SequenceMatcher

LIKENESS = 0.7  # of a slip of the pen; "clip" and "siglip" have 0.6 and mean different things


class SoberclipError(Exception):
    """Base of those below; `str(error)` is the one sentence that the user reads."""

    status = 1


class RequestError(SoberclipError):
    """The request was wrong: names the value, its domain and the nearest valid choice, where one is near."""

    status = 2


class RunError(SoberclipError):
    """The request was sound and the run failed; finished work is kept."""

    status = 1


class Interrupted(SoberclipError):
    """Ctrl-C: the sentence says what was kept and where, or that nothing was."""

    status = 130


def checked_seed(seed: int) -> int:
    """The seed. Raises RequestError if it is negative."""
    if seed < 0:
        raise RequestError(f"--seed = {seed} is negative; the nearest valid value is 0")
    return seed


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """The choice that somebody who wrote `value` seems to have meant; None where none is near.

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
        if ratio >= LIKENESS or _abbreviates(written, meant):
            likeness[choice] = ratio
    return max(likeness, key=likeness.__getitem__, default=None)


def _abbreviates(short: str, word: str) -> bool:
    """Whether `short` is `word` with letters left out, the first one excepted."""
    letters = iter(word)
    return len(short) >= 3 and short[0] == word[:1] and all(letter in letters for letter in short)


def suggestion(value: str, choices: Iterable[str], quoted: bool = False) -> str:
    """The end of a sentence that refuses `value`: "; the nearest is ..." or nothing."""
    near = nearest(value, choices)
    return "" if near is None else f"; the nearest is {near!r}" if quoted else f"; the nearest is {near}"


def unknown(kind: str, value: str, choices: Iterable[str]) -> RequestError:
    """RequestError for a value outside a list of names."""
    choices = list(choices)
    return RequestError(f"{kind} {value!r} is not one of {', '.join(choices)}{suggestion(value, choices)}")
