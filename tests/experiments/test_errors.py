"""Domains of requests: both ends are valid, and a sentence names the nearer one beyond them."""

import pytest

from experiments.errors import RequestError, check_within, checked_seed
from simulator.quantities import LARGEST_SEED


@pytest.mark.parametrize(("value", "near"), [(-1, 0), (LARGEST_SEED + 1, LARGEST_SEED)])
def test_both_ends_of_a_domain_are_valid_and_the_next_numbers_are_not(value, near):
    assert checked_seed(near) == near
    with pytest.raises(RequestError, match=rf"^seed = {value} .*; the nearest valid value is {near}$"):
        checked_seed(value)
    check_within("n", 1, 1, 1)
