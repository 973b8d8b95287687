"""Numbers as people write them, and as they mistype them."""

from time import perf_counter
from types import SimpleNamespace

import pytest

from experiments.command.words import real, whole


def read(converter, text):
    return converter(None, [SimpleNamespace(value=text)])


@pytest.mark.parametrize(("text", "value"), [("1000", 1000), ("1e3", 1000), ("1e12", 10**12), ("2.0", 2), ("-3", -3)])
def test_whole_numbers(text, value):
    assert read(whole, text) == value


@pytest.mark.parametrize("text", ["2.5", "1e-3", "x", "", "nan", "inf", "1e-99999999"])
def test_what_is_not_whole_is_refused(text):
    with pytest.raises(ValueError, match="is not a whole number"):
        read(whole, text)


@pytest.mark.parametrize("text", ["1e5000", "1e99999999", "-1e5000", "9" * 5000])
@pytest.mark.parametrize("converter", [whole, real])
def test_numbers_beyond_all_use_are_refused_at_once(converter, text):
    """int("1e5000") has more digits than Python prints, and 1e99999999 takes minutes to write out."""
    began = perf_counter()
    with pytest.raises(ValueError, match="outside every domain here") as refusal:
        read(converter, text)
    assert len(str(refusal.value)) < 120
    assert perf_counter() - began < 1


@pytest.mark.parametrize(("text", "value"), [("0.9", 0.9), ("1e-5", 1e-5), ("-inf", float("-inf")), (".1", 0.1)])
def test_reals(text, value):
    assert read(real, text) == value


@pytest.mark.parametrize("text", ["high", "0,9", "1/2"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="is not a number"):
        read(real, text)
