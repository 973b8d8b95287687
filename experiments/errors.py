"""How a request or a run fails: one sentence, exit status 2 or 1, never a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class SoberclipError(Exception):
    """Base of the two below; `str(error)` is the one sentence that the user reads."""

    status = 1


class RequestError(SoberclipError):
    """The request was wrong: names the value, its domain and the nearest valid choice."""

    status = 2


class RunError(SoberclipError):
    """The request was sound and the run failed; finished work is kept."""

    status = 1


def checked_seed(seed: int) -> int:
    """The seed. Raises RequestError if it is negative."""
    if seed < 0:
        raise RequestError(f"--seed = {seed} is negative; the nearest valid value is 0")
    return seed


def nearest(value: str, choices: Iterable[str]) -> str:
    """The choice that looks most like `value`, for an error's last words."""
    choices = sorted(choices)
    matches = get_close_matches(value, choices, n=1, cutoff=0.0)
    return matches[0] if matches else "none"


def unknown(kind: str, value: str, choices: Iterable[str]) -> RequestError:
    """RequestError for a value outside a list of names."""
    choices = list(choices)
    return RequestError(
        f"{kind} {value!r} is not one of {', '.join(map(str, choices))}; the nearest is {nearest(value, choices)}"
    )
