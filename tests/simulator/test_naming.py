"""Error messages suggest the nearest valid choice, or nothing if none is near."""

import pytest

from simulator.naming import nearest, suggestion

LOSSES = ["linear", "infonce", "siglip", "supervised"]


@pytest.mark.parametrize(
    ("written", "choices", "meant"),
    [
        ("=>", [">=", "<=", "="], ">="),
        ("InfoNCE", LOSSES, "infonce"),
        ("lin", LOSSES, "linear"),
        ("lstsq", ["least-squares", "logistic"], "least-squares"),
        ("--p-spuu", ["--p-spu", "--mu-spu", "--p"], "--p-spu"),
        ("clip", LOSSES, None),
        ("--quick", ["--output", "--seed"], None),
        ("x", [], None),
        ("nothing", ["no-extra-robustness/long-name"], None),
    ],
)
def test_slips_and_abbreviations_are_understood_and_nothing_else_is_offered(written, choices, meant):
    assert nearest(written, choices) == meant
    assert suggestion(written, choices) == ("" if meant is None else f"; the nearest is {meant}")
