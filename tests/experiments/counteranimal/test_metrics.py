"""Means, intervals and paired tests: identities over random tables, oracles, and the paper's own class figures."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from experiments.counteranimal.metrics import (
    ClassCounts,
    Predictions,
    class_counts,
    group_accuracies,
    intervals,
    paired,
    photo_bounds,
    summary,
)
from experiments.inference import sign_test
from experiments.published.audit import feasible
from experiments.published.tables import CLASS_TABLES, published_rows, read_published


@st.composite
def counts(draw, low=0, size=None):
    C = size or draw(st.integers(1, 8))
    photos = np.array(draw(st.lists(st.tuples(*[st.integers(low, 30)] * 2), min_size=C, max_size=C)))
    share = np.array(draw(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=C, max_size=C)))
    return ClassCounts(np.arange(C) * 7, photos, np.floor(share * photos).astype(np.int64))


def photos_of(table):
    """One prediction a photo with the table's counts; wrong answers say 999."""
    rows = []
    for index, n, k in zip(table.index, table.photos, table.correct, strict=True):
        for g in range(2):
            rows += [(index, g == 0, index if i < k[g] else 999) for i in range(n[g])]
    index, common, predicted = (np.array(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Predictions(
        tuple(map(str, range(len(rows)))),
        np.array(index, dtype=np.int64),
        np.array(common, dtype=bool),
        ("",) * len(rows),
        np.array(predicted, dtype=np.int64),
    )


@given(counts())
def test_counting_inverts_listing(table):
    again = class_counts(photos_of(table))
    seen = table.photos.sum(axis=1) > 0
    assert (again.index == table.index[seen]).all()
    assert (again.photos == table.photos[seen]).all()
    assert (again.correct == table.correct[seen]).all()


@given(counts(low=1))
def test_means_are_what_their_names_say(table):
    macro, micro = (group_accuracies(table, mean) for mean in ("macro", "micro"))
    for g in range(2):
        by_hand = math.fsum(k / n for k, n in zip(table.correct[:, g], table.photos[:, g], strict=True))
        assert macro[g] == pytest.approx(by_hand / len(table.index), abs=1e-12)
        assert micro[g] == pytest.approx(table.correct[:, g].sum() / table.photos[:, g].sum(), abs=1e-12)


@given(counts(), st.integers(1, 9))
def test_an_empty_group_leaves_its_class_out_of_both_means(table, n):
    extra = ClassCounts(
        np.append(table.index, 500), np.vstack([table.photos, [n, 0]]), np.vstack([table.correct, [n, 0]])
    )
    if not len(table.complete.index):
        with pytest.raises(ValueError, match="both groups"):
            group_accuracies(extra, "macro")
        return
    for mean in ("macro", "micro"):
        assert (group_accuracies(extra, mean) == group_accuracies(table, mean)).all()
    assert 500 in summary(extra)["counts"]["left_out_classes"]


@given(counts(low=1))
def test_weights_of_the_bootstrap_are_repetition_of_classes(table):
    """The vectorised replicate against a table in which the drawn classes are written out."""
    C = len(table.index)
    drawn = np.arange(C)[::-1] // 2
    again = ClassCounts(np.arange(C), table.photos[drawn], table.correct[drawn])
    weights = np.bincount(drawn, minlength=C).astype(float)
    for mean in ("macro", "micro"):
        assert np.allclose(group_accuracies(table, mean, weights), group_accuracies(again, mean), atol=1e-12)


def test_intervals_cover():
    """Coverage of the drop's 95% interval at 12 classes drawn from a population, 600 data sets.

    Exact coverage .95 has standard error .0089; the limit .92 is 3.4 of them below, a false alarm of 4e-4. Plain
    percentile intervals cover .918 of the same data sets.
    """
    rng = np.random.default_rng(20240)
    hits, sets, C = 0, 600, 12
    for _ in range(sets):
        centre = np.clip(rng.normal([0.7, 0.5], 0.12, size=(C, 2)), 0, 1)
        photos = rng.integers(30, 80, size=(C, 2))
        table = ClassCounts(np.arange(C), photos, rng.binomial(photos, centre))
        low, high = intervals(table, "macro", seed=int(rng.integers(2**31)), replicates=1000)["drop"]
        hits += low <= 0.2 <= high
    assert hits / sets > 0.92


def test_four_right_photos_do_not_make_certainty():
    """Two classes of one photo a group: 2 of 2 is .158 to 1 by Clopper and Pearson, not 1 to 1."""
    table = ClassCounts(np.array([3, 9]), np.ones((2, 2), dtype=np.int64), np.ones((2, 2), dtype=np.int64))
    for mean in ("macro", "micro"):
        found = intervals(table, mean)
        assert found["common"] == found["counter"] == pytest.approx((0.025**0.5, 1))
        assert found["drop"] == pytest.approx((-(1 - 0.025**0.5), 1 - 0.025**0.5))


def test_photo_bounds_are_clopper_and_pearsons_on_the_effective_sample():
    """With a photo a class nothing is lost; else the textbook formula, class by class."""
    right = np.array([[1, 0], [1, 1], [0, 0], [1, 0], [1, 0]])
    single = ClassCounts(np.arange(5), np.ones((5, 2), dtype=np.int64), right)
    for (low, high), k in zip(photo_bounds(single, "macro"), (4, 1), strict=True):
        exact = binomtest(k, 5).proportion_ci(0.95, "exact")
        assert (low, high) == pytest.approx((exact.low, exact.high))
    sizes = np.array([[10, 8], [40, 8], [5, 8]])
    bounds = photo_bounds(ClassCounts(np.arange(3), sizes, sizes), "macro")
    for (low, _), photos in zip(bounds, sizes.T, strict=True):
        few = (t.isf(0.025, photos.sum() - 1) / t.isf(0.025, 2)) ** 2
        assert low == pytest.approx(0.025 ** (1 / (few * 9 / (1 / photos).sum())))  # all right: the tail is low^n


def test_one_class_has_no_interval():
    table = ClassCounts(np.array([3]), np.array([[5, 5]]), np.array([[4, 2]]))
    assert intervals(table, "macro") == {"common": None, "counter": None, "drop": None}


def test_sign_test_is_the_binomial_tail():
    for up, down in ((0, 0), (3, 0), (5, 5), (36, 9), (1, 6)):
        n = up + down
        tail = sum(math.comb(n, k) for k in range(min(up, down) + 1)) / 2**n
        assert sign_test(up, down) == pytest.approx(min(1, 2 * tail), abs=1e-12)


@given(counts(low=1, size=5), counts(low=1, size=5))
def test_paired_differences_are_differences_of_macro_means(a, b):
    result = paired(a, b)
    x, y = group_accuracies(a, "macro"), group_accuracies(b, "macro")
    assert result["common"]["difference"] == pytest.approx(y[0] - x[0], abs=1e-12)
    assert result["drop"]["difference"] == pytest.approx((y[0] - y[1]) - (x[0] - x[1]), abs=1e-12)
    back = paired(b, a)
    assert back["drop"]["classes_up"] == result["drop"]["classes_down"]


def photos_behind(model):
    """Photo-level predictions that give Tables 15-16's class accuracies; class 37 OpenAI counter is kept apart."""
    raw = read_published()
    sizes = {(c["class_id"], g): int(c[f"n_{g}"]) for c in raw["classes.csv"] for g in ("common", "counter")}
    sizes["23", "common"] = 259  # the count that its printed accuracies belong to
    index = {c["class_id"]: int(c["imagenet_index"]) for c in raw["classes.csv"]}
    table = next(t for t in CLASS_TABLES if any(c["model"] == model for c in raw[t.file]))
    rows, printed = [], {}
    for cells in raw[table.file]:
        if cells["model"] != model:
            continue
        for g in ("common", "counter"):
            n, percent = sizes[cells["class_id"], g], float(cells[g])
            if not feasible(percent, n):
                assert (model, cells["class_id"], g) == ("CLIP-OpenAI-ViT/B/32", "37", "counter")
            k = round(percent * n / 100)
            rows += [(index[cells["class_id"]], g == "common", i < k) for i in range(n)]
            printed[index[cells["class_id"]], g] = percent
    truth, common, right = (np.array(column) for column in zip(*rows, strict=True))
    order = np.random.default_rng(0).permutation(len(rows))
    wrong = (truth + 1) % 1000
    predicted = np.where(right, truth, wrong)
    names = tuple(f"{i}.jpg" for i in range(len(rows)))
    return Predictions(names, truth[order], common[order], ("",) * len(rows), predicted[order]), printed


MODELS = sorted({c["model"] for t in CLASS_TABLES for c in read_published()[t.file]})


@pytest.mark.parametrize("model", MODELS)
def test_published_class_figures_come_out_of_photos(model):
    predictions, printed = photos_behind(model)
    table = class_counts(predictions)
    for i, index in enumerate(table.index):
        for g, group in enumerate(("common", "counter")):
            apart = model == "CLIP-OpenAI-ViT/B/32" and index == 291 and group == "counter"
            # Printed with two decimals; the cell apart is no k/222, the nearest is .06 off.
            limit = 0.06 if apart else 0.005 + 1e-9
            assert abs(100 * table.accuracy[i, g] - printed[index, group]) <= limit
    row = next(r for r in published_rows() if r.model == model)
    common, counter = group_accuracies(table, "macro")
    # Two printed class figures of this model are wrong (README items 2b, 2c): its counter mean is .15 off.
    damaged = model == "CLIP-OpenAI-ViT/B/32"
    assert abs(common - row.common) < 0.001
    assert abs(counter - row.counter) < (0.0016 if damaged else 0.001)


def test_differences_that_rounding_makes_are_none():
    """In floating point .3 - .1 and .2 - 0 differ by 3e-17; the sign test counts no such class."""
    photos = np.full((4, 2), 10)
    first = ClassCounts(np.arange(4), photos, np.tile([2, 0], (4, 1)))
    second = ClassCounts(np.arange(4), photos, np.tile([3, 1], (4, 1)))
    drop = paired(first, second)["drop"]
    assert (drop["classes_up"], drop["classes_down"], drop["sign_test_p"]) == (0, 0, 1.0)
