"""Errors of requests and runs: one sentence and an exit status (2, 1 or 130), never a traceback."""

from collections.abc import Iterable

from simulator.naming import outside, unlisted


class SoberclipError(Exception):
    """Base class; `str(error)` is the sentence that the user reads."""

    status = 1


class RequestError(SoberclipError):
    """The request was wrong. The sentence names the value, its domain and, where one is near, a
    valid choice.
    """

    status = 2


class RunError(SoberclipError):
    """The request was valid and the run failed. Finished work is kept."""


class Interrupted(SoberclipError):
    """Ctrl-C. The sentence says what was kept."""

    status = 130


def checked_seed(seed: int) -> int:
    """The seed. Raises RequestError outside its domain."""
    from simulator.quantities import LARGEST_SEED  # start-up time: loads numpy

    check_within("seed", seed, 0, LARGEST_SEED)
    return seed


def check_within(name: str, value: float, low: float, high: float) -> None:
    """Raise RequestError for a number outside its domain, naming the nearest."""
    if not low <= value <= high:
        raise RequestError(f"{name} = {outside(value, low, high)}")


def unknown(kind: str, value: str, choices: Iterable[str]) -> RequestError:
    """RequestError for a value that is not in a list of names."""
    return RequestError(f"{kind} {unlisted(value, list(choices))}")
