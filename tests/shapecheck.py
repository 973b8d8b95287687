"""The type checker behind jaxtyping in the test run: beartype, with PEP 484's rule that an int is a float."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
