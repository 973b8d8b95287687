"""Models beside each other: by class under either mean, by object where both saw the same composites."""

import io
from itertools import product

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binom
from stattest import SHARE, spend

from experiments.command.screens.counteranimal import comparison_view
from experiments.counteranimal.metrics import ClassCounts, Predictions, paired
from experiments.counteranimal.object_effects import FEWEST, Objects, objects_of
from experiments.counteranimal.pairwise import MOST_PAIRED, paired_models, paired_objects
from experiments.counteranimal.predictions import write_predictions
from experiments.counteranimal.report import page
from experiments.counteranimal.result import Result
from experiments.counteranimal.robustness import compare, gather
from experiments.counteranimal.summaries import score_files
from experiments.results import Row

FIRST = ClassCounts(np.array([1, 2, 5]), np.array([[90, 10], [10, 10], [10, 80]]), np.array([[81, 2], [5, 5], [2, 40]]))
SECOND = ClassCounts(np.array([1, 2, 9]), np.array([[90, 10], [10, 10], [10, 10]]), np.array([[90, 1], [5, 7], [1, 1]]))


def test_either_mean_by_hand():
    macro, micro = (paired(FIRST, SECOND, mean=mean) for mean in ("macro", "micro"))
    assert (macro["classes"], macro["mean"], micro["mean"]) == (2, "macro", "micro")
    assert macro["common"]["difference"] == pytest.approx((0.1 + 0.0) / 2)
    assert micro["common"]["difference"] == pytest.approx(95 / 100 - 86 / 100)
    assert macro["drop"]["difference"] == pytest.approx((0.1 + 0.1 - 0.2) / 2)
    assert micro["drop"]["difference"] == pytest.approx(0.09 - (8 - 7) / 20)
    for name in ("common", "counter", "drop"):  # the sign test is over classes under either
        assert macro[name]["sign_test_p"] == micro[name]["sign_test_p"]


def test_pairs_follow_the_mean_of_the_rows():
    for mean in ("macro", "micro"):
        rows = [Result(Row("x", name, "own", 0.5, 0.4, mean=mean), c) for name, c in (("a", FIRST), ("b", SECOND))]
        (pair,) = paired_models(rows)["pairs"]
        assert pair == {"first": "a", "second": "b"} | paired(FIRST, SECOND, mean=mean)


def test_models_beyond_the_most_are_named():
    rows = [Result(Row("x", f"m{i}", "own", 0.5, 0.4), FIRST) for i in range(MOST_PAIRED + 2)]
    found = paired_models(rows)
    assert len(found["pairs"]) == MOST_PAIRED * (MOST_PAIRED - 1) // 2
    assert found["unpaired"] == [f"m{MOST_PAIRED}", f"m{MOST_PAIRED + 1}"]


def composites(right, skip=()):
    """Predictions for objects x groups x two photos; right[k] of object k is ((common answers), (counter answers))."""
    rows = [
        (f"c{k % 3}", k % 3, group == 0, right[k][group][i])
        for k, group, i in product(range(len(right)), range(2), range(2))
        if k not in skip
    ]
    names = [f"object {k // 3}" for k in range(len(right)) if k not in skip for _ in range(4)]  # the same in each class
    return Predictions(
        tuple(str(i) for i in range(len(rows))),
        np.array([index for _, index, *_ in rows]),
        np.array([common for *_, common, _ in rows]),
        ("",) * len(rows),
        np.array([index if answer else 999 for _, index, _, answer in rows]),
        object=tuple(names),
    )


def test_objects_are_paired_by_class_and_name():
    before = [((1, 1), (1, 0)), ((1, 0), (0, 0)), ((0, 0), (0, 0)), ((1, 1), (1, 1))]
    after = [((1, 1), (0, 0)), ((1, 1), (0, 0)), ((0, 0), (1, 1)), ((0, 0), (0, 0))]
    found = paired_objects(objects_of(composites(before)), objects_of(composites(after, skip=(3,))))
    assert found["objects"] == 3  # the fourth is unknown to the second model
    assert found["common"]["difference"] == pytest.approx((0 + 0.5 + 0) / 3)
    assert found["counter"]["difference"] == pytest.approx((-0.5 + 0 + 1) / 3)
    assert found["drop"]["difference"] == pytest.approx(0.5 / 3 - 0.5 / 3)
    assert (found["drop"]["objects_up"], found["drop"]["objects_down"]) == (2, 1)
    assert found["drop"]["interval"] is None
    assert paired_objects(objects_of(composites(before[:1])), objects_of(composites(after, skip=(0,)))) is None


def test_models_that_differ_by_chance_seldom_do_so_by_the_interval():
    """Answers of both models are alike in law: the 95% interval of the drop's difference must hold 0."""
    rng, trials, missed, O = np.random.default_rng(3), 300, 0, 4 * FEWEST
    names, classes, asked = np.arange(O).astype(str).astype(object), np.arange(O) % 3, np.full((O, 2), 2)
    for _ in range(trials):
        hard = rng.beta(2, 2, (O, 1))  # what both models share
        first, second = (Objects(names, classes, asked, rng.binomial(2, np.tile(hard, 2))) for _ in range(2))
        low, high = paired_objects(first, second, replicates=400)["drop"]["interval"]
        missed += not low <= 0 <= high
    spend(SHARE)  # an honest bootstrap of 40 objects misses 5 to 7 times in a hundred
    assert missed <= binom.ppf(1 - SHARE, trials, 0.07), missed


def test_results_of_composites_bring_their_objects(tmp_path):
    rng = np.random.default_rng(1)
    for name in ("a", "b"):
        answers = composites((rng.random((24, 2, 2)) < 0.7).astype(int).tolist())
        write_predictions(tmp_path / f"{name}.csv", answers)
    score_files([tmp_path / "a.csv", tmp_path / "b.csv"], output=tmp_path / "out")
    found = gather([str(tmp_path / "out")], "macro", "1000", "simple")
    document = compare(found)
    (pair,) = document["pairs"]
    assert pair["objects"] == paired_objects(found[0].objects, found[1].objects)
    assert pair["objects"]["objects"] == 24
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(comparison_view(document))
    assert "by object" in console.export_text()
    assert "Object by object" in page(document, b"<svg/>")
