"""predictions.csv and per_class.csv: evaluate writes them, score and compare read them."""

from pathlib import Path

import numpy as np

from experiments.counteranimal.labels import CLASS_COUNT
from experiments.counteranimal.metrics import ClassCounts, Predictions
from experiments.counteranimal.photos import check_group
from experiments.errors import RequestError
from experiments.files import read_table, write_table

COLUMNS = ("path", "class_index", "group", "background", "predicted_index", "rank", "margin")
REQUIRED = ("class_index", "group", "predicted_index")
LARGEST = 2**63 - 1
CLASS_COLUMNS = (
    "class_index",
    "n_common",
    "n_counter",
    "correct_common",
    "correct_counter",
    "common",
    "counter",
    "drop",
)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """One row per photo. Unknown ranks and margins are empty; composites have a column with the object."""
    n = len(predictions.path)
    rank = [""] * n if predictions.rank is None else predictions.rank.tolist()
    margin = (
        [""] * n if predictions.margin is None else [f"{m:.7g}" if np.isfinite(m) else "" for m in predictions.margin]
    )
    rows = zip(
        predictions.path,
        predictions.class_index.tolist(),
        predictions.groups,
        predictions.background,
        predictions.predicted.tolist(),
        rank,
        margin,
        *([] if predictions.object is None else [predictions.object]),
        strict=True,
    )
    write_table(path, COLUMNS if predictions.object is None else (*COLUMNS, "object"), rows)


def read_predictions(path: Path, labels: int = CLASS_COUNT) -> Predictions:
    """Predictions made here or elsewhere; class_index, group and predicted_index are required columns.

    class_index is below `labels`. predicted_index is any integer of 64 bits; -1 means that the answer is not a label.
    group is empty in every line of photos without groups. rank and margin are read if every row has a rank. Raises
    RequestError naming the line.
    """
    table = read_table(path, REQUIRED, "predictions")
    index, predicted = [], []
    grouped = any(row["group"] for row in table)
    for line, row in enumerate(table, start=2):
        index.append(_integer(path, line, row, "class_index"))
        predicted.append(_integer(path, line, row, "predicted_index"))
        last = labels - 1
        if not 0 <= index[-1] <= last:
            raise RequestError(
                f"class_index {index[-1]} in line {line} of {str(path)!r} lies outside 0..{last}; "
                f"the nearest valid index is {min(max(index[-1], 0), last)}"
            )
        if grouped:
            check_group(row["group"], f"line {line} of {str(path)!r}")
    return Predictions(
        tuple(row.get("path") or str(i) for i, row in enumerate(table)),
        np.array(index, dtype=np.int64),
        np.array([row["group"] == "common" for row in table]),
        tuple(row.get("background") or "" for row in table),
        np.array(predicted, dtype=np.int64),
        *_ranks(path, table),
        tuple(row["object"] or "" for row in table) if "object" in table[0] else None,
        grouped,
    )


def _ranks(path: Path, table: list[dict[str, str]]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The columns rank and margin, None if a rank is missing; an empty margin is nan."""
    if not all(row.get("rank") for row in table):
        return None, None
    rank = [_integer(path, line, row, "rank") for line, row in enumerate(table, start=2)]
    try:
        margin = [float(row.get("margin") or "nan") for row in table]
    except ValueError as error:
        raise RequestError(f"a margin in {str(path)!r} is not a number ({error})") from error
    return np.array(rank, dtype=np.int64), np.array(margin)


UNGROUPED_COLUMNS = ("class_index", "n", "correct", "accuracy")


def write_classes(path: Path, counts: ClassCounts, grouped: bool = True) -> None:
    """One row per class; accuracies of a group without photos are empty. Without groups both columns are equal."""
    if not grouped:
        columns = (counts.index, counts.photos[:, 0], counts.correct[:, 0], counts.accuracy[:, 0])
        write_table(path, UNGROUPED_COLUMNS, zip(*(column.tolist() for column in columns), strict=True))
        return
    rows = []
    for index, n, k in zip(counts.index.tolist(), counts.photos.tolist(), counts.correct.tolist(), strict=True):
        accuracy = [c / m if m else None for c, m in zip(k, n, strict=True)]
        drop = None if None in accuracy else accuracy[0] - accuracy[1]
        rows.append((index, *n, *k, *("" if a is None else repr(a) for a in (*accuracy, drop))))
    write_table(path, CLASS_COLUMNS, rows)


def read_classes(path: Path) -> ClassCounts:
    """The inverse of `write_classes`."""
    table = read_table(path, CLASS_COLUMNS[:5], "per-class")
    cells = np.array(
        [[_integer(path, line, row, c) for c in CLASS_COLUMNS[:5]] for line, row in enumerate(table, start=2)]
    )
    return ClassCounts(cells[:, 0], cells[:, 1:3], cells[:, 3:5])


def _integer(path: Path, line: int, row: dict[str, str], column: str) -> int:
    where = f"{column} {row[column]!r} in line {line} of {str(path)!r}"
    try:
        value = int(row[column])
    except (TypeError, ValueError) as error:
        raise RequestError(f"{where} is not a whole number") from error
    if abs(value) > LARGEST:
        raise RequestError(f"{where} has more than 64 bits; labels are whole numbers from 0, and -1 means no label")
    return value
