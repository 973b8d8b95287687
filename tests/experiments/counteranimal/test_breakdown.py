"""Cells are counted like by hand, and the interval of the worst covers the least true accuracy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from experiments.counteranimal.breakdown import TOP, accuracy_breakdown, cells
from experiments.counteranimal.metrics import Predictions
from tests.stattest import SHARE

ROWS = st.lists(
    st.tuples(st.sampled_from((3, 7, 11)), st.booleans(), st.sampled_from(("sand", "sea")), st.integers(1, 9)),
    min_size=1,
    max_size=40,
)


def answers(rows, grouped=True):
    """Photos of (class, common, background, rank); rank 1 is a right answer."""
    index, common, background, rank = (list(column) for column in zip(*rows, strict=True))
    predicted = [i if r == 1 else i + 1 for i, r in zip(index, rank, strict=True)]
    columns = (np.array(index), np.array(common), tuple(background), np.array(predicted), np.array(rank))
    return Predictions(tuple(str(i) for i in range(len(rows))), *columns, grouped=grouped)


def by_hand(rows, key):
    found = {}
    for row in rows:
        found.setdefault(key(row), []).append(row[3] == 1)
    return {name: (len(right), sum(right)) for name, right in found.items()}


@given(ROWS)
def test_cells_are_those_counted_by_hand(rows):
    listed = {tuple(row[:3]): (row[3], row[4]) for row in cells(answers(rows))}
    word = {True: "common", False: "counter"}
    assert listed == {(i, word[c], b): n for (i, c, b), n in by_hand(rows, lambda r: r[:3]).items()}
    for *_, photos, correct, accuracy, low, high in cells(answers(rows)):
        exact = binomtest(correct, photos).proportion_ci(0.95, "exact")
        np.testing.assert_allclose((accuracy, low, high), (correct / photos, *exact), atol=1e-9)


@given(ROWS)
def test_the_worst_is_the_least_share(rows):
    found = accuracy_breakdown(answers(rows))
    for name, key in (("worst_class", lambda r: r[0]), ("worst_group", lambda r: r[:2])):
        counted = by_hand(rows, key)
        assert found[name]["accuracy"] == min(k / n for n, k in counted.values())
        assert found[name]["of"] == len(counted)
        low, high = found[name]["interval"]
        assert low <= found[name]["accuracy"] <= high


@given(ROWS)
def test_without_groups_cells_are_of_backgrounds(rows):
    found = accuracy_breakdown(answers(rows, grouped=False))
    counted = by_hand(rows, lambda r: (r[0], r[2]))
    assert found["worst_group"]["accuracy"] == min(k / n for n, k in counted.values())
    assert {b["background"]: (b["photos"], b["correct"]) for b in found["backgrounds"]} == by_hand(rows, lambda r: r[2])
    first = [row[3] <= TOP for row in rows]
    if all(first):  # perhaps no more than five labels compete
        assert found["top5"] is None
    else:
        np.testing.assert_allclose(found["top5"]["micro"]["accuracy"], np.mean(first))


def test_the_interval_of_the_worst_covers_the_least_accuracy():
    """Twelve cells of one true accuracy, where choosing the worst misleads most: a plain 95 % interval of it covers it
    in two thirds of the draws only. 400 draws of 20 photos a cell; coverage is exact, so 95 % at least."""
    rng = np.random.default_rng(0)
    truth, draws, covered, plain = 0.7, 400, 0, 0
    for _ in range(draws):
        right = rng.random((12, 20)) < truth
        rows = [(c, True, "sand", 1 if r else 2) for c in range(12) for r in right[c]]
        worst = accuracy_breakdown(answers(rows))["worst_class"]
        covered += worst["interval"][0] <= truth <= worst["interval"][1]
        low, high = binomtest(worst["correct"], worst["photos"]).proportion_ci(0.95, "exact")
        plain += low <= truth <= high
    assert binomtest(covered, draws, 0.95, alternative="less").pvalue > SHARE
    assert plain < 0.9 * draws
