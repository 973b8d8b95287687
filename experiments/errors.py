"""How a request or a run fails: one sentence, exit status 2, 1 or 130, never a traceback."""

from collections.abc import Iterable

from simulator.naming import suggestion


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
        raise RequestError(f"seed = {seed} is negative; the nearest valid value is 0")
    return seed


def unknown(kind: str, value: str, choices: Iterable[str]) -> RequestError:
    """RequestError for a value outside a list of names."""
    choices = list(choices)
    return RequestError(f"{kind} {value!r} is not one of {', '.join(choices)}{suggestion(value, choices)}")
