"""The audit finds the README's items, flags damaged cells, and drops an item after its
correction.
"""

import hashlib
import json
import re

import pytest

from experiments.published.audit import DROPS, feasible, findings
from experiments.published.tables import read_published


def keys(found):
    return {(f.check, f.table, f.row, f.cell, f.printed, f.recomputed) for f in found}


BEFORE = keys(findings())


NUMERIC = [
    *((file, column) for file, _, pair in DROPS for column in (*pair, "drop")),
    *(("classes.csv", column) for column in ("n_common", "n_counter")),
    ("stated.csv", "value"),
]


def shifted(cell):
    """The cell after the smallest change beyond rounding, away from the ends of its domain."""
    if "." not in cell:
        return str(int(cell) + 1)
    value = float(cell)
    return f"{value - 0.07 if value >= 50 else value + 0.07:.2f}"


@pytest.mark.parametrize(("file", "column"), NUMERIC)
def test_a_damaged_cell_is_flagged(file, column):
    """Every fifteenth of a column, from another row on in each."""
    first = NUMERIC.index((file, column))
    rows = len(read_published()[file])
    for row in range(first % min(15, rows), rows, 15):
        raw = read_published()
        raw[file][row][column] = shifted(raw[file][row][column])
        after = keys(findings(raw))
        # A change may correct an error or alter a flagged value; only unchanged findings are wrong.
        assert after != BEFORE, f"{file} row {row + 1} {column} was damaged and nothing changed"
        if not any(k[2] == row + 1 for k in BEFORE):
            assert after - BEFORE


def test_the_files_are_those_that_were_compared_with_the_paper():
    """Names and Table 8 occur nowhere else, so the audit cannot check them."""
    text = json.dumps(
        {name: rows for name, rows in read_published().items() if name != "since.csv"},
        sort_keys=True,
    )
    assert hashlib.sha256(text.encode()).hexdigest().startswith("b9fb07cd51de6e5c748ef7c16d83eeaa")


DATASETS, PROMPTS = "classwise_datasets.csv", "clip_openai_prompts_1v1000.csv"
OTHERS, WRITTEN = "clip_other_checkpoints_1v1000.csv", "lvlm_1v20.csv"


@pytest.mark.parametrize(
    ("changes", "items"),
    [
        (
            [("classes.csv", 23, "n_common", "259"), ("stated.csv", 1, "value", "7408")],
            [
                *(("GRIM", table, row) for table in (15, 16) for row in (23, 68, 113)),
                ("class mean", 11, 14, "common"),
            ],
        ),
        (
            [(DATASETS, 127, "counter", "66.22"), (DATASETS, 129, "counter", "83.64")],
            [("GRIM", 16, 127, "counter"), ("drop", 16, 127), ("drop", 16, 129)],
        ),
        (
            [(WRITTEN, row, "common", "1.00") for row in range(3, 8)],
            [("copied", 5, row) for row in range(3, 8)],
        ),
        ([(PROMPTS, 26, "common", "87.90")], [("copied", 10, 26)]),
        ([(PROMPTS, 4, "common", "77.20")], [("outlier", 10, 4, "common")]),
        (
            [(OTHERS, 11, "common", "2.00"), (OTHERS, 11, "counter", "1.00")],
            [("chance", 9, 11, "common"), ("chance", 9, 11, "counter")],
        ),
    ],
)
def test_known_items_are_found_and_disappear_when_corrected(changes, items):
    raw = read_published()
    for file, row, column, text in changes:
        raw[file][row - 1][column] = text
    after = keys(findings(raw))
    for start in items:
        assert any(k[: len(start)] == start for k in BEFORE)
        assert not any(k[: len(start)] == start for k in after)


def test_a_grim_item_tells_the_nearest_possible_value():
    items = [found for found in findings() if found.check == "GRIM"]
    for item in items:
        n = int(re.match(r"no k/(\d+) ", item.reason)[1])
        assert abs(float(item.printed) - float(item.recomputed)) <= 50 / n + 0.01
    assert len(items) > 3


def test_chance_is_that_of_the_tables_labels():
    """3 % lies above chance among 1000 labels and below it among 20."""
    for file, table, flagged in (("clip_1v20.csv", 13, True), ("clip_1v1000.csv", 3, False)):
        raw = read_published()
        raw[file][0]["common"] = "3.00"
        assert flagged == any(
            key[:4] == ("chance", table, 1, "common") for key in keys(findings(raw))
        )


def test_feasible_is_a_fraction_of_n():
    for n in (1, 3, 7, 25):
        possible = {f"{100 * k / n:.2f}" for k in range(n + 1)}
        for printed in range(10_101):
            assert feasible(printed / 100, n) == (f"{printed / 100:.2f}" in possible)
