"""The power of the GRIM test against brute force: every percentage, every number of right answers, exact fractions."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.published.audit import feasible
from experiments.published.grim import UNITS, caught, caught_digit, grim, means, shares
from experiments.published.tables import CLASS_TABLES, CLASSES, read_published


def rounds_to(value: Fraction, unit: int) -> bool:
    """Whether a fraction of 10,000 units may be printed as `unit`: halves either way."""
    return abs(value * (UNITS - 1) - unit) <= Fraction(1, 2)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 25, 32, 113])
def test_shares_against_every_number_of_right_answers(n):
    """In whole numbers: k/n lies within half a unit of `unit` iff 2 |10000 k - n unit| <= n."""
    k, unit = np.arange(n + 1)[:, None], np.arange(UNITS)
    assert (shares(n) == (2 * np.abs((UNITS - 1) * k - n * unit) <= n).any(axis=0)).all()


@given(st.integers(1, 6000), st.integers(0, UNITS - 1))
@example(32, 312)
@example(32, 313)
@example(64, 156)
@settings(max_examples=300)
def test_shares_are_what_the_audit_lets_pass(n, unit):
    assert shares(n)[unit] == feasible(unit / 100, n)


def test_a_planted_misprint_is_caught_as_often_as_said():
    """Of all misprints of one cell the audit's own check refuses the share that the power states."""
    n = 206
    refused = [not feasible(unit / 100, n) for unit in range(UNITS)]
    assert caught(shares(n)) == pytest.approx(np.mean(refused))
    digits = [f"{unit:04d}" for unit in range(UNITS)]
    digits = [d for d in digits if len(d) == 4 and sum(a != b for a, b in zip(d, "7136", strict=True)) == 1]
    refused = [not feasible(int(d) / 100, n) for d in digits]
    assert caught_digit(shares(n), "71.36") == pytest.approx(np.mean(refused))


@pytest.mark.parametrize("photos", [(2, 3), (1, 4, 2), (3, 3, 5)])
def test_means_are_means_of_some_answers(photos):
    answers = product(*(range(n + 1) for n in photos))
    attained = {sum(map(Fraction, right, photos), Fraction(0)) / len(photos) for right in answers}
    near = {(value, int(value * (UNITS - 1)) + step) for value in attained for step in (0, 1)}
    allowed = {unit for value, unit in near if rounds_to(value, unit)}
    assert set(means(photos).nonzero()[0].tolist()) <= allowed
    if len(photos) == 2:
        assert len(means(photos).nonzero()[0]) >= len(attained) - 1


def test_power_of_each_table():
    found = {power.table: power for power in grim()}
    raw = read_published()
    for table in CLASS_TABLES:
        sizes = {c["class_id"]: c for c in raw[CLASSES]}
        cells = [int(sizes[c["class_id"]][f"n_{g}"]) for c in raw[table.file] for g in ("common", "counter")]
        expected = np.mean([caught(shares(n)) for n in cells])
        assert found[table.number].random == pytest.approx(expected)
        assert found[table.number].random > 0.98
    for number in (3, 4, 5, 9, 10, 13, 14):  # means over 45 classes: every percentage is possible
        assert (found[number].random, found[number].digit, found[number].impossible) == (0, 0, 0)
    for number in (11, 12):
        assert 0.2 < found[number].random < 0.5
    assert found[7].random is None
    assert found[8].random is None
    assert found[16].impossible == 4  # class 23 of three models, and one more
