"""The selection rule and its winner's curse, against shuffled photos and exact laws."""

import math

import numpy as np
import pandas as pd
import pytest

from experiments.errors import RequestError
from experiments.photos import discovery
from experiments.photos.discovery import discover, honest_drop, permutation_p


def test_honest_drop_halves_photos_as_shuffling_does():
    """Means over 4000 splits, each with a standard deviation below .35: that of their difference is
    below .008.
    """
    n = [9, 14, 12]
    k = [7, 6, 5]
    rng = np.random.default_rng(3)
    photos = [np.repeat([1, 0], [b, a - b]) for a, b in zip(n, k, strict=True)]
    slow = []
    for _ in range(4000):
        halves = [np.split(rng.permutation(p), [len(p) // 2]) for p in photos]
        accuracy = np.array([[half.mean() for half in pair] for pair in halves]).T  # (2, B)
        for one, other in ((0, 1), (1, 0)):
            jitter = 1e-9 * rng.random(len(n))
            slow.append(
                accuracy[other, (accuracy[one] + jitter).argmax()]
                - accuracy[other, (accuracy[one] + jitter).argmin()]
            )
    assert np.std(slow) < 0.35
    assert honest_drop(np.array(n), np.array(k), rng, splits=4000) == pytest.approx(
        np.mean(slow), abs=0.025
    )
    # on the photos that select it, a drop looks larger
    assert np.ptp(np.array(k) / n) > np.mean(slow) + 0.1


def test_permutation_p_is_the_exact_one():
    """Two backgrounds: sum over all tables of the hypergeometric law; 4 standard errors of 9999
    draws.
    """
    n = (12, 15)
    k = (9, 4)
    total = sum(k)
    rate = sum(k) / sum(n)

    def statistic(x):
        return sum(
            (y - m * rate) ** 2 / (m * rate * (1 - rate))
            for y, m in zip((x, total - x), n, strict=True)
        )

    law = {
        x: math.comb(n[0], x) * math.comb(n[1], total - x) / math.comb(sum(n), total)
        for x in range(max(0, total - n[1]), min(n[0], total) + 1)
    }
    exact = sum(p for x, p in law.items() if statistic(x) >= statistic(k[0]) - 1e-9)
    found = permutation_p(np.array(n), np.array(k), np.random.default_rng(0))
    assert abs(found - exact) < 4 * math.sqrt(exact * (1 - exact) / 9999) + 1e-4
    assert permutation_p(np.full(2, 5), np.full(2, 5), np.random.default_rng(0)) == 1


def answers(spread, right):
    """Predictions for class -> background -> number of photos; `right` says which of these are
    correct.
    """
    rows = [
        (index, place, i)
        for index, places in spread.items()
        for place, n in places.items()
        for i in range(n)
    ]
    table = pd.DataFrame(rows, columns=["class_index", "background", "i"])
    return table.assign(predicted_index=table.class_index.where([right(*row) for row in rows], 999))


NAMES = {9: "9 ostrich", 10: "10 brambling", 16: "bulbul", 30: "bullfrog"}


def test_extremes_of_each_class_are_selected():
    """Among backgrounds of four photos or more; where all are equal, the first and the last."""
    spread = {
        9: {"sand": 6, "grass": 4, "sea": 5, "rare": 1},
        10: {"ash": 4, "oak": 4},
        16: {"sky": 4, "tree": 4},
    }
    wins = {"sand": 1, "grass": 0, "sea": 1, "sky": 0, "tree": 1, "rare": 1, "ash": 1, "oak": 1}
    spread |= {30: {"sand": 6, "sea": 3}}
    given = answers(spread, lambda _, place, i: wins[place] == 1 and (place, i) != ("sea", 0))
    found = discover(given, NAMES, smallest=4)
    chosen = [(c["common_background"], c["counter_background"]) for c in found["classes"]]
    assert chosen == [("sand", "grass"), ("ash", "oak"), ("tree", "sky")]
    assert found["naive"]["drop"] == pytest.approx(2 / 3)
    assert [c["backgrounds"] for c in found["classes"]] == [3, 2, 2]
    assert found["left_out"] == [30]
    assert discover(given, NAMES, smallest=4) == found
    with pytest.raises(RequestError, match="no class has two backgrounds of 7 photos"):
        discover(given, NAMES, smallest=7)


def test_an_effect_among_many_classes_can_be_found(monkeypatch):
    """With 99 permutations Holm's p over 7 classes would be at least 7/100, so no effect could be
    found.
    """
    # with 9999 it takes 501 classes, and seconds
    monkeypatch.setattr(discovery, "PERMUTATIONS", 99)
    names = {index: str(index) for index in range(7)}
    spread = {index: {"a": 30, "b": 30} for index in names}
    # all others: always wrong
    given = answers(spread, lambda index, place, _: (index, place) == (3, "a"))
    found = discover(given, names, smallest=20)
    assert found["background_effects"] == 1
    assert found["classes"][3]["p_holm"] == pytest.approx(7 / (found["permutations"] + 1))
    assert found["least_p_holm"] < 0.05


def test_an_effect_is_one_by_holms_p_value():
    """In three classes p is about .03: below .05 by Benjamini and Hochberg's correction, above by
    Holm's.
    """
    spread = {index: {"a": 20, "b": 20} for index in (9, 10, 16)}
    found = discover(
        answers(spread, lambda _, place, i: i < (15 if place == "a" else 7)), NAMES, smallest=20
    )
    assert all(c["p_bh"] < 0.05 < c["p_holm"] for c in found["classes"])
    assert found["background_effects"] == 0
