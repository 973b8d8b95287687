"""A sentence offers the nearest valid choice where one is near, and none where none is."""

import pytest

from simulator.naming import nearest, suggestion

LOSSES = ["linear", "infonce", "siglip", "supervised", "supcon"]


@pytest.mark.parametrize(
    ("written", "choices", "meant"),
    [
        ("=>", [">=", "<=", "="], ">="),
        ("predct", ["predict", "simulate", "train"], "predict"),
        ("InfoNCE", LOSSES, "infonce"),
        ("lin", LOSSES, "linear"),
        ("lstsq", ["least-squares", "logistic"], "least-squares"),
        ("--p-spuu", ["--p-spu", "--mu-spu", "--p"], "--p-spu"),
        ("wang-lemma", ["wang-lemma-d3", "wang-theorem-6.2-error"], "wang-lemma-d3"),
    ],
)
def test_slips_and_abbreviations_are_understood(written, choices, meant):
    assert nearest(written, choices) == meant
    assert suggestion(written, choices) == f"; the nearest is {meant}"


@pytest.mark.parametrize(
    ("written", "choices"),
    [
        ("clip", LOSSES),
        ("nosuch", ["view-noise", "rate", "bottleneck"]),
        ("--quick", ["--output", "--seed"]),
        ("x", []),
    ],
)
def test_nothing_is_offered_where_nothing_is_near(written, choices):
    assert nearest(written, choices) is None
    assert suggestion(written, choices, quoted=True) == ""
