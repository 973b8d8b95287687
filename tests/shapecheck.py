"""jaxtyping's checker in tests: beartype, on the first calls and definitions alone, since checks
take milliseconds.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import partial, wraps

import jaxtyping
from beartype import BeartypeConf, beartype

CHECKED_CALLS = 30  # per definition of a function and process
CHECKED_DEFINITIONS = 3  # per nested function and process

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped
_definitions: Counter[tuple[str, str, int]] = Counter()


def jaxtyped(target=None, *, typechecker: Callable):
    """jaxtyping's decorator, for the first definitions and calls; the import hook puts it on
    functions and classes.
    """
    if target is None:
        return partial(jaxtyped, typechecker=typechecker)
    if inspect.isclass(target):
        if is_dataclass(target) and not hasattr(target.__init__, "__wrapped__"):
            target.__init__ = jaxtyped(target.__init__, typechecker=typechecker)
        return target
    if not target.__annotations__:
        return target
    place = (target.__module__, target.__qualname__, target.__code__.co_firstlineno)
    _definitions[place] += 1
    if _definitions[place] > CHECKED_DEFINITIONS:
        return target
    checked, calls = None, 0

    def first(*arguments, **options):
        nonlocal checked, calls, now
        if jaxtyping.config.jaxtyping_disable:
            return target(*arguments, **options)
        # Not on import: each takes some milliseconds, and many functions are not called.
        checked = checked or _jaxtyped(target, typechecker=typechecker)
        calls += 1
        if calls == CHECKED_CALLS:
            now = target
        return checked(*arguments, **options)

    now = first

    @wraps(target)
    def call(*arguments, **options):
        return now(*arguments, **options)

    return call


jaxtyping.jaxtyped = jaxtyped


@contextmanager
def unchecked() -> Iterator[None]:
    """Switch the checker off inside the block."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
