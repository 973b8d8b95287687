"""One sentence and one status for each way to fail."""

import pytest

from experiments.errors import Interrupted, RequestError, RunError, checked_seed, unknown


def test_statuses():
    assert (RequestError.status, RunError.status, Interrupted.status) == (2, 1, 130)


@pytest.mark.parametrize(("written", "end"), [("infonse", "linear, infonce; the nearest is infonce"), ("x", "infonce")])
def test_an_unknown_name_lists_those_that_are_known(written, end):
    error = unknown("loss", written, ["linear", "infonce"])
    assert str(error).startswith(f"loss {written!r} is not one of linear, ")
    assert str(error).endswith(end)


def test_seeds_are_not_negative():
    assert checked_seed(0) == 0
    with pytest.raises(RequestError, match="seed = -1 is negative"):
        checked_seed(-1)
