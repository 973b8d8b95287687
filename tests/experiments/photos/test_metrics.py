"""Counts, pairs, object effects and worst cells of predictions, against those counted by hand."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.heads.intervals import (
    accuracy,
    complete,
    counted,
    group_accuracies,
    over_classes,
    paired,
    summary,
)
from experiments.inference import holm
from experiments.photos.metrics import class_counts, object_effect
from experiments.results import FEWEST
from tests.experiments.heads.test_intervals import counts


def answers(rows):
    """Predictions of rows (class, common, background, rank, object); rank 1 is a right answer."""
    table = pd.DataFrame(rows, columns=["class_index", "common", "background", "rank", "object"])
    table = table.assign(
        path=table.index.astype(str),
        group=np.where(table.common, "common", "counter"),
        predicted_index=table.class_index.where(table["rank"] == 1, 999),
        margin=np.nan,
    )
    return table if table.object.any() else table.drop(columns="object")


@given(counts(), st.integers(1, 9))
def test_an_empty_group_leaves_its_class_out_of_both_means(table, n):
    extra = counted(
        np.append(table.index, 500),
        np.vstack([table.photos, [n, 0]]),
        np.vstack([table.correct, [n, 0]]),
    )
    if not len(complete(table)):
        with pytest.raises(ValueError, match="both groups"):
            group_accuracies(extra, "macro")
        return
    for mean in ("macro", "micro"):
        assert (group_accuracies(extra, mean) == group_accuracies(table, mean)).all()
    assert 500 in summary(extra)["counts"]["left_out_classes"]


@pytest.mark.parametrize("mean", ["macro", "micro"])
def test_a_pair_of_few_classes_has_intervals_over_photos(mean):
    """As if each model had photos of its own: squares of distances to the ends add."""
    photos = np.array([[50, 60], [70, 40]])
    a, b = (
        counted(np.arange(2), photos, np.array(right))
        for right in ([[40, 12], [50, 20]], [[45, 30], [60, 22]])
    )
    found = paired(a, b, mean=mean)
    first, second = (over_classes(one, mean) for one in (a, b))
    for g, name in enumerate(("common", "counter")):
        of_a = float(group_accuracies(a, mean)[g])
        of_b = float(group_accuracies(b, mean)[g])
        low, high = found[name]["interval"]
        assert low < of_b - of_a < high
        assert low == pytest.approx(
            of_b - of_a - math.hypot(of_b - second[name][0], first[name][1] - of_a)
        )


@pytest.mark.parametrize("mean", ["macro", "micro"])
def test_an_interval_over_classes_holds_the_difference_of_its_mean(mean):
    """One class of many photos, on which the models hardly differ, and others of few, on which they
    differ.
    """
    photos = np.array([[1000, 900]] + [[10, 20]] * FEWEST)
    a, b = (
        counted(np.arange(len(photos)), photos, photos * share)
        for share in (0.5, np.array([[0.51]] + [[0.9]] * FEWEST))
    )
    found = paired(a, b, mean=mean)
    for name in ("common", "counter"):
        low, high = found[name]["interval"]
        assert low < found[name]["difference"] < high


@settings(max_examples=12)
@given(counts(low=1, size=5), counts(low=1, size=5), st.sampled_from(("macro", "micro")))
def test_paired_differences_are_differences_of_means(a, b, mean):
    """Classes 0, 7 and 14 are paired; the others are missing in one of the two models."""
    b = b.set_axis(b.index - 14)[::-1]
    first = a[:3]
    second = b[b.index >= 0]
    result = paired(a, b, mean=mean)
    back = paired(b, a, mean=mean)
    x = group_accuracies(first, mean)
    y = group_accuracies(second, mean)
    assert (result["classes"], result["mean"]) == (3, mean)
    assert result["common"]["difference"] == pytest.approx(y[0] - x[0], abs=1e-12)
    assert result["drop"]["difference"] == pytest.approx((y[0] - y[1]) - (x[0] - x[1]), abs=1e-12)
    up = (accuracy(second)[::-1, 0] > accuracy(first)[:, 0]).sum()
    assert result["common"]["classes_up"] == back["common"]["classes_down"] == up


def test_rounding_differences_are_ignored():
    """In floating point .3 - .1 and .2 - 0 differ by 3e-17; the sign test must ignore this."""
    photos = np.full((4, 2), 10)
    first = counted(np.arange(4), photos, np.tile([2, 0], (4, 1)))
    second = counted(np.arange(4), photos, np.tile([3, 1], (4, 1)))
    drop = paired(first, second)["drop"]
    assert (drop["classes_up"], drop["classes_down"], drop["sign_test_p"]) == (0, 0, 1.0)


def composites(right, index=None):
    """Rows of right[object][group][photo]; objects of three classes share names, unless all have
    class `index`.
    """
    return [
        (
            k % 3 if index is None else index,
            g == 0,
            "ab"[g],
            1 if answer else 2,
            f"object {k // 3 if index is None else k}",
        )
        for k, g in product(range(len(right)), range(2))
        for answer in right[k][g]
    ]


def test_object_effect_of_three_objects():
    right = np.zeros((3, 2, 2), dtype=bool)
    right[0, 0] = True  # right on both common photos only
    right[1] = True
    right[2, 0, 0] = right[2, 1, 1] = True
    found = object_effect(answers(composites(right, 9)))
    assert (found["common"], found["counter"], found["difference"]) == pytest.approx(
        (2.5 / 3, 1.5 / 3, 1 / 3)
    )
    assert (found["better_on_common"], found["better_on_counter"], found["objects"]) == (1, 0, 3)
    assert found["interval"] is None  # three objects are too few
    # Two objects are right on two of four photos: on 0, 1, 2 common ones with probabilities 1, 4, 1
    # of 6. Their sum, 3 here, is 0, ..., 4 with probabilities 1, 8, 18, 8, 1 of 36. All sums except
    # 2 are at most as likely as 3.
    assert found["mcnemar_p"] == pytest.approx(1 / 2)
    equal = object_effect(answers(composites(np.ones((FEWEST, 2, 2)), 9)))
    assert (equal["difference"], equal["interval"], equal["mcnemar_p"]) == (0, None, 1)


@settings(max_examples=8)  # each draws six bootstraps
@given(st.integers(0, 2**32 - 1))
def test_in_a_full_factorial_it_is_the_class_accuracies_drop(seed):
    """Every object on the same photos: the mean over objects is the mean over photos."""
    rng = np.random.default_rng(seed)
    both = answers(
        [row for index in (9, 16) for row in composites(rng.random((4, 2, 3)) < 0.6, index)]
    )
    found = object_effect(both)
    means = summary(class_counts(both))
    for mean in ("macro", "micro"):
        assert found["difference"] == pytest.approx(means[mean]["drop"])
        assert found["common"] == pytest.approx(means[mean]["common"])
    assert [c["class_index"] for c in found["classes"]] == [9, 16]
    expected = holm(np.array([c["mcnemar_p"] for c in found["classes"]])).tolist()
    assert [c["p_holm"] for c in found["classes"]] == expected


def test_objects_of_two_classes_may_share_a_name_and_lonely_ones_are_left_out():
    both = answers(composites(np.ones((1, 2, 1)), 9) + composites(np.zeros((1, 2, 1)), 16))
    assert [one["objects"] for one in object_effect(both)["classes"]] == [1, 1]
    lonely = both.assign(group=["common"] * 3 + ["counter"])
    found = object_effect(lonely)
    assert (found["objects"], found["left_out_objects"]) == (1, 1)
    assert (
        object_effect(both.assign(object=["", "", "object 0", "object 0"]))["left_out_photos"] == 2
    )
    assert object_effect(both.assign(group="common")) is None
