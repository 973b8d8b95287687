"""The audit finds the README's items, flags what a test damages, and falls silent where a slip is mended."""

import pytest

from experiments.published.audit import NUMBERS, feasible, findings
from experiments.published.tables import MNIST, read_published


def keys(found):
    return {(f.check, f.table, f.row, f.cell, f.printed, f.recomputed) for f in found}


BEFORE = keys(findings())


def is_found(check, table, row, cell=None):
    return any((c, t, r) == (check, table, row) and cell in (None, k) for c, t, r, k, *_ in BEFORE)


@pytest.mark.parametrize(
    ("check", "table", "row", "cell"),
    [
        *[("GRIM", 15, row, "common") for row in (23, 68, 113)],  # item 1: class 23 is no k/25
        *[("GRIM", 16, row, "common") for row in (23, 68, 113)],
        ("drop", 10, 6, "drop"),  # item 2a
        ("drop", 10, 25, "drop"),
        ("drop", 14, 7, "drop"),
        ("drop", 16, 18, "drop"),
        ("GRIM", 16, 127, "counter"),  # item 2b
        ("drop", 16, 127, "drop"),
        ("drop", 16, 129, "drop"),  # item 2c
        *[("copied", 5, row, "common, counter") for row in range(3, 8)],  # item 3
        ("class mean", 3, 11, "common"),  # item 4: its trace in the tables
        ("copied", 10, 26, "common, counter"),  # item 5
        ("outlier", 10, 4, "common"),
        ("chance", 9, 11, "common"),  # item 6: the row of Table 9
        ("chance", 9, 11, "counter"),
        ("class mean", 11, 14, "common"),  # item 8
        ("class mean", 11, 16, "counter"),
    ],
)
def test_known_inconsistencies_are_found(check, table, row, cell):
    assert is_found(check, table, row, cell)


def test_six_drops_do_not_add_up_and_class_23_points_to_259():
    assert sum(check == "drop" for check, *_ in BEFORE) == 6
    reasons = [f.reason for f in findings() if f.check == "GRIM" and f.table == 15]
    assert reasons
    assert all("259" in reason for reason in reasons)


ORDERED = ("class_id", "imagenet_index")  # test_a_damaged_word_is_flagged
NUMERIC = [
    *[
        (file, column)
        for file, _, columns in NUMBERS
        for column in columns
        if column not in ("class_id", "imagenet_index")
    ],
    *[(MNIST, c) for c in ("n_samples", "p_inv", "p_spu", "n_classes")],
]


def shifted(cell):
    """The cell moved by the smallest change that no rounding explains, away from the ends of its domain."""
    if "." not in cell:
        return str(int(cell) + 1)
    value = float(cell)
    return f"{value - 0.07 if value >= 50 else value + 0.07:.2f}"


@pytest.mark.parametrize("share", [pytest.param(1, marks=pytest.mark.deep), 15])
@pytest.mark.parametrize(("file", "column"), NUMERIC)
def test_a_damaged_cell_is_flagged(file, column, share):
    """Every cell in the deep run, every fifteenth of a column otherwise."""
    for row in range(0, len(read_published()[file]), share):
        raw = read_published()
        raw[file][row][column] = shifted(raw[file][row][column])
        after = keys(findings(raw))
        # A damage may mend a slip or change a flagged value; silence alone would be the fault.
        assert after != BEFORE, f"{file} row {row + 1} {column} was damaged and nothing changed"
        if not any(k[2] == row + 1 for k in BEFORE):
            assert after - BEFORE


@pytest.mark.parametrize(
    ("file", "row", "column", "text"),
    [
        ("clip_1v1000.csv", 7, "high_quality_data", "0"),
        ("clip_1v20.csv", 0, "backbone", "RN51"),
        ("imagenet_1v20.csv", 0, "backbone", "VGG11"),
        ("clip_1v1000.csv", 0, "common", "?"),
        ("clip_1v1000.csv", 0, "common", "640.2"),
        ("classwise_datasets.csv", 7, "class_id", "7"),
        (MNIST, 3, "train_method", "Contrastive"),
    ],
)
def test_a_damaged_word_is_flagged(file, row, column, text):
    raw = read_published()
    raw[file][row][column] = text
    assert keys(findings(raw)) - BEFORE


DATASETS, PROMPTS = "classwise_datasets.csv", "clip_openai_prompts_1v1000.csv"
LARGE = next(c for c in read_published()["clip_1v20.csv"] if c["backbone"] == "ViT/L/14")


@pytest.mark.parametrize(
    ("changes", "quiet"),
    [
        (
            [("classes.csv", 23, "n_common", "259"), ("stated.csv", 1, "value", "7408")],
            [("GRIM", 15), ("total",), ("class mean", 11, 14, "common")],  # with 259 photos exactly 74.23
        ),
        (
            [(DATASETS, 127, "counter", "66.22"), (DATASETS, 129, "counter", "83.64")],
            [*((check, 16, row) for check in ("GRIM", "drop") for row in (127, 129)), ("class mean", 3, 12, "counter")],
        ),
        ([(PROMPTS, 6, "drop", "18.03")], [("drop", 10, 6)]),
        ([(PROMPTS, 25, "drop", "9.97")], [("drop", 10, 25)]),
        ([("imagenet_1v20.csv", 7, "drop", "15.12")], [("drop", 14, 7)]),
        ([(DATASETS, 18, "drop", "27.32")], [("drop", 16, 18)]),
        ([("lvlm_1v20.csv", 3, c, LARGE[c]) for c in ("common", "counter", "drop")], [("copied", 5, 3)]),
        ([(PROMPTS, 26, "common", "87.90")], [("copied", 10, 26)]),
        ([(PROMPTS, 4, "common", "77.20")], [("outlier", 10, 4)]),
        (
            [("clip_other_checkpoints_1v1000.csv", 11, c, t) for c, t in (("common", "2.00"), ("counter", "1.00"))],
            [("chance",)],
        ),
    ],
)
def test_mended_cells_go_quiet(changes, quiet):
    raw = read_published()
    for file, row, column, text in changes:
        assert raw[file][row - 1][column] != text
        raw[file][row - 1][column] = text
    after = keys(findings(raw))
    for start in quiet:
        assert not any(k[: len(start)] == start for k in after)


def test_feasible_is_a_fraction_of_n():
    for n in (1, 3, 7, 25):
        possible = {f"{100 * k / n:.2f}" for k in range(n + 1)}
        for printed in range(10_101):
            assert feasible(printed / 100, n) == (f"{printed / 100:.2f}" in possible)
