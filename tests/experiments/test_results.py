"""Rows: derived numbers, and a round trip through JSON."""

import json

import pytest

from experiments.results import Row, row_of


def test_round_trip():
    row = Row("a", "m", "CLIP", common=0.75, counter=0.5, interval_drop=(0.1, 0.4), n_common=8)
    record = json.loads(json.dumps(row.record()))
    assert record["drop"] == 0.25
    assert record["balanced"] == 0.625
    assert row_of(record) == row


def test_percent_are_refused():
    with pytest.raises(ValueError, match="fraction"):
        Row("a", "m", "CLIP", common=75.0, counter=0.5)
