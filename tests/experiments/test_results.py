"""Rows: derived numbers."""

import pytest

from experiments.results import Row


def test_derived_numbers():
    record = Row("a", "m", "CLIP", common=0.75, counter=0.5).record()
    assert (record["drop"], record["balanced"]) == (0.25, 0.625)


def test_percent_are_refused():
    with pytest.raises(ValueError, match="fraction"):
        Row("a", "m", "CLIP", common=75.0, counter=0.5)
