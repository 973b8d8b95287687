"""The type checker that jaxtyping uses in tests: beartype, with PEP 484's rule that an int is a float.

Checking takes half of the time of a trial or a training. So each process checks only the first calls of a function:
a function that is called thousands of times is called in the same way each time.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import jaxtyping
from beartype import BeartypeConf, beartype

CHECKED_CALLS = 30  # per function and process
_typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable) -> Callable:
    """The function with type checks for its first CHECKED_CALLS calls."""
    checked, calls = None, 0

    @functools.wraps(function)
    def counted(*arguments, **options):
        nonlocal checked, calls
        checked = checked or _typechecked(function)  # not on import: each takes a millisecond, and many are not called
        calls += 1
        if calls == CHECKED_CALLS:
            _skip(function.__module__, function.__qualname__)
        return checked(*arguments, **options)

    return counted


def _skip(module: str, name: str) -> None:
    """Mark a function so that jaxtyping no longer checks it. A nested function cannot be found and stays checked."""
    target = sys.modules.get(module)
    for part in name.split("."):
        target = getattr(target, part, None)
    with suppress(AttributeError):  # a property's function
        inspect.unwrap(getattr(target, "__func__", target)).__no_type_check__ = True


@contextmanager
def unchecked() -> Iterator[None]:
    """Switch the checker off inside the block."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
