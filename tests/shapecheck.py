"""The type checker behind jaxtyping in the test run: beartype, with PEP 484's rule that an int is a float."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))


FIRST = 0.25  # seconds


@contextmanager
def unchecked() -> Iterator[None]:
    """The checker is off meanwhile."""
    before = jaxtyping.config.jaxtyping_disable
    _off()
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@contextmanager
def checked_at_first() -> Iterator[None]:
    """The checker looks on for a moment: what takes longer repeats on other numbers what it has seen.

    In a trial or a training half of the time would be its own.
    """
    timer = Timer(FIRST, _off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        jaxtyping.config.update("jaxtyping_disable", False)


def _off() -> None:
    jaxtyping.config.update("jaxtyping_disable", True)
