"""The type checker behind jaxtyping in the test run: beartype, with PEP 484's rule that an int is a float.

It takes half of the time of a trial or a training, so it looks at the first calls of every function, in every process,
and no longer: what is called thousands of times is called alike.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import jaxtyping
from beartype import BeartypeConf, beartype

LOOKS = 300  # calls
_look = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable) -> Callable:
    """The function, checked; after LOOKS calls jaxtyping is told to leave out the one of this name."""
    checked, calls = _look(function), 0

    @functools.wraps(function)
    def looked_at(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == LOOKS:
            _look_away(function.__module__, function.__qualname__)
        return checked(*arguments, **options)

    return looked_at


def _look_away(module: str, name: str) -> None:
    found = sys.modules.get(module)
    for part in name.split("."):  # of a function within another one nothing is found, and it is looked at for ever
        found = getattr(found, part, None)
    with suppress(AttributeError):  # of a property
        inspect.unwrap(getattr(found, "__func__", found)).__no_type_check__ = True


@contextmanager
def unchecked() -> Iterator[None]:
    """The checker is off meanwhile."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
