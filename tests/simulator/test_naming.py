"""Error messages suggest the nearest valid choice, or nothing if none is near."""

from types import SimpleNamespace

import pytest

from simulator.naming import add_row, nearest, suggestion

LOSSES = ["linear", "infonce", "siglip", "supervised"]


@pytest.mark.parametrize(
    ("written", "choices", "meant"),
    [
        ("=>", [">=", "<=", "="], ">="),
        ("InfoNCE", LOSSES, "infonce"),
        ("lin", LOSSES, "linear"),
        ("lstsq", ["least-squares", "logistic"], "least-squares"),
        ("--p-spuu", ["--p-spu", "--mu-spu", "--p"], "--p-spu"),
    ],
)
def test_slips_and_abbreviations_are_understood(written, choices, meant):
    assert nearest(written, choices) == meant
    assert suggestion(written, choices) == f"; the nearest is {meant}"


@pytest.mark.parametrize(
    ("written", "choices"),
    [("clip", LOSSES), ("--quick", ["--output", "--seed"]), ("x", []), ("nothing", ["no-extra-robustness/long-name"])],
)
def test_nothing_is_offered_where_nothing_is_near(written, choices):
    assert nearest(written, choices) is None
    assert suggestion(written, choices, quoted=True) == ""


def test_a_table_has_one_row_per_name():
    table, row, other = {}, SimpleNamespace(name="mine"), SimpleNamespace(name="mine")
    assert add_row(table, row, "a row") is row
    assert add_row(table, row, "a row") is row, "again"
    with pytest.raises(ValueError, match=r"^a row named 'mine' "):
        add_row(table, other, "a row")
    assert table == {"mine": row}
