"""The type checker behind jaxtyping in the test run: beartype, with PEP 484's rule that an int is a float."""

from contextlib import contextmanager

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))


@contextmanager
def unchecked():
    """The checker is off meanwhile.

    It takes half of the time of a trial. Tests that repeat on other numbers what others run with it do without.
    """
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
