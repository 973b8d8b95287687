"""Laws 1 and 3 for photos: a model is itself in any company, photos have no order, what is said of
a class, group or background is counted there, and files and pages repeat the document.
"""

import csv
import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from planted_embeddings import planted
from scipy.stats import binomtest

from experiments.heads.intervals import summary
from experiments.heads.pages import write_files
from experiments.heads.reliance import answer_files
from experiments.photos.discovery import discover
from experiments.photos.figures import write_comparison
from experiments.photos.metrics import TOP, accuracy_breakdown, class_counts, object_effect
from experiments.photos.photos import has_groups
from experiments.photos.robustness import compare, gather
from experiments.photos.summaries import score_files
from experiments.results import GROUPS, QUANTITIES
from simulator.accuracy import PLACE

NAMES = ("first", "second", "third", "fourth")


def drawn(seed, classes=11):
    """Predictions of classes and groups of unequal size on three backgrounds, with objects; no two
    cells are equal.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for index, (g, group) in product(range(classes), enumerate(GROUPS)):
        for i in range(9 + 2 * index + 5 * g):
            right = rng.random() < 0.85 - 0.3 * g - 0.02 * index - 0.03 * seed
            rank = 1 if right else int(rng.integers(2, 9))
            row = (
                f"{index}/{group}/{i}",
                index,
                group,
                "abc"[i % 3],
                index if right else 99,
                rank,
                rng.normal(),
            )
            rows.append((*row, f"object {i // 2}"))
    names = [
        "path",
        "class_index",
        "group",
        "background",
        "predicted_index",
        "rank",
        "margin",
        "object",
    ]
    return pd.DataFrame(rows, columns=names)


def placed_results(root):
    """Results of four models; a line of a family joins three of them. Half have a place."""
    for seed, name in enumerate(NAMES):
        drawn(seed).to_csv(root / f"{name}.csv", index=False)
        (document,) = score_files([root / f"{name}.csv"], family="mine", output=root / name)
        ends = {
            "equivalent_correlation": [0.3 + seed / 9, 0.51 + seed / 9],
            "shortfall": [0.0123 * seed, 0.04 + 0.01 * seed],
        }
        place = {
            "equivalent_correlation": 0.4 + seed / 9,
            "shortfall": 0.031 + 0.009 * seed,
            "interval": ends,
        }
        (root / name / "summary.json").write_text(
            json.dumps(document | {"equivalent": place if seed % 2 else None})
        )
    return gather([str(root / name) for name in NAMES], "macro", "1000", "simple")


def three(cells, name):
    """A number and its ends in a row of a CSV file."""
    return [
        float(cells[f"{name}{end}"]) if cells[f"{name}{end}"] else None
        for end in ("", "_low", "_high")
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return placed_results(tmp_path_factory.mktemp("results"))


def test_a_model_is_the_same_in_any_company(results):
    """But for its number and the line of the others, which are about the company."""
    whole = compare(results)
    for own in (
        own
        for chosen in (results[::-1], results[1:3], results[3:])
        for own in compare(chosen)["rows"]
    ):
        (same,) = [row for row in whole["rows"] if row["model"] == own["model"]]
        company = {"number": None, "effective_robustness": None}
        assert {**same, **company} == {**own, **company}
    pairs = {(pair["first"], pair["second"]): pair for pair in whole["pairs"]}
    (alone,) = compare(results[1:3])["pairs"]
    assert alone == pairs["second", "third"]


def test_the_csv_of_embeddings_repeats_the_document_and_a_file_is_the_same_in_any_company(tmp_path):
    files = [tmp_path / f"{name}.npz" for name in NAMES[:2]]
    for seed, file in enumerate(files):
        np.savez(file, **planted(np.random.default_rng(seed), 300 + 40 * seed))
    document = answer_files(files, 0)
    assert document["models"][1:] == answer_files(files[1:], 0)["models"]
    write_files(tmp_path, document)
    listed = csv.DictReader((tmp_path / "embeddings.csv").read_text().splitlines())
    cells = {(row["model"], row["kind"], row["name"]): row for row in listed}
    entries = {
        (model["model"], kind, entry[kind]): entry
        for model in document["models"]
        for kind, some in (("head", model["heads"]), ("fix", model["fixes"]))
        for entry in some
    }
    assert cells.keys() == entries.keys()
    for key, entry in entries.items():
        worst = entry["worst_group"]
        gains = GROUPS if key[1] == "fix" else ()
        numbers = {name: (entry[name], *entry["interval"][name]) for name in (*QUANTITIES, *PLACE)}
        numbers |= {
            f"gain_{group}": (entry["gain"][group], *entry["gain_interval"][group])
            for group in gains
        }
        for name, expected in (
            numbers | {"worst_group": (worst["accuracy"], *worst["interval"])}
        ).items():
            assert three(cells[key], name) == [*expected], (key, name)
        assert [cells[key][f"worst_group_{part}"] for part in ("class", "group")] == [
            worst["name"],
            worst["group"],
        ]


def test_photos_have_no_order_and_classes_no_neighbours():
    table = drawn(0)
    mixed = table.sample(frac=1, random_state=1, ignore_index=True)
    for number in (lambda t: summary(class_counts(t)), accuracy_breakdown, object_effect):
        assert number(mixed) == number(table)
    few = table[table.class_index % 2 == 0]
    counts = class_counts(few)
    every = class_counts(table)
    assert (counts == every.loc[counts.index]).all(axis=None)
    effects = {one["class_index"]: one for one in object_effect(table)["classes"]}
    for one in object_effect(few)["classes"]:
        assert {**one, "p_holm": None} == {**effects[one["class_index"]], "p_holm": None}


def counted(table, within=1, **where):
    """(photos, right answers) where columns have these values."""
    own = table[np.logical_and.reduce([table[name] == value for name, value in where.items()])]
    return len(own), int((own["rank"] <= within).sum())


def test_what_is_said_of_a_class_group_or_background_is_counted_there(tmp_path):
    table = drawn(0)
    table.to_csv(tmp_path / "mine.csv", index=False)
    (document,) = score_files([tmp_path / "mine.csv"], output=tmp_path / "out")
    read = {
        name: pd.read_csv(tmp_path / "out" / f"per_{name}.csv") for name in ("class", "background")
    }
    said = [
        *document["backgrounds"],
        document["worst_class"],
        document["worst_group"],
        *read["background"].to_dict("records"),
    ]
    for cell in said:
        where = {
            name: cell[name] for name in ("class_index", "group", "background") if name in cell
        }
        assert (cell["photos"], cell["correct"]) == counted(table, **where), where
        assert cell["accuracy"] == pytest.approx(cell["correct"] / cell["photos"])
    for cell in document["backgrounds"]:
        assert cell["interval"] == pytest.approx(
            [*binomtest(cell["correct"], cell["photos"]).proportion_ci(0.95)]
        )
    for row in read["class"].to_dict("records"):
        cells = [counted(table, class_index=row["class_index"], group=group) for group in GROUPS]
        assert cells == [(row[f"n_{group}"], row[f"correct_{group}"]) for group in GROUPS]
    every = {row["class_index"]: row for row in read["class"].to_dict("records")}
    for row in document["worst_classes"]:
        assert row == {name: pytest.approx(every[row["class_index"]][name]) for name in row}
    names = {index: str(index) for index in every}
    for grouped in (table, table.assign(group="")):
        answered = grouped.assign(
            predicted_index=grouped.class_index.where(grouped["rank"] <= TOP, 99)
        )
        found = accuracy_breakdown(grouped)
        for name, by in (
            ("class", []),
            ("group", ["group" if has_groups(grouped) else "background"]),
        ):
            cells = (
                grouped.assign(right=grouped["rank"] == 1)
                .groupby(["class_index", *by])
                .right.mean()
            )
            worst = found[f"worst_{name}"]
            assert (worst["accuracy"], worst["of"]) == (pytest.approx(cells.min()), len(cells))
            assert worst["interval"][0] <= cells.min() <= worst["interval"][1]
        for mean, means in found["top5"].items():
            assert means == summary(class_counts(answered), grouped=has_groups(grouped))[mean]
    for row in discover(table, names, smallest=2)["classes"]:
        for group in GROUPS:
            n, k = counted(
                table, class_index=row["class_index"], background=row[f"{group}_background"]
            )
            assert (row[f"n_{group}"], row[group]) == (n, k / n)
        assert row["naive_drop"] == row["common"] - row["counter"]


def test_the_csv_of_a_comparison_repeats_the_document(results, tmp_path):
    """Its page is in `test_screens`."""
    document = compare(results)
    write_comparison(tmp_path, document)
    listed = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    for row, cells in zip(document["rows"], listed, strict=True):
        for name in QUANTITIES:
            assert float(cells[name]) == row[name]
        for axis, over in row["effective_robustness"].items():
            keys = (f"{name}_{axis}" for name in ("effective_robustness", "low", "high"))
            assert [float(cells[key]) for key in keys] == [over["value"], *over["interval"]]
        for name in PLACE if row["equivalent"] else ():
            assert three(cells, name) == [
                row["equivalent"][name],
                *row["equivalent"]["interval"][name],
            ]
